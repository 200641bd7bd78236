# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an ACME server wants to see before it believes that a name is ours (RFC 8555, section 8)."""

from __future__ import annotations

import dataclasses

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

DEFAULT = "http"  # the solver that has hosts answer by themselves
HTTP, DNS, PERSIST = "http-01", "dns-01", "dns-persist-01"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What has to be shown for one authorization."""

    domain: str  # in its normal form, without "*."
    is_wildcard: bool
    challenge: str
    token: str
    key_authorization: str  # what http-01 wants as the body of an answer
    validation: str  # what dns-01 wants as the value of a TXT record


def check_challenge(challenge: str, domains: list[str]) -> None:
    """Make sure that a challenge can be answered for each domain, before an order is spent on finding out."""
    wildcards = [domain for domain in domains if domain.startswith("*.")]
    addresses = [domain for domain in domains if is_address(domain)]
    if challenge == HTTP and wildcards:
        raise TlsError(
            f"{', '.join(wildcards)}: CAs believe wildcards by DNS alone, and the solver of the issuer answers over HTTP; give the "
            "request an issuer whose solver is rfc2136, command or persist, or name the hosts one by one"
        )
    if challenge != HTTP and addresses:
        raise TlsError(
            f"{', '.join(addresses)}: CAs believe IP addresses over HTTP alone, and the solver of the issuer answers by DNS; give "
            "addresses a request of their own, with an issuer whose solver is http"
        )
