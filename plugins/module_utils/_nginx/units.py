# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of systemd that start nginx, and the command line of each, which a stopped nginx will have.

Their files are read, since there may be no manager to ask: systemd.unit(5) and systemd.service(5) describe them.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import (
    OPTIONS_WITH_VALUE,
    PROGRAM_NAMES,
    Master,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import MAX_FILE_BYTES, read_file

FOLDERS = (  # the first has the last word
    *("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"),
    *("/usr/lib/systemd/system", "/lib/systemd/system"),
)
COMMAND_PREFIXES = "@-:+!"
EXEC_START = re.compile(r"^[ \t]*ExecStart[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
CONTINUATION = re.compile(r"\\\n")


class Unit(t.NamedTuple):
    """A service that starts nginx."""

    name: str  # without .service
    options: Master
    is_enabled: bool


def nginx_units(program: str, folders: t.Sequence[str] = ()) -> list[Unit]:
    """Return the services that start *program*: those that are enabled or, if none is, all."""
    folders = folders or FOLDERS
    paths: dict[str, str] = {}
    for folder in folders:
        for path in sorted(glob.glob(os.path.join(folder, "*.service"))):
            paths.setdefault(os.path.basename(path), path)
    units = [unit for name, path in paths.items() if (unit := _unit(name, path, program, folders))]
    return [unit for unit in units if unit.is_enabled] or units


# not a parser: it reads what root alone can write
def start_options(text: str, program: str) -> Master | None:
    """Return the options with which the text of a unit starts *program*, or None if it starts something else.

    None as well for a command line with variables, whose values are elsewhere.
    """
    file = os.path.realpath(program)
    commands: list[list[str]] = []
    for match in EXEC_START.finditer(CONTINUATION.sub(" ", text)):
        try:
            words = shlex.split(match[1])
        except ValueError:
            continue
        commands = [*commands, words] if words else []  # an empty value forgets those before
    for words in commands:
        path = words[0].lstrip(COMMAND_PREFIXES)
        prefix = words[0][: -len(path) or None]
        arguments = words[2 if "@" in prefix else 1 :]
        if os.path.basename(path) in PROGRAM_NAMES and os.path.realpath(path) == file:
            return None if any("$" in word for word in arguments) else parse_arguments(arguments)
    return None


# not a parser: it reads what root alone can write
def parse_arguments(arguments: t.Sequence[str]) -> Master:
    """Return the options of a command line, as nginx reads them: C(-c FILE) and C(-cFILE)."""
    values: dict[str, str] = {}
    rest = list(arguments)[::-1]
    while rest:
        word = rest.pop()
        if not word.startswith("-"):
            continue
        for index, letter in enumerate(word[1:], start=2):
            if letter in OPTIONS_WITH_VALUE:
                values[letter] = word[index:] or (rest.pop() if rest else "")
                break
    return Master(0, values.get("p"), values.get("c"), values.get("g"))


def _unit(name: str, path: str, program: str, folders: t.Sequence[str]) -> Unit | None:
    """Return the service of a file with its drop-ins, or None if it does not start *program*, or is masked."""
    if "@" in name:
        return None
    parts: dict[str, str] = {}
    for folder in folders:
        for part in glob.glob(os.path.join(folder, f"{name}.d", "*.conf")):
            parts.setdefault(os.path.basename(part), part)
    texts = [_read(one) for one in (path, *(parts[part] for part in sorted(parts)))]
    options = start_options("\n".join(texts), program)
    if options is None:
        return None
    is_enabled = any(glob.glob(os.path.join(folder, "*.wants", name)) for folder in folders)
    return Unit(name[: -len(".service")], options, is_enabled)


# not a parser: it reads what root alone can write
def _read(path: str) -> str:
    """Return the text of a file, or an empty one for what is none, such as the null device of a masked unit."""
    try:
        return (read_file(path, max_bytes=MAX_FILE_BYTES) or b"").decode(errors="replace")
    except (OSError, TlsError):
        return ""
