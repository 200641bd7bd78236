# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the change that firewall_port makes to a host, and describe it in a result."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Command, Firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import detect_firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    PortAccess,
    PortWord,
    describe_ports,
    parse_port_accesses,
    parse_ports,
    port_words,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.source_rules import (
    firewall_source_findings,
    requested_sources_finding,
)


class PortSpec(t.TypedDict):
    """The arguments of firewall_port."""

    ports: list[PortWord]
    protocol: str  # of the ports that name none
    sources: list[str]
    state: str  # open or closed
    backend: str  # auto, none, or a key of BACKENDS
    zone: str | None


class PortResult(t.TypedDict, total=False):
    """The result of firewall_port."""

    changed: bool
    msg: str
    warnings: list[str]
    diff: dict[str, str]
    backend: str
    zone: str
    opened: list[PortWord]
    closed: list[PortWord]
    persistent: bool


class Change(t.NamedTuple):
    """The firewall of a host, and the commands that make it what the specification says."""

    spec: PortSpec
    accesses: list[PortAccess]
    firewall: Firewall
    commands: list[Command]
    opened: list[PortWord]
    closed: list[PortWord]

    def expected_rules(self) -> list[str]:
        """Return the rules that there will be after the change, for people."""
        before = self.firewall.rule_lines(self.accesses)
        after = [line for line in before if not any(line in command.removed_rules for command in self.commands)]
        return after + [line for command in self.commands for line in command.added_rules if line not in after]

    def result(
        self, rules_after: list[str], warnings: list[str], check_mode: bool, firewall_after: Firewall | None = None
    ) -> PortResult:
        """Return the result of firewall_port.

        rules_after: the allow rules after the change, or those that are expected then.
        warnings: what will be different after a restart.
        firewall_after: as it was read after a change.
        """
        firewall = self.firewall
        is_pending = check_mode and bool(self.commands)
        all_warnings = [*self._remaining_access(rules_after), *warnings, *firewall.notes]
        shown = [*all_warnings, *source_warnings(self.spec, firewall_after or firewall, is_pending)]
        result: PortResult = {
            "changed": bool(self.commands),
            "backend": firewall.name,
            "opened": self.opened,
            "closed": self.closed,
            "persistent": not warnings,
            "msg": " ".join([self._summary(check_mode), *all_warnings]),
            "diff": {
                "before": diff_text(firewall.rule_lines(self.accesses)),
                "after": diff_text(rules_after),
                "before_header": firewall.name,
                "after_header": firewall.name,
            },
        }
        if firewall.zone is not None:
            result["zone"] = firewall.zone
        if shown:
            result["warnings"] = shown
        return result

    def _summary(self, check_mode: bool) -> str:
        """Return what was done, or would be done."""
        ports, sources = _port_text(self.spec), describe_sources(self.spec)
        zone = self.firewall.zone
        location = self.firewall.name if zone is None else f"{self.firewall.name}, zone {zone}"
        if self.spec["state"] == "open":
            if not self.commands:
                verb = "is" if len(parse_ports(self.spec["ports"], self.spec["protocol"])) == 1 else "are"
                return f"{ports} {verb} open to {sources} already in {location}."
            return f"{'Would open' if check_mode else 'Opened'} {ports} to {sources} in {location}."
        if not self.commands:
            return f"No rule of firewall_port opens just {ports} to {sources} in {location}."
        return f"{'Would remove' if check_mode else 'Removed'} the rules of firewall_port that open just {ports} to {sources} in {location}."

    def _remaining_access(self, rules: list[str]) -> list[str]:
        """Return a sentence about the rules and policies that still accept what is to be closed."""
        if self.spec["state"] == "open":
            return []
        causes = [f"`{rule}`" for rule in rules]
        causes += [
            f"the policy for what no rule is for ({one.location})" for one in self.firewall.unfiltered(self.accesses)
        ]
        return [f"Some of it still comes in by {', '.join(causes)}."] if causes else []


def plan_change(host: HostState, spec: PortSpec) -> Change | None:
    """Return what has to be done on a host, or None if no firewall is active."""
    accesses = parse_port_accesses(spec["ports"], spec["protocol"], spec["sources"])
    firewall = detect_firewall(host, spec["backend"], accesses, spec["zone"])
    if firewall is None:
        return None
    if spec["state"] == "open":
        commands = firewall.plan_open(accesses)
        blocked = [one.access[:2] for one in firewall.blocked(accesses)] if commands else []
        return Change(spec, accesses, firewall, commands, port_words(blocked, spec["protocol"]), [])
    closed = port_words(firewall.removable_ports(accesses), spec["protocol"])
    return Change(spec, accesses, firewall, firewall.plan_close(accesses), [], closed)


def source_warnings(spec: PortSpec, firewall: Firewall, is_pending: bool) -> list[str]:
    """Return a sentence about the rules by source that break the validation by CAs, empty where there are none.

    is_pending: whether the firewall is the one before a change, which may let in everybody.
    """
    if spec["state"] != "open":
        return []
    ports = parse_ports(spec["ports"], spec["protocol"])
    numbers = [port for protocol, port in ports if protocol == "tcp"]
    requested = requested_sources_finding("this host", ports, spec["sources"])
    findings = [
        one
        for one in firewall_source_findings(firewall, numbers)
        if one.code == "firewall.refused" or not (is_pending or spec["sources"])
    ]
    sentences = [one.sentence for one in (*requested, *findings) if one.severity == "risk"]
    return [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in sentences]


def verify_change(firewall: Firewall, accesses: list[PortAccess], state: str) -> None:
    """Raise TlsError if the firewall, read again after a change, does not have the state (open or closed)."""
    if state == "open" and (blocked := firewall.blocked(accesses)) and firewall.plan_open(accesses):
        raise TlsError(
            f"{firewall.name} took the new rules, but {blocked[0].message}; remove what is in the way and run this again"
        )
    if state == "closed" and (remaining := firewall.removable_rules(accesses)):
        input_filter, rule = remaining[0]
        raise TlsError(
            f"{firewall.name} still has the rule `{rule.text}` ({input_filter.location}); remove it by hand and run this again"
        )


def no_firewall_result(spec: PortSpec) -> PortResult:
    """Return the result of firewall_port where no firewall is active, or none is to be changed."""
    return {
        "changed": False,
        "backend": "none",
        "opened": [],
        "closed": [],
        "persistent": True,
        "msg": no_firewall_message(spec),
    }


def no_firewall_message(spec: PortSpec) -> str:
    """Return why there is nothing to open or to close."""
    ports, sources = _port_text(spec), describe_sources(spec)
    if spec["backend"] == "none":
        return f"No firewall was asked for, so nothing was done about {ports}."
    if spec["state"] == "open":
        return f"No firewall is active on this host, so nothing keeps {sources} from {ports}; nothing was changed."
    return (
        f"No firewall is active on this host, so nothing can keep {sources} from {ports}; start a firewall to close it."
    )


def _port_text(spec: PortSpec) -> str:
    return describe_ports(spec["ports"], spec["protocol"])


def describe_sources(spec: PortSpec) -> str:
    """Return the sources for people."""
    return ", ".join(spec["sources"]) or "everybody"


def diff_text(lines: list[str]) -> str:
    """Return lines as Ansible shows them in a diff."""
    return "".join(f"{line}\n" for line in lines)
