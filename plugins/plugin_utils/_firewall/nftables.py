# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend nftables."""

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
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Transcript,
)
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
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Decision,
    Rule,
    evaluate,
)

NFT_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
BLOCK_BEGIN = "# BEGIN evergreen.tls.firewall_port: written by a program, which replaces all up to END"
BLOCK_END = "# END evergreen.tls.firewall_port"
BLOCK_BEGIN_LINE, BLOCK_END_LINE = (
    re.compile(rf"^{re.escape(line)}$\n?", re.MULTILINE) for line in (BLOCK_BEGIN, BLOCK_END)
)


class Nftables(Firewall):
    """nftables by itself: the chains that hook input, and a marked block at the end of the file that sets them up."""

    name = "nftables"
    program = "nft"
    asks = (("run", "nft", "-j", "list", "ruleset"), *(("read", path) for path in NFT_FILES))

    def __init__(self, bases: list[BaseChain], path: str, texts: dict[str, str]) -> None:
        super().__init__(
            [
                InputFilter(f"nftables now, {base.name}", True, base.ip_versions, base.ruleset, base.chain)
                for base in bases
            ]
        )
        self.bases = bases
        self.path = path
        self.texts = texts  # the file and those that it includes
        self.written: dict[str, list[Rule]] = {}  # what somebody else wrote there, by chain
        for text in texts.values():
            for name, rules in parse_nft_file(split_blocks(text)[0]).items():
                self.written.setdefault(name, []).extend(rules)
        _rest, blocks = split_blocks(texts.get(path, ""))
        self.block = parse_block(blocks[0]) if blocks else []
        self.kept = {line: rule for line in self.block if (rule := parse_nft_allow_rule(line[2]))}

    @classmethod
    def look(cls, host: Transcript, accesses: list[PortAccess], zone: str | None = None) -> Nftables:
        """Read the chains that are nobody else's: iptables and firewalld have theirs in nftables, too."""
        status, listing = host.run(["nft", "-j", "list", "ruleset"])
        if status:
            raise TlsError(f"`nft -j list ruleset` failed ({listing}); put that right and run this again")
        bases = [base for base in parse_nftables(listing) if not is_of_other_backend(base)]
        path = next((one for one in NFT_FILES if host.read(one) is not None), "")
        return cls(bases, path, read_with_includes(host, path) if path else {})

    def blocked(self, accesses: t.Iterable[PortAccess]) -> list[BlockedAccess]:
        accesses = list(accesses)
        found = super().blocked(accesses)
        for base, input_filter in zip(self.bases, self.filters):
            for access in input_filter.accesses(accesses) if base.name in self.written else []:
                if "deny" in input_filter.verdicts_without_allow_rules([access]) and not self._is_stored(base, access):
                    found.append(
                        BlockedAccess(
                            input_filter._replace(where=self.path, now=False), access, Decision(None, None, None)
                        )
                    )
        return found

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        block, script, written, added = list(self.block), [], [], []
        for base, input_filter in zip(self.bases, self.filters):
            mine = [entry for entry in blocked if entry.input_filter[3:] == input_filter[3:]]
            for protocol, port, network in merge_ip_versions(
                entry.access for entry in mine if not entry.input_filter.now
            ):
                words = nft_allow_rule(protocol, port, network)
                block = [line for line in block if line[1:] != (base.name, words)]
                verb = self._verb(base, PortAccess(protocol, port, network or ANY[base.ip_versions[0]]))
                block.append((verb, base.name, words))
                written.append(f"{self.path}: {base.name} {words}")
            places = {entry.access: entry.decision.place for entry in mine if entry.input_filter.now}
            for protocol, port, network in merge_ip_versions(places):
                place = places[PortAccess(protocol, port, network or ANY[base.ip_versions[0]])]
                words = nft_allow_rule(protocol, port, network)
                where = f"insert rule {base.name} handle {place.handle}" if place else f"add rule {base.name}"
                script.append(f"{where} {words}")
                added += input_filter.lines(words)
            if base.name not in self.written and "deny" in input_filter.verdicts_without_allow_rules(accesses):
                where = f"{self.path} does not set up" if self.path else "no /etc/nftables.conf sets up"
                self.warnings.append(
                    f"It is not kept for a restart, because {where} the chain {base.name}; "
                    f"add `{nft_allow_rule(*merge_ip_versions(accesses)[0])}` where that chain comes from."
                )
        return self._steps(block, script, added_rules=(tuple(written), tuple(added)))

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        script, removed = [], []
        for input_filter, rule in self.removable_rules(accesses):
            base = next(base for base in self.bases if base.ruleset is input_filter.ruleset)
            line = f"delete rule {base.family} {base.table} {rule.chain} handle {rule.handle}"
            if line not in script:
                script.append(line)
                removed += input_filter.lines(rule.words)
        gone = [line for line, rule in self.kept.items() if rule.allows_only(accesses)]
        block = [line for line in self.block if line not in gone]
        written = tuple(f"{self.path}: {name} {words}" for _verb, name, words in gone)
        chains = {f"{base.family} {base.table} {chain}" for base in self.bases for chain in base.ruleset}
        self.warnings += [
            f"It is not kept for a restart: `{rule.words}` in the chain {name} of {self.path} opens it again; remove that line."
            for name, rules in self.written.items()
            for rule in rules
            if name in chains and rule.allows_only(accesses)
        ]
        return self._steps(block, script, removed_rules=(written, tuple(removed)))

    def removable_ports(self, accesses: list[PortAccess]) -> list[int]:
        kept = rule_ports(rule for rule in self.kept.values() if rule.allows_only(accesses))
        return sorted({*super().removable_ports(accesses), *kept})

    def lines(self, accesses: list[PortAccess]) -> list[str]:
        kept = [line[1:] for line, rule in self.kept.items() if any(rule.overlaps(access) for access in accesses)]
        return [f"{self.path}: {name} {words}" for name, words in kept] + super().lines(accesses)

    def _steps(self, block, script, added_rules=((), ()), removed_rules=((), ())) -> list[Command]:
        steps = []
        if block != self.block:
            text = replace_block(self.texts[self.path], block)
            steps.append(Command(["nft", "-c", "-f", "-"], text, self.path, added_rules[0], removed_rules[0]))
        if script:
            steps.append(Command(["nft", "-f", "-"], "\n".join(script) + "\n", None, added_rules[1], removed_rules[1]))
        return steps

    def _verb(self, base: BaseChain, access: PortAccess) -> str:
        """Return how a rule is written down: at the end of the chain, but before everything where a wall ends the chain."""
        return "insert" if evaluate(base.ruleset, base.chain, access, True).rule else "add"

    def _is_stored(self, base: BaseChain, access: PortAccess) -> bool:
        """Say whether the file opens the door: in the block, or in plain words of somebody else."""
        for (verb, name, _words), rule in self.kept.items():
            if name == base.name and rule.covers(access) and verb in ("insert", self._verb(base, access)):
                return True
        decision = evaluate(base.ruleset, base.chain, access)
        opener = decision.rule.chain if decision.rule and decision.verdict == "accept" else base.chain
        chains = [f"{base.family} {base.table} {chain}" for chain in (base.chain, opener)]
        return any(rule.covers(access) for chain in chains for rule in self.written.get(chain, []))


def nft_allow_rule(protocol: str, port: int, network: Network | None) -> str:
    """Return the words of nft for letting in a network; None stands for everybody."""
    return format_nft_rule(Rule("accept", "", (protocol,), ((port, port),), (network,) if network else None))


def is_of_other_backend(base: BaseChain) -> bool:
    """Say whether a chain belongs to a program that keeps its rules in nftables: firewalld, or iptables."""
    return base.table == "firewalld" or (
        base.family in ("ip", "ip6") and (base.table, base.chain) == ("filter", "INPUT")
    )


def read_with_includes(host: Transcript, path: str, depth: int = 5) -> dict[str, str]:
    """Return the text of a file for nft and of those that it includes, by path."""
    text = host.read(path)
    if text is None:
        return {}
    texts, unread = {path: text}, [text]
    for _round in range(depth):
        patterns = [one for text in unread for one in re.findall(r'^[ \t]*include\s+"([^"]+)"', text, re.MULTILINE)]
        included = host.find_each([os.path.join("/etc", pattern) for pattern in patterns])
        found = {path: text for files in included for path, text in files.items() if path not in texts}
        texts.update(found)
        unread = list(found.values())
    return texts


def split_blocks(text: str) -> tuple[str, list[str]]:
    """Return the text of a file without the blocks of ours and the empty lines before them, and these blocks.

    Where somebody has cut a block off, what is left of it is not ours for sure. Only the line goes that began or ended it.
    """
    kept, blocks, at = "", [], 0
    for end in BLOCK_END_LINE.finditer(text):
        begins = list(BLOCK_BEGIN_LINE.finditer(text, at, end.start()))
        if begins:
            kept += text[at : begins[-1].start()].rstrip("\n") + "\n"
            blocks.append(text[begins[-1].start() : end.end()])
            at = end.end()
    return BLOCK_END_LINE.sub("", BLOCK_BEGIN_LINE.sub("", kept + text[at:])), blocks


def parse_block(text: str) -> list[tuple[str, str, str]]:
    """Return verb, chain and words of each rule in a block of ours."""
    return re.findall(r"^(add|insert) rule (\S+ \S+ \S+) (.+)$", text, re.MULTILINE)


def replace_block(text: str, block: list[tuple[str, str, str]]) -> str:
    """Return the text of a file with this block at its end, in place of the one that it has.

    Each chain is named first, so that nft still loads the file when somebody has taken that chain away.
    """
    text = split_blocks(text)[0].rstrip("\n") + "\n"
    if not block:
        return text
    lines = [BLOCK_BEGIN]
    for name in dict.fromkeys(name for _verb, name, _words in block):
        family, table, chain = name.split()
        lines += [f"table {family} {table} {{", f"\tchain {chain} {{", "\t}", "}"]
    lines += [f"{verb} rule {name} {words}" for verb, name, words in block]
    return text + "\n" + "\n".join([*lines, BLOCK_END]) + "\n"
