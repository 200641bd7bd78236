# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that wait for people: a folder of the controller with a record of each, by the digest of its public key."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file, replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import expect_date

WAITING, ANSWERED, WITHDRAWN = "waiting", "answered", "withdrawn"
REMEMBERED = datetime.timedelta(days=400)  # so that an answer that comes late is told what it is


class Queue:
    """The records in a folder. Whatever changes one is called under the lock of its issuer."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def records(self) -> list[dict[str, t.Any]]:
        """Return all records, the oldest first."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        read = (
            self.get(name[: -len(".json")]) for name in names if name.endswith(".json") and not name.startswith(".")
        )
        return sorted(filter(None, read), key=lambda record: (record["handed_in"], record["key"]))

    def waiting(self, host: str | None = None) -> list[dict[str, t.Any]]:
        """Return the records of what waits, of one host or of all."""
        return [one for one in self.records() if one["state"] == WAITING and host in (None, one["host"])]

    # not a parser: it reads what the collection has made or checked
    def get(self, key: str) -> dict[str, t.Any] | None:
        """Return the record of a public key, or None."""
        path = self._path(key)
        content = read_file(path)
        try:
            return json.loads(content) if content is not None else None
        except ValueError as error:
            raise TlsError(f"{path} is no record of a request; restore it from a backup, or remove it") from error

    # not a parser: it reads what the collection has made or checked
    def put(self, record: dict[str, t.Any]) -> None:
        """Write a record, in the place of the one before."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        content = json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n"
        replace_file(self._path(record["key"]), content, mode=0o600)

    def close(self, record: dict[str, t.Any], state: str, why: str, now: datetime.datetime, **more: t.Any) -> None:
        """Have a request wait no longer."""
        self.put({**record, **more, "state": state, "why": why, "closed": now.isoformat(timespec="seconds")})

    def forget(self, now: datetime.datetime) -> None:
        """Remove the records of what was closed so long ago that nobody will ask for it."""
        for record in self.records():
            if record["state"] != WAITING and expect_date(record["closed"]) < now - REMEMBERED:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(record["key"]))

    def _path(self, key: str) -> str:
        return os.path.join(self.directory, f"{key}.json")
