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
    Firewall,
    Layer,
    Shut,
    Step,
    _ports,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Transcript,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import (
    Base,
    describe,
    parse_nft_door,
    parse_nft_file,
    parse_nftables,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Door,
    Network,
    merge,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Judgement,
    Rule,
    judge,
)

NFT_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
BEGIN = "# BEGIN evergreen.tls.firewall_port: written by a program, which replaces all up to END"
END = "# END evergreen.tls.firewall_port"
BEGIN_LINE, END_LINE = (re.compile(rf"^{re.escape(line)}$\n?", re.MULTILINE) for line in (BEGIN, END))


class Nftables(Firewall):
    """nftables by itself: the chains that hook input, and a marked block at the end of the file that sets them up."""

    name = "nftables"
    program = "nft"
    asks = (("run", "nft", "-j", "list", "ruleset"), *(("read", path) for path in NFT_FILES))

    def __init__(self, bases: list[Base], path: str, texts: dict[str, str]) -> None:
        super().__init__(
            [Layer(f"nftables now, {base.name}", True, base.versions, base.ruleset, base.chain) for base in bases]
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
        self.kept = {line: rule for line in self.block if (rule := parse_nft_door(line[2]))}

    @classmethod
    def look(cls, host: Transcript, doors: list[Door], zone: str | None = None) -> Nftables:
        """Read the chains that are nobody else's: iptables and firewalld have theirs in nftables, too."""
        status, listing = host.run(["nft", "-j", "list", "ruleset"])
        if status:
            raise TlsError(f"`nft -j list ruleset` failed ({listing}); put that right and run this again")
        bases = [base for base in parse_nftables(listing) if not is_foreign(base)]
        path = next((one for one in NFT_FILES if host.read(one) is not None), "")
        return cls(bases, path, with_includes(host, path) if path else {})

    def shut(self, doors: t.Iterable[Door]) -> list[Shut]:
        doors = list(doors)
        found = super().shut(doors)
        for base, layer in zip(self.bases, self.layers):
            for door in layer.doors(doors) if base.name in self.written else []:
                if "refuse" in layer.unaided([door]) and not self._is_kept(base, door):
                    found.append(Shut(layer._replace(where=self.path, now=False), door, Judgement(None, None, None)))
        return found

    def opening(self, doors: list[Door]) -> list[Step]:
        shuts = self.shut(doors)
        block, script, written, added = list(self.block), [], [], []
        for base, layer in zip(self.bases, self.layers):
            mine = [shut for shut in shuts if shut.layer[3:] == layer[3:]]
            for protocol, port, network in merge(shut.door for shut in mine if not shut.layer.now):
                words = nft_words(protocol, port, network)
                block = [line for line in block if line[1:] != (base.name, words)]
                verb = self._verb(base, Door(protocol, port, network or ANY[base.versions[0]]))
                block.append((verb, base.name, words))
                written.append(f"{self.path}: {base.name} {words}")
            places = {shut.door: shut.judgement.place for shut in mine if shut.layer.now}
            for protocol, port, network in merge(places):
                place = places[Door(protocol, port, network or ANY[base.versions[0]])]
                words = nft_words(protocol, port, network)
                where = f"insert rule {base.name} handle {place.handle}" if place else f"add rule {base.name}"
                script.append(f"{where} {words}")
                added += layer.lines(words)
            if base.name not in self.written and "refuse" in layer.unaided(doors):
                where = f"{self.path} does not set up" if self.path else "no /etc/nftables.conf sets up"
                self.warnings.append(
                    f"It is not kept for a restart, because {where} the chain {base.name}; "
                    f"add `{nft_words(*merge(doors)[0])}` where that chain comes from."
                )
        return self._steps(block, script, adds=(tuple(written), tuple(added)))

    def closing(self, doors: list[Door]) -> list[Step]:
        script, removed = [], []
        for layer, rule in self.removable(doors):
            base = next(base for base in self.bases if base.ruleset is layer.ruleset)
            line = f"delete rule {base.family} {base.table} {rule.chain} handle {rule.handle}"
            if line not in script:
                script.append(line)
                removed += layer.lines(rule.words)
        gone = [line for line, rule in self.kept.items() if rule.opens_only(doors)]
        block = [line for line in self.block if line not in gone]
        written = tuple(f"{self.path}: {name} {words}" for _verb, name, words in gone)
        chains = {f"{base.family} {base.table} {chain}" for base in self.bases for chain in base.ruleset}
        self.warnings += [
            f"It is not kept for a restart: `{rule.words}` in the chain {name} of {self.path} opens it again; remove that line."
            for name, rules in self.written.items()
            for rule in rules
            if name in chains and rule.opens_only(doors)
        ]
        return self._steps(block, script, removes=(written, tuple(removed)))

    def closable(self, doors: list[Door]) -> list[int]:
        kept = _ports(rule for rule in self.kept.values() if rule.opens_only(doors))
        return sorted({*super().closable(doors), *kept})

    def lines(self, doors: list[Door]) -> list[str]:
        kept = [line[1:] for line, rule in self.kept.items() if any(rule.touches(door) for door in doors)]
        return [f"{self.path}: {name} {words}" for name, words in kept] + super().lines(doors)

    def _steps(self, block, script, adds=((), ()), removes=((), ())) -> list[Step]:
        steps = []
        if block != self.block:
            text = with_block(self.texts[self.path], block)
            steps.append(Step(["nft", "-c", "-f", "-"], text, self.path, adds[0], removes[0]))
        if script:
            steps.append(Step(["nft", "-f", "-"], "\n".join(script) + "\n", None, adds[1], removes[1]))
        return steps

    def _verb(self, base: Base, door: Door) -> str:
        """Return how a rule is written down: at the end of the chain, but before everything where a wall ends the chain."""
        return "insert" if judge(base.ruleset, base.chain, door, True).rule else "add"

    def _is_kept(self, base: Base, door: Door) -> bool:
        """Say whether the file opens the door: in the block, or in plain words of somebody else."""
        for (verb, name, _words), rule in self.kept.items():
            if name == base.name and rule.covers(door) and verb in ("insert", self._verb(base, door)):
                return True
        judgement = judge(base.ruleset, base.chain, door)
        opener = judgement.rule.chain if judgement.rule and judgement.verdict == "accept" else base.chain
        chains = [f"{base.family} {base.table} {chain}" for chain in (base.chain, opener)]
        return any(rule.covers(door) for chain in chains for rule in self.written.get(chain, []))


def nft_words(protocol: str, port: int, network: Network | None) -> str:
    """Return the words of nft for letting in a network; None stands for everybody."""
    return describe(Rule("accept", "", (protocol,), ((port, port),), (network,) if network else None))


def is_foreign(base: Base) -> bool:
    """Say whether a chain belongs to a program that keeps its rules in nftables: firewalld, or iptables."""
    return base.table == "firewalld" or (
        base.family in ("ip", "ip6") and (base.table, base.chain) == ("filter", "INPUT")
    )


def with_includes(host: Transcript, path: str, depth: int = 5) -> dict[str, str]:
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
    for end in END_LINE.finditer(text):
        begins = list(BEGIN_LINE.finditer(text, at, end.start()))
        if begins:
            kept += text[at : begins[-1].start()].rstrip("\n") + "\n"
            blocks.append(text[begins[-1].start() : end.end()])
            at = end.end()
    return END_LINE.sub("", BEGIN_LINE.sub("", kept + text[at:])), blocks


def parse_block(text: str) -> list[tuple[str, str, str]]:
    """Return verb, chain and words of each rule in a block of ours."""
    return re.findall(r"^(add|insert) rule (\S+ \S+ \S+) (.+)$", text, re.MULTILINE)


def with_block(text: str, block: list[tuple[str, str, str]]) -> str:
    """Return the text of a file with this block at its end, in place of the one that it has.

    Each chain is named first, so that nft still loads the file when somebody has taken that chain away.
    """
    text = split_blocks(text)[0].rstrip("\n") + "\n"
    if not block:
        return text
    lines = [BEGIN]
    for name in dict.fromkeys(name for _verb, name, _words in block):
        family, table, chain = name.split()
        lines += [f"table {family} {table} {{", f"\tchain {chain} {{", "\t}", "}"]
    lines += [f"{verb} rule {name} {words}" for verb, name, words in block]
    return text + "\n" + "\n".join([*lines, END]) + "\n"
