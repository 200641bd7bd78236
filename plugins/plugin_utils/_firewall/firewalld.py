# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend firewalld."""

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
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Transcript,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    merge_ip_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Chain,
    Rule,
    Ruleset,
    port_ranges,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input


class Firewalld(Firewall):
    """firewalld: a zone of ports, services and rich rules, at runtime and in the permanent configuration."""

    name = "firewalld"
    program = "firewall-cmd"
    start = "systemctl enable --now firewalld"
    signs = (("run", "systemctl", "is-active", "firewalld"),)
    needs = (("run", "firewall-cmd", "--state"),)
    asks = (
        ("run", "firewall-cmd", "--get-default-zone"),
        ("run", "firewall-cmd", "--list-all-zones"),
        ("run", "firewall-cmd", "--permanent", "--list-all-zones"),
        ("read", "/proc/net/route"),
        ("read", "/proc/net/ipv6_route"),
    )

    def __init__(self, filters: list[InputFilter], zone: str) -> None:
        super().__init__(filters)
        self.zone = zone

    @classmethod
    def may_be_active(cls, host: Transcript) -> bool:
        """Ask systemd, where there is one: firewall-cmd is a program of Python."""
        return host.run(["systemctl", "is-active", "firewalld"])[1] != "inactive"

    @classmethod
    def is_active(cls, host: Transcript) -> bool:
        return host.run(["firewall-cmd", "--state"])[0] == 0

    @classmethod
    def look(cls, host: Transcript, accesses: list[PortAccess], zone: str | None = None) -> Firewalld:
        """Read a zone: the one named, else that of the interface with the default route, else the default zone."""
        listings = {}
        for permanent in ([], ["--permanent"]):
            status, text = host.run(["firewall-cmd", *permanent, "--list-all-zones"])
            zones = split_zones(text)
            zone = zone or select_zone(host, zones)
            if status or zone not in zones:
                why = text if status else f"but for {', '.join(zones)}"
                raise TlsError(
                    f"firewalld does not answer for its zone {zone} ({why}); "
                    "choose one that `firewall-cmd --permanent --get-zones` names, and run `firewall-cmd --reload` if it is new"
                )
            listings[not permanent] = zones[zone]
        firewall = cls(zone_filters(listings, {}), zone)
        if firewall.blocked(accesses):  # only then what a service stands for may matter: each is a program to start
            names = sorted({name for listing in listings.values() for name in service_names(listing)})
            told = host.run_each([["firewall-cmd", f"--info-service={name}"] for name in names])
            definitions = {name: listing for name, (_status, listing) in zip(names, told)}
            firewall.filters = zone_filters(listings, definitions)
        return firewall

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        reject_denied(blocked)  # firewalld asks what refuses before what lets in
        steps = []
        for input_filter in reversed(
            self.filters
        ):  # the permanent configuration first: it is the one that may be unwritable
            missing = merge_ip_versions(entry.access for entry in blocked if entry.input_filter is input_filter)
            lines = [rich_rule_text(*one) if one[2] else f"port {one[1]}/{one[0]}" for one in missing]
            steps += self._steps("add", input_filter, lines)
        return steps

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        steps = []
        for input_filter in reversed(self.filters):
            steps += self._steps(
                "remove",
                input_filter,
                [rule.words for one, rule in self.removable_rules(accesses) if one is input_filter],
            )
        return steps

    def _steps(self, verb: str, input_filter: InputFilter, lines: list[str]) -> list[Command]:
        """Return a step each for ports and rich rules, which firewall-cmd does not take together."""
        steps = []
        for kind in ("port", "rich-rule"):
            chosen = [line for line in lines if line.startswith("port ") == (kind == "port")]
            if chosen:
                argv = ["firewall-cmd", *([] if input_filter.now else ["--permanent"]), f"--zone={self.zone}"]
                argv += [f"--{verb}-{kind}={line.removeprefix('port ')}" for line in chosen]
                rules = input_filter.lines(*chosen)
                steps.append(Command(argv, added_rules=rules) if verb == "add" else Command(argv, removed_rules=rules))
        return steps


def zone_filters(listings: dict[bool, str], definitions: dict[str, str]) -> list[InputFilter]:
    """Return what a zone lets in now and permanently, given what its services stand for."""
    where = {True: "firewalld now", False: "firewalld permanently"}
    return [
        InputFilter(where[now], now, (4, 6), parse_zone(listing, definitions), "zone")
        for now, listing in listings.items()
    ]


def service_names(listing: str) -> list[str]:
    """Return the services that a zone and its rich rules name."""
    entries = parse_entries(listing)
    return entries["services"].split() + re.findall(r'service name="([^"]+)"', entries["rich rules"])


def split_zones(text: str) -> dict[str, str]:
    """Return what firewall-cmd lists of each zone, by the name in its first line, which may say more of it behind."""
    return {
        listing.split()[0]: listing for listing in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if listing.strip()
    }


def select_zone(host: Transcript, zones: dict[str, str]) -> str:
    """Return the zone of the interface with the default route, or the default zone where no zone is bound to it."""
    interface = default_interface(host.read("/proc/net/route") or "", host.read("/proc/net/ipv6_route") or "")
    bound = [name for name, listing in zones.items() if interface in parse_entries(listing)["interfaces"].split()]
    return bound[0] if bound else host.run(["firewall-cmd", "--get-default-zone"])[1]


def default_interface(route: str, ipv6_route: str) -> str | None:
    """Return the interface with the default route, from the kernel's tables; IPv4's goes before IPv6's."""
    found = []
    with reject_malformed_input(
        "/proc/net/route or ipv6_route holds what no kernel writes there; choose a zone, or look at what the host is doing"
    ):
        for line in route.splitlines()[1:]:
            name, destination, _gateway, flags, _count, _use, metric, mask = line.split()[:8]
            if destination == mask == "00000000" and int(flags, 16) & 1:
                found.append((0, int(metric), name))
        for line in ipv6_route.splitlines():
            words = line.split()
            if words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
                found.append((1, int(words[5], 16), words[9]))
    return min(found)[2] if found else None


def rich_rule_text(protocol: str, port: int, network: Network) -> str:
    """Return firewalld's words for letting in one network, as it lists them itself."""
    source = "" if network in ANY.values() else f' source address="{network}"'
    return f'rule family="ipv{network.version}"{source} port port="{port}" protocol="{protocol}" accept'


def parse_entries(listing: str) -> dict[str, str]:
    """Return what a zone or a service is made of, from firewall-cmd's listing; rich rules stand one on a line."""
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


def parse_zone(listing: str, definitions: dict[str, str]) -> Ruleset:
    """Return the rules of a zone in the order in which firewalld asks them."""
    with reject_malformed_input(
        "firewalld lists a zone or a service that is not understood here; choose another zone, or correct this one"
    ):
        return _zone_rules(parse_entries(listing), definitions)


def _zone_rules(entries: dict[str, str], definitions: dict[str, str]) -> Ruleset:
    rules = [_port_rule(word, f"port {word}", is_shared=False) for word in entries["ports"].split()]
    rules += [
        Rule("accept", f"protocol {name}", (name,), ((1, 65535),), is_shared=True)
        for name in entries["protocols"].split()
    ]
    for name in entries["services"].split():
        rules += _service_rules(name, definitions, f"service {name}", set())
    ordered: list[tuple[tuple[int, int], Rule]] = [((0, 1), rule) for rule in rules]
    for words in filter(None, entries["rich rules"].splitlines()):
        priority = re.search(r'priority="(-?\d+)"', words)
        for rule in _rich_rules(words, definitions):
            ordered.append(((int(priority[1]) if priority else 0, int(rule.verdict == "accept")), rule))
    ordered.sort(key=lambda pair: pair[0])
    policy = "accept" if entries["target"] == "ACCEPT" else "deny"
    return {"zone": Chain([rule for _order, rule in ordered], policy)}


def _port_rule(word: str, words: str, is_shared: bool = True) -> Rule:
    ports, _slash, protocol = word.partition("/")
    return Rule("accept", words, (protocol,), port_ranges(ports, "-"), is_shared=is_shared)


def _service_rules(name: str, definitions: dict[str, str], words: str, seen: set[str]) -> list[Rule]:
    """Return the rules of a service and of those that it includes, each once; the others are in *seen*."""
    seen.add(name)
    entries = parse_entries(definitions.get(name, ""))
    rules = [_port_rule(word, words) for word in entries["ports"].split()]
    for included in entries.get("includes", "").split():
        if included not in seen:
            rules += _service_rules(included, definitions, words, seen)
    return rules


def _rich_rules(words: str, definitions: dict[str, str]) -> list[Rule]:
    """Return what a rich rule says: one thing, or as many as its service has ports."""
    bare = re.sub(r'"[^"]*"', '""', words)
    verdict = re.search(r"\b(accept|reject|drop)\b", bare)
    if not verdict:
        return []
    found: dict[str, t.Any] = {"has_unknown_match": bool(re.search(r"\b(limit|destination|ipset|mac)\b", bare))}
    if family := re.search(r'family="ipv([46])"', words):
        found["sources"] = (ANY[int(family[1])],)
    if source := re.search(r'source (NOT )?address="([^"]+)"', words):
        networks = (ipaddress.ip_network(source[2], strict=False),)
        found.update({"is_partial": True, "excluded_sources": networks} if source[1] else {"sources": networks})
    found["verdict"] = "accept" if verdict[1] == "accept" else "deny"
    if port := re.search(r'(?<!-)\bport port="([^"]+)" protocol="([^"]+)"', words):
        return [Rule(words=words, protocols=(port[2],), ports=port_ranges(port[1], "-"), **found)]
    if service := re.search(r'service name="([^"]+)"', words):
        plain = _service_rules(service[1], definitions, words, set())
        return [
            Rule(words=words, protocols=rule.protocols, ports=rule.ports, is_shared=True, **found) for rule in plain
        ]
    if re.search(r"\b(protocol value|icmp-|masquerade|forward-port|source-port)\b", words):
        found["has_unknown_match"] = True
    return [Rule(words=words, **found)]
