# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often a CA may be asked: what it said itself (Retry-After), and how long a request that failed has to rest.

Kept on the disk, so that all forks of a run and all later runs hold to it.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import State, file_name

PATIENCE = 20.0  # seconds that are waited for a CA within a run; what takes longer is left to a later one
LONGEST = datetime.timedelta(days=8)  # what a CA may ask for; the longest known limit counts a week
UNTOLD = 60.0  # seconds, where a CA refuses for the moment and does not say for how long
AWAY = datetime.timedelta(seconds=30)  # for how long a CA is left alone that cannot be reached
REST = [datetime.timedelta(minutes=minutes) for minutes in (1, 10, 100, 1440)]  # after each failure of a request
EVERYTHING = "*"


class Limits:
    """For how long a CA wants to be left alone, with everything or with some of the names that it is asked for."""

    def __init__(self, state: State, directory: str) -> None:
        self.state, self.name = state, file_name(directory, re.sub("^https?://", "", directory))

    def respect(self, names: t.Iterable[str] = (), patience: float = PATIENCE) -> None:
        """Wait while the CA wants to be left alone. Raises a Problem where that takes longer than *patience* seconds."""
        waits = self.state.read(self.name)
        for scope in (EVERYTHING, *scopes(names)):
            until = parse_date((waits.get(scope) or {}).get("until"))
            left = (until - utc_now()).total_seconds() if until else 0
            if left > patience:
                raise Problem(waits[scope]["sentence"], "rateLimited", wait=left)
            if left > 0:
                time.sleep(left)

    def remember(self, refusal: Problem, names: t.Sequence[str] = ()) -> Problem:
        """Write down that the CA wants to be left alone; return the refusal, with the time until then."""
        seconds = min(max(refusal.wait if refusal.wait is not None else UNTOLD, 1.0), LONGEST.total_seconds())
        until = utc_now() + datetime.timedelta(seconds=seconds)
        told = refusal.advising(f"nothing is asked again before {format_date(until)}")
        told.code, told.wait = refusal.code or "rateLimited", seconds
        self._write(until, str(told), concerned(refusal.words, names))
        return told

    def leave(self, sentence: str) -> None:
        """Write down that the CA cannot be reached, so that not each of many forks waits for it as long as this one did."""
        until = utc_now() + AWAY
        self._write(until, f"{sentence}. It is asked again from {until:%H:%M:%S} UTC on", [EVERYTHING])

    def _write(self, until: datetime.datetime, sentence: str, about: list[str]) -> None:
        record = {"until": until.isoformat(), "sentence": sentence}
        with self.state.locked(self.name):
            waits = {
                scope: wait
                for scope, wait in self.state.read(self.name).items()
                if isinstance(wait, dict) and (parse_date(wait.get("until")) or until) > utc_now()
            }
            self.state.write(self.name, {**waits, **dict.fromkeys(about, record)})


class Failures:
    """What failed, how often in a row, and when it may be tried again: after 1, 10 and 100 minutes, then daily."""

    def __init__(self, state: State) -> None:
        self.state = state

    def respect(self, host: str, request: str, wanted: str) -> None:
        """Make sure that a request may be tried. *wanted* tells what is asked for: something else may be tried at once."""
        name = file_name(host, request)
        record = self.state.read(name)
        until = parse_date(record.get("until"))
        if record.get("wanted") == wanted and until and until > utc_now():
            times = "once" if record["count"] == 1 else f"{record['count']} times in a row"
            raise TlsError(
                f"this failed {times}, and is tried again from {format_date(until)} on, so that the CA does not bar you; "
                f"the last time: {record['sentence']}. Once that is put right, remove {self.state.file(name)} to have it tried at once"
            )

    def remember(self, host: str, request: str, wanted: str, sentence: str) -> None:
        """Write down that a request failed."""
        name = file_name(host, request)
        with self.state.locked(name):
            record = self.state.read(name)
            count = record.get("count", 0) + 1 if record.get("wanted") == wanted else 1
            until = utc_now() + REST[min(count, len(REST)) - 1]
            self.state.write(name, {"wanted": wanted, "count": count, "until": until.isoformat(), "sentence": sentence})

    def forget(self, host: str, request: str) -> None:
        """Write down that a request succeeded."""
        self.state.remove(file_name(host, request))


class Places:
    """So many places in which orders may be worked on at the same time, by all forks together."""

    def __init__(self, state: State, count: int) -> None:
        self.state, self.count = state, count

    @contextlib.contextmanager
    def taken(self, patience: float) -> t.Iterator[None]:
        """Hold one of the places, the first that gets free."""
        deadline = time.monotonic() + patience
        while True:
            for number in range(self.count):
                with contextlib.ExitStack() as stack:
                    try:
                        stack.enter_context(self.state.locked(f"{number}", patience=0))
                    except TlsError:
                        continue
                    yield
                    return
            if time.monotonic() > deadline:
                raise TlsError(
                    f"the places for orders, {self.count} of them, have been taken for {patience:.0f} seconds; wait, then run this again"
                )
            time.sleep(0.1)


def retry_after(headers: t.Mapping[str, str], now: datetime.datetime) -> float | None:
    """Return the seconds that an answer asks for, as a number or as a date; None where it says nothing that makes sense.

    A date is counted from the server's own, so that neither clock nor time zone of this machine matters.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", value):
        return float(value)
    until, said = _date(value), _date(headers.get("Date", ""))
    return max(0.0, (until - (said or now)).total_seconds()) if until else None


def concerned(words: str, names: t.Sequence[str]) -> list[str]:
    """Return what a refusal is about: the names of the request that it mentions, their set, or everything.

    >>> concerned('too many certificates (50) already issued for "example.org" in the last 168h0m0s', ["www.example.org"])
    ['example.org']
    """
    if "exact set" in words:
        return [_set(names)]
    told = {word.rstrip(".").lower() for word in re.findall(r"[*\w.:-]*[.:][\w.:-]+", words)}
    found = sorted(scope for scope in scopes(names) if scope in told)
    return found or [EVERYTHING]


def scopes(names: t.Iterable[str]) -> list[str]:
    """Return what a limit may be about: these names, the domains above them, and their set."""
    names = list(names)
    above = {name[2:] if name.startswith("*.") else name for name in names}
    for name in list(above):
        labels = name.split(".")
        above.update(".".join(labels[start:]) for start in range(1, len(labels) - 1) if not labels[-1].isdigit())
    return [*sorted({*names, *above}), _set(names)] if names else []


def _set(names: t.Iterable[str]) -> str:
    return ",".join(sorted(names))


def _date(text: str) -> datetime.datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)
