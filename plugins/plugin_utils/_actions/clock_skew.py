# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The difference between the clock of a host, which decides on the dates of certificates, and that of the controller."""

from __future__ import annotations

import datetime

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

# Nothing is issued for a host with a greater skew. CAs date certificates an hour back for hosts that are behind; on a host that is
# ahead, a certificate is due somewhat too early.
MAX_BEHIND = datetime.timedelta(hours=1)
MAX_AHEAD = datetime.timedelta(days=1)

MIN_REPORTED = datetime.timedelta(minutes=1)
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def measured_skew(before: datetime.datetime, host_time: str, after: datetime.datetime) -> datetime.timedelta:
    """Return by how much a host is ahead that said its time between two moments of the controller; negative if it is behind.

    Raises TlsError if *host_time* is no date in ISO 8601.
    """
    date = parse_date(host_time)
    if date is None:
        raise TlsError(f"the host says that it is {host_time!r} now; look at what it is doing")
    return date - min(max(date, before), max(before, after))


def skew_message(skew: datetime.timedelta) -> str | None:
    """Return by how much a host is ahead or behind, with the remedy; None if it is too little to matter."""
    if abs(skew) < MIN_REPORTED:
        return None
    side = "ahead of" if skew > datetime.timedelta() else "behind"
    return f"the clock of this host is {duration_in_words(abs(skew))} {side} that of the controller; set the one that is wrong"


def is_excessive(skew: datetime.timedelta) -> bool:
    """Say whether the clock of a host is too wrong to judge the dates of certificates."""
    return not -MAX_BEHIND <= skew <= MAX_AHEAD


def duration_in_words(duration: datetime.timedelta) -> str:
    """Return a duration in the two largest units that fit.

    >>> duration_in_words(datetime.timedelta(hours=49, minutes=2))
    '2 days and 1 hour'
    """
    left, parts = int(duration.total_seconds()), []
    for unit, seconds in UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
        elif parts:
            break
    return " and ".join(parts[:2])
