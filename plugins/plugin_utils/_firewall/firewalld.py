# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend firewalld: firewall-cmd(1), firewalld.zone(5), firewalld.richlanguage(5)."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    Command,
    Firewall,
    InputFilter,
    reject_denied,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    merge_ip_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Chain, Rule, Ruleset, port_ranges
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input


class Firewalld(Firewall):
    """firewalld: a zone of ports, services and rich rules, at runtime and in the permanent configuration."""

    name = "firewalld"
    program = "firewall-cmd"
    start_command = "systemctl enable --now firewalld"
    is_frontend = True
    quick_conditions = (("run", "systemctl", "is-active", "firewalld"),)
    conditions = (("run", "firewall-cmd", "--state"),)
    queries = (
        ("run", "firewall-cmd", "--get-default-zone"),
        ("run", "firewall-cmd", "--list-all-zones"),
        ("run", "firewall-cmd", "--permanent", "--list-all-zones"),
        ("read", "/proc/net/route"),
        ("read", "/proc/net/ipv6_route"),
    )

    @classmethod
    def may_be_active(cls, host: HostState) -> bool:
        """Ask systemd, if the host has it, since firewall-cmd is a slow program."""
        return host.command_result(["systemctl", "is-active", "firewalld"])[1] != "inactive"

    @classmethod
    def is_active(cls, host: HostState) -> bool:
        return host.command_result(["firewall-cmd", "--state"])[0] == 0

    @classmethod
    def from_host_state(cls, host: HostState, accesses: list[PortAccess], zone: str | None = None) -> Firewalld:
        """Read the given zone, else that of the interface with the default route, else the default one."""
        listings = {}
        for options in ([], ["--permanent"]):
            status, text = host.command_result(["firewall-cmd", *options, "--list-all-zones"])
            zones = split_zones(text)
            zone = zone or select_zone(host, zones)
            if status or zone not in zones:
                why = text if status else f"but for {', '.join(zones)}"
                raise TlsError(
                    f"firewalld does not answer for its zone {zone} ({why}); "
                    "choose one that `firewall-cmd --permanent --get-zones` names, and run `firewall-cmd --reload` if it is new"
                )
            listings[not options] = zones[zone]
        firewall = cls(zone_filters(listings, {}), zone)
        if firewall.blocked(accesses):  # a service may open the port; each of them takes another run of firewall-cmd
            names = sorted({name for listing in listings.values() for name in service_names(listing)})
            results = host.command_results([["firewall-cmd", f"--info-service={name}"] for name in names])
            services = {name: listing for name, (_status, listing) in zip(names, results)}
            firewall.filters = zone_filters(listings, services)
        return firewall

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        reject_denied(blocked)  # firewalld evaluates deny rules before allow rules
        commands = []
        for input_filter in reversed(self.filters):  # first the permanent configuration, since writing it may fail
            missing = merge_ip_versions(one.access for one in blocked if one.input_filter is input_filter)
            rules = [
                rich_rule(protocol, port, network) if network else f"port {port}/{protocol}"
                for protocol, port, network in missing
            ]
            commands += self._commands("add", input_filter, rules)
        return commands

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        removable = self.removable_rules(accesses)
        commands = []
        for input_filter in reversed(self.filters):
            rules = [rule.text for one, rule in removable if one is input_filter]
            commands += self._commands("remove", input_filter, rules)
        return commands

    def _commands(self, verb: str, input_filter: InputFilter, rules: list[str]) -> list[Command]:
        """Return a command for ports and one for rich rules, which firewall-cmd does not accept together."""
        commands = []
        for kind in ("port", "rich-rule"):
            rules_of_kind = [rule for rule in rules if rule.startswith("port ") == (kind == "port")]
            if not rules_of_kind:
                continue
            argv = ["firewall-cmd", *([] if input_filter.is_loaded else ["--permanent"]), f"--zone={self.zone}"]
            argv += [f"--{verb}-{kind}={rule.removeprefix('port ')}" for rule in rules_of_kind]
            lines = input_filter.with_location(*rules_of_kind)
            commands.append(Command(argv, added_rules=lines) if verb == "add" else Command(argv, removed_rules=lines))
        return commands


def zone_filters(listings: dict[bool, str], services: dict[str, str]) -> list[InputFilter]:
    """Return the filters of a zone.

    listings: the zone at runtime (True) and permanently (False), as firewall-cmd lists it.
    services: the listings of services, by name.
    """
    locations = {True: "firewalld now", False: "firewalld permanently"}
    return [
        InputFilter(locations[is_loaded], is_loaded, (4, 6), parse_zone(listing, services), "zone")
        for is_loaded, listing in listings.items()
    ]


def service_names(listing: str) -> list[str]:
    """Return the services that a zone and its rich rules name."""
    entries = parse_entries(listing)
    return entries["services"].split() + re.findall(r'service name="([^"]+)"', entries["rich rules"])


def split_zones(text: str) -> dict[str, str]:
    """Return the listing of each zone by name. The name is the first word of a listing."""
    return {
        listing.split()[0]: listing for listing in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if listing.strip()
    }


def select_zone(host: HostState, zones: dict[str, str]) -> str:
    """Return the zone of the interface with the default route, else the default zone."""
    interface = default_interface(host.file_text("/proc/net/route") or "", host.file_text("/proc/net/ipv6_route") or "")
    names = [name for name, listing in zones.items() if interface in parse_entries(listing)["interfaces"].split()]
    return names[0] if names else host.command_result(["firewall-cmd", "--get-default-zone"])[1]


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


def rich_rule(protocol: str, port: int, network: Network) -> str:
    """Return the rich rule that accepts a port from a network, as firewalld lists it."""
    source = "" if network in ANY.values() else f' source address="{network}"'
    return f'rule family="ipv{network.version}"{source} port port="{port}" protocol="{protocol}" accept'


def parse_entries(listing: str) -> dict[str, str]:
    """Return the entries of a zone or a service by key, from its listing. Rich rules are one on a line."""
    entries: dict[str, str] = dict.fromkeys(("interfaces", "services", "ports", "protocols", "rich rules"), "")
    entries["target"] = "default"
    key = ""
    for line in listing.splitlines()[1:]:
        if match := re.match(r"^  ([a-z][a-z -]*):\s*(.*)$", line):
            key = match[1]
            entries[key] = match[2].strip()
        elif key and line.strip():
            entries[key] = f"{entries[key]}\n{line.strip()}".strip()
    return entries


def parse_zone(listing: str, services: dict[str, str]) -> Ruleset:
    """Return the rules of a zone in the order in which firewalld evaluates them, as one chain named zone.

    services: the listings of services, by name. Raises TlsError if a listing is malformed.
    """
    with reject_malformed_input(
        "firewalld lists a zone or a service that is not understood here; choose another zone, or correct this one"
    ):
        return _zone_rules(parse_entries(listing), services)


def _zone_rules(entries: dict[str, str], services: dict[str, str]) -> Ruleset:
    rules = [_port_rule(word, f"port {word}", is_shared=False) for word in entries["ports"].split()]
    rules += [
        Rule("accept", f"protocol {name}", (name,), ((1, 65535),), is_shared=True)
        for name in entries["protocols"].split()
    ]
    for name in entries["services"].split():
        rules += _service_rules(name, services, f"service {name}", set())
    # By priority, and deny rules before allow rules.
    ordered: list[tuple[tuple[int, int], Rule]] = [((0, 1), rule) for rule in rules]
    for text in filter(None, entries["rich rules"].splitlines()):
        priority = re.search(r'priority="(-?\d+)"', text)
        for rule in _parse_rich_rule(text, services):
            ordered.append(((int(priority[1]) if priority else 0, int(rule.verdict == "accept")), rule))
    ordered.sort(key=lambda pair: pair[0])
    policy = "accept" if entries["target"] == "ACCEPT" else "deny"
    return {"zone": Chain([rule for _order, rule in ordered], policy)}


def _port_rule(word: str, text: str, is_shared: bool = True) -> Rule:
    """Return the allow rule for a port as zones and services list it, such as 443/tcp or 2000-2010/tcp."""
    ports, _slash, protocol = word.partition("/")
    return Rule("accept", text, (protocol,), port_ranges(ports, "-"), is_shared=is_shared)


def _service_rules(name: str, services: dict[str, str], text: str, visited: set[str]) -> list[Rule]:
    """Return the rules of a service and of the services that it includes, without the visited ones."""
    visited.add(name)
    entries = parse_entries(services.get(name, ""))
    rules = [_port_rule(word, text) for word in entries["ports"].split()]
    for included in entries.get("includes", "").split():
        if included not in visited:
            rules += _service_rules(included, services, text, visited)
    return rules


def _parse_rich_rule(text: str, services: dict[str, str]) -> list[Rule]:
    """Return what a rich rule does: one rule, or one for each port of its service."""
    without_values = re.sub(r'"[^"]*"', '""', text)
    action = re.search(r"\b(accept|reject|drop)\b", without_values)
    if not action:
        return []
    fields: dict[str, t.Any] = {"text": text, "verdict": "accept" if action[1] == "accept" else "deny"}
    fields["has_unknown_match"] = bool(re.search(r"\b(limit|destination|ipset|mac)\b", without_values))
    if family := re.search(r'family="ipv([46])"', text):
        fields["sources"] = (ANY[int(family[1])],)
    if source := re.search(r'source (NOT )?address="([^"]+)"', text):
        networks = (ipaddress.ip_network(source[2], strict=False),)
        fields.update({"is_partial": True, "excluded_sources": networks} if source[1] else {"sources": networks})
    if port := re.search(r'(?<!-)\bport port="([^"]+)" protocol="([^"]+)"', text):
        return [Rule(protocols=(port[2],), ports=port_ranges(port[1], "-"), **fields)]
    if service := re.search(r'service name="([^"]+)"', text):
        rules = _service_rules(service[1], services, text, set())
        return [Rule(protocols=rule.protocols, ports=rule.ports, is_shared=True, **fields) for rule in rules]
    if re.search(r"\b(protocol value|icmp-|masquerade|forward-port|source-port)\b", text):
        fields["has_unknown_match"] = True
    return [Rule(**fields)]
