# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses that a CA on the internet cannot reach (the special-purpose registries of IANA, RFC 6890)."""

from __future__ import annotations

import ipaddress

SHARED_NETWORK = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598, behind the NAT of a provider


# not a parser: addresses of DNS records and of request names are well formed
def internal_kind(address: str) -> str | None:
    """Return the kind of an address that public CAs cannot reach, with its article; None for an address of the internet.

    >>> internal_kind("10.0.0.7"), internal_kind("::1"), internal_kind("9.9.9.9")
    ('a private address', 'a loopback address', None)
    """
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    one = mapped or parsed
    if one.is_loopback:
        return "a loopback address"
    if one.is_link_local:
        return "a link-local address"
    if one.is_multicast:
        return "a multicast address"
    if one.is_unspecified:
        return "the unspecified address"
    if one.version == SHARED_NETWORK.version and one in SHARED_NETWORK:
        return "an address behind the NAT of a provider"
    if _is_private(one):
        return "a private address"
    return None if one.is_global else "a reserved address"


# not a parser: addresses of DNS records and of request names are well formed
def _is_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Say whether an address is of RFC 1918 or a unique local address (RFC 4193)."""
    networks = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16") if address.version == 4 else ("fc00::/7",)
    return any(address in ipaddress.ip_network(network) for network in networks)
