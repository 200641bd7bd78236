# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directives of nginx that name a file of a certificate. Without that file, nginx does not start."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Statement, parse_config, read_config
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import (
    PROGRAM_FOLDERS,
    ProgramFinder,
    find_program,
    main_files,
    running_masters,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import find_paths, read_regular
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import parse_build
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command


class Reference(t.NamedTuple):
    """A directive that names a file in a folder, itself or by a symbolic link."""

    path: str  # of the configuration file
    line: int
    directive: str
    file: str  # as the directive names it

    @property
    def place(self) -> str:
        """Return path and line as nginx writes them."""
        return f"{self.path}:{self.line}"


def certificate_references(finder: ProgramFinder, folder: str) -> list[Reference]:
    """Return the directives that name a file in a folder, of the nginx of this host: as it starts, and as it runs.

    None where nginx is not installed. A path with a variable, which nginx reads for each handshake, is no reference.
    """
    program = find_program(finder, PROGRAM_FOLDERS)
    if not program:
        return []
    build = parse_build(run_command([program, "-V"])[1])
    references: dict[Reference, None] = {}
    for main in main_files(running_masters(program), build.prefix, build.config_path):
        files = read_config(main, read_regular, find_paths)
        references.update(dict.fromkeys(references_in(files, main, folder)))
    return list(references)


def check_unreferenced(finder: ProgramFinder, folder: str) -> None:
    """Raise TlsError, which names the file and the line, if a directive of nginx names a file in a folder."""
    references = certificate_references(finder, folder)
    if references:
        raise TlsError(reference_sentence(references))


def reference_sentence(references: t.Sequence[Reference]) -> str:
    """Return which directive keeps a certificate, and what to do about it."""
    first = references[0]
    others = f" (and {len(references) - 1} more)" if len(references) > 1 else ""
    return (
        f"{first.place} names {first.file} as {first.directive}{others}, and nginx cannot start without it; take the site out of "
        "nginx_sites and run evergreen.tls.deploy, or take the line away and reload nginx, then run this again"
    )


def references_in(files: dict[str, str], main: str, folder: str) -> list[Reference]:
    """Return the directives in the text of files, by path, that name a file in a folder.

    main: the path of the main file, in whose folder relative paths begin.
    """
    return [
        Reference(path, statement.line, statement.words[0], word)
        for path, text in files.items()
        for statement in _all_statements(parse_config(text))
        if "ssl" in statement.words[0]
        for word in statement.words[1:]
        if "$" not in word and _is_inside(os.path.join(os.path.dirname(main), word), folder)
    ]


def _all_statements(statements: list[Statement]) -> t.Iterator[Statement]:
    """Yield statements with those of their blocks, in their order."""
    remaining = statements[::-1]
    while remaining:
        statement = remaining.pop()
        yield statement
        remaining += statement.block[::-1]


def _is_inside(path: str, folder: str) -> bool:
    """Return whether a path lies in a folder, or leads there by symbolic links."""
    if "\0" in path:
        return False
    is_named = os.path.normpath(path).startswith(f"{os.path.normpath(folder)}/")
    return is_named or os.path.realpath(path).startswith(f"{os.path.realpath(folder)}/")
