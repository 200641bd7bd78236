# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a packet filter does with a new connection: chains of rules, as iptables and nft list them, and the way through.

Only as much of a rule is understood as the question "is this port open?" needs. What is not understood makes the
rule vague: it is taken neither for a door nor for a wall.
"""

from __future__ import annotations

import dataclasses
import socket
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    is_overlapping,
    is_within,
)

Ports = tuple[tuple[int, int], ...]
MAX_JUMP_DEPTH = 100  # chains; nftables takes 16
IPTABLES_VERDICTS = {"ACCEPT": "accept", "DROP": "deny", "REJECT": "deny", "RETURN": "return"}
PROTOCOL_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule: whom it is for, and what becomes of them. None stands for all."""

    verdict: str  # accept, refuse, return or jump
    words: str
    protocols: tuple[str, ...] | None = None
    ports: Ports | None = None
    sources: tuple[Network, ...] | None = None
    excluded_sources: tuple[Network, ...] = ()  # the rule is for all but these
    target: str = ""  # where a jump leads
    is_goto: bool = False  # a goto: what the target lets through does not come back
    is_partial: bool = False  # for one interface or all but some sources: as a door too little, as a wall enough
    has_unknown_match: bool = False  # under conditions that are not understood here
    chain: str = ""
    handle: t.Any = None  # by what it can be found again, and removed
    is_shared: bool = False  # only a part of a rule, or of a service: cannot be removed by itself

    def covers(self, access: PortAccess) -> bool:
        """Say whether the whole of the network meets this rule at that port."""
        return (
            self._is_for(access)
            and (self.sources is None or any(is_within(access.network, one) for one in self.sources))
            and not any(is_within(access.network, one) for one in self.excluded_sources)
        )

    def overlaps(self, access: PortAccess) -> bool:
        """Say whether any of the network meets this rule at that port."""
        return self._is_for(access) and (
            self.sources is None or any(is_overlapping(access.network, one) for one in self.sources)
        )

    def allows_only(self, accesses: t.Iterable[PortAccess]) -> bool:
        """Say whether everything that this rule lets in comes through these doors."""
        if (
            self.verdict != "accept"
            or self.is_shared
            or self.has_unknown_match
            or self.is_partial
            or not (self.ports and self.protocols)
        ):
            return False
        accesses = list(accesses)
        return all(
            any(access[:2] == (protocol, port) and is_within(source, access.network) for access in accesses)
            for protocol in self.protocols
            for low, high in self.ports
            for port in range(low, high + 1)
            for source in self.sources or ANY.values()
        )

    def _is_for(self, access: PortAccess) -> bool:
        return (self.protocols is None or access.protocol in self.protocols) and (
            self.ports is None or any(low <= access.port <= high for low, high in self.ports)
        )


@dataclasses.dataclass
class Chain:
    """Rules in their order; *policy* is what becomes of the rest, None where the rest goes back to the caller."""

    rules: list[Rule] = dataclasses.field(default_factory=list)
    policy: str | None = None


Ruleset = dict[str, Chain]


class Decision(t.NamedTuple):
    """What becomes of a new connection, by which rule (None: the policy), and the rule of the first chain that led there."""

    verdict: str | None
    rule: Rule | None
    place: Rule | None


def evaluate(ruleset: Ruleset, chain: str, access: PortAccess, ignore_allow_rules: bool = False) -> Decision:
    """Follow a new connection through the chains, until a rule or a policy decides.

    A rule that refuses only some of the network is an exception that somebody made on purpose, and no wall. With
    *ignoring_doors* the first wall is found, whether or not a rule before it lets the connection in.
    """
    known: dict[str, Decision] = {}  # by the chain, since many jumps may lead to the same

    def follow_jump(target: str, above: tuple[str, ...]) -> Decision:
        if target not in known:
            _check_jumps(target, above)
            known[target] = _evaluate_chain(
                ruleset, target, access, ignore_allow_rules, lambda one: follow_jump(one, (*above, target))
            )
        return known[target]

    return follow_jump(chain, ())


def _evaluate_chain(
    ruleset: Ruleset, chain: str, access: PortAccess, ignore_allow_rules: bool, follow_jump: t.Callable[[str], Decision]
) -> Decision:
    for rule in ruleset[chain].rules:
        if rule.has_unknown_match or not rule.covers(access):
            continue
        verdict, cause = rule.verdict, rule
        if verdict == "jump":
            if rule.target not in ruleset:
                continue
            inner = follow_jump(rule.target)
            verdict, cause = inner.verdict, inner.rule or rule
            if verdict is None and rule.is_goto and not rule.is_partial:
                break
        if verdict == "return":
            if rule.is_partial:
                continue
            return Decision(None, rule, rule)
        if verdict == "deny" or (verdict == "accept" and not rule.is_partial and not ignore_allow_rules):
            return Decision(verdict, cause, rule)
    return Decision(ruleset[chain].policy, None, None)


def find_allow_rules(ruleset: Ruleset, chain: str, access: PortAccess) -> list[Rule]:
    """Return the rules that let in at least some of the network, wherever a jump leads to them."""
    known: dict[str, list[Rule]] = {}

    def follow_jump(target: str, above: tuple[str, ...]) -> list[Rule]:
        if target not in known:
            _check_jumps(target, above)
            known[target] = _find_in_chain(ruleset, target, access, lambda one: follow_jump(one, (*above, target)))
        return known[target]

    return follow_jump(chain, ())


def _check_jumps(target: str, above: tuple[str, ...]) -> None:
    """Make sure that jumps come to an end, as those in a kernel do."""
    if target in above or len(above) > MAX_JUMP_DEPTH:
        raise TlsError(
            f"the rules of the chain {target} jump in a circle, or through more than {MAX_JUMP_DEPTH} chains, which no kernel "
            "takes; correct the file that holds them, or look at what the host is doing"
        )


def _find_in_chain(
    ruleset: Ruleset, chain: str, access: PortAccess, follow_jump: t.Callable[[str], list[Rule]]
) -> list[Rule]:
    found: list[Rule] = []
    for rule in ruleset[chain].rules:
        if not rule.overlaps(access):
            continue
        if rule.verdict == "jump" and rule.target in ruleset and not (rule.has_unknown_match and rule.ports is None):
            for inner in follow_jump(rule.target):
                # What the jump says of the port, its target need not say again.
                found.append(
                    dataclasses.replace(inner, words=rule.words, is_shared=True)
                    if rule.ports and not inner.ports
                    else inner
                )
        elif rule.verdict == "accept" and not (rule.has_unknown_match and rule.ports is None):
            found.append(rule)
        elif (
            rule.verdict in ("deny", "return")
            and not (rule.has_unknown_match or rule.is_partial)
            and rule.covers(access)
        ):
            break  # nothing of this network comes further
    return list(dict.fromkeys(found))


def port_number(word: str, protocol: str = "tcp") -> int:
    """Return the number of a port that may be written as the name of a service; raises ValueError."""
    if word.isdigit():
        return int(word)
    try:
        return socket.getservbyname(word, protocol)
    except OSError as error:
        raise ValueError(word) from error


def port_ranges(words: str, dash: str, protocol: str = "tcp") -> Ports:
    """Return the ranges in a list like 80,8000:8010; raises ValueError for what is none."""
    ranges = []
    for word in (one.strip() for one in words.split(",")):
        low, _dash, high = word.partition(dash) if word.replace(dash, "").isdigit() else (word, "", "")
        ranges.append((port_number(low, protocol), port_number(high or low, protocol)))
    return tuple(ranges)
