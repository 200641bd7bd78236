# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A challenge of an ACME server and the response to it (RFC 8555, section 8)."""

from __future__ import annotations

import dataclasses

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

# Types of challenges: RFC 8555, sections 8.3 and 8.4, and draft-ietf-acme-dns-persist.
HTTP_01, DNS_01, DNS_PERSIST_01 = "http-01", "dns-01", "dns-persist-01"


@dataclasses.dataclass(frozen=True)
class ChallengeResponse:
    """The response to the challenge of one authorization (RFC 8555, section 8.1)."""

    domain: str  # in its normal form, without "*."
    challenge_type: str
    token: str
    key_authorization: str  # the body that http-01 expects
    dns_value: str  # the TXT record that dns-01 expects: the digest of the key authorization


def check_challenge(challenge_type: str, domains: list[str]) -> None:
    """Raise TlsError if CAs do not offer this type of challenge for one of the domains."""
    wildcards = [domain for domain in domains if domain.startswith("*.")]
    addresses = [domain for domain in domains if is_ip_address(domain)]
    if challenge_type == HTTP_01 and wildcards:
        raise TlsError(
            f"{', '.join(wildcards)}: CAs believe wildcards by DNS alone, and the solver of the issuer answers over HTTP; give the "
            "request an issuer whose solver is dnspod, route53, rfc2136, command or persist, or name the hosts one by one"
        )
    if challenge_type != HTTP_01 and addresses:
        raise TlsError(
            f"{', '.join(addresses)}: CAs believe IP addresses over HTTP alone, and the solver of the issuer answers by DNS; give "
            "addresses a request of their own, with an issuer whose solver is http"
        )
