# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reasons for which a certificate can be revoked (RFC 5280, section 5.3.1)."""

from __future__ import annotations

import typing as t


class RevocationReason(t.NamedTuple):
    """A CRLReason."""

    code: int  # what ACME servers receive (RFC 8555, section 7.6)
    name: str  # as x509.ReasonFlags writes it


# By the value of the option C(reason). Left out are the reasons that only a CA gives.
REVOCATION_REASONS = {
    "unspecified": RevocationReason(0, "unspecified"),
    "key_compromise": RevocationReason(1, "keyCompromise"),
    "affiliation_changed": RevocationReason(3, "affiliationChanged"),
    "superseded": RevocationReason(4, "superseded"),
    "cessation_of_operation": RevocationReason(5, "cessationOfOperation"),
}
