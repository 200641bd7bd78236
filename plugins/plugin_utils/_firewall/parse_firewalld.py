# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read zones, policies and services of firewalld, as firewall-cmd lists them.

Sources: firewalld.zone(5), firewalld.richlanguage(5), firewalld.policies(5).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Chain, Rule, Ruleset, port_ranges
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

OWN_PRIORITY = (
    32000  # of the rich rules of this collection: behind all others, and a mark, as firewalld has no comments
)
LATE = "late"  # the chain of rules that are evaluated after those of this collection


def split_zones(text: str) -> dict[str, str]:
    """Return the listing of each zone by name. The name is the first word of a listing."""
    return {
        listing.split()[0]: listing for listing in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if listing.strip()
    }


def service_names(listing: str) -> list[str]:
    """Return the services that a zone and its rich rules name."""
    entries = parse_entries(listing)
    return entries["services"].split() + re.findall(r'service name="([^"]+)"', entries["rich rules"])


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


def parse_zone(listing: str, services: dict[str, str], policies: t.Sequence[str] = ()) -> Ruleset:
    """Return the rules for a zone in the order in which firewalld evaluates them, as one chain named zone.

    services: the listings of services, by name. policies: the listings of policies for packets from the zone to the host.
    Rules that are evaluated after those of this collection have the chain LATE. Raises TlsError if a listing is malformed.
    """
    with reject_malformed_input(
        "firewalld lists a zone, a policy or a service that is not understood here; choose another zone, or correct this one"
    ):
        entries = parse_entries(listing)
        by_priority = sorted((policy_priority(parse_entries(policy)), policy) for policy in policies)
        early = [rule for priority, policy in by_priority if priority < 0 for rule in _policy_rules(policy, services)]
        late = [rule for priority, policy in by_priority if priority >= 0 for rule in _policy_rules(policy, services)]
        rules = [*early, *_entry_rules(entries, services), *(dataclasses.replace(rule, chain=LATE) for rule in late)]
        return {"zone": Chain(rules, "accept" if entries["target"] == "ACCEPT" else "deny")}


def policy_priority(entries: dict[str, str]) -> int:
    """Return the priority of a policy. Those below 0 are evaluated before the zone."""
    return int(entries.get("priority", "") or -1)


def is_for_incoming_packets(policy: str, zone: str) -> bool:
    """Say whether a policy is for packets from a zone to the host: firewalld.policies(5)."""
    entries = parse_entries(policy)
    ingress, egress = (entries.get(f"{name}-zones", "").split() for name in ("ingress", "egress"))
    return "HOST" in egress and bool({"ANY", zone} & set(ingress))


def _policy_rules(listing: str, services: dict[str, str]) -> list[Rule]:
    """Return the rules of a policy, the last of which is its target."""
    entries = parse_entries(listing)
    name = listing.split()[0]
    rules = [dataclasses.replace(rule, is_own=False, chain="") for rule in _entry_rules(entries, services)]
    rules = [dataclasses.replace(rule, text=f"policy {name}: {rule.text}") for rule in rules]
    verdict = {"ACCEPT": "accept", "REJECT": "deny", "%%REJECT%%": "deny", "DROP": "deny"}.get(entries["target"])
    return [*rules, *([Rule(verdict, f"policy {name}: target {entries['target']}", is_shared=True)] if verdict else [])]


def _entry_rules(entries: dict[str, str], services: dict[str, str]) -> list[Rule]:
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
        match = re.search(r'priority="(-?\d+)"', text)
        priority = int(match[1]) if match else 0
        for rule in _parse_rich_rule(text, services):
            is_accepting = rule.verdict == "accept"
            is_late = priority > OWN_PRIORITY or (priority == OWN_PRIORITY and not is_accepting)
            is_own = priority == OWN_PRIORITY and is_accepting and not rule.is_shared
            rule = dataclasses.replace(rule, chain=LATE if is_late else "", is_own=is_own)
            ordered.append(((priority, int(is_accepting)), rule))
    ordered.sort(key=lambda pair: pair[0])
    return [rule for _order, rule in ordered]


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
