# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of an appliance by commands of a POSIX shell, for SSH servers without SFTP such as dropbear.

The content of a file is the standard input of a command. It never is part of one: others can read the command lines of all processes.
"""

from __future__ import annotations

import shlex

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.remote_files import MAX_FILE_BYTES, FileKind
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import CommandResult, Session

FILE_COMMAND_TIMEOUT_S = 30.0

# $1 is the path, quoted. A link is seen before what it leads to.
KIND = 'if [ -h "$1" ]; then echo link; elif [ -d "$1" ]; then echo folder; elif [ -f "$1" ]; then echo file; elif [ -e "$1" ]; then echo other; fi'

# $1 is the new file, $2 the mode, $3 the file whose owner and group it gets. cp -p keeps these; the copy is closed to others, then emptied.
# With set -C, a file that another user puts there meanwhile is refused (POSIX, Shell Command Language, 2.7.2).
WRITE = (
    'set -e; umask 077; rm -f "$1"; if [ -f "$3" ]; then cp -p "$3" "$1"; chmod 600 "$1"; else set -C; fi; '
    'exec 3> "$1"; cat >&3; exec 3>&-; chmod "$2" "$1"; sync "$1" 2>/dev/null || :; wc -c < "$1"'
)

# A file system without hard links gets a copy, under its name once it is whole.
LINK = 'ln "$1" "$2" 2>/dev/null || { cp -p "$1" "$2.part" && mv -f "$2.part" "$2"; }'

# mv into a folder would succeed under another name.
REPLACE = '[ ! -d "$2" ] && mv -f "$1" "$2"'


class ShellFiles:
    """The files of an appliance by commands of a shell. See RemoteFiles."""

    has_atomic_replace = True  # mv within a folder is rename(2)

    def __init__(self, session: Session) -> None:
        self._session = session

    def kind(self, path: str) -> FileKind | None:
        """Return what is at a path."""
        kind = self._run(f"looking at {path}", KIND, path).output.decode("ascii", "replace").strip()
        kinds: dict[str, FileKind | None] = {"": None, "file": "file", "folder": "folder", "link": "link"}
        return kinds.get(kind, "other")

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        content = self._run(f"reading {path}", 'cat "$1"', path).output
        if len(content) > MAX_FILE_BYTES:
            raise TlsError(
                f"{self._session.where}: {path} has more than {MAX_FILE_BYTES} bytes, and is no certificate; correct path in files"
            )
        return content

    # not a parser: it writes what the collection has made or checked
    def write_new(self, path: str, content: bytes, mode: int, like: str) -> None:
        """Write a file under a name that it has for itself alone."""
        action = f"writing {path}"
        try:
            written = self._run(action, WRITE, path, f"{mode:04o}", like, stdin=content).output.split()
            if written != [str(len(content)).encode()]:
                raise TlsError(
                    f"{self._session.where}: {action} ended early, after {written!r} of {len(content)} bytes; see whether its disk is full"
                )
        except TlsError as error:
            self._session.run(_command('rm -f "$1"', path), FILE_COMMAND_TIMEOUT_S)
            raise error

    def link(self, path: str, other: str) -> None:
        """Give a file a second name."""
        self._run(f"giving {path} the second name {other}", LINK, path, other)

    def replace(self, path: str, other: str) -> None:
        """Rename a file over another."""
        self._run(f"renaming {path} to {other}", REPLACE, path, other)

    def rename(self, path: str, other: str) -> None:
        """Rename a file to a name that is free."""
        self.replace(path, other)

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        self._run(f"removing {path}", 'rm -f "$1"', path)

    def _run(self, action: str, script: str, *arguments: str, stdin: bytes = b"") -> CommandResult:
        result = self._session.run(_command(script, *arguments), FILE_COMMAND_TIMEOUT_S, stdin, action)
        if result.status != 0:
            raise TlsError(
                f"{self._session.where}: {action} failed (exit status {result.status}: {result.errors or 'it says nothing'}); see whether "
                "the folder is there and may be written by user, and whether its disk is full"
            )
        return result


def _command(script: str, *arguments: str) -> str:
    """Return the command line for a shell that runs a script with these arguments, as $1 and so on."""
    return " ".join(["sh", "-c", *(shlex.quote(word) for word in (script, "sh", *arguments))])
