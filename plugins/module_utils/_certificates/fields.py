# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fields of a certificate in DER (RFC 5280, section 4.1), for what the library does not return."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    EXPLICIT_0,
    SEQUENCE,
    Element,
    children,
    elements,
)

if t.TYPE_CHECKING:
    from cryptography import x509


def certificate_fields(certificate: x509.Certificate) -> list[Element]:
    """Return the fields of a certificate from its serial number on. Raises ValueError, IndexError or StopIteration."""
    fields = _all_fields(certificate)
    return fields[1:] if fields[0].tag == EXPLICIT_0 else fields


def is_version_1(certificate: x509.Certificate) -> bool:
    """Say whether a certificate is of version 1, which is the default. Raises as certificate_fields() does."""
    return _all_fields(certificate)[0].tag != EXPLICIT_0


def _all_fields(certificate: x509.Certificate) -> list[Element]:
    return children(next(elements(certificate.tbs_certificate_bytes)), SEQUENCE)
