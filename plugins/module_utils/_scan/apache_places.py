# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that the configuration of the Apache HTTP server names.

The files are read as Apache reads them (https://httpd.apache.org/docs/2.4/configuring.html). Apache itself is not started: its
script apachectl makes folders, and refuses to list anything while one line is wrong. Sections such as C(<IfModule>) count as if
their condition were true.
"""

from __future__ import annotations

import os
import re
import types
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

MAX_INCLUDE_DEPTH = 20
MAX_LINES = 1_000_000  # of all files together
ARGUMENT = re.compile(r'"((?:\\.|[^"\\])*)"|\'((?:\\.|[^\'\\])*)\'|(\S+)')
HOST_PORT = re.compile(r":([0-9]{1,5})$")
VARIABLE_NAME = re.compile(r"\$\{([^}$]{1,200})\}")
NO_VARIABLES: t.Mapping[str, str] = types.MappingProxyType({})
DEFAULT_PORT = 443  # of a virtual host without one


class _Line(t.NamedTuple):
    """A directive, or the begin of a section (C(<VirtualHost) …) or its end (C(</VirtualHost))."""

    path: str
    number: int
    name: str  # in lower case
    arguments: tuple[str, ...]


class _Host:
    """What a virtual host says of TLS, or what is said outside of all."""

    def __init__(self, path: str = "", line: int = 0, ports: tuple[int, ...] = ()) -> None:
        self.path, self.line, self.ports = path, line, ports
        self.names: list[str] = []
        self.values: dict[str, list[str]] = {}
        self.engine = ""


def apache_places(
    main: str, read: Read, find: Find, root: str = "", variables: t.Mapping[str, str] = NO_VARIABLES
) -> list[Place]:
    """Return the certificates of the virtual hosts with C(SSLEngine on), each pair by itself.

    root: the folder of relative paths until ServerRoot names one; by default that of the main file.
    variables: of the environment that Apache starts in, by name.
    """
    reader = _Reader(read, find, root or os.path.dirname(main), variables)
    outside, hosts = _Host(), []
    current = outside
    for line in reader.lines(main):
        if line.name == "<virtualhost":
            ports = tuple(sorted({_port(one) for one in line.arguments}))
            current = _Host(line.path, line.number, ports)
            hosts.append(current)
        elif line.name == "</virtualhost":
            current = outside
        else:
            _note(current, line)
    places = []
    for host in hosts:
        if (host.engine or outside.engine) in ("on", "optional"):
            places += _places_of_host(host, outside, reader.root)
    return places


def _note(host: _Host, line: _Line) -> None:
    if line.name == "sslengine" and line.arguments:
        host.engine = line.arguments[0].lower()
    elif line.name in ("servername", "serveralias"):
        host.names += [name for one in line.arguments if (name := _name(one))]
    elif line.name in ("sslcertificatefile", "sslcertificatekeyfile", "sslcertificatechainfile") and line.arguments:
        host.values.setdefault(line.name, []).append(line.arguments[0])


def _places_of_host(host: _Host, outside: _Host, root: str) -> list[Place]:
    """Return the pairs of a virtual host. A certificate without a key of its own has that in its file."""

    def values(name: str) -> list[str]:
        return host.values.get(name) or outside.values.get(name) or []

    certificates, keys = values("sslcertificatefile"), values("sslcertificatekeyfile")
    chain = (values("sslcertificatechainfile") or [""])[-1]
    names = tuple(dict.fromkeys(host.names))
    places = []
    for index, certificate in enumerate(certificates):
        key = keys[index] if index < len(keys) else ""
        if any("${" in one or one.startswith("pkcs11:") for one in (certificate, key, chain)):
            places.append(Place(host.path, host.line, "apache", names, host.ports, certificate, key, chain, VARIABLE))
            continue
        certificate, key, chain = (
            os.path.normpath(os.path.join(root, one)) if one else "" for one in (certificate, key, chain)
        )
        form = COMBINED if key in ("", certificate) else PEM
        places.append(Place(host.path, host.line, "apache", names, host.ports, certificate, key, chain, form))
    return places


def _name(text: str) -> str:
    """Return the name of a ServerName, which may have a scheme before it and a port behind it."""
    return HOST_PORT.sub("", text.rpartition("://")[2]).lower()


def _port(address: str) -> int:
    match = HOST_PORT.search(address)
    return int(match[1]) if match and int(match[1]) <= 65535 else DEFAULT_PORT


class _Reader:
    """Yields the lines of a configuration with those of the files that it includes."""

    def __init__(self, read: Read, find: Find, root: str, variables: t.Mapping[str, str]) -> None:
        self.read, self.find, self.root = read, find, root
        self.variables = dict(variables)
        self.files = self.count = 0

    def lines(self, path: str, above: tuple[str, ...] = ()) -> t.Iterator[_Line]:
        """Yield the lines of a file in their order. A file that includes itself is read once."""
        if path in above or len(above) > MAX_INCLUDE_DEPTH or self.files >= MAX_CONFIG_FILES:
            return
        self.files += 1
        for number, text in _logical_lines(self.read(path) or b""):
            self.count += 1
            if self.count > MAX_LINES:
                return
            line = self._parsed(path, number, text)
            if line is None:
                continue
            if line.name in ("include", "includeoptional") and line.arguments:
                pattern = os.path.normpath(os.path.join(self.root, line.arguments[0]))
                for member in self.find(pattern):
                    yield from self.lines(member, (*above, path))
                continue
            if line.name == "serverroot" and line.arguments:
                self.root = line.arguments[0]
            elif line.name == "define" and line.arguments:
                self.variables[line.arguments[0]] = line.arguments[1] if len(line.arguments) > 1 else ""
            yield line

    def _parsed(self, path: str, number: int, text: str) -> _Line | None:
        text = VARIABLE_NAME.sub(lambda match: self.variables.get(match[1], match[0]), text.strip())
        if not text or text.startswith("#"):
            return None
        if text.startswith("<"):
            text = text.rstrip("> \t")
        words = ["".join(match) for match in ARGUMENT.findall(text)]
        return _Line(path, number, words[0].lower(), tuple(words[1:])) if words else None


def _logical_lines(content: bytes) -> t.Iterator[tuple[int, str]]:
    """Yield number and text of each line. A backslash at the end of a line continues it."""
    kept, first = "", 0
    for number, text in enumerate(content.decode("utf-8", "surrogateescape").split("\n"), start=1):
        first = first or number
        if text.endswith("\\"):
            kept += text[:-1]
            continue
        yield first, kept + text
        kept, first = "", 0
    if kept:
        yield first, kept
