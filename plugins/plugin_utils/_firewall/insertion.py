# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where new allow rules belong in a ruleset: directly before the rule that denies the access, or at the end.

Every rule that was evaluated before the deny rule is still evaluated before the new one. So a list of blocked addresses
keeps its effect.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    BlockedAccess,
    InputFilter,
    reject_explicitly_denied,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Chain, Rule, Ruleset, evaluate

MAX_INSERTIONS = 16  # rules for one access: one in each chain that denies it for an interface


class Insertion(t.NamedTuple):
    """A place for a rule that allows an access."""

    access: PortAccess
    chain: str
    before: Rule | None  # None: at the end of the chain


def plan_insertions(
    input_filter: InputFilter, accesses: t.Iterable[PortAccess], describe: t.Callable[[PortAccess], str]
) -> tuple[list[Insertion], Ruleset]:
    """Return the places for new rules, and the ruleset with these rules.

    describe: returns the rule for an access, for people. Raises TlsError if no place is right.
    """
    chains = {name: Chain(list(chain.rules), chain.policy) for name, chain in input_filter.ruleset.items()}
    insertions: list[Insertion] = []
    for access in input_filter.relevant(accesses):
        for _attempt in range(MAX_INSERTIONS):
            decision = evaluate(chains, input_filter.chain, access)
            if decision.verdict == "accept":
                break
            blocked = BlockedAccess(input_filter, access, decision)
            reject_explicitly_denied([blocked])
            insertion = _find_insertion(blocked, chains, describe(access))
            insertions.append(insertion)
            rules = chains[insertion.chain].rules
            place = rules.index(insertion.before) if insertion.before else len(rules)
            rules.insert(place, allow_rule(access, insertion.chain))
        else:
            raise TlsError(
                f"{input_filter.location}: no place for the rule `{describe(access)}` makes it effective; "
                "add it where you want it, and run this again"
            )
    return insertions, chains


def allow_rule(access: PortAccess, chain: str) -> Rule:
    """Return the rule of this collection that allows an access."""
    protocol, port, network = access
    sources = (network,)
    return Rule("accept", "", (protocol,), ((port, port),), sources, chain=chain, is_own=True)


def _find_insertion(blocked: BlockedAccess, ruleset: Ruleset, text: str) -> Insertion:
    """Return the place for a rule that allows a blocked access: in the chain that denies it.

    If other hooks use that chain too, the place is before the jump to it. Raises TlsError if the chain then has rules that the
    new rule would bypass.
    """
    input_filter, access, decision = blocked
    rule, entry_rule = decision.rule, decision.entry_rule
    last_chain = _last_chain(ruleset, input_filter.chain, access)
    if (rule is None or entry_rule is None) and not _has_other_hooks(ruleset, last_chain, input_filter.chain):
        return Insertion(access, last_chain, None)
    if rule is None or entry_rule is None:
        raise TlsError(
            f"{blocked.message} in the chain {last_chain}, which forwarded or other packets go through as well; "
            f"add `{text}` before the goto to that chain by hand, and run this again"
        )
    if rule.chain not in ruleset or not _has_other_hooks(ruleset, rule.chain, input_filter.chain):
        return Insertion(access, rule.chain or input_filter.chain, rule)
    rules = ruleset[rule.chain].rules
    bypassed = [one for one in rules[: rules.index(rule)] if one.verdict != "accept" and one.overlaps(access)]
    if bypassed or entry_rule.target != rule.chain:
        raise TlsError(
            f"{blocked.message} in the chain {rule.chain}, which forwarded or other packets go through as well; "
            f"add `{text}` before that rule by hand, or give incoming packets a chain of their own, and run this again"
        )
    return Insertion(access, input_filter.chain, entry_rule)


def _last_chain(ruleset: Ruleset, chain: str, access: PortAccess) -> str:
    """Return the chain whose end an access reaches: this one, or the one that a goto in it leads to."""
    visited = {chain}
    while True:
        gotos = [rule for rule in ruleset[chain].rules if rule.is_goto and not rule.is_partial and rule.covers(access)]
        targets = [one.target for one in gotos if not one.has_unknown_match and one.target in ruleset]
        if not targets or targets[0] in visited:
            return chain
        chain = targets[0]
        visited.add(chain)


def _has_other_hooks(ruleset: Ruleset, chain: str, entry_chain: str) -> bool:
    """Say whether packets reach the chain from a chain that nothing jumps to, other than the given one."""
    callers: dict[str, set[str]] = {}
    for name, one in ruleset.items():
        for rule in one.rules:
            if rule.target:
                callers.setdefault(rule.target, set()).add(name)
    reached, unvisited = {chain}, [chain]
    while unvisited:
        new = callers.get(unvisited.pop(), set()) - reached
        reached |= new
        unvisited += new
    return any(name not in callers for name in reached - {entry_chain})
