# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the firewalls have in common: layers of rules, and the questions and steps of a backend.

A firewall is looked at through a transcript of its host, answers questions from what it then knows, and says in steps
what would have to be done. Nothing is done here.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._wire import to_wire
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import Question, Transcript
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    PortAccess,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Decision,
    Rule,
    Ruleset,
    evaluate,
    find_allow_rules,
)


class Command(t.NamedTuple):
    """Something to be done: a program to run, or a file to replace once that program has accepted its new content."""

    argv: list[str]
    stdin: str | None = None
    path: str | None = None
    added_rules: tuple[str, ...] = ()
    removed_rules: tuple[str, ...] = ()

    def to_arguments(self) -> dict[str, t.Any]:
        """Return the step as an argument of firewall_commands."""
        texts = {"stdin": self.stdin, "path": self.path}
        return {"argv": list(map(to_wire, self.argv)), **{name: text and to_wire(text) for name, text in texts.items()}}


class InputFilter(t.NamedTuple):
    """One way into the host as a firewall has it: now, or after a restart."""

    where: str
    now: bool
    ip_versions: tuple[int, ...]
    ruleset: Ruleset
    chain: str

    def accesses(self, accesses: t.Iterable[PortAccess]) -> list[PortAccess]:
        """Return those of the doors that come by here."""
        return [access for access in accesses if access.network.version in self.ip_versions]

    def verdicts_without_allow_rules(self, accesses: t.Iterable[PortAccess]) -> set[str | None]:
        """Return what becomes of doors when no rule lets them in."""
        return {evaluate(self.ruleset, self.chain, access, True).verdict for access in self.accesses(accesses)}

    def lines(self, *words: str) -> tuple[str, ...]:
        """Return rules as people are shown them."""
        return tuple(f"{self.where}: {one}" for one in words)


class BlockedAccess(t.NamedTuple):
    """A door that a layer does not let in, and why."""

    input_filter: InputFilter
    access: PortAccess
    decision: Decision

    @property
    def is_denied(self) -> bool:
        """Say whether a rule refuses the door, and not just the lack of one."""
        return self.decision.verdict == "deny" and self.decision.rule is not None

    @property
    def message(self) -> str:
        """Say what keeps the door entry."""
        rule = self.decision.rule if self.is_denied else None
        cause = f"the rule `{rule.words}` refuses" if rule else "no rule lets in"
        return (
            f"{self.input_filter.where}: {cause} {self.access.protocol} {self.access.port} from {self.access.network}"
        )


class Firewall:
    """What all firewalls have in common: layers of rules that a door is judged by."""

    name = ""
    program = ""
    start = ""  # how somebody starts it
    signs: tuple[Question, ...] = ()  # that it may be active; they take no slow program
    needs: tuple[Question, ...] = ()  # what holds where it is active
    asks: tuple[Question, ...] = ()  # what look() wants to know

    def __init__(self, filters: list[InputFilter]) -> None:
        self.filters = filters
        self.warnings: list[str] = []  # why something would not be the same after a restart
        self.notes: list[str] = []

    @classmethod
    def may_be_active(cls, host: Transcript) -> bool:
        """Say, without a slow program, whether it is worth asking is_active()."""
        return True

    @classmethod
    def is_active(cls, host: Transcript) -> bool:
        """Say whether it runs."""
        return True

    @property
    def has_rules(self) -> bool:
        """Say whether anything is filtered now."""
        chains = [input_filter.ruleset[input_filter.chain] for input_filter in self.filters if input_filter.now]
        return any(chain.rules or chain.policy == "deny" for chain in chains)

    def blocked(self, accesses: t.Iterable[PortAccess]) -> list[BlockedAccess]:
        """Return what is not open, now or after a restart."""
        return [
            BlockedAccess(input_filter, access, decision)
            for input_filter in self.filters
            for access in input_filter.accesses(accesses)
            if (decision := evaluate(input_filter.ruleset, input_filter.chain, access)).verdict != "accept"
        ]

    def removable_rules(self, accesses: list[PortAccess]) -> list[tuple[InputFilter, Rule]]:
        """Return the rules that open these doors and nothing else."""
        return [(input_filter, rule) for input_filter, rule in self.allow_rules(accesses) if rule.allows_only(accesses)]

    def allow_rules(self, accesses: list[PortAccess]) -> list[tuple[InputFilter, Rule]]:
        """Return the rules that let in at least some of what these doors are for."""
        found: list[tuple[InputFilter, Rule]] = []
        for input_filter in self.filters:
            rules = [
                rule
                for access in input_filter.accesses(accesses)
                for rule in find_allow_rules(input_filter.ruleset, input_filter.chain, access)
            ]
            found += [(input_filter, rule) for rule in dict.fromkeys(rules)]
        return found

    def unfiltered(self, accesses: list[PortAccess]) -> list[InputFilter]:
        """Return the layers that would let in some of these doors without any rule for them."""
        return [
            input_filter
            for input_filter in self.filters
            if "accept" in input_filter.verdicts_without_allow_rules(accesses)
        ]

    def is_denying(self, accesses: list[PortAccess]) -> bool:
        """Say whether any of these doors would be refused now, were there no rule for it."""
        return any(
            "deny" in input_filter.verdicts_without_allow_rules(accesses)
            for input_filter in self.filters
            if input_filter.now
        )

    def removable_ports(self, accesses: list[PortAccess]) -> list[int]:
        """Return the ports of the rules that closing removes."""
        return rule_ports([rule for _layer, rule in self.removable_rules(accesses)])

    def lines(self, accesses: list[PortAccess]) -> list[str]:
        """Return the rules that concern these doors, for people."""
        return [line for input_filter, rule in self.allow_rules(accesses) for line in input_filter.lines(rule.words)]

    def preconditions(self, steps: list[Command]) -> list[Question]:
        """Return what must not have changed when these steps are taken."""
        return [("read", step.path) for step in steps if step.path]

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        """Return what has to be done until the doors are open."""
        raise NotImplementedError

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        """Return what has to be done until no rule opens just these doors."""
        raise NotImplementedError


def rule_ports(rules: t.Iterable[Rule]) -> list[int]:
    """Return all ports of some rules."""
    return sorted({port for rule in rules for low, high in rule.ports or () for port in range(low, high + 1)})


def reject_denied(blocked: t.Iterable[BlockedAccess]) -> None:
    """Give up before anything is changed where a rule of ours would come behind one that refuses."""
    for entry in blocked:
        if entry.is_denied:
            raise TlsError(f"{entry.message}, whatever is opened; remove that rule and run this again")
