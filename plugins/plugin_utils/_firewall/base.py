# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base class of firewalls: what a backend reads from a host, and what it plans to do there.

A backend works on the state of a host, which the module firewall_commands has queried, and plans commands, which that
module runs.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._wire import to_wire
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState, Query
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    is_within,
    with_unfiltered_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Decision,
    Rule,
    Ruleset,
    evaluate,
    find_allow_rules,
)


class Command(t.NamedTuple):
    """A command to run on the host, or a file to replace if that command accepts its new content."""

    argv: list[str]
    stdin: str | None = None  # for the command; with *path*, the new content of the file
    path: str | None = None
    added_rules: tuple[str, ...] = ()  # for people
    removed_rules: tuple[str, ...] = ()

    def to_arguments(self) -> dict[str, t.Any]:
        """Return the command as firewall_commands takes it."""
        texts = {"stdin": self.stdin, "path": self.path}
        return {"argv": list(map(to_wire, self.argv)), **{name: text and to_wire(text) for name, text in texts.items()}}


class InputFilter(t.NamedTuple):
    """Rules for incoming packets in one location: in the kernel, or in the files that are loaded at boot."""

    location: str  # for people
    is_loaded: bool  # whether the rules apply now; else they apply after a restart
    ip_versions: tuple[int, ...]
    ruleset: Ruleset
    chain: str  # the one that packets enter first
    networks: tuple[Network, ...] | None = None  # sources of the packets that this filters; None: all

    def relevant(self, accesses: t.Iterable[PortAccess]) -> list[PortAccess]:
        """Return the accesses by a version of IP that this filters."""
        return [
            access
            for access in accesses
            if access.network.version in self.ip_versions and (self.networks is None or access.network in self.networks)
        ]

    def verdicts_without_allow_rules(self, accesses: t.Iterable[PortAccess]) -> set[str | None]:
        """Return the verdicts on the relevant accesses if there were no allow rules."""
        return {
            evaluate(self.ruleset, self.chain, access, ignore_allow_rules=True).verdict
            for access in self.relevant(accesses)
        }

    def with_location(self, *rules: str) -> tuple[str, ...]:
        """Return the texts of rules with their location, for people."""
        return tuple(f"{self.location}: {rule}" for rule in rules)


class BlockedAccess(t.NamedTuple):
    """An access that a filter does not accept."""

    input_filter: InputFilter
    access: PortAccess
    decision: Decision

    @property
    def is_denied(self) -> bool:
        """Say whether a deny rule blocks the access, not only the policy."""
        return self.decision.verdict == "deny" and self.decision.rule is not None

    @property
    def message(self) -> str:
        """Return what blocks the access, for people."""
        rule = self.decision.rule if self.is_denied else None
        cause = f"the rule `{rule.text}` refuses" if rule else "no rule lets in"
        protocol, port, network = self.access
        return f"{self.input_filter.location}: {cause} {protocol} {port} from {network}"


class Firewall:
    """A firewall of a host, as its filters describe it. Each backend extends this class."""

    name: t.ClassVar[str]  # as the option backend names it
    program: t.ClassVar[str]  # installed wherever the firewall is
    start_command: t.ClassVar[str] = ""  # for people
    # Whether it keeps its rules in nftables or iptables. It is then the firewall of a host wherever it is active.
    is_frontend: t.ClassVar[bool] = False
    # Queries of which all succeed where the firewall may be active. None of them runs a slow program.
    quick_conditions: t.ClassVar[tuple[Query, ...]] = ()
    conditions: t.ClassVar[tuple[Query, ...]] = ()  # queries of which all succeed where the firewall is active
    queries: t.ClassVar[tuple[Query, ...]] = ()  # what from_host_state() reads

    def __init__(self, filters: list[InputFilter], zone: str | None = None) -> None:
        self.filters = filters
        self.zone = zone  # of firewalld
        self.warnings: list[str] = []  # what will be different after a restart
        self.notes: list[str] = []

    @classmethod
    def from_host_state(cls, host: HostState, accesses: list[PortAccess], zone: str | None = None) -> Firewall:
        """Read the firewall of a host. Raises TlsError if that is not possible.

        accesses: what is going to be opened or closed.
        """
        raise NotImplementedError

    @classmethod
    def may_be_active(cls, host: HostState) -> bool:
        """Say whether is_active() has to be asked. This runs no slow program."""
        return True

    @classmethod
    def is_active(cls, host: HostState) -> bool:
        """Say whether the firewall runs."""
        return True

    @property
    def has_rules(self) -> bool:
        """Say whether any packet may be filtered now."""
        chains = [one.ruleset[one.chain] for one in self.filters if one.is_loaded]
        return any(chain.rules or chain.policy == "deny" for chain in chains)

    def blocked(self, accesses: t.Iterable[PortAccess]) -> list[BlockedAccess]:
        """Return the accesses that are blocked now, or will be after a restart."""
        return [
            BlockedAccess(one, access, decision)
            for one in self.filters
            for access in one.relevant(accesses)
            if (decision := evaluate(one.ruleset, one.chain, access)).verdict != "accept"
        ]

    def allow_rules(self, accesses: list[PortAccess]) -> list[tuple[InputFilter, Rule]]:
        """Return the rules that allow at least a part of these accesses."""
        found: list[tuple[InputFilter, Rule]] = []
        for one in self.filters:
            rules = [
                rule for access in one.relevant(accesses) for rule in find_allow_rules(one.ruleset, one.chain, access)
            ]
            found += [(one, rule) for rule in dict.fromkeys(rules)]
        return found

    def removable_rules(self, accesses: list[PortAccess]) -> list[tuple[InputFilter, Rule]]:
        """Return the rules of this collection that allow these accesses and nothing else.

        They are removed even where a rule before them denies the accesses, since that one may go.
        """
        removable: list[tuple[InputFilter, Rule]] = []
        rulesets: list[Ruleset] = []
        for one in self.filters:
            if not any(one.ruleset is other for other in rulesets):  # two chains for input may be in the same table
                rulesets.append(one.ruleset)
                rules = [rule for chain in one.ruleset.values() for rule in chain.rules if rule.is_own]
                removed = with_unfiltered_versions(accesses, one.ip_versions)
                removable += [(one, rule) for rule in rules if rule.allows_only(removed)]
        return removable

    def removable_ports(self, accesses: list[PortAccess]) -> list[tuple[str, int]]:
        """Return protocol and port of the rules that plan_close() removes."""
        return rule_ports(rule for _filter, rule in self.removable_rules(accesses))

    def unfiltered(self, accesses: list[PortAccess]) -> list[InputFilter]:
        """Return the filters that accept some of these accesses without any allow rule."""
        return [one for one in self.filters if "accept" in one.verdicts_without_allow_rules(accesses)]

    def is_denying(self, accesses: list[PortAccess]) -> bool:
        """Say whether some of these accesses are denied now, unless an allow rule accepts them."""
        return any("deny" in one.verdicts_without_allow_rules(accesses) for one in self.filters if one.is_loaded)

    def rule_lines(self, accesses: list[PortAccess]) -> list[str]:
        """Return the allow rules for these accesses, for people."""
        return [line for one, rule in self.allow_rules(accesses) for line in one.with_location(rule.text)]

    def preconditions(self, commands: list[Command]) -> list[Query]:
        """Return the queries whose results must be the same when the commands run."""
        return [("read", one.path) for one in commands if one.path]

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        """Return the commands after which none of the accesses is blocked.

        Raises TlsError if a deny rule would stay before the new rules.
        """
        raise NotImplementedError

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        """Return the commands after which no rule allows these accesses and nothing else."""
        raise NotImplementedError


def rule_ports(rules: t.Iterable[Rule]) -> list[tuple[str, int]]:
    """Return protocol and port of all ports of some rules."""
    return sorted(
        {
            (protocol, port)
            for rule in rules
            for protocol in rule.protocols or ()
            for first, last in rule.ports or ()
            for port in range(first, last + 1)
        }
    )


def reject_denied(blocked: t.Iterable[BlockedAccess]) -> None:
    """Raise TlsError if a deny rule blocks an access, since it would stay before a new allow rule."""
    for one in blocked:
        if one.is_denied:
            raise TlsError(f"{one.message}, whatever is opened; remove that rule and run this again")


def reject_explicitly_denied(blocked: t.Iterable[BlockedAccess]) -> None:
    """Raise TlsError if a rule denies just this port, or just these addresses: that is a decision of the administrator."""
    for one in blocked:
        rule = one.decision.rule if one.is_denied else None
        if rule and (is_for_just_the_port(rule, one.access) or is_for_some_addresses(rule)):
            raise TlsError(
                f"{one.message}, and rules of others are not overruled; remove that rule from the host, "
                "or take the port or the source out of the inventory, and run this again"
            )


def is_for_just_the_port(rule: Rule, access: PortAccess) -> bool:
    """Say whether a rule names the port of an access, and has no other sources than the access has."""
    sources = [one for one in rule.sources or ANY.values() if one.version == access.network.version]
    is_named = any(first == last == access.port for first, last in rule.ports or ())
    return is_named and all(is_within(source, access.network) for source in sources)


def is_for_some_addresses(rule: Rule) -> bool:
    """Say whether a rule is for given networks only."""
    return bool(rule.sources) and not any(one in ANY.values() for one in rule.sources or ())
