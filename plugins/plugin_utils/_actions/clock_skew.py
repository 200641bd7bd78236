# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clock of the controller and those of hosts, which decide on the dates of certificates and may disagree."""

from __future__ import annotations

import datetime

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

# What a host may be wrong by before nothing is issued for it. CAs date their certificates an hour back for those that are
# behind; to those that are ahead, a certificate is due somewhat too early.
BEHIND = datetime.timedelta(hours=1)
AHEAD = datetime.timedelta(days=1)

WORTH_TELLING = datetime.timedelta(minutes=1)
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def difference(before: datetime.datetime, told: str, after: datetime.datetime) -> datetime.timedelta:
    """Return by how much a host is ahead that *told* its time between two moments of the controller; less than none: behind."""
    date = parse_date(told)
    if date is None:
        raise TlsError(f"the host says that it is {told!r} now; look at what it is doing")
    return date - min(max(date, before), max(before, after))


def disagreement(ahead: datetime.timedelta) -> str | None:
    """Return by how much a host is ahead or behind, as a sentence that ends in what to do; None where that does not matter."""
    if abs(ahead) < WORTH_TELLING:
        return None
    side = "ahead of" if ahead > datetime.timedelta() else "behind"
    return f"the clock of this host is {readable(abs(ahead))} {side} that of the controller; set the one that is wrong"


def is_too_wrong(ahead: datetime.timedelta) -> bool:
    """Say whether a host cannot judge the dates of certificates."""
    return not -BEHIND <= ahead <= AHEAD


def readable(length: datetime.timedelta) -> str:
    """Return a length of time in the largest units that fit.

    >>> readable(datetime.timedelta(hours=49, minutes=2))
    '2 days and 1 hour'
    """
    left, parts = int(length.total_seconds()), []
    for unit, seconds in UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
        elif parts:
            break
    return " and ".join(parts[:2])
