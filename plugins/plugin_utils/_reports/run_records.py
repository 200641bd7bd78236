# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of runs: a folder with a JSON file for each, whose names sort by time and which several controllers may share."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import secrets
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._system.files import replace_file

FORMAT = 1  # of the content; a field that is added does not change it
TIME = "%Y-%m-%dT%H-%M-%SZ"
NAME = re.compile(r"([0-9]{4}(?:-[0-9]{2}){2}T(?:[0-9]{2}-){2}[0-9]{2}Z)-[0-9a-f]{16}\.json")


# not a parser: it reads what the collection has made or checked
def write_record(directory: str, content: dict[str, t.Any], now: datetime.datetime) -> str:
    """Write the record of a run that ended *now*; return its path."""
    directory = os.path.abspath(directory)
    _make_folder(directory)
    path = os.path.join(directory, f"{now.astimezone(datetime.timezone.utc):{TIME}}-{secrets.token_hex(8)}.json")
    replace_file(path, json.dumps({"format": FORMAT, **content}, indent=2).encode() + b"\n", mode=0o640)
    return path


def remove_old_records(directory: str, keep: datetime.timedelta, now: datetime.datetime) -> None:
    """Remove the records of runs that ended longer ago than *keep*, and nothing else."""
    with os.scandir(directory) as entries:
        records = [(written(entry.name), entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    for moment, path in records:
        if moment is not None and moment < now - keep:
            with contextlib.suppress(FileNotFoundError):  # another controller was faster
                os.unlink(path)


def written(name: str) -> datetime.datetime | None:
    """Return when the record of this name was written, or None for the name of something else.

    >>> written("2026-11-21T12-30-05Z-5f0c9a1be2d37748.json")
    datetime.datetime(2026, 11, 21, 12, 30, 5, tzinfo=datetime.timezone.utc)
    """
    match = NAME.fullmatch(name)
    try:
        return datetime.datetime.strptime(match[1], TIME).replace(tzinfo=datetime.timezone.utc) if match else None
    except ValueError:  # the 31st of February
        return None


def _make_folder(path: str) -> None:
    """Have a folder that strangers cannot look into; one that is there stays as it is."""
    if os.path.isdir(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(
        FileExistsError
    ):  # another controller was faster, or replace_file will say what stands there
        os.mkdir(path, mode=0o700)
        os.chmod(path, 0o750)  # whatever the umask
