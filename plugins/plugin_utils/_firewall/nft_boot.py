# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of nftables after a restart: what the files set up, and changes of the files.

The host loads the files in a network namespace of its own and lists the result. So a file is judged by nft itself, with
includes, variables and sets. A new rule stands in the file directly before the rule that denies the access. Where only the
policy denies it, the new rule stands in a block at the end of the file.
"""

from __future__ import annotations

import dataclasses

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Command, InputFilter
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.insertion import plan_insertions
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.interfaces import mark_elsewhere
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nft_block import (
    BlockRule,
    parse_block,
    replace_block,
    split_blocks,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nft_files import (
    NftFiles,
    Statement,
    insert_before,
    read_files,
    remove_statement,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nft_rules import (
    COMMENT,
    MAX_TEXT_CHARACTERS,
    RULE_FILES,
    describe_access,
    is_of_other_backend,
    merge_insertions,
    try_query,
    useless_rules,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import (
    BaseChain,
    format_nft_rule,
    parse_nft_allow_rule,
    parse_nft_file,
    parse_nftables,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    PortAccess,
    with_unfiltered_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Chain, Rule, Ruleset, evaluate


@dataclasses.dataclass
class Edit:
    """A change of the files."""

    block: list[BlockRule]
    anchors: list[tuple[Statement, str]] = dataclasses.field(default_factory=list)  # a rule before each statement
    removed: list[Statement] = dataclasses.field(default_factory=list)
    added_rules: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class BootRules:
    """The files, and the base chains that they set up."""

    host: HostState
    files: NftFiles
    base_chains: list[BaseChain]  # without handles if the host could not load the files
    chain_names: set[str]
    filters: list[InputFilter]  # one for each base chain
    unplaced: list[Rule]  # deny rules whose place in the files is not known, since the host could not load the files

    @classmethod
    def from_host_state(cls, host: HostState, loaded: list[BaseChain], accesses: list[PortAccess]) -> BootRules:
        """Read the files.

        loaded: the base chains in the kernel. They stand for those of the files if the host cannot load the files.
        """
        path = next((one for one in RULE_FILES if host.file_text(one) is not None), "")
        files = read_files(host, path)
        status, listing = host.command_result(list(try_query()[1:])) if path else (1, "")
        unplaced: list[Rule] = []
        if status == 0:
            base_chains = [one for one in parse_nftables(listing) if not is_of_other_backend(one)]
            chain_names = {one.name for one in base_chains}
            mark_elsewhere([one.ruleset for one in base_chains], host)
        else:
            base_chains, chain_names, unplaced = estimated_chains(files, loaded, accesses)
        rulesets = {id(one.ruleset): described_ruleset(one) for one in base_chains}
        filters = [
            InputFilter(path, False, one.ip_versions, rulesets[id(one.ruleset)], one.chain) for one in base_chains
        ]
        return cls(host, files, base_chains, chain_names, filters, unplaced)

    def plan_open(self, accesses: list[PortAccess]) -> tuple[list[Command], list[str]]:
        """Return the commands that write the files, and warnings about rules that cannot be written."""
        edit = self._plan_edit(accesses, has_anchors=True)
        if edit.anchors and not self._is_effective(edit, accesses):
            edit = self._plan_edit(accesses, has_anchors=False)
        return self._commands(edit, tuple(edit.added_rules), ()), edit.warnings

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        """Return the commands that remove the rules of this collection that allow these accesses and nothing else."""
        own_rules = [
            (name, one) for name, one, rule in self.files.own_statements() if _allows_only(name, rule, accesses)
        ]
        block = [one for one in self._block() if _allows_only(one.chain, parse_nft_allow_rule(one.text), accesses)]
        edit = Edit([one for one in self._block() if one not in block])
        edit.removed = [one for _name, one in own_rules if not self._is_in_block(one)]
        rules = [(name, parse_nft_allow_rule(one.text)) for name, one in own_rules]
        removed_rules = [f"{self.files.path}: {described_rule(name, rule)}" for name, rule in rules if rule]
        return self._commands(edit, (), tuple(removed_rules))

    def _plan_edit(self, accesses: list[PortAccess], has_anchors: bool) -> Edit:
        edit, statements = Edit(self._block()), self.files.statements()
        for rule in self.unplaced:
            self._warn_of_a_place(edit, rule, describe_access(accesses[0]))
        for base_chain, input_filter in zip(self.base_chains, self.filters):
            insertions, _expected = plan_insertions(input_filter, accesses, describe_access)
            table = f"{base_chain.family} {base_chain.table}"
            useless = useless_rules(base_chain, insertions)
            self._remove_useless(edit, {described_rule(f"{table} {rule.chain}", rule) for rule in useless})
            for chain, before, text in merge_insertions(base_chain, insertions):
                name = f"{table} {chain}"
                anchor = before and has_anchors and _anchor(statements.get(name, []), base_chain, before)
                if anchor:
                    edit.anchors.append((anchor, text))
                elif before:
                    self._warn_of_a_place(edit, before, text)
                    continue
                elif BlockRule("add", name, text) not in edit.block:
                    edit.block.append(BlockRule("add", name, text))
                edit.added_rules.append(f"{self.files.path}: {name} {text}")
        return edit

    def _warn_of_a_place(self, edit: Edit, before: Rule, text: str) -> None:
        edit.warnings.append(
            f"It is not kept for a restart, because the place of the rule `{before.text}` in {self.files.path} was not found; "
            f"add `{text.removesuffix(COMMENT)}` before that rule."
        )

    def _remove_useless(self, edit: Edit, texts: set[str]) -> None:
        """Remove rules of this collection, which described_rule() describes, from their places."""
        for name, statement, rule in self.files.own_statements():
            if described_rule(name, rule) in texts:
                edit.block = [one for one in edit.block if (one.chain, one.text) != (name, statement.text)]
                edit.removed += [] if self._is_in_block(statement) else [statement]

    def _is_effective(self, edit: Edit, accesses: list[PortAccess]) -> bool:
        """Say whether the files, if they are edited, accept the accesses and keep the order of all other rules."""
        texts = self._new_texts(edit)
        if any(len(text) > MAX_TEXT_CHARACTERS for text in texts.values()):
            return False
        status, listing = self.host.command_result(list(try_query(texts)[1:]))
        if status:
            return False
        new_rulesets = {one.name: one.ruleset for one in parse_nftables(listing)}
        expected: dict[int, Ruleset] = {}  # of each table, with the new rules of all its chains for input
        for base_chain, one in zip(self.base_chains, self.filters):
            ruleset = expected.get(id(one.ruleset), one.ruleset)
            insertions, new_ruleset = plan_insertions(one._replace(ruleset=ruleset), accesses, describe_access)
            useless = {rule.handle for rule in useless_rules(base_chain, insertions)}
            expected[id(one.ruleset)] = {
                name: Chain([rule for rule in chain.rules if rule.handle not in useless], chain.policy)
                for name, chain in new_ruleset.items()
            }
        return all(
            base_chain.name in new_rulesets
            and _outline(new_rulesets[base_chain.name], removed) == _outline(expected[id(one.ruleset)], removed)
            for base_chain, one in zip(self.base_chains, self.filters)
            for removed in [with_unfiltered_versions(accesses, base_chain.ip_versions)]
        )

    def _block(self) -> list[BlockRule]:
        _text, blocks = split_blocks(self.files.texts.get(self.files.path, ""))
        return parse_block(blocks[0]) if blocks else []

    def _is_in_block(self, statement: Statement) -> bool:
        """Say whether a statement is one of the block at the end of the file."""
        text = self.files.texts[statement.path]
        return statement.path == self.files.path and any(
            text.find(block) <= statement.start < text.find(block) + len(block) for block in split_blocks(text)[1]
        )

    def _new_texts(self, edit: Edit) -> dict[str, str]:
        """Return the texts of the files that an edit changes, by path."""
        texts = dict(self.files.texts)
        changes = [(one, text) for one, text in edit.anchors if one.command.startswith("insert")]
        changes += reversed([(one, text) for one, text in edit.anchors if not one.command.startswith("insert")])
        removals: list[tuple[Statement, str | None]] = [(one, None) for one in edit.removed]
        for statement, rule in sorted([*changes, *removals], key=lambda change: -change[0].start):  # offsets stay right
            text = texts[statement.path]
            texts[statement.path] = (
                remove_statement(text, statement) if rule is None else insert_before(text, statement, rule)
            )
        if edit.block != self._block():
            texts[self.files.path] = replace_block(texts[self.files.path], edit.block)
        return {path: text for path, text in texts.items() if text != self.files.texts[path]}

    def _commands(self, edit: Edit, added_rules: tuple[str, ...], removed_rules: tuple[str, ...]) -> list[Command]:
        """Return the commands that write the files. A part of a file cannot be checked by itself."""
        commands = []
        for path, text in self._new_texts(edit).items():
            argv = ["nft", "-c", "-f", "-"] if path == self.files.path else ["true"]
            commands.append(Command(argv, text, path, added_rules, removed_rules))
            added_rules = removed_rules = ()
        return commands


def estimated_chains(
    files: NftFiles, loaded: list[BaseChain], accesses: list[PortAccess]
) -> tuple[list[BaseChain], set[str], list[Rule]]:
    """Return base chains with the allow rules that are found in the files, the names of chains there, and unplaced rules.

    Unplaced are rules in the kernel that deny an access which no allow rule in the files accepts: nothing can be written for
    their chains.
    """
    rules: dict[str, list[Rule]] = {}
    for text in files.texts.values():
        for name, rules_of_chain in parse_nft_file(text).items():
            rules.setdefault(name, []).extend(rules_of_chain)
    estimated: list[BaseChain] = []
    unplaced: list[Rule] = []
    for one in [one for one in loaded if one.name in rules]:
        of_table = [rule for chain in one.ruleset for rule in rules.get(f"{one.family} {one.table} {chain}", [])]
        ruleset = {one.chain: Chain([dataclasses.replace(rule, chain=one.chain) for rule in of_table], "deny")}
        missing = [
            evaluate(one.ruleset, one.chain, access, ignore_allow_rules=True)
            for access in accesses
            if access.network.version in one.ip_versions and evaluate(ruleset, one.chain, access).verdict != "accept"
        ]
        denying = [decision.rule for decision in missing if decision.rule]
        unplaced += denying[:1]
        if not denying and (not missing or any(decision.verdict == "deny" for decision in missing)):
            estimated.append(one._replace(ruleset=ruleset, handles={}))
    return estimated, set(rules), unplaced


def described_rule(chain: str, rule: Rule) -> str:
    """Return a rule for people, with its chain. A comment marks those of this collection.

    chain: family, table and name.
    """
    return f"{chain} {format_nft_rule(rule)}{COMMENT if rule.is_own else ''}"


def described_ruleset(base_chain: BaseChain) -> Ruleset:
    """Return the chains with texts that name the chain, and without the handles of the namespace."""
    return {
        name: Chain(
            [
                dataclasses.replace(rule, text=described_rule(f"{base_chain.family} {base_chain.table} {name}", rule))
                for rule in chain.rules
            ],
            chain.policy,
        )
        for name, chain in base_chain.ruleset.items()
    }


def _anchor(statements: list[Statement], base_chain: BaseChain, before: Rule) -> Statement | None:
    """Return the statement of a rule: it is as far from the end of its chain in the file as in the listing."""
    handles = base_chain.handles.get(before.chain, [])
    if before.handle not in handles:
        return None
    from_end = len(handles) - handles.index(before.handle)
    return statements[-from_end] if from_end <= len(statements) else None


def _allows_only(chain: str, rule: Rule | None, accesses: list[PortAccess]) -> bool:
    """Say whether a rule of this collection allows these accesses only. chain: family, table and name."""
    ip_versions = {"ip": (4,), "ip6": (6,)}.get(chain.split()[0], (4, 6))
    return rule is not None and rule.is_own and rule.allows_only(with_unfiltered_versions(accesses, ip_versions))


def _outline(ruleset: Ruleset, accesses: list[PortAccess]) -> dict[str, list[Rule | None]]:
    """Return the rules of each chain without handles; None stands for rules of this collection for the accesses."""
    outline: dict[str, list[Rule | None]] = {}
    for name, chain in ruleset.items():
        rules: list[Rule | None] = outline.setdefault(name, [])
        for rule in chain.rules:
            is_new = rule.is_own and rule.allows_only(accesses)
            simple = None if is_new else dataclasses.replace(rule, text="", handle=None, is_elsewhere=False)
            if simple or not (rules and rules[-1] is None):
                rules.append(simple)
    return outline
