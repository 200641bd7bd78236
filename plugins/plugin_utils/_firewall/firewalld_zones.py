# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which zone of firewalld is for a connection: firewalld.zone(5)."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_firewalld import parse_entries
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import Network, is_within
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

LIST_ADDRESSES = ["ip", "-o", "address"]
ZONE_QUERIES = (
    ("run", "firewall-cmd", "--get-default-zone"),
    ("run", *LIST_ADDRESSES),
    ("read", "/proc/net/route"),
    ("read", "/proc/net/ipv6_route"),
)


def source_zone(zones: dict[str, str], network: Network) -> tuple[str, str] | None:
    """Return the zone that is bound to a source with all of a network, and that source. Such a zone comes before interfaces.

    zones: listings by name.
    """
    for name, listing in zones.items():
        for word in parse_entries(listing).get("sources", "").split():
            try:
                source = ipaddress.ip_network(word, strict=False)
            except ValueError:  # a MAC address, or the name of an ipset
                continue
            if is_within(network, source):
                return name, word
    return None


def bound_zone(zones: dict[str, str], interface: str | None) -> str | None:
    """Return the zone that an interface is bound to."""
    names = [name for name, listing in zones.items() if interface in parse_entries(listing)["interfaces"].split()]
    return names[0] if names else None


def default_zone(host: HostState) -> str:
    """Return the zone for interfaces that are bound to none."""
    return host.command_result(["firewall-cmd", "--get-default-zone"])[1]


def public_interface(host: HostState) -> str | None:
    """Return the interface with the address by which the controller reaches the host, else that with the default route.

    Where addresses are translated on the way to the host, no interface has that address.
    """
    routes = [host.file_text(f"/proc/net/{name}") or "" for name in ("route", "ipv6_route")]
    _status, listing = host.command_result(LIST_ADDRESSES)
    return interface_with(listing, host.find_addresses()) or default_interface(routes[0], routes[1])


def interface_with(listing: str, addresses: list[str]) -> str | None:
    """Return the first interface with one of some addresses.

    listing: the output of `ip -o address`, such as "2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0".
    """
    pairs = re.findall(r"^\d+:\s+(\S+?)(?:@\S+)?\s+inet6?\s+([0-9a-fA-F.:]+)(?:/\d+)?\s", listing, re.MULTILINE)
    return next((name for name, address in pairs if address in addresses and name != "lo"), None)


def default_interface(route: str, ipv6_route: str) -> str | None:
    """Return the interface with the default route. That of IPv4 takes precedence.

    route, ipv6_route: the contents of these files in /proc/net.
    Raises TlsError if they are malformed.
    """
    candidates = []
    with reject_malformed_input(
        "/proc/net/route or ipv6_route holds what no kernel writes there; choose a zone, or look at what the host is doing"
    ):
        for line in route.splitlines()[1:]:
            name, destination, _gateway, flags, _count, _use, metric, mask = line.split()[:8]
            if destination == mask == "00000000" and int(flags, 16) & 1:
                candidates.append((0, int(metric), name))
        for line in ipv6_route.splitlines():
            words = line.split()
            if words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
                candidates.append((1, int(words[5], 16), words[9]))
    return min(candidates)[2] if candidates else None
