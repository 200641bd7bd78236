# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interfaces of a host by which clients come, and the rules that are for other interfaces.

A rule that denies a port for one interface counts where clients may come by that interface. Elsewhere it is a decision
about other networks, such as those of containers.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Rule, Ruleset
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

LIST_ADDRESSES = ["ip", "-o", "address"]
ROUTE_FILES = ("/proc/net/route", "/proc/net/ipv6_route")
INTERFACE_QUERIES = (("run", *LIST_ADDRESSES), *(("read", path) for path in ROUTE_FILES))


def mark_elsewhere(rulesets: t.Iterable[Ruleset], host: HostState) -> None:
    """Mark the rules that are only for interfaces by which no client comes. All others count, as do all where no interface is known."""
    chains = [chain for ruleset in rulesets for chain in ruleset.values()]
    if not any(is_for_interfaces(rule) and rule.verdict != "accept" for chain in chains for rule in chain.rules):
        return
    names = client_interfaces(host)
    for chain in chains if names else ():
        chain.rules = [
            dataclasses.replace(rule, is_elsewhere=not any(matches_interface(rule, name) for name in names))
            for rule in chain.rules
        ]


def is_for_interfaces(rule: Rule) -> bool:
    """Say whether a rule is for some interfaces only."""
    return rule.interfaces is not None or bool(rule.excluded_interfaces)


def matches_interface(rule: Rule, name: str) -> bool:
    """Say whether a rule is for packets that come in by an interface."""
    is_included = rule.interfaces is None or any(_is_named(name, pattern) for pattern in rule.interfaces)
    return is_included and not any(_is_named(name, pattern) for pattern in rule.excluded_interfaces)


def _is_named(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def client_interfaces(host: HostState) -> set[str]:
    """Return the interfaces with an address by which the controller reaches the host, and those with a default route."""
    host.results_of(INTERFACE_QUERIES)  # all of them in one visit to the host
    route, ipv6_route = (host.file_text(path) or "" for path in ROUTE_FILES)
    _status, listing = host.command_result(LIST_ADDRESSES)
    addresses = host.find_addresses()
    names = [interface_with(listing, [address]) for address in addresses]
    names += [default_interface(route, ""), default_interface("", ipv6_route)]
    return {name for name in names if name}


def public_interface(host: HostState) -> str | None:
    """Return the interface with the address by which the controller reaches the host, else that with the default route.

    Where addresses are translated on the way to the host, no interface has that address.
    """
    routes = [host.file_text(path) or "" for path in ROUTE_FILES]
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
