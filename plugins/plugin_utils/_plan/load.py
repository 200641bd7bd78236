# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lifetime costs: renewals a day, the busiest day, and how many renewals fall into the window of their renewal information."""

from __future__ import annotations

import collections
import datetime
import math
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    SHORT_LIFETIME,
    first_renewal_time,
    renewal_time,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.first_renewals import is_large_batch
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_window import renewal_instant

HOUR, DAY, WEEK = datetime.timedelta(hours=1), datetime.timedelta(days=1), datetime.timedelta(days=7)
# CA/Browser Forum, ballot SC-081: 200 days since 2026-03-15, 100 since 2027-03-15, 47 since 2029-03-15. 160 hours: the profile shortlived of
# Let's Encrypt.
LIFETIMES = (200 * DAY, 100 * DAY, 47 * DAY, 160 * HOUR)
HALF_WINDOW_SHARE = 1 / 100  # of the lifetime, on each side of its middle, as Let's Encrypt makes windows
DELAY_STEPS, PAUSE_STEPS = 12, 120  # of the sum of share_in_window()


class Load(t.NamedTuple):
    """What a number of certificates costs at a lifetime."""

    lifetime: datetime.timedelta
    a_day: float  # renewals, in the mean
    busiest_day: int  # of the first renewals, where all were issued on one day
    share_in_window: float | None  # of renewals; None where the schedule is not known
    set_a_week: float  # certificates for the largest set of names
    busiest_day_spread: int  # the same as busiest_day, where first renewals are spread


def load_at(
    lifetime: datetime.timedelta,
    seeds: t.Sequence[str],
    largest_set: int,
    pause: datetime.timedelta | None,
    delay: datetime.timedelta,
    has_windows: bool,
    spread_seeds: t.Collection[str] = (),
) -> Load:
    """Return the load of certificates with a lifetime.

    seeds: of their renewals, HOST/REQUEST. largest_set: how many of them have the same names. pause: between two runs of the schedule.
    has_windows: whether their CA says when it wants them renewed. spread_seeds: those whose first renewals are spread where many are issued on a day.
    """
    life = renewed_after(lifetime)
    busiest, busiest_spread = busiest_days(lifetime, seeds, has_windows, spread_seeds)
    share = share_in_window(lifetime, pause, delay) if has_windows and pause else None
    return Load(
        lifetime,
        len(seeds) / (life / DAY),
        busiest,
        share,
        largest_set / (life / WEEK),
        busiest_spread,
    )


def renewed_after(lifetime: datetime.timedelta) -> datetime.timedelta:
    """Return after what time a certificate is renewed by default.

    >>> renewed_after(datetime.timedelta(days=90)).days, renewed_after(datetime.timedelta(hours=160)).days
    (60, 3)
    """
    return lifetime / 2 if lifetime < SHORT_LIFETIME else lifetime * 2 / 3


def busiest_days(
    lifetime: datetime.timedelta, seeds: t.Sequence[str], has_windows: bool, spread_seeds: t.Collection[str] = ()
) -> tuple[int, int]:
    """Return how many of certificates that were all issued on one day are renewed on the busiest of all days: as they are, and with some spread."""
    is_spread = is_large_batch(len(seeds), len(seeds), lifetime) and lifetime >= SHORT_LIFETIME
    spread = set(spread_seeds) if is_spread else set()
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    until_renewal, half = renewed_after(lifetime), lifetime * HALF_WINDOW_SHARE
    days: collections.Counter[int] = collections.Counter()
    days_spread: collections.Counter[int] = collections.Counter()
    for number, seed in enumerate(seeds):
        start = begin + DAY * (number / len(seeds))
        middle = start + until_renewal
        advised = renewal_instant(seed, middle - half, middle + half) if has_windows else None
        at = renewal_time(start, start + lifetime, None, seed, advised)
        days[at.toordinal()] += 1
        if seed in spread:
            at = min(at, first_renewal_time(start, start + lifetime, seed))
        days_spread[at.toordinal()] += 1
    return max(days.values(), default=0), max(days_spread.values(), default=0)


def share_in_window(lifetime: datetime.timedelta, pause: datetime.timedelta, delay: datetime.timedelta) -> float:
    """Return the share of renewals inside the window that Let's Encrypt suggests, with a run after each *pause*, up to *delay* later.

    It is a sum over the time since the last run and the delays of two runs. Instants are in the first half of the window.
    """
    window, pause_s = 2 * HALF_WINDOW_SHARE * lifetime.total_seconds(), pause.total_seconds()
    delay_s = min(delay.total_seconds(), pause_s)
    points = [(number + 0.5) / DELAY_STEPS for number in range(DELAY_STEPS)]
    waits = []
    for passed in ((number + 0.5) / PAUSE_STEPS * pause_s for number in range(PAUSE_STEPS)):
        for first in (point * delay_s for point in points):
            if first >= passed:
                waits += [first - passed] * DELAY_STEPS
            else:
                waits += [pause_s + point * delay_s - passed for point in points]
    return sum(min(1.0, max(0.0, 2 - 2 * wait / window)) for wait in waits) / len(waits)


# not a parser: it reads settings of the inventory
def longest_pause(times: t.Sequence[str]) -> datetime.timedelta | None:
    """Return the longest time between two runs of a schedule, as systemd.time(7) writes its times; None where that is not understood.

    >>> longest_pause(["00/4:00"]).seconds, longest_pause(["hourly"]).seconds, longest_pause(["06:00", "18:30"]).seconds
    (14400, 3600, 45000)
    """
    minutes: set[int] = set()
    for time in times:
        text = {"hourly": "*:00", "daily": "00:00"}.get(time.strip(), time.strip())
        match = re.fullmatch(r"(\*|[0-9]{1,2})(?:/([0-9]{1,2}))?:([0-9]{1,2})(?:/([0-9]{1,2}))?(?::00)?", text)
        if not match:
            return None
        hours = _values(match[1], match[2], 24)
        minutes |= {60 * hour + minute for hour in hours for minute in _values(match[3], match[4], 60)}
    if not minutes:
        return None
    ordered = sorted(minutes)
    return datetime.timedelta(
        minutes=max(after - before for before, after in zip(ordered, [*ordered[1:], ordered[0] + 24 * 60]))
    )


# not a parser: it reads settings of the inventory
def _values(first: str, step: str | None, end: int) -> range:
    if first == "*":
        return range(0, end, int(step or 1) or 1)
    return range(int(first), end if step else int(first) + 1, int(step or 1) or 1)


def sustainable_names(places: int, lifetime: datetime.timedelta) -> int:
    """Return how many names a quota of certificates that count until they expire carries, when each name is renewed for ever.

    A renewed certificate and its successor count both until the first one expires.

    >>> sustainable_names(20, datetime.timedelta(days=90))
    13
    """
    return math.floor(places * (renewed_after(lifetime) / lifetime) + 1e-9)
