# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of nginx as it reads it: one main file, and the files that are included from there."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

TOKEN = re.compile(
    r"""
    \s+ | \#[^\n]*
    | (?P<mark>[;{}])
    | "(?P<double>(?:\\.|[^"\\])*)"
    | '(?P<single>(?:\\.|[^'\\])*)'
    | (?P<word>(?:\\.|\$\{|[^\s;{}])(?:\\.|\$\{|[^\s;{])*)
    """,
    re.VERBOSE | re.DOTALL,
)
MOST_INCLUDES, DEEPEST_INCLUDE = 30_000, 100  # files of a configuration that is meant seriously
PORT = re.compile(r"[0-9]{1,9}")
ANY_ADDRESS = ("*", "0.0.0.0", "[::]")


class Statement(t.NamedTuple):
    """A directive with its arguments, its place, and the statements of its block where it has one."""

    words: list[str]
    line: int
    start: int
    end: int
    block: list[Statement]


class Listen(t.NamedTuple):
    """An address and port of a server block."""

    address: str
    port: int
    default: bool


class Server(t.NamedTuple):
    """A server block of the configuration and where it stands."""

    path: str
    line: int
    listens: list[Listen]
    names: list[str]
    certificate: str | None

    @property
    def place(self) -> str:
        """Return the place as nginx writes it."""
        return f"{self.path}:{self.line}"


@functools.lru_cache(maxsize=1000)  # files are read again and again, for one question after the other
def parse(text: str) -> list[Statement]:
    """Return the statements of a configuration file, which are not to be changed.

    What nginx would refuse is read as far as it makes sense: nginx has the words to complain.
    """
    statements: list[Statement] = []
    enclosing: list[tuple[list[Statement], Statement]] = []
    words: list[str] = []
    start = line = counted = 0
    for token in TOKEN.finditer(text):
        if token["mark"] is None:
            word = next((token[kind] for kind in ("double", "single", "word") if token[kind] is not None), None)
            if word is not None:
                if not words:
                    start = token.start()
                    line += text.count("\n", counted, start)
                    counted = start
                words.append(re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) if "\\" in word else word)
            continue
        if token["mark"] == "{":
            if not words:  # which nginx would refuse; each statement has a first word for those who read on
                words, start = [""], token.start()
            enclosing.append((statements, Statement(words, line + 1, start, token.end(), [])))
            statements = enclosing[-1][1].block
        elif token["mark"] == "}" and enclosing:
            statements, opened = enclosing.pop()
            statements.append(opened._replace(end=token.end()))
        elif token["mark"] == ";" and words:
            statements.append(Statement(words, line + 1, start, token.end(), []))
        words = []
    while enclosing:
        statements, opened = enclosing.pop()
        statements.append(opened._replace(end=len(text)))
    return statements


def load(main: str, read: t.Callable[[str], bytes | None], find: t.Callable[[str], list[str]]) -> dict[str, str]:
    """Return the text of the main file and of every file that is included from it, by path."""
    files: dict[str, str] = {}
    waiting = [main]
    while waiting:
        path = waiting.pop()
        content = None if path in files else read(path)
        if content is not None:
            files[path] = content.decode("utf-8", "surrogateescape")
            for statement in _includes(parse(files[path])):
                waiting += find(_pattern(statement, main))
    return files


def walk(files: dict[str, str], main: str) -> t.Iterator[tuple[str, Statement]]:
    """Yield the statements of the main level, and the file each stands in, with every include in its place."""
    return _expanded(files, main, (main,), parse(files.get(main, "")))


def within(files: dict[str, str], main: str, *blocks: str) -> t.Iterator[tuple[str, Statement]]:
    """Yield the statements in all blocks of these names, such as C(http), and the file each stands in."""
    level = walk(files, main)
    for name in blocks:
        level = _inside(files, main, level, name)
    return level


def servers(files: dict[str, str], main: str) -> list[Server]:
    """Return the server blocks for HTTP, in the order in which nginx reads them."""
    found = []
    for path, statement in within(files, main, "http"):
        if statement.words[0] == "server":
            body = [inner.words for _path, inner in _expanded(files, main, (path,), statement.block)]
            listens = [_listen(words[1:]) for words in body if words[0] == "listen" and len(words) > 1]
            names = [name.lower() for words in body if words[0] == "server_name" for name in words[1:]]
            addresses = [listen for listen in listens if listen] or [Listen("*", 80, False)]
            certificates = [words[1] for words in body if words[0] == "ssl_certificate" and len(words) > 1]
            found.append(Server(path, statement.line, addresses, names, certificates[0] if certificates else None))
    return found


def setting(files: dict[str, str], main: str, name: str) -> str | None:
    """Return the first argument of a directive of the main level, or None where it is not set."""
    found = [
        statement.words[1]
        for _path, statement in walk(files, main)
        if statement.words[0] == name and statement.words[1:]
    ]
    return found[0] if found else None


def is_included(files: dict[str, str], main: str, path: str) -> bool:
    """Say whether nginx reads *path* within its http block, or would if it were there."""
    probed = {**files, path: "evergreen_probe;"}
    return any(statement.words == ["evergreen_probe"] for _path, statement in within(probed, main, "http"))


def http_includes(files: dict[str, str], main: str) -> list[str]:
    """Return the patterns that the http block includes."""
    blocks = [statement.block for _path, statement in walk(files, main) if statement.words[0] == "http"]
    return [_pattern(statement, main) for block in blocks for statement in block if _is_include(statement)]


def rehearsal(files: dict[str, str], main: str, path: str, staged: str, copy: t.Callable[[str], str]) -> dict[str, str]:
    """Return the files that nginx needs to test *staged* in the place of *path* while *path* stays as it is.

    These are copies of the main file and of those between it and *path*, in which each include that leads to *path* is
    replaced by the list of what it stands for. *copy* names the copy of a file; it has to lie in the same folder.
    """
    copies: dict[str, str] = {}
    taken = itertools.count()

    def stand_in(member: str, above: tuple[str, ...]) -> str:
        if member == path:
            return staged
        _check_includes(next(taken), above or (main,))
        if member in above or member not in files:
            return member
        text = files[member]
        for statement in sorted(_includes(parse(text)), key=lambda statement: statement.start, reverse=True):
            members = _members({**files, path: ""}, statement, main)
            replaced = [stand_in(inner, (*above, member)) for inner in members]
            if replaced != members:
                listed = " ".join(f'include "{inner}";' for inner in replaced)
                text = text[: statement.start] + listed + text[statement.end :]
        if text == files[member]:
            return member
        copies[copy(member)] = text
        return copy(member)

    stand_in(main, ())
    return copies


def _expanded(
    files: dict[str, str],
    main: str,
    above: tuple[str, ...],
    statements: list[Statement],
    taken: t.Iterator[int] | None = None,
) -> t.Iterator[tuple[str, Statement]]:
    taken = itertools.count(1) if taken is None else taken
    for statement in statements:
        if not _is_include(statement):
            yield above[-1], statement
            continue
        for member in _members(files, statement, main):
            if member not in above:  # nginx itself complains about files that include each other
                _check_includes(next(taken, MOST_INCLUDES + 1), above)
                yield from _expanded(files, main, (*above, member), parse(files[member]), taken)


def _check_includes(taken: int, above: tuple[str, ...]) -> None:
    """Make sure that there is an end to the includes, also where files include each other in turns."""
    if taken > MOST_INCLUDES or len(above) > DEEPEST_INCLUDE:
        raise TlsError(
            f"the files that {above[0]} includes include each other without end, {above[-1]} among them; "
            "see that each is included once, and run this again"
        )


def _inside(
    files: dict[str, str], main: str, level: t.Iterable[tuple[str, Statement]], name: str
) -> t.Iterator[tuple[str, Statement]]:
    for path, statement in level:
        if statement.words[0] == name:
            yield from _expanded(files, main, (path,), statement.block)


def _includes(statements: list[Statement]) -> t.Iterator[Statement]:
    """Yield the includes at all levels in their order, however deep the levels are."""
    waiting = statements[::-1]
    while waiting:
        statement = waiting.pop()
        if _is_include(statement):
            yield statement
        waiting += statement.block[::-1]


def _is_include(statement: Statement) -> bool:
    return statement.words[:1] == ["include"] and len(statement.words) == 2


def _pattern(statement: Statement, main: str) -> str:
    """Return what an include asks for; relative paths begin in the folder of the main file, wherever they stand."""
    return os.path.normpath(os.path.join(os.path.dirname(main), statement.words[1]))


def _members(files: dict[str, str], statement: Statement, main: str) -> list[str]:
    """Return the files that an include stands for, in the order of glob(3)."""
    pattern = _pattern(statement, main)
    return sorted(path for path in files if _matches(pattern, path))


def _matches(pattern: str, path: str) -> bool:
    patterns, parts = pattern.split("/"), path.split("/")
    return len(patterns) == len(parts) and all(
        fnmatch.fnmatchcase(part, wanted) and (wanted[:1] == "." or part[:1] != ".")
        for wanted, part in zip(patterns, parts)
    )


def _listen(words: list[str]) -> Listen | None:
    """Return the address and port of a listen directive, or None for a socket in the file system."""
    if words[0].startswith("unix:"):
        return None
    address, _colon, port = words[0].rpartition(":")
    if PORT.fullmatch(words[0]):
        address, port = "*", words[0]
    elif words[0].endswith("]") or not address:
        address, port = words[0], "80"
    default = "default_server" in words or "default" in words
    return Listen("*" if address in ANY_ADDRESS else address, int(port) if PORT.fullmatch(port) else 80, default)
