# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of runs: a folder with one JSON file for each.

File names sort by time. Several controllers may share the folder.
"""

from __future__ import annotations

import collections.abc
import contextlib
import datetime
import json
import os
import re
import secrets
import socket
import typing as t

from ansible import context
from ansible.release import __version__ as ansible_version

from ansible_collections.evergreen.tls.plugins.module_utils._system.files import replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._current_user import user_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import ReportSummary
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_value

RECORD_FORMAT = 1  # of the content; a field that is added does not change it
RECORD_TIME_FORMAT = "%Y-%m-%dT%H-%M-%SZ"
RECORD_NAME = re.compile(r"([0-9]{4}(?:-[0-9]{2}){2}T(?:[0-9]{2}-){2}[0-9]{2}Z)-[0-9a-f]{16}\.json")
RECORD_MODE = 0o640
FOLDER_MODE = 0o750


class RunDescription(t.TypedDict):
    """What is known of a run, whatever became of it, as its record has it in JSON."""

    started: str | None  # ISO 8601, as the survey returns it
    finished: str  # ISO 8601
    check_mode: bool
    controller: str  # the name of this machine
    user: str
    ansible: str  # the version of ansible-core
    playbooks: list[str]
    play: str | None
    limit: str | None  # of ansible-playbook
    survey: dict[str, int]  # how many endpoints were found in each state


class RunRecord(RunDescription, ReportSummary):
    """The content of a record, beside its format: what is known of the run, and its report."""


def describe_run(survey: t.Any, task_vars: t.Mapping[str, t.Any], now: datetime.datetime) -> RunDescription:
    """Return what is known of a run that ended *now*.

    survey: the result of evergreen.tls.survey, a mapping with values of any shape.
    """
    started, counts = survey.get("started"), survey.get("counts")
    counts = counts if isinstance(counts, collections.abc.Mapping) else {}
    return {
        "started": started if isinstance(started, str) else None,
        "finished": now.isoformat(timespec="seconds"),
        "check_mode": False,  # in which nothing is recorded
        "controller": socket.gethostname(),
        "user": user_name(),
        "ansible": ansible_version,
        "playbooks": _started_playbooks(),
        "play": task_vars.get("ansible_play_name"),
        "limit": task_vars.get("ansible_limit"),
        "survey": {str(state): number for state, number in counts.items() if isinstance(number, int)},
    }


# not a parser: it reads what the collection has made or checked
def write_record(directory: str, record: RunRecord, now: datetime.datetime) -> str:
    """Write the record of a run that ended *now*; return its path. Raises OSError."""
    directory = os.path.abspath(directory)
    _make_folder(directory)
    time = now.astimezone(datetime.timezone.utc).strftime(RECORD_TIME_FORMAT)
    path = os.path.join(directory, f"{time}-{secrets.token_hex(8)}.json")
    replace_file(
        path, json.dumps({"format": RECORD_FORMAT, **escape_value(record)}, indent=2).encode() + b"\n", mode=RECORD_MODE
    )
    return path


def remove_old_records(directory: str, keep: datetime.timedelta, now: datetime.datetime) -> None:
    """Remove the records of runs that ended longer ago than *keep*, and nothing else. Raises OSError."""
    with os.scandir(directory) as entries:
        records = [
            (time_of_record(entry.name), entry.path) for entry in entries if entry.is_file(follow_symlinks=False)
        ]
    for time, path in records:
        if time is not None and time < now - keep:
            with contextlib.suppress(FileNotFoundError):  # another controller was faster
                os.unlink(path)


def time_of_record(name: str) -> datetime.datetime | None:
    """Return when the record of this file name was written, or None for the name of another file.

    >>> time_of_record("2026-11-21T12-30-05Z-5f0c9a1be2d37748.json")
    datetime.datetime(2026, 11, 21, 12, 30, 5, tzinfo=datetime.timezone.utc)
    """
    match = RECORD_NAME.fullmatch(name)
    if not match:
        return None
    try:
        return datetime.datetime.strptime(match[1], RECORD_TIME_FORMAT).replace(tzinfo=datetime.timezone.utc)
    except ValueError:  # the 31st of February
        return None


def _started_playbooks() -> list[str]:
    """Return the playbooks that this run was started with."""
    playbooks = context.CLIARGS.get("args")
    return list(playbooks) if isinstance(playbooks, (list, tuple)) else []


def _make_folder(path: str) -> None:
    """Make a folder that others cannot look into, unless it exists; an existing folder keeps its mode."""
    if os.path.isdir(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # Another controller may be faster. Where something else stands there, replace_file() says so.
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode=0o700)
        os.chmod(path, FOLDER_MODE)  # whatever the umask
