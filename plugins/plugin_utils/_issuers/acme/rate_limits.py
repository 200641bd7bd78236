# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a CA may be asked again: rate limits (Retry-After), and the backoff after failures.

Kept on disk, so that all forks of a run and all later runs observe it.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.remedies import PAUSED_REMEDY, is_paused
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import (
    JsonRecords,
    date_to_wait_for,
    file_name,
)

MAX_WAIT_S = 20.0  # within one run; what takes longer is left to a later one
MAX_RETRY_AFTER = datetime.timedelta(days=8)  # the longest known rate limit counts a week
DEFAULT_RETRY_AFTER_S = 60.0
UNREACHABLE_BACKOFF = datetime.timedelta(seconds=30)
FAILURE_BACKOFFS = [
    datetime.timedelta(minutes=minutes) for minutes in (1, 10, 100, 1440)
]  # after each failure in a row
SLOT_POLL_S = 0.1
ALL_NAMES = "*"  # the scope of a limit that is about no name in particular


class RateLimits:
    """The rate limits of a CA, by scope: all names, some of them, or a set of them."""

    def __init__(self, folder: JsonRecords, directory_url: str) -> None:
        self.folder, self.name = folder, file_name(directory_url, re.sub("^https?://", "", directory_url))

    def wait(self, names: t.Iterable[str] = (), max_wait: float = MAX_WAIT_S) -> None:
        """Wait until the CA may be asked about these names.

        Raises Problem if that takes longer than *max_wait* seconds.
        """
        limits = self.folder.read(self.name)
        for scope in (ALL_NAMES, *scopes(names)):
            recorded = limits.get(scope)
            limit = recorded if isinstance(recorded, dict) else {}
            until = date_to_wait_for(limit.get("until"), MAX_RETRY_AFTER, utc_now())
            left = (until - utc_now()).total_seconds() if until else 0
            if left > max_wait:
                sentence = f"{limit.get('sentence') or 'the CA asked to wait'}"
                raise Problem(sentence, "rateLimited", retry_after=left)
            if left > 0:
                time.sleep(left)

    def record(self, refusal: Problem, names: t.Sequence[str] = ()) -> Problem:
        """Record for how long the CA may not be asked; return the refusal with that time in it."""
        seconds = refusal.retry_after if refusal.retry_after is not None else DEFAULT_RETRY_AFTER_S
        seconds = min(max(seconds, 1.0), MAX_RETRY_AFTER.total_seconds())
        until = utc_now() + datetime.timedelta(seconds=seconds)
        before = f"nothing is asked again before {format_date(until)}"
        limited = refusal.with_remedy(f"{PAUSED_REMEDY}; {before}" if is_paused(refusal.words) else before)
        limited.code, limited.retry_after = refusal.code or "rateLimited", seconds
        self._write(until, str(limited), limited_scopes(refusal.words, names))
        return limited

    def record_unreachable(self, sentence: str) -> None:
        """Record that the CA cannot be reached, so that the other forks do not all wait for it."""
        until = utc_now() + UNREACHABLE_BACKOFF
        self._write(until, f"{sentence}. It is asked again from {until:%H:%M:%S} UTC on", [ALL_NAMES])

    def _write(self, until: datetime.datetime, sentence: str, limited: list[str]) -> None:
        record = {"until": until.isoformat(), "sentence": sentence}
        with self.folder.locked(self.name):
            limits = {
                scope: limit
                for scope, limit in self.folder.read(self.name).items()
                if isinstance(limit, dict) and date_to_wait_for(limit.get("until"), MAX_RETRY_AFTER, utc_now())
            }
            self.folder.write(self.name, {**limits, **dict.fromkeys(limited, record)})


class FailureBackoff:
    """How often each request failed in a row, and when it may be tried again (FAILURE_BACKOFFS)."""

    def __init__(self, folder: JsonRecords) -> None:
        self.folder = folder

    def check(self, host: str, request: str, digest: str) -> None:
        """Raise TlsError if a request may not be tried yet.

        One with another *digest* may be: it asks for something else.
        """
        name = file_name(host, request)
        record = self.folder.read(name)
        until = date_to_wait_for(record.get("until"), FAILURE_BACKOFFS[-1], utc_now())
        if record.get("wanted") == digest and until:
            times = "once" if _count(record) <= 1 else f"{_count(record)} times in a row"
            raise TlsError(
                f"this failed {times}, and is tried again from {format_date(until)} on, so that the CA does not bar you; "
                f"the last time: {record.get('sentence') or 'nobody knows why'}. Once that is put right, "
                f"remove {self.folder.path_of(name)} to have it tried at once"
            )

    def record(self, host: str, request: str, digest: str, sentence: str) -> None:
        """Record that a request failed."""
        name = file_name(host, request)
        with self.folder.locked(name):
            record = self.folder.read(name)
            count = _count(record) + 1 if record.get("wanted") == digest else 1
            until = utc_now() + FAILURE_BACKOFFS[min(count, len(FAILURE_BACKOFFS)) - 1]
            self.folder.write(
                name, {"wanted": digest, "count": count, "until": until.isoformat(), "sentence": sentence}
            )

    def clear(self, host: str, request: str) -> None:
        """Record that a request succeeded."""
        self.folder.remove(file_name(host, request))


def _count(record: dict[str, t.Any]) -> int:
    count = record.get("count")
    return count if isinstance(count, int) and count > 0 else 0


class OrderSlots:
    """The orders that all forks together may work on at the same time."""

    def __init__(self, folder: JsonRecords, count: int) -> None:
        self.folder, self.count = folder, count

    @contextlib.contextmanager
    def slot(self, timeout: float) -> t.Iterator[None]:
        """Hold a slot, the first that is free. Raises TlsError after *timeout* seconds."""
        deadline = time.monotonic() + timeout
        while True:
            for number in range(self.count):
                with contextlib.ExitStack() as stack:
                    try:
                        stack.enter_context(self.folder.locked(f"{number}", 0))
                    except TlsError:
                        continue
                    yield
                    return
            if time.monotonic() > deadline:
                raise TlsError(
                    f"the places for orders, {self.count} of them, have been taken for {timeout:.0f} seconds; wait, then run this again"
                )
            time.sleep(SLOT_POLL_S)


def retry_after(headers: t.Mapping[str, str], now: datetime.datetime) -> float | None:
    """Return the seconds in Retry-After (RFC 9110, section 10.2.3), or None if it is malformed.

    A date is compared with the server's own Date, so that neither the clock nor the time zone of the controller matters.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", value):
        return float(value)
    until, server_now = _http_date(value), _http_date(headers.get("Date", ""))
    return max(0.0, (until - (server_now or now)).total_seconds()) if until else None


def limited_scopes(words: str, names: t.Sequence[str]) -> list[str]:
    """Return the scopes of a refusal: names of the request that it mentions, their set, or all names.

    >>> limited_scopes('too many certificates (50) already issued for "example.org" in the last 168h0m0s', ["www.example.org"])
    ['example.org']
    """
    if "exact set" in words:
        return [_name_set(names)]
    mentioned = {word.rstrip(".").lower() for word in re.findall(r"[*\w.:-]*[.:][\w.:-]+", words)}
    return sorted(scope for scope in scopes(names) if scope in mentioned) or [ALL_NAMES]


def scopes(names: t.Iterable[str]) -> list[str]:
    """Return what a limit for these names may be about: the names, the domains above them, and their set."""
    names = list(names)
    domains = {name[2:] if name.startswith("*.") else name for name in names}
    for name in list(domains):
        labels = name.split(".")
        domains.update(".".join(labels[start:]) for start in range(1, len(labels) - 1) if not labels[-1].isdigit())
    return [*sorted({*names, *domains}), _name_set(names)] if names else []


def _name_set(names: t.Iterable[str]) -> str:
    return ",".join(sorted(names))


def _http_date(text: str) -> datetime.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=datetime.timezone.utc)
