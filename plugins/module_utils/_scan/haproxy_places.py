# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that the configuration of HAProxy names (https://docs.haproxy.org/2.8/configuration.html, crt, crt-list, crt-base)."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._scan.place import (
    COMBINED,
    MAX_CONFIG_FILES,
    PEM,
    VARIABLE,
    Find,
    Place,
    Read,
)

WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'#\\])+""")
QUOTING = re.compile(r"""\\(.)|["']""")
PORT = re.compile(r":([0-9]{1,5})(?:-[0-9]{1,5})?(?:,|$)")
NO_CERTIFICATES = (".key", ".issuer", ".ocsp", ".sctl", ".dhparam")  # files beside a certificate, by their ends
SECTIONS = ("global", "defaults", "frontend", "backend", "listen", "peers", "program", "userlist", "resolvers", "cache")


def haproxy_places(path: str, read: Read, find: Find) -> list[Place]:
    """Return the certificates of the C(bind) lines of a file: by C(crt), a file or a folder, and by C(crt-list)."""
    base, section = "", ""
    places = []
    for number, words in _lines(read(path)):
        if words[0] in SECTIONS:
            section = words[0]
        elif section == "global" and words[0] == "crt-base" and len(words) > 1:
            base = words[1]
        elif words[0] == "bind" and len(words) > 1 and "ssl" in words:
            ports = tuple(sorted({int(port) for port in PORT.findall(words[1]) if int(port) <= 65535}))
            for option, value in zip(words, words[1:]):
                if option == "crt":
                    members: list[tuple[str, tuple[str, ...]]] = [(one, ()) for one in _members(value, base, find)]
                elif option == "crt-list":
                    members = _listed(value, base, read)
                else:
                    continue
                places += [_place(path, number, names, ports, member, read) for member, names in members]
            if len(places) > MAX_CONFIG_FILES:
                break
    return places[:MAX_CONFIG_FILES]


def _members(value: str, base: str, find: Find) -> list[str]:
    """Return the file that C(crt) names, or the files of the folder."""
    path = _absolute(value, base)
    inside = [] if "$" in path else find(os.path.join(path, "*"))
    return [one for one in inside if not one.endswith(NO_CERTIFICATES)] if inside else [path]


def _listed(value: str, base: str, read: Read) -> list[tuple[str, tuple[str, ...]]]:
    """Return the files of a C(crt-list) with the names for which each is presented."""
    members = []
    for _number, words in _lines(None if "$" in value else read(value)):
        rest = re.sub(r"\[[^\]]*\]", " ", " ".join(words[1:])).split()
        names = tuple(word.lower() for word in rest if not word.startswith("!"))
        members.append((_absolute(words[0], base), names))
    return members[:MAX_CONFIG_FILES]


def _place(
    path: str, number: int, names: tuple[str, ...], ports: tuple[int, ...], certificate: str, read: Read
) -> Place:
    """Return the place of a certificate. HAProxy reads the key of FILE from FILE.key where FILE has none."""
    form, key = COMBINED, ""
    if "$" in certificate:
        form = VARIABLE
    elif b"PRIVATE KEY" not in (read(certificate) or b"PRIVATE KEY"):
        form, key = PEM, f"{certificate}.key"
    return Place(path, number, "haproxy", names, ports, certificate, key, form=form)


def _absolute(value: str, base: str) -> str:
    return value if "$" in value else os.path.normpath(os.path.join(base, value))


def _lines(content: bytes | None) -> t.Iterator[tuple[int, list[str]]]:
    """Yield number and words of the lines that have some."""
    for number, line in enumerate((content or b"").decode("utf-8", "surrogateescape").split("\n"), start=1):
        words = [QUOTING.sub(r"\1", word) for word in WORD.findall(_without_comment(line))]
        if words and words[0]:
            yield number, words


def _without_comment(line: str) -> str:
    """Return a line up to the first C(#) outside of quotes."""
    position = 0
    while position < len(line):
        match = WORD.match(line, position)
        if match:
            position = match.end()
        elif line[position] == "#":
            return line[:position]
        else:
            position += 1
    return line
