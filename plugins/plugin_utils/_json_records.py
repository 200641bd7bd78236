# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the issuer C(type: acme) remembers between runs: a folder of small JSON files that is closed to others.

Each file is replaced in one rename, and changed under a lock of its own name, so that any number of forks may share them.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._system.files import locked, read_file, replace_file


class State:
    """A folder of records, each a dictionary with a name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def within(self, name: str) -> State:
        """Return the folder of this name inside."""
        return State(os.path.join(self.path, name))

    # not a parser: it reads what the collection has made or checked
    def read(self, name: str) -> dict[str, t.Any]:
        """Return a record; an empty one where it is missing or malformed, since all of it can be had again."""
        try:
            record = json.loads(read_file(self.file(name)) or b"{}")
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    # not a parser: it reads what the collection has made or checked
    def write(self, name: str, record: dict[str, t.Any]) -> None:
        """Put a record in the place of the one before."""
        self.make()
        replace_file(self.file(name), json.dumps(record, indent=2, sort_keys=True).encode() + b"\n", mode=0o600)

    def remove(self, name: str) -> None:
        """Forget a record."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(name))

    def names(self) -> list[str]:
        """Return the names of all records."""
        try:
            return sorted(name.removesuffix(".json") for name in os.listdir(self.path) if name.endswith(".json"))
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def locked(self, name: str, patience: float = 60.0) -> t.Iterator[None]:
        """Hold the lock of a record."""
        self.make()
        with locked(os.path.join(self.path, f"{name}.lock"), patience):
            yield

    def sweep(self, older_than: datetime.timedelta, now: datetime.datetime) -> None:
        """Remove what nobody has touched for so long, locks included."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another fork was faster
                    if entry.is_file() and entry.stat().st_mtime < (now - older_than).timestamp():
                        os.unlink(entry.path)

    def make(self) -> None:
        """Have the folder."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)

    def file(self, name: str) -> str:
        """Return the path of a record."""
        return os.path.join(self.path, f"{name}.json")


# not a parser: it reads what the collection has made or checked
def file_name(*words: str) -> str:
    """Return a file name that stands for these words, and that people recognize by the last of them.

    >>> file_name("web1", "www.example.org")
    'www.example.org-0ba971d1d2b94678'
    """
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9.-]+', '-', words[-1])[:80].strip('.-')}-{digest}"
