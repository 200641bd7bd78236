# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder of small JSON files that is closed to others, for what is remembered between runs.

Each file is replaced by one rename, and changed under a lock of its own name, so that any number of processes may share them.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import locked, read_file, replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

LOCK_TIMEOUT_S = 60.0
DIGEST_LENGTH = 16  # hexadecimal digits of a file name that make it unique
MAX_WORD_LENGTH = 80


class JsonRecords:
    """The records in a folder. Each is a dictionary and has a name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def subfolder(self, name: str) -> JsonRecords:
        """Return the records in a folder inside this one."""
        return JsonRecords(os.path.join(self.path, name))

    # not a parser: it reads what the collection has made or checked
    def read(self, name: str, texts: t.Collection[str] = ()) -> dict[str, t.Any]:
        """Return a record; an empty one where it is missing or malformed, since all of it can be had again.

        texts: keys whose values are left out where they are no texts.
        """
        content = read_file(self.path_of(name))
        if not content:
            return {}
        try:
            record = json.loads(content)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(record, dict):
            return {}
        return {key: value for key, value in record.items() if key not in texts or isinstance(value, str)}

    # not a parser: it reads what the collection has made or checked
    def read_certificates(self, name: str, keys: t.Iterable[str]) -> dict[str, dict[str, t.Any]]:
        """Return the C(certificates) of a record: dictionaries with these keys, by their own keys; none where the record is missing.

        Raises TlsError where it is malformed, since nobody can say what is lost.
        """
        content = read_file(self.path_of(name))
        if content is None:
            return {}
        with reject_malformed_input(f"{self.path_of(name)} is no record of certificates; restore it from a backup"):
            certificates: dict[str, dict[str, t.Any]] = json.loads(content)["certificates"]
            if not all(isinstance(one[key], str) for one in certificates.values() for key in keys):
                raise ValueError(name)
        return certificates

    # not a parser: it reads what the collection has made or checked
    def write(self, name: str, record: t.Mapping[str, t.Any]) -> None:
        """Write a record, and replace the previous one."""
        self.make_folder()
        replace_file(self.path_of(name), json.dumps(record, indent=2, sort_keys=True).encode() + b"\n", mode=0o600)

    def remove(self, name: str) -> None:
        """Remove a record, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path_of(name))

    def names(self) -> list[str]:
        """Return the names of all records."""
        try:
            return sorted(name.removesuffix(".json") for name in os.listdir(self.path) if name.endswith(".json"))
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def locked(self, name: str, timeout_s: float = LOCK_TIMEOUT_S) -> t.Iterator[None]:
        """Hold the lock of a record. Raises TlsError when another process holds it for longer than the timeout."""
        self.make_folder()
        with locked(os.path.join(self.path, f"{name}.lock"), timeout_s):
            yield

    def remove_older(self, age: datetime.timedelta, now: datetime.datetime) -> None:
        """Remove the records and locks that have not been written for so long."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    if entry.is_file() and entry.stat().st_mtime < (now - age).timestamp():
                        os.unlink(entry.path)

    def make_folder(self) -> None:
        """Make the folder, if it is missing."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)

    def path_of(self, name: str) -> str:
        """Return the path of a record."""
        return os.path.join(self.path, f"{name}.json")


def date_to_wait_for(text: t.Any, longest: datetime.timedelta, now: datetime.datetime) -> datetime.datetime | None:
    """Return the date in a record before which nothing is tried again; None where it is over, or is none.

    longest: as far ahead as a date is ever written. One that is further away is from a clock that was ahead, and does not count.
    """
    date = parse_date(text)
    return date if date and now < date <= now + longest else None


# not a parser: it reads what the collection has made or checked
def file_name(*words: str) -> str:
    """Return a file name that stands for these words, and that people recognize by the last of them.

    >>> file_name("web1", "www.example.org")
    'www.example.org-0ba971d1d2b94678'
    """
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{re.sub('[^A-Za-z0-9.-]+', '-', words[-1])[:MAX_WORD_LENGTH].strip('.-')}-{digest}"
