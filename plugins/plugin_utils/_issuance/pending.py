# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pending requests: a person has to act on them. How urgent that is follows from the certificate that is in use meanwhile."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

PLAIN, LATE = "plain", "late"
# The urgency, by the least share of the lifetime that is left. With less than the last one, or with a certificate that has
# expired, a pending request is a failure.
URGENCY_BY_SHARE = ((1 / 6, PLAIN), (1 / 12, "soon"), (1 / 40, "hurry"))
PREFIXES = {"soon": "ask where it stays: ", "hurry": "urgent: ", LATE: "overdue: "}


class Pending(t.NamedTuple):
    """What an issuer returns instead of certificates while a person has to act."""

    sentence: str  # what to do
    since: datetime.datetime
    until: datetime.datetime | None = None  # when the issuer withdraws the request
    changed: bool = False  # whether the request was handed in just now


class Validity(t.TypedDict, total=False):
    """The certificate in use on a host, as certificate_request returns it. Dates are in ISO 8601."""

    not_before: str
    not_after: str
    names: list[str]


# A pending request in results (C(waiting)): what to do, since when it is pending, when the certificate in use expires (both
# dates in ISO 8601), a word of urgency(), and the names of the certificate in use.
PendingResult = t.TypedDict(
    "PendingResult", {"for": str, "since": str, "until": t.Optional[str], "urgency": str, "names": list[str]}
)


def urgency(valid: Validity | None, now: datetime.datetime) -> str:
    """Return how urgent a pending request is: V(plain), V(soon), V(hurry) or V(late).

    It is V(plain) while no certificate is in use. Raises TlsError for malformed dates.
    """
    if not valid:
        return PLAIN
    start, end = expect_date(valid["not_before"]), expect_date(valid["not_after"])
    left = (end - now) / (end - start) if end > start else 0
    return next((word for share, word in URGENCY_BY_SHARE if left >= share), LATE)


def pending_result(pending: Pending, valid: Validity | None, now: datetime.datetime) -> PendingResult:
    """Return a pending request as results show it."""
    word = urgency(valid, now)
    return {
        "for": PREFIXES.get(word, "") + pending.sentence,
        "since": pending.since.isoformat(timespec="seconds"),
        "until": expect_date(valid["not_after"]).isoformat(timespec="seconds") if valid else None,
        "urgency": word,
        "names": valid.get("names", []) if valid else [],
    }


def pending_message(pending: Pending, valid: Validity | None, now: datetime.datetime) -> str:
    """Return a pending request in one sentence. Raises TlsError with it when the urgency is V(late)."""
    result = pending_result(pending, valid, now)
    given_up = f", given up on {format_date(pending.until, 'minutes')}" if pending.until else ""
    in_use = _certificate_in_use(valid, result["urgency"], now)
    message = f"{result['for']} (waiting since {format_date(pending.since, 'minutes')}{given_up}; {in_use})"
    if result["urgency"] == LATE:
        raise TlsError(message, waiting=result, changed=pending.changed)
    return message


def expect_date(text: str) -> datetime.datetime:
    """Return a date that is written in ISO 8601. Raises TlsError for anything else; hosts write some."""
    date = parse_date(text)
    if date is None:
        raise TlsError(f"{text!r} is no moment in ISO 8601; look at what the host is doing")
    return date


def _certificate_in_use(valid: Validity | None, word: str, now: datetime.datetime) -> str:
    """Say how long the certificate in use is valid. word: its urgency."""
    if not valid:
        return "no certificate is in use until then"
    start, end = expect_date(valid["not_before"]), expect_date(valid["not_after"])
    if end <= now:
        return f"the certificate in use expired on {format_date(end, 'minutes')}"
    left = "" if word == PLAIN else f", {(end - now) / (end - start):.0%} of its lifetime is left"
    return f"the certificate in use goes on until {format_date(end, 'minutes')}{left}"
