# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dates with their time of day, in UTC: the clock, a parser of ISO 8601, and a format for people."""

from __future__ import annotations

import datetime
import re
import typing as t

FORMATS = {"minutes": "%Y-%m-%d %H:%M UTC", "seconds": "%Y-%m-%d %H:%M:%S UTC"}


def utc_now() -> datetime.datetime:
    """Return the time of this machine, in UTC and microseconds."""
    return datetime.datetime.now(datetime.timezone.utc)


def parse_date(text: t.Any) -> datetime.datetime | None:
    """Return a date that is written in ISO 8601, in UTC; None for anything else.

    A date without a time zone is one in UTC. Digits of a second beyond the sixth are left out. Python 3.9 and 3.10 read neither these
    nor the Z of RFC 3339 by themselves.

    >>> parse_date("2026-11-21T10:00:00.123456789Z")
    datetime.datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=datetime.timezone.utc)
    """
    try:
        date = datetime.datetime.fromisoformat(re.sub(r"(\.[0-9]{1,6})[0-9]*", r"\1", text).replace("Z", "+00:00"))
        return (date if date.tzinfo else date.replace(tzinfo=datetime.timezone.utc)).astimezone(datetime.timezone.utc)
    except (TypeError, ValueError, OverflowError):
        return None


def format_date(date: datetime.datetime, timespec: str = "seconds") -> str:
    """Return a date as people read it. *timespec* is C(minutes) or C(seconds), as in datetime.isoformat().

    >>> format_date(datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.timezone.utc), "minutes")
    '2026-11-21 10:00 UTC'
    """
    return date.astimezone(datetime.timezone.utc).strftime(FORMATS[timespec])
