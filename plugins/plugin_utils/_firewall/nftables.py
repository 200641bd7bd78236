# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend nftables: nft(8)."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    BlockedAccess,
    Command,
    Firewall,
    InputFilter,
    rule_ports,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import (
    BaseChain,
    format_nft_rule,
    parse_nft_allow_rule,
    parse_nft_file,
    parse_nftables,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    merge_ip_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Decision, Rule, evaluate

RULE_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")  # the first that exists is loaded at boot
MAX_INCLUDE_DEPTH = 5  # files that include each other
# The rules that this writes into the file are between two lines, as those of blockinfile are.
BLOCK_BEGIN = "# BEGIN evergreen.tls.firewall_port: written by a program, which replaces all up to END"
BLOCK_END = "# END evergreen.tls.firewall_port"
BLOCK_LINE = re.compile(rf"^(?:{re.escape(BLOCK_BEGIN)}|{re.escape(BLOCK_END)})$\n?", re.MULTILINE)


class BlockRule(t.NamedTuple):
    """A rule in the block of a file."""

    verb: str  # add (at the end of the chain) or insert (at its start)
    chain: str  # family, table and chain
    text: str


class Nftables(Firewall):
    """nftables without a frontend: its base chains, and a block in the file that is loaded at boot."""

    name = "nftables"
    program = "nft"
    queries = (("run", "nft", "-j", "list", "ruleset"), *(("read", path) for path in RULE_FILES))

    def __init__(self, base_chains: list[BaseChain], path: str, texts: dict[str, str]) -> None:
        super().__init__(
            [
                InputFilter(f"nftables now, {one.name}", True, one.ip_versions, one.ruleset, one.chain)
                for one in base_chains
            ]
        )
        self.base_chains = base_chains  # one for each filter
        self.path = path  # of the file that is loaded at boot; empty if there is none
        self.texts = texts  # of that file and those that it includes, by path
        self.other_rules: dict[str, list[Rule]] = {}  # allow rules in the files outside of the block, by chain
        for text in texts.values():
            for name, rules in parse_nft_file(split_blocks(text)[0]).items():
                self.other_rules.setdefault(name, []).extend(rules)
        _text, blocks = split_blocks(texts.get(path, ""))
        self.block = parse_block(blocks[0]) if blocks else []
        self.block_rules = {one: rule for one in self.block if (rule := parse_nft_allow_rule(one.text))}

    @classmethod
    def from_host_state(cls, host: HostState, accesses: list[PortAccess], zone: str | None = None) -> Nftables:
        """Read the base chains, except those of other backends, and the file that is loaded at boot."""
        status, listing = host.command_result(["nft", "-j", "list", "ruleset"])
        if status:
            raise TlsError(f"`nft -j list ruleset` failed ({listing}); put that right and run this again")
        base_chains = [one for one in parse_nftables(listing) if not is_of_other_backend(one)]
        path = next((one for one in RULE_FILES if host.file_text(one) is not None), "")
        return cls(base_chains, path, read_with_includes(host, path) if path else {})

    def blocked(self, accesses: t.Iterable[PortAccess]) -> list[BlockedAccess]:
        accesses = list(accesses)
        blocked = super().blocked(accesses)
        for base_chain, input_filter in zip(self.base_chains, self.filters):
            if base_chain.name not in self.other_rules:
                continue  # the file does not define the chain
            stored_filter = input_filter._replace(location=self.path, is_loaded=False)
            for access in input_filter.relevant(accesses):
                is_denied = "deny" in input_filter.verdicts_without_allow_rules([access])
                if is_denied and not self._is_stored(base_chain, access):
                    blocked.append(BlockedAccess(stored_filter, access, Decision(None, None, None)))
        return blocked

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        block, script = list(self.block), []
        stored_rules: list[str] = []
        loaded_rules: list[str] = []
        for base_chain, input_filter in zip(self.base_chains, self.filters):
            of_chain = [
                one
                for one in blocked
                if one.input_filter.ruleset is input_filter.ruleset and one.input_filter.chain == input_filter.chain
            ]
            for rule in new_block_rules(base_chain, [one for one in of_chain if not one.input_filter.is_loaded]):
                block = [one for one in block if (one.chain, one.text) != (rule.chain, rule.text)]
                block.append(rule)
                stored_rules.append(f"{self.path}: {rule.chain} {rule.text}")
            for line, text in new_loaded_rules(base_chain, [one for one in of_chain if one.input_filter.is_loaded]):
                script.append(line)
                loaded_rules += input_filter.with_location(text)
            is_denied = "deny" in input_filter.verdicts_without_allow_rules(accesses)
            if base_chain.name not in self.other_rules and is_denied:
                where = f"{self.path} does not set up" if self.path else "no /etc/nftables.conf sets up"
                self.warnings.append(
                    f"It is not kept for a restart, because {where} the chain {base_chain.name}; "
                    f"add `{allow_rule(*merge_ip_versions(accesses)[0])}` where that chain comes from."
                )
        commands = []
        if block != self.block:
            commands.append(self._replace_block(block)._replace(added_rules=tuple(stored_rules)))
        if script:
            commands.append(run_script(script)._replace(added_rules=tuple(loaded_rules)))
        return commands

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        script: list[str] = []
        loaded_rules: list[str] = []
        for input_filter, rule in self.removable_rules(accesses):
            base_chain = next(one for one in self.base_chains if one.ruleset is input_filter.ruleset)
            line = f"delete rule {base_chain.family} {base_chain.table} {rule.chain} handle {rule.handle}"
            if line not in script:
                script.append(line)
                loaded_rules += input_filter.with_location(rule.text)
        removed = [one for one, rule in self.block_rules.items() if rule.allows_only(accesses)]
        chains = {f"{one.family} {one.table} {chain}" for one in self.base_chains for chain in one.ruleset}
        self.warnings += [
            f"It is not kept for a restart: `{rule.text}` in the chain {name} of {self.path} opens it again; remove that line."
            for name, rules in self.other_rules.items()
            for rule in rules
            if name in chains and rule.allows_only(accesses)
        ]
        commands = []
        if removed:
            stored_rules = tuple(f"{self.path}: {one.chain} {one.text}" for one in removed)
            new_block = [one for one in self.block if one not in removed]
            commands.append(self._replace_block(new_block)._replace(removed_rules=stored_rules))
        if script:
            commands.append(run_script(script)._replace(removed_rules=tuple(loaded_rules)))
        return commands

    def removable_ports(self, accesses: list[PortAccess]) -> list[int]:
        stored = rule_ports(rule for rule in self.block_rules.values() if rule.allows_only(accesses))
        return sorted({*super().removable_ports(accesses), *stored})

    def rule_lines(self, accesses: list[PortAccess]) -> list[str]:
        stored = [
            f"{self.path}: {one.chain} {one.text}"
            for one, rule in self.block_rules.items()
            if any(rule.overlaps(access) for access in accesses)
        ]
        return stored + super().rule_lines(accesses)

    def _replace_block(self, block: list[BlockRule]) -> Command:
        """Return the command that writes another block into the file."""
        return Command(["nft", "-c", "-f", "-"], replace_block(self.texts[self.path], block), self.path)

    def _is_stored(self, base_chain: BaseChain, access: PortAccess) -> bool:
        """Say whether the file has an allow rule for the access: in the block, or outside of it."""
        verb = block_verb(base_chain, access)
        for one, rule in self.block_rules.items():
            if one.chain == base_chain.name and rule.covers(access) and one.verb in ("insert", verb):
                return True
        decision = evaluate(base_chain.ruleset, base_chain.chain, access)
        deciding_chain = decision.rule.chain if decision.rule and decision.verdict == "accept" else base_chain.chain
        names = [f"{base_chain.family} {base_chain.table} {chain}" for chain in (base_chain.chain, deciding_chain)]
        return any(rule.covers(access) for name in names for rule in self.other_rules.get(name, []))


def new_block_rules(base_chain: BaseChain, blocked: list[BlockedAccess]) -> list[BlockRule]:
    """Return the rules for the block that allow the accesses."""
    rules = []
    for protocol, port, network in merge_ip_versions(one.access for one in blocked):
        access = PortAccess(protocol, port, network or ANY[base_chain.ip_versions[0]])
        rules.append(BlockRule(block_verb(base_chain, access), base_chain.name, allow_rule(protocol, port, network)))
    return rules


def new_loaded_rules(base_chain: BaseChain, blocked: list[BlockedAccess]) -> list[tuple[str, str]]:
    """Return the lines for nft that allow the accesses, each with the text of its rule."""
    entry_rules = {one.access: one.decision.entry_rule for one in blocked}
    lines = []
    for protocol, port, network in merge_ip_versions(entry_rules):
        text = allow_rule(protocol, port, network)
        deny_rule = entry_rules[PortAccess(protocol, port, network or ANY[base_chain.ip_versions[0]])]
        if deny_rule:
            lines.append((f"insert rule {base_chain.name} handle {deny_rule.handle} {text}", text))
        else:
            lines.append((f"add rule {base_chain.name} {text}", text))
    return lines


def block_verb(base_chain: BaseChain, access: PortAccess) -> str:
    """Return how the block adds an allow rule: insert if a deny rule would stay before it, else add."""
    decision = evaluate(base_chain.ruleset, base_chain.chain, access, ignore_allow_rules=True)
    return "insert" if decision.rule else "add"


def run_script(script: list[str]) -> Command:
    """Return the command that runs lines of nft as one transaction."""
    return Command(["nft", "-f", "-"], "\n".join(script) + "\n")


def allow_rule(protocol: str, port: int, network: Network | None) -> str:
    """Return the rule of nft that accepts a port from a network. None stands for all networks."""
    return format_nft_rule(Rule("accept", "", (protocol,), ((port, port),), (network,) if network else None))


def is_of_other_backend(base_chain: BaseChain) -> bool:
    """Say whether a chain belongs to firewalld or iptables, which keep their rules in nftables."""
    return base_chain.table == "firewalld" or (
        base_chain.family in ("ip", "ip6") and (base_chain.table, base_chain.chain) == ("filter", "INPUT")
    )


def read_with_includes(host: HostState, path: str) -> dict[str, str]:
    """Return the text of a file for nft and of the files that it includes, by path."""
    text = host.file_text(path)
    if text is None:
        return {}
    texts, unread = {path: text}, [text]
    for _depth in range(MAX_INCLUDE_DEPTH):
        patterns = [one for text in unread for one in re.findall(r'^[ \t]*include\s+"([^"]+)"', text, re.MULTILINE)]
        included = host.files_matching([os.path.join("/etc", pattern) for pattern in patterns])
        new_texts = {path: text for files in included for path, text in files.items() if path not in texts}
        texts.update(new_texts)
        unread = list(new_texts.values())
    return texts


def split_blocks(text: str) -> tuple[str, list[str]]:
    """Return the text of a file without blocks and the empty lines before them, and the blocks.

    A line that begins or ends a block without its counterpart is removed alone, since what follows may not be ours.
    """
    rest, blocks, position = [], [], 0
    begin: int | None = None  # of the last line that begins a block, since the last block
    for line in BLOCK_LINE.finditer(text):  # once, however many lines begin or end nothing
        if line[0].startswith(BLOCK_BEGIN):
            begin = line.start()
        elif begin is not None:
            rest.append(text[position:begin].rstrip("\n") + "\n")
            blocks.append(text[begin : line.end()])
            position, begin = line.end(), None
    return BLOCK_LINE.sub("", "".join([*rest, text[position:]])), blocks


def parse_block(text: str) -> list[BlockRule]:
    """Return the rules of a block."""
    return [BlockRule(*rule) for rule in re.findall(r"^(add|insert) rule (\S+ \S+ \S+) (.+)$", text, re.MULTILINE)]


def replace_block(text: str, block: list[BlockRule]) -> str:
    """Return the text of a file with a block of these rules at its end, and no other block.

    The block also defines each chain, so that nft loads the file even if the chain has been removed from it.
    """
    text = split_blocks(text)[0].rstrip("\n") + "\n"
    if not block:
        return text
    lines = [BLOCK_BEGIN]
    for name in dict.fromkeys(rule.chain for rule in block):
        family, table, chain = name.split()
        lines += [f"table {family} {table} {{", f"\tchain {chain} {{", "\t}", "}"]
    lines += [f"{rule.verb} rule {rule.chain} {rule.text}" for rule in block]
    return text + "\n" + "\n".join([*lines, BLOCK_END]) + "\n"
