# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting: what becomes of a request that somebody has to act on, and how loudly it is told, by what is left of the lifetime."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

PLAIN, LATE = "plain", "late"
# How loudly to remind, by the share of the lifetime that is left at the least. With less than the last one, or with a
# certificate that has expired, waiting is a failure.
REMINDERS = ((1 / 6, PLAIN), (1 / 12, "soon"), (1 / 40, "hurry"))
LOUD = {"soon": "ask where it stays: ", "hurry": "HURRY: ", LATE: "TOO LATE to wait longer: "}


class Waiting(t.NamedTuple):
    """What an issuer returns in the place of a chain, while somebody has to act."""

    sentence: str  # what is waited for, and what to do about it
    since: datetime.datetime
    until: datetime.datetime | None = None  # when the issuer gives up
    changed: bool = False  # whether the request was handed in just now


class Patient(t.Protocol):
    """What an issuer can do beside issuing, when it keeps requests while people think about them."""

    patience: datetime.timedelta

    def look(self, request: dict, csr: bytes, host: str) -> Waiting | None:
        """Return what issue() would wait for, without doing anything; None when it would hand in or answer."""

    def withdraw(self, host: str, name: str) -> bool:
        """Give up what waits for this request of a host; say whether there was anything."""

    def waiting_names(self, host: str) -> list[str]:
        """Return the names of the requests of a host that wait."""


def urgency(lifetime: dict[str, str] | None, now: datetime.datetime) -> str:
    """Return how loudly to remind of what waits: V(plain), V(soon), V(hurry) or V(late).

    *lifetime* has the first and the last moment of the certificate in use, in ISO 8601 (C(not_before), C(not_after)). While there is none, nothing can
    come to an end.
    """
    if not lifetime:
        return PLAIN
    start, end = expect_date(lifetime["not_before"]), expect_date(lifetime["not_after"])
    left = (end - now) / (end - start) if end > start else 0
    return next((word for share, word in REMINDERS if left >= share), LATE)


def describe(waiting: Waiting, lifetime: dict[str, t.Any] | None, now: datetime.datetime) -> dict[str, t.Any]:
    """Return what waits as results tell it."""
    loud = urgency(lifetime, now)
    return {
        "for": LOUD.get(loud, "") + waiting.sentence,
        "since": waiting.since.isoformat(timespec="seconds"),
        "until": expect_date(lifetime["not_after"]).isoformat(timespec="seconds") if lifetime else None,
        "urgency": loud,
        "names": lifetime.get("names", []) if lifetime else [],
    }


def sentence(waiting: Waiting, lifetime: dict[str, t.Any] | None, now: datetime.datetime) -> str:
    """Return what waits in one sentence. Raises TlsError with it when there is no time left to wait."""
    told = describe(waiting, lifetime, now)
    given_up = f", given up on {format_date(waiting.until, 'minutes')}" if waiting.until else ""
    said = f"{told['for']} (waiting since {format_date(waiting.since, 'minutes')}{given_up}; {_meanwhile(lifetime, told['urgency'], now)})"
    if told["urgency"] == LATE:
        raise TlsError(said, waiting=told, changed=waiting.changed)
    return said


def expect_date(text: str) -> datetime.datetime:
    """Return a date that is written in ISO 8601. Raises TlsError for anything else, since hosts write some of them."""
    date = parse_date(text)
    if date is None:
        raise TlsError(f"{text!r} is no moment in ISO 8601; look at what the host is doing")
    return date


def _meanwhile(lifetime: dict[str, t.Any] | None, loud: str, now: datetime.datetime) -> str:
    """Return what becomes of the certificate in use."""
    if not lifetime:
        return "no certificate is in use until then"
    start, end = expect_date(lifetime["not_before"]), expect_date(lifetime["not_after"])
    if end <= now:
        return f"the certificate in use expired on {format_date(end, 'minutes')}"
    left = "" if loud == PLAIN else f", {(end - now) / (end - start):.0%} of its lifetime is left"
    return f"the certificate in use goes on until {format_date(end, 'minutes')}{left}"
