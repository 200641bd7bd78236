# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files for nft: the statements in them, in the order in which nft evaluates the rules.

Source: nft(8), "INPUT FILE FORMATS".
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState, Query
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import parse_nft_allow_rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Rule

MAX_INCLUDE_DEPTH = 5  # files that include each other
MAX_STATEMENTS = 100_000  # in all files together
MAX_HEADER_WORDS = 8  # tokens before the brace that opens a table or a chain
INCLUDE = re.compile(r'include\s+"([^"]+)"$')
TOKEN = re.compile(r'"[^"\n]*"|#[^\n]*|\\\n|[{};\n]|[^"#{};\n\\]+|.')
TABLE = re.compile(r"(?:add\s+|create\s+)?table\s+(?:(ip6?|inet|arp|bridge|netdev)\s+)?(\S+)$")
CHAIN = re.compile(r"(?:add\s+|create\s+)?chain\s+(?:(?:(ip6?|inet|arp|bridge|netdev)\s+)?(\S+)\s+)?(\S+)$")
OTHER_BLOCK = re.compile(r"(?:add\s+|create\s+)?(?:set|map|flowtable|counter|quota|limit|ct|secmark|synproxy)\s")
RULE_COMMAND = re.compile(
    r"(?:(add|insert)\s+)?rule\s+(?:(ip6?|inet|arp|bridge|netdev)\s+)?(\S+)\s+(\S+)\s+(.*)", re.DOTALL
)
FLUSH_COMMAND = re.compile(
    r"(?:flush|delete|destroy)\s+(ruleset|table|chain)(?:\s+(ip6?|inet|arp|bridge|netdev))?(?:\s+(\S+))?(?:\s+(\S+))?$"
)
NO_RULE = re.compile(r"(?:type|policy|comment|device|devices|flags|define|redefine|undefine|elements)\b")
AT_A_PLACE = re.compile(r"(?:index|position|handle)\s+\d")


class Statement(t.NamedTuple):
    """A rule in a file."""

    path: str
    start: int  # offsets in the text of the file
    end: int
    command: str  # such as `add rule inet filter input `, or nothing within the braces of its chain
    text: str


@dataclasses.dataclass
class NftFiles:
    """The file that is loaded at boot, and those that it includes."""

    path: str  # empty if there is none
    texts: dict[str, str]  # by path
    includes: dict[str, list[str]]  # paths of the files that match, by pattern

    @property
    def queries(self) -> list[Query]:
        """Return the queries that read the files."""
        return [("read", self.path), *(("read", include_pattern(pattern)) for pattern in self.includes)]

    def statements(self) -> dict[str, list[Statement]]:
        """Return the rules by the name of their chain, in the order of evaluation.

        A chain is left out if its order is not known: a command of it names a handle or an index, or there are too many statements.
        """
        reader = _Reader(self)
        reader.read_file(self.path)
        return (
            {}
            if reader.is_too_long
            else {name: one for name, one in reader.rules.items() if name not in reader.unknown}
        )

    def own_statements(self) -> list[tuple[str, Statement, Rule]]:
        """Return the statements of this collection, each with the name of its chain and its rule."""
        own: dict[tuple[str, int], tuple[str, Statement, Rule]] = {}
        for name, statements in self.statements().items():
            for one in statements:
                rule = parse_nft_allow_rule(one.text)
                if rule and rule.is_own:
                    own[one.path, one.start] = (name, one, rule)
        return list(own.values())

    def with_texts(self, texts: dict[str, str]) -> NftFiles:
        """Return the files with other texts for some paths."""
        return dataclasses.replace(self, texts={**self.texts, **texts})


def read_files(host: HostState, path: str) -> NftFiles:
    """Read a file for nft and the files that it includes."""
    text = host.file_text(path) if path else None
    files = NftFiles(path, {} if text is None else {path: text}, {})
    unread = list(files.texts.values())
    for _depth in range(MAX_INCLUDE_DEPTH):
        found = [one for text in unread for one in re.findall(r'^[ \t]*include\s+"([^"]+)"', text, re.MULTILINE)]
        patterns = [one for one in dict.fromkeys(found) if one not in files.includes]
        matches = host.files_matching([include_pattern(pattern) for pattern in patterns])
        files.includes.update({pattern: sorted(one) for pattern, one in zip(patterns, matches)})
        new_texts = {path: text for one in matches for path, text in one.items() if path not in files.texts}
        files.texts.update(new_texts)
        unread = list(new_texts.values())
    return files


def include_pattern(pattern: str) -> str:
    """Return the pattern of an include statement as a pattern of absolute paths."""
    return os.path.join("/etc", pattern)


def insert_before(text: str, statement: Statement, rule: str) -> str:
    """Return the text of a file with a rule that is evaluated directly before the one of a statement."""
    line_start = text.rfind("\n", 0, statement.start) + 1
    indentation = text[line_start : statement.start]
    command = statement.command + rule
    if statement.command.startswith("insert"):  # of two rules at the top of a chain, the later one is evaluated first
        return f"{text[: statement.end]}\n{command}{text[statement.end :]}"
    if indentation.strip():
        return f"{text[: statement.start]}{command}; {text[statement.start :]}"
    return f"{text[:line_start]}{indentation}{command}\n{text[line_start:]}"


def remove_statement(text: str, statement: Statement) -> str:
    """Return the text of a file without a statement that insert_before() has added."""
    line_start = text.rfind("\n", 0, statement.start) + 1
    line_end = text.find("\n", statement.end) + 1 or len(text)
    if text[line_start:line_end].strip() == text[statement.start : statement.end].strip():
        return text[:line_start] + text[line_end:]
    after = text[statement.end :]
    return text[: statement.start] + (after.removeprefix("; ") if after.startswith("; ") else after.removeprefix(";"))


@dataclasses.dataclass
class _Block:
    """Braces that are open: those of a table, a chain, or something else."""

    kind: str
    family: str = "ip"
    table: str = ""
    chain: str = ""


class _Reader:
    """Collects the rules of files."""

    def __init__(self, files: NftFiles) -> None:
        self.files = files
        self.rules: dict[str, list[Statement]] = {}
        self.unknown: set[str] = set()  # chains whose order is not known
        self.statements_read = 0
        self.blocks: list[_Block] = []

    @property
    def is_too_long(self) -> bool:
        return self.statements_read > MAX_STATEMENTS

    def read_file(self, path: str, *including: str) -> None:
        """Read a file, in the blocks that are open where it is included."""
        if len(including) > MAX_INCLUDE_DEPTH or self.is_too_long:
            return
        start, end, depth = -1, -1, 0  # of the statement; depth: of braces in it
        words: list[str] = []
        for token in TOKEN.finditer(self.files.texts.get(path, "")):
            word = token[0]
            if word.startswith("#"):
                continue
            word = " " if word == "\\\n" else word
            is_end = not depth and word in (";", "\n", "}")
            header = "".join(words).strip() if word == "{" and not depth and len(words) <= MAX_HEADER_WORDS else ""
            if header and (block := self._block(header)):
                self.blocks.append(block)
                start, words = -1, []
            elif is_end:
                if start >= 0:
                    self._add(Statement(path, start, end, "", "".join(words).rstrip()), *including)
                start, words = -1, []
                if word == "}" and self.blocks:
                    self.blocks.pop()
            else:
                depth += (word == "{") - (word == "}")
                if word.strip():
                    start = token.start() + len(word) - len(word.lstrip()) if start < 0 else start
                    end = token.start() + len(word.rstrip())
                words += [word if words else word.lstrip()] if start >= 0 else []
            if self.is_too_long:
                return
        if start >= 0:
            self._add(Statement(path, start, end, "", "".join(words).rstrip()), *including)

    def _block(self, text: str) -> _Block | None:
        """Return the block that begins after a text, or None if the brace belongs to a statement."""
        outer = self.blocks[-1] if self.blocks else _Block("")
        if outer.kind == "chain":
            return None
        if match := TABLE.match(text):
            return _Block("table", match[1] or "ip", match[2])
        if match := CHAIN.match(text):
            return _Block("chain", match[1] or outer.family, match[2] or outer.table, match[3])
        return _Block("other") if OTHER_BLOCK.match(text) else None

    def _add(self, statement: Statement, *including: str) -> None:
        self.statements_read += 1
        text, block = statement.text, self.blocks[-1] if self.blocks else _Block("")
        if include := INCLUDE.match(text):
            for included in self.files.includes.get(include[1], []):
                self.read_file(included, *including, statement.path)
        elif flush := FLUSH_COMMAND.match(text):
            self._flush(*flush.groups())
        elif command := RULE_COMMAND.match(text):
            verb, family, table, chain, rule = command.groups()
            name = f"{family or 'ip'} {table} {chain}"
            if AT_A_PLACE.match(rule):
                self.unknown.add(name)
            statements = self.rules.setdefault(name, [])
            place = 0 if verb == "insert" else len(statements)
            statements.insert(place, statement._replace(command=f"{verb or 'add'} rule {name} ", text=rule))
        elif block.kind == "chain" and not NO_RULE.match(text):
            self.rules.setdefault(f"{block.family} {block.table} {block.chain}", []).append(statement)

    def _flush(self, kind: str, family: str | None, first: str | None, second: str | None) -> None:
        """Forget the rules that a command removes."""
        self.statements_read += len(self.rules)
        prefix = "" if kind == "ruleset" else " ".join(filter(None, (family or "ip", first, second)))
        for name in list(self.rules):
            if kind == "ruleset" or f"{name} ".startswith(f"{prefix} "):
                del self.rules[name]
