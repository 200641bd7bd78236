# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have ports open or closed in a firewall of a cloud: judge its rules, change what is needed, read them back."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.base import (
    CloudFirewall,
    CloudRules,
    RulesChanged,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.change import diff_text
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    PortAccess,
    PortWord,
    describe_ports,
    parse_port_accesses,
    parse_ports,
    port_words,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.source_rules import (
    requested_sources_finding,
    source_findings,
    source_rules,
)

MAX_ATTEMPTS = 3  # to change rules that something else changes at the same time


class CloudPortSpec(t.TypedDict):
    """What the ports shall be."""

    ports: list[PortWord]
    protocol: str  # tcp or udp, of the ports that name none
    sources: list[str]
    state: str  # open or closed


class CloudPortResult(t.TypedDict):
    """The result of cloud_firewall_port."""

    changed: bool
    msg: str
    opened: list[PortWord]
    closed: list[PortWord]
    instances: int | None
    warnings: list[str]
    diff: dict[str, str]


class Plan(t.NamedTuple):
    """What has to be done: accesses to accept, and rules to remove."""

    missing: list[PortAccess]
    removable: list[Rule]

    def __bool__(self) -> bool:
        return bool(self.missing or self.removable)


def set_ports(firewall: CloudFirewall, spec: CloudPortSpec, check_mode: bool) -> CloudPortResult:
    """Return the result of a change that was read back, or in check mode of one that would be made. Raises TlsError."""
    accesses = parse_port_accesses(spec["ports"], spec["protocol"], spec["sources"])
    for _attempt in range(MAX_ATTEMPTS):
        before = firewall.read()
        plan = plan_change(firewall.title, before, accesses, spec["state"])
        if not plan or check_mode:
            return _result(firewall, spec, accesses, before, _expected(firewall, before, plan), plan, check_mode)
        try:
            if plan.missing:
                firewall.add(before, plan.missing)
            else:
                firewall.remove(before, plan.removable)
        except RulesChanged:
            continue
        after = firewall.read()
        remaining = plan_change(firewall.title, after, accesses, spec["state"])
        if remaining:
            raise TlsError(
                f"{firewall.title} took the change, but its rules do not show it; look at them in the console, and run this again"
            )
        return _result(firewall, spec, accesses, before, after.rules, plan, check_mode=False)
    raise TlsError(
        f"{firewall.title} was changed by something else {MAX_ATTEMPTS} times while its rules were read; see what changes it, and run this again"
    )


def plan_change(title: str, read: CloudRules, accesses: list[PortAccess], state: str) -> Plan:
    """Return what has to be done. Raises TlsError where a rule refuses what shall be open."""
    if state == "closed":
        return Plan([], [rule for rule in read.rules if rule.allows_only(accesses)])
    missing = []
    for access in accesses:
        rule = deciding_rule(read.rules, access)
        if rule is None:
            missing.append(access)
        elif rule.verdict == "deny":
            raise TlsError(
                f"{title} refuses {access.protocol} {access.port} from {access.network} by its rule {rule.handle} ({rule.text}), and a rule "
                "after it would have no effect; remove or narrow that rule, or leave this port out"
            )
    return Plan(missing, [])


def deciding_rule(rules: list[Rule], access: PortAccess) -> Rule | None:
    """Return the first rule that decides on the whole network; None where no rule does, so that it is refused.

    A rule for some of the addresses only is an exception made on purpose. One with an unknown match cannot be judged.
    """
    return next((rule for rule in rules if not rule.has_unknown_match and rule.covers(access)), None)


def cloud_source_findings(title: str, rules: list[Rule], ports: t.Iterable[int]) -> list[Finding]:
    """Return what rules by source keep CAs from. A cloud refuses what no rule is for."""

    def verdict(access: PortAccess) -> str:
        rule = deciding_rule(rules, access)
        return rule.verdict if rule else "deny"

    return source_findings(title, source_rules(rules, verdict, ports))


def _source_warnings(firewall: CloudFirewall, spec: CloudPortSpec, rules: list[Rule]) -> list[str]:
    """Return a sentence about the rules by source that break the validation by CAs, empty where there are none."""
    if spec["state"] != "open":
        return []
    ports = parse_ports(spec["ports"], spec["protocol"])
    found = cloud_source_findings(firewall.title, rules, [port for protocol, port in ports if protocol == "tcp"])
    requested = requested_sources_finding(firewall.title, ports, spec["sources"])
    findings = [*requested, *(one for one in found if one.code == "firewall.refused" or not spec["sources"])]
    return [f"{one.sentence[:1].upper()}{one.sentence[1:]}." for one in findings if one.severity == "risk"]


def _relevant(rules: list[Rule], accesses: list[PortAccess]) -> list[Rule]:
    return [rule for rule in rules if any(rule.overlaps(access) for access in accesses)]


def _expected(firewall: CloudFirewall, before: CloudRules, plan: Plan) -> list[Rule]:
    """Return the rules that there would be after a change."""
    kept = [rule for rule in before.rules if rule not in plan.removable]
    return kept + [
        Rule("accept", firewall.rule_text(access), (access.protocol,), ((access.port, access.port),), (access.network,))
        for access in plan.missing
    ]


def _result(
    firewall: CloudFirewall,
    spec: CloudPortSpec,
    accesses: list[PortAccess],
    before: CloudRules,
    after: list[Rule],
    plan: Plan,
    check_mode: bool,
) -> CloudPortResult:
    opened = port_words((access[:2] for access in plan.missing), spec["protocol"])
    removed = (
        (protocol, first)
        for rule in plan.removable
        for protocol in rule.protocols or ()
        for first, _last in rule.ports or ()
    )
    closed = port_words(removed, spec["protocol"])
    relevant_before, relevant_after = (_relevant(rules, accesses) for rules in (before.rules, after))
    instances = firewall.instance_count() if plan else None
    warnings = _warnings(firewall, relevant_after, instances)
    return {
        "changed": bool(plan),
        "msg": " ".join([_summary(firewall, spec, plan, check_mode), *_still_open(spec, relevant_after), *warnings]),
        "opened": opened,
        "closed": closed,
        "instances": instances,
        "warnings": [*warnings, *_source_warnings(firewall, spec, after)],
        "diff": {
            "before": diff_text([rule.text for rule in relevant_before]),
            "after": diff_text([rule.text for rule in relevant_after]),
            "before_header": firewall.title,
            "after_header": firewall.title,
        },
    }


def _summary(firewall: CloudFirewall, spec: CloudPortSpec, plan: Plan, check_mode: bool) -> str:
    ports = describe_ports(spec["ports"], spec["protocol"])
    is_one = len(parse_ports(spec["ports"], spec["protocol"])) == 1
    sources = ", ".join(spec["sources"]) or "everybody"
    if spec["state"] == "open":
        if not plan:
            return f"{ports} {'is' if is_one else 'are'} open to {sources} already in {firewall.title}."
        return f"{'Would open' if check_mode else 'Opened'} {ports} to {sources} in {firewall.title}."
    if not plan:
        return f"No rule opens just {ports} to {sources} in {firewall.title}."
    return f"{'Would remove' if check_mode else 'Removed'} what opens just {ports} to {sources} in {firewall.title}."


def _still_open(spec: CloudPortSpec, rules: list[Rule]) -> list[str]:
    """Return a sentence about the rules that still accept what is to be closed."""
    accepting = [f"`{rule.text}`" for rule in rules if rule.verdict == "accept"]
    if spec["state"] == "open" or not accepting:
        return []
    return [f"Some of it still comes in by {', '.join(accepting)}."]


def _warnings(firewall: CloudFirewall, rules: list[Rule], instances: int | None) -> list[str]:
    warnings = [
        f"Rule {rule.handle} of {firewall.title} ({rule.text}) cannot be judged here: who is behind it is not known."
        for rule in rules
        if rule.has_unknown_match and rule.verdict == "deny"
    ]
    if instances is not None and instances > 1:
        warnings.append(f"The change is for all {instances} instances that {firewall.title} is bound to.")
    return warnings
