# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains of rules, as iptables and nft list them, and what they do with a new connection.

A rule is read as far as the question "is this port open?" needs. A rule with a match that is not understood here counts
neither as an allow rule nor as a deny rule.
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

Ports = tuple[tuple[int, int], ...]  # ranges: first and last port
MAX_JUMP_DEPTH = 100  # chains; nftables takes 16
VERDICTS = {
    "accept": "accept",
    "drop": "deny",
    "reject": "deny",
    "return": "return",
}  # by the words of iptables and nft
OWN_COMMENT = "evergreen.tls.firewall_port"  # marks the rules that this collection adds; it removes no others
PROTOCOL_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}  # IANA, Assigned Internet Protocol Numbers


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule of a packet filter. None means that the rule does not look at that part of a packet."""

    verdict: str  # accept, deny, return or jump
    text: str  # the rule as it is listed or written
    protocols: tuple[str, ...] | None = None
    ports: Ports | None = None
    sources: tuple[Network, ...] | None = None
    excluded_sources: tuple[Network, ...] = ()  # the rule is for all sources except these
    target: str = ""  # the chain that a jump leads to
    is_goto: bool = False  # a jump after which the rest of its own chain is skipped
    interfaces: tuple[str, ...] | None = None  # by which packets come in; a * at the end stands for any characters
    excluded_interfaces: tuple[str, ...] = ()  # the rule is for all interfaces except these
    is_elsewhere: bool = False  # for interfaces only by which no client comes
    is_partial: bool = False  # for one interface or some sources only: enough to deny, too little to allow
    has_unknown_match: bool = False  # it depends on something that is not read here
    chain: str = ""
    handle: int | None = None  # identifies the rule in its listing or file, to remove it
    is_shared: bool = False  # a part of a rule or of a service, which cannot be removed by itself
    is_own: bool = False  # this collection has added the rule, see OWN_COMMENT

    def covers(self, access: PortAccess) -> bool:
        """Say whether the rule matches connections to the port from the whole network."""
        return (
            self._is_for_port(access)
            and (self.sources is None or any(is_within(access.network, one) for one in self.sources))
            and not any(is_within(access.network, one) for one in self.excluded_sources)
        )

    def overlaps(self, access: PortAccess) -> bool:
        """Say whether the rule matches connections to the port from at least one address of the network."""
        return self._is_for_port(access) and (
            self.sources is None or any(is_overlapping(access.network, one) for one in self.sources)
        )

    def allows_only(self, accesses: t.Iterable[PortAccess]) -> bool:
        """Say whether the rule can be removed without blocking anything except these accesses."""
        if self.verdict != "accept" or self.is_shared or self.has_unknown_match or self.is_partial:
            return False
        if not (self.ports and self.protocols):
            return False
        accesses = list(accesses)
        return all(
            any(access[:2] == (protocol, port) and is_within(source, access.network) for access in accesses)
            for protocol in self.protocols
            for first, last in self.ports
            for port in range(first, last + 1)
            for source in self.sources or ANY.values()
        )

    def _is_for_port(self, access: PortAccess) -> bool:
        return (self.protocols is None or access.protocol in self.protocols) and (
            self.ports is None or any(first <= access.port <= last for first, last in self.ports)
        )


@dataclasses.dataclass
class Chain:
    """Rules in their order, and the verdict for packets that no rule decides on."""

    rules: list[Rule] = dataclasses.field(default_factory=list)
    policy: str | None = None  # accept or deny; None: the packet returns to the chain that jumped here


Ruleset = dict[str, Chain]  # by the name of the chain


class Decision(t.NamedTuple):
    """What a ruleset does with a new connection."""

    verdict: str | None  # accept or deny; None: the chain does not decide
    rule: Rule | None  # the rule that decides; None: the policy does
    entry_rule: Rule | None  # the rule of the first chain that led there: *rule* itself, or a jump


def evaluate(ruleset: Ruleset, chain: str, access: PortAccess, ignore_allow_rules: bool = False) -> Decision:
    """Follow a new connection through the chains until a rule or a policy decides.

    A rule that denies only a part of the network, or only interfaces by which no client comes, is an exception made on purpose, and is skipped. With
    *ignore_allow_rules*, the first deny rule or policy decides, whether or not a rule before it accepts the connection.
    Raises TlsError if jumps go in a circle or too deep.
    """
    decisions: dict[str, Decision] = {}  # by chain, since many jumps may lead to the same one

    def follow_jump(target: str, callers: tuple[str, ...]) -> Decision:
        if target not in decisions:
            _check_jump(target, callers)
            decisions[target] = _evaluate_chain(
                ruleset, target, access, ignore_allow_rules, lambda one: follow_jump(one, (*callers, target))
            )
        return decisions[target]

    return follow_jump(chain, ())


def _evaluate_chain(
    ruleset: Ruleset, chain: str, access: PortAccess, ignore_allow_rules: bool, follow_jump: t.Callable[[str], Decision]
) -> Decision:
    for rule in ruleset[chain].rules:
        if rule.has_unknown_match or rule.is_elsewhere or not rule.covers(access):
            continue
        verdict: str | None = rule.verdict
        deciding_rule = rule
        if verdict == "jump":
            if rule.target not in ruleset:
                continue
            inner = follow_jump(rule.target)
            verdict, deciding_rule = inner.verdict, inner.rule or rule
            if verdict is None and rule.is_goto and not rule.is_partial:
                break
        if verdict == "return":
            if rule.is_partial:
                continue
            return Decision(None, rule, rule)
        if verdict == "deny" or (verdict == "accept" and not rule.is_partial and not ignore_allow_rules):
            return Decision(verdict, deciding_rule, rule)
    return Decision(ruleset[chain].policy, None, None)


def find_allow_rules(ruleset: Ruleset, chain: str, access: PortAccess) -> list[Rule]:
    """Return the rules that accept connections from a part of the network, also those behind jumps.

    Raises TlsError if jumps go in a circle or too deep.
    """
    rules: dict[str, list[Rule]] = {}  # by chain

    def follow_jump(target: str, callers: tuple[str, ...]) -> list[Rule]:
        if target not in rules:
            _check_jump(target, callers)
            rules[target] = _find_in_chain(ruleset, target, access, lambda one: follow_jump(one, (*callers, target)))
        return rules[target]

    return follow_jump(chain, ())


def _find_in_chain(
    ruleset: Ruleset, chain: str, access: PortAccess, follow_jump: t.Callable[[str], list[Rule]]
) -> list[Rule]:
    found: list[Rule] = []
    for rule in ruleset[chain].rules:
        if not rule.overlaps(access):
            continue
        has_readable_port = rule.ports is not None or not rule.has_unknown_match
        if rule.verdict == "jump" and rule.target in ruleset and has_readable_port:
            for inner in follow_jump(rule.target):
                if rule.ports and not inner.ports:  # the jump is what restricts the port
                    inner = dataclasses.replace(inner, text=rule.text, is_shared=True)
                found.append(inner)
        elif rule.verdict == "accept" and has_readable_port:
            found.append(rule)
        elif (
            rule.verdict in ("deny", "return")
            and not (rule.has_unknown_match or rule.is_partial)
            and rule.covers(access)
        ):
            break  # no later rule matches a connection from this network
    return list(dict.fromkeys(found))


def _check_jump(target: str, callers: tuple[str, ...]) -> None:
    """Raise TlsError if jumps go in a circle or too deep, which no kernel accepts."""
    if target in callers or len(callers) > MAX_JUMP_DEPTH:
        raise TlsError(
            f"the rules of the chain {target} jump in a circle, or through more than {MAX_JUMP_DEPTH} chains, which no kernel "
            "takes; correct the file that holds them, or look at what the host is doing"
        )


def port_number(word: str, protocol: str = "tcp") -> int:
    """Return the number of a port or service. Raises ValueError if there is no such service."""
    if word.isdigit():
        return int(word)
    try:
        return socket.getservbyname(word, protocol)
    except OSError as error:
        raise ValueError(word) from error


def port_ranges(words: str, separator: str, protocol: str = "tcp") -> Ports:
    """Return the ranges of a list like 80,8000:8010. Raises ValueError if a port is not valid.

    separator: between the first and the last port of a range.
    """
    ranges = []
    for word in (one.strip() for one in words.split(",")):
        is_range = word.replace(separator, "").isdigit()  # a service name may contain the separator
        first, _separator, last = word.partition(separator) if is_range else (word, "", "")
        ranges.append((port_number(first, protocol), port_number(last or first, protocol)))
    return tuple(ranges)
