# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse the configuration of nginx: the main file, and the files that it includes."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.lua_blocks import DIRECTIVE_SUFFIX, lua_block_end

TOKEN = re.compile(
    r"""
    [ \t\r\n]+ | \#[^\n]*
    | (?P<mark>[;{}])
    | "(?P<double>(?:\\.|[^"\\])*)"
    | '(?P<single>(?:\\.|[^'\\])*)'
    | (?P<word>(?:\\.|\$\{|[^ \t\r\n;{}])(?:\\.|\$\{|[^ \t\r\n;{])*)
    """,
    re.VERBOSE | re.DOTALL,
)
MAX_INCLUDES = 30_000  # files; what has more of them includes itself
MAX_INCLUDE_DEPTH = 100
PORT = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")  # or a range of ports
MAX_PORT = 65535
WILDCARD_ADDRESSES = ("*", "0.0.0.0", "[::]")
ESCAPE = re.compile(
    r"\\([\"'\\trn])"
)  # nginx keeps any other backslash, so that regular expressions need no second one
ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
# Parameters by which nginx binds an address by itself, though another server block has all addresses of the port.
BIND_PARAMETER = re.compile(
    r"bind|deferred|reuseport|(?:backlog|rcvbuf|sndbuf|setfib|fastopen|accept_filter|so_keepalive)=.*"
)


class Statement(t.NamedTuple):
    """A directive with its arguments, its place, and the statements of its block if it has one."""

    words: list[str]
    line: int
    start: int
    end: int
    block: list[Statement]


class Listen(t.NamedTuple):
    """An address and port of a server block."""

    address: str  # "*" for all addresses of IPv4, or of IPv6
    port: int
    default: bool
    is_ipv6: bool = False
    parameters: tuple[str, ...] = ()

    @property
    def is_quic(self) -> bool:
        """Return whether this is a socket for HTTP/3, which comes by UDP."""
        return "quic" in self.parameters

    @property
    def is_bound_alone(self) -> bool:
        """Return whether nginx binds this address by itself."""
        return any(map(BIND_PARAMETER.fullmatch, self.parameters))


class ServerBlock(t.NamedTuple):
    """A server block of the configuration."""

    path: str
    line: int
    listens: list[Listen]  # by TCP
    names: list[str]
    certificates: tuple[str, ...] = ()  # of the block, or those that it inherits from the http block
    protocols: tuple[str, ...] = ()  # likewise
    protocols_place: str = ""  # path and line of the ssl_protocols that say so
    quic_listens: tuple[Listen, ...] = ()
    has_tls: bool = False  # by the directive "ssl on", which nginx had before 1.25.1, whatever the parameters of listen

    @property
    def place(self) -> str:
        """Return path and line as nginx writes them."""
        return f"{self.path}:{self.line}"


@functools.lru_cache(maxsize=1000)  # the same files are parsed many times
def parse_config(text: str) -> list[Statement]:
    """Return the statements of a configuration file. They are cached, so callers must not change them.

    Text that nginx would refuse is parsed as far as possible: nginx itself reports the error.
    """
    statements: list[Statement] = []
    enclosing: list[tuple[list[Statement], Statement]] = []
    words: list[str] = []
    start = line = counted = 0
    position = 0
    while position < len(text):
        token = TOKEN.match(text, position)
        if token is None:  # nothing that begins a token
            position += 1
            continue
        position = token.end()
        if token["mark"] is None:
            word = next((token[kind] for kind in ("double", "single", "word") if token[kind] is not None), None)
            if word is not None:
                if not words:
                    start = token.start()
                    line += text.count("\n", counted, start)
                    counted = start
                words.append(ESCAPE.sub(_unescaped, word) if "\\" in word else word)
            continue
        if token["mark"] == "{":
            if not words:  # nginx would refuse this; all statements have a first word
                words, start = [""], token.start()
            enclosing.append((statements, Statement(words, line + 1, start, token.end(), [])))
            statements = enclosing[-1][1].block
            if words[0].endswith(DIRECTIVE_SUFFIX):
                position = lua_block_end(text, position)
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


def read_config(main: str, read: t.Callable[[str], bytes | None], find: t.Callable[[str], list[str]]) -> dict[str, str]:
    """Return the text of the main file and of all files that it includes, by path.

    read: returns the content of a file, or None; find: returns the paths that a pattern matches.
    """
    files: dict[str, str] = {}
    unread = [main]
    while unread:
        path = unread.pop()
        content = None if path in files else read(path)
        if content is not None:
            files[path] = content.decode("utf-8", "surrogateescape")
            for statement in _includes(parse_config(files[path])):
                unread += find(_pattern(statement, main))
    return files


def main_level(files: dict[str, str], main: str) -> t.Iterator[tuple[str, Statement]]:
    """Yield the statements of the main level with the path of their file, those of includes too."""
    return _expanded(files, main, (main,), parse_config(files.get(main, "")))


def inside_blocks(files: dict[str, str], main: str, *blocks: str) -> t.Iterator[tuple[str, Statement]]:
    """Yield the statements inside all blocks of these names, such as C(http), with the path of their file."""
    level = main_level(files, main)
    for name in blocks:
        level = _inside(files, main, level, name)
    return level


def statements_in(files: dict[str, str], main: str, path: str, statement: Statement) -> list[tuple[str, Statement]]:
    """Return the statements of a block in the file *path*, with the path of their file."""
    return list(_expanded(files, main, (path,), statement.block))


def server_blocks(files: dict[str, str], main: str) -> list[ServerBlock]:
    """Return the server blocks for HTTP, in the order in which nginx reads them."""
    blocks = []
    statements = list(inside_blocks(files, main, "http"))
    inherited = _certificates(statement.words for _path, statement in statements)
    inherited_protocols = _protocols(statements)
    has_tls_everywhere = _has_tls((statement.words for _path, statement in statements), False)
    for path, statement in statements:
        if statement.words[0] == "server":
            inner_statements = list(_expanded(files, main, (path,), statement.block))
            body = [inner.words for _path, inner in inner_statements]
            directives = [words[1:] for words in body if words[0] == "listen" and len(words) > 1]
            listens = [listen for words in directives for listen in parse_listen(words)]
            if not directives:
                listens = [Listen("*", 80, False)]
            names = [_server_name(name) for words in body if words[0] == "server_name" for name in words[1:]]
            by_tcp = [listen for listen in listens if not listen.is_quic]
            by_udp = tuple(listen for listen in listens if listen.is_quic)
            protocols, place = _protocols(inner_statements)
            if not protocols:
                protocols, place = inherited_protocols
            certificates = _certificates(body) or inherited
            has_tls = _has_tls(body, has_tls_everywhere)
            blocks.append(
                ServerBlock(path, statement.line, by_tcp, names, certificates, protocols, place, by_udp, has_tls)
            )
    return blocks


def other_listens(files: dict[str, str], main: str, is_udp: bool = False) -> list[tuple[str, Listen]]:
    """Return the addresses and ports of servers for anything but HTTP, by TCP or by UDP, with their block, path and line."""
    listens = []
    for block in ("stream", "mail"):
        for path, statement in inside_blocks(files, main, block):
            if statement.words[0] == "server":
                body = [inner.words for _path, inner in _expanded(files, main, (path,), statement.block)]
                for words in body:
                    parsed = parse_listen(words[1:]) if words[0] == "listen" and len(words) > 1 else []
                    listens += [
                        (f"{block} server at {path}:{statement.line}", listen)
                        for listen in parsed
                        if is_udp is ("udp" in listen.parameters)
                    ]
    return listens


def directive_value(files: dict[str, str], main: str, name: str) -> str | None:
    """Return the first argument of a directive of the main level, or None if it is not set."""
    values = [
        statement.words[1]
        for _path, statement in main_level(files, main)
        if statement.words[0] == name and statement.words[1:]
    ]
    return values[0] if values else None


def is_included(files: dict[str, str], main: str, path: str) -> bool:
    """Return whether the http block includes *path*, or would if that existed."""
    probed = {**files, path: "evergreen_probe;"}
    return any(statement.words == ["evergreen_probe"] for _path, statement in inside_blocks(probed, main, "http"))


def http_includes(files: dict[str, str], main: str) -> list[str]:
    """Return the patterns that the http block includes."""
    blocks = [statement.block for _path, statement in main_level(files, main) if statement.words[0] == "http"]
    return [_pattern(statement, main) for block in blocks for statement in block if _is_include(statement)]


def copies_for_test(
    files: dict[str, str], main: str, path: str, staged: str, copy: t.Callable[[str], str]
) -> dict[str, str]:
    """Return files, text by path, with which nginx tests *staged* in the place of *path*.

    They are copies of the main file and of the files between it and *path*. *path* itself
    stays as it is. In the copies each include that leads to it is replaced by a list of its files. *copy* returns the path of the copy of a file,
    which has to be in the same folder.
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
        for statement in sorted(_includes(parse_config(text)), key=lambda statement: statement.start, reverse=True):
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
                _check_includes(next(taken, MAX_INCLUDES + 1), above)
                yield from _expanded(files, main, (*above, member), parse_config(files[member]), taken)


def _check_includes(taken: int, above: tuple[str, ...]) -> None:
    """Raise TlsError for more includes than a sound configuration has.

    Files that include each other in turn would have no end.
    """
    if taken > MAX_INCLUDES or len(above) > MAX_INCLUDE_DEPTH:
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
    """Yield the includes of all levels in their order."""
    rest = statements[::-1]
    while rest:
        statement = rest.pop()
        if _is_include(statement):
            yield statement
        rest += statement.block[::-1]


def _is_include(statement: Statement) -> bool:
    return statement.words[:1] == ["include"] and len(statement.words) == 2


def _pattern(statement: Statement, main: str) -> str:
    """Return the pattern of an include.

    A relative pattern begins in the folder of the main file, in whichever file it stands.
    """
    return os.path.normpath(os.path.join(os.path.dirname(main), statement.words[1]))


def _members(files: dict[str, str], statement: Statement, main: str) -> list[str]:
    """Return the files that an include matches, in the order of glob(3)."""
    pattern = _pattern(statement, main)
    return sorted(path for path in files if _matches(pattern, path))


def _matches(pattern: str, path: str) -> bool:
    patterns, parts = pattern.split("/"), path.split("/")
    return len(patterns) == len(parts) and all(
        fnmatch.fnmatchcase(part, pattern) and (pattern[:1] == "." or part[:1] != ".")
        for pattern, part in zip(patterns, parts)
    )


def parse_listen(words: list[str]) -> list[Listen]:
    """Return address and port of a listen directive, each port of a range, and nothing for a UNIX socket."""
    if words[0].startswith("unix:"):
        return []
    parameters = tuple(words[1:])
    is_ipv6 = words[0].startswith("[")
    address, _colon, port = words[0].rpartition(":")
    if PORT.fullmatch(words[0]):
        address, port = "*", words[0]
    elif words[0].endswith("]") or not address:
        address, port = words[0], "80"
    default = "default_server" in words or "default" in words
    ports = PORT.fullmatch(port)
    first = int(ports[1]) if ports else 80
    last = min(int(ports[2] or first), MAX_PORT) if ports else first
    address = "*" if address in WILDCARD_ADDRESSES else address
    numbers = range(first, max(first, last) + 1)
    return [Listen(address, number, default, is_ipv6, parameters) for number in numbers]


def _has_tls(directives: t.Iterable[list[str]], inherited: bool) -> bool:
    """Return the value of the directive ssl among these, or what the block inherits."""
    values = [words[1] == "on" for words in directives if words[0] == "ssl" and len(words) > 1]
    return values[-1] if values else inherited


def _certificates(directives: t.Iterable[list[str]]) -> tuple[str, ...]:
    return tuple(words[1] for words in directives if words[0] == "ssl_certificate" and len(words) > 1)


def _protocols(statements: t.Iterable[tuple[str, Statement]]) -> tuple[tuple[str, ...], str]:
    """Return the values of ssl_protocols and its place, or nothing and an empty text."""
    for path, statement in statements:
        if statement.words[0] == "ssl_protocols":
            return tuple(statement.words[1:]), f"{path}:{statement.line}"
    return (), ""


def _server_name(name: str) -> str:
    """Return a name as nginx compares it. A regular expression stays as it is."""
    return name if name.startswith("~") else name.lower()


def _unescaped(match: re.Match[str]) -> str:
    return ESCAPED.get(match[1], match[1])
