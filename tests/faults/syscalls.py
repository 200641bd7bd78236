# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""System calls in the log of strace: name, number, arguments and the paths that they name."""

from __future__ import annotations

import dataclasses
import os
import re

# Whatever changes something on a disk, brings it there, or takes a lock. The question mark: older kernels lack it.
BY_DESCRIPTOR = (
    "write",
    "writev",
    "pwrite64",
    "fsync",
    "fdatasync",
    "fchmod",
    "fchown",
    "ftruncate",
    "fallocate",
    "flock",
)
BY_PATH = ("rename", "link", "unlink", "mkdir", "rmdir", "chmod", "chown", "lchown", "truncate", "creat", "mknod")
BY_FOLDER = ("openat", "renameat", "renameat2", "linkat", "unlinkat", "mkdirat", "fchmodat", "?fchmodat2", "fchownat")
OF_LINKS = ("symlink", "symlinkat")
TRACED = (*BY_DESCRIPTOR, *BY_PATH, *BY_FOLDER, *OF_LINKS)

# Whatever has other processes do something, or waits until they have.
STARTS = ("vfork", "clone", "clone3")
SIGNALS = ("kill",)
WAITS = ("wait4", "clock_nanosleep")
PROCESSES = (*(f"?{name}" for name in STARTS), *SIGNALS, *WAITS)

LINE = re.compile(
    r"(?P<name>[a-z0-9_]+)\((?P<arguments>.*)\)\s+= (?P<result>-?[0-9]+|\?)(?:<[^>]*>)?(?: (?P<error>E[A-Z]+))?"
)
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
DESCRIPTOR = re.compile(r"(?:[0-9]+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
RANDOM = re.compile(r"\.[0-9a-f]{8}(?=/|$)")


@dataclasses.dataclass(frozen=True)
class Call:
    """One system call. number: its position among the calls of the same name, from 1."""

    name: str
    number: int
    arguments: tuple[str, ...]
    error: str | None

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths that it names, whole; for a rename first the old one."""
        if self.name in (*STARTS, *SIGNALS, *WAITS):
            return ()
        if self.name in BY_DESCRIPTOR:
            match = DESCRIPTOR.match(self.arguments[0])
            return (_text(match[1]),) if match else ()
        if self.name == "symlink":
            return (self.string(1),)
        if self.name == "symlinkat":
            return (self._below(1),)
        if self.name in ("renameat", "renameat2", "linkat"):
            return self._below(0), self._below(2)
        if self.name in BY_PATH:
            return tuple(_text(escaped) for escaped in STRING.findall(", ".join(self.arguments)))
        return (self._below(0),)

    @property
    def makes_file(self) -> bool:
        """Return whether the call is an open() that may create a file."""
        return self.name == "openat" and "O_CREAT" in self.arguments[2]

    def string(self, position: int) -> str:
        """Return an argument that is text."""
        return self.data(position).decode()

    def data(self, position: int) -> bytes:
        """Return an argument that is bytes."""
        return bytes.fromhex(STRING.fullmatch(self.arguments[position])[1].replace("\\x", ""))

    def mode(self, position: int) -> int:
        """Return an argument that is a mode."""
        return int(self.arguments[position], 8)

    def touches(self, folder: str) -> bool:
        """Return whether the call names a folder or something below it."""
        return any(path == folder or path.startswith(f"{folder}/") for path in self.paths)

    def describe(self, folder: str) -> str:
        """Return the call as text that is equal in each run: paths relative to *folder*, without random parts."""
        paths = [os.path.relpath(path, folder) if path[:1] == "/" else "a pipe" for path in self.paths]
        if self.name in SIGNALS:
            paths = [self.arguments[1]]
        return f"{self.name} {' -> '.join(RANDOM.sub('', path) for path in paths)}"

    def _below(self, position: int) -> str:
        return os.path.join(_text(DESCRIPTOR.match(self.arguments[position])[1]), self.string(position + 1))


def read_calls(log: str) -> list[Call]:
    """Parse the log of strace."""
    calls, counts = [], {}
    for line in log.splitlines():
        match = LINE.match(line)
        if match:
            name = match["name"]
            counts[name] = counts.get(name, 0) + 1
            calls.append(Call(name, counts[name], tuple(match["arguments"].split(", ")), match["error"]))
    return calls


def _text(escaped: str) -> str:
    return bytes.fromhex(escaped.replace("\\x", "")).decode()
