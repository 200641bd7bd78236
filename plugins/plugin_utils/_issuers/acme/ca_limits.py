# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many certificates a CA issues in what time, and when the next one fits.

A limit is a bucket that empties at a constant rate (the generic cell rate algorithm, as in ratelimits/gcra.go of Boulder): a number at once,
and then one in each interval. What a CA counts is replayed from the times of earlier orders.
"""

from __future__ import annotations

import datetime
import functools
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import WELL_KNOWN

ORDERS, REGISTERED_DOMAIN, EXACT_SET = "orders", "registered_domain", "exact_set"
WEEK, THREE_HOURS = datetime.timedelta(days=7), datetime.timedelta(hours=3)
PERIODS = {ORDERS: THREE_HOURS, REGISTERED_DOMAIN: WEEK, EXACT_SET: WEEK}
RENEWAL_PERIOD = datetime.timedelta(days=120)  # in which the same names were issued, so that an order is a renewal
MAX_COUNT = 1_000_000
MOMENT = datetime.timedelta(microseconds=1)  # the shortest time between two dates
LETSENCRYPT_PAGE = "https://letsencrypt.org/docs/rate-limits/"

# The counts in PERIODS that CAs publish. Let's Encrypt: LETSENCRYPT_PAGE as of 2026-08-05, and ratelimits/*.go of Boulder.
PUBLISHED: dict[str, dict[str, int]] = {
    WELL_KNOWN["letsencrypt"]: {ORDERS: 300, REGISTERED_DOMAIN: 50, EXACT_SET: 5},
}


class Bucket(t.NamedTuple):
    """A limit: *burst* at once, and one more in each interval."""

    burst: int
    interval: datetime.timedelta

    def full_until(self, previous: datetime.datetime | None, time: datetime.datetime) -> datetime.datetime:
        """Return until when the bucket is not empty after one more at *time*. previous: the same after the one before; None if it is the first.

        This one date is all that has to be known of the past.
        """
        return max(previous or time, time) + self.interval

    def free_at(self, full_until: datetime.datetime | None, now: datetime.datetime) -> datetime.datetime:
        """Return when one more fits, at the earliest now."""
        return now if full_until is None else max(now, full_until - (self.burst - 1) * self.interval)

    def level(self, times: t.Iterable[datetime.datetime]) -> datetime.datetime | None:
        """Return full_until() after all that were counted."""
        full_until: datetime.datetime | None = None
        for time in sorted(times):
            full_until = self.full_until(full_until, time)
        return full_until

    def next_free(self, times: t.Iterable[datetime.datetime], now: datetime.datetime) -> datetime.datetime:
        """Return when one more fits, at the earliest now. times: of all that were counted.

        >>> start = datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc)
        >>> Bucket(2, datetime.timedelta(hours=1)).next_free([start, start], start).hour
        1
        """
        return self.free_at(self.level(times), now)

    def free_beside(
        self, full_until: datetime.datetime | None, now: datetime.datetime, due: t.Iterable[datetime.datetime]
    ) -> datetime.datetime:
        """Return when one more fits that puts off none of the others. due: when each of these is placed, if it fits.

        >>> start = datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc)
        >>> Bucket(1, datetime.timedelta(hours=3)).free_beside(None, start, [start + datetime.timedelta(hours=2)]).hour
        5
        """
        others = sorted(max(now, time) for time in due)
        candidate = self.free_at(full_until, now)
        while True:
            level, level_with = full_until, full_until
            placed_at: datetime.datetime | None = None
            last: datetime.datetime | None = None  # when one more fits after the last one that would be put off
            for time in others:
                if placed_at is None and time >= candidate:
                    placed_at = self.free_at(level_with, candidate)
                    level_with = self.full_until(level_with, placed_at)
                at, at_with = self.free_at(level, time), self.free_at(level_with, time)
                level, level_with = self.full_until(level, at), self.full_until(level_with, at_with)
                if at_with > at:
                    last = max(at + MOMENT, self.free_at(level, at))
            if last is None:
                return placed_at or self.free_at(level, candidate)
            candidate = last

    def last_empty(self, times: t.Sequence[datetime.datetime]) -> int:
        """Return the position of the last time at which the bucket was empty: earlier ones do not matter any more. times: in order.

        >>> start = datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc)
        >>> Bucket(2, datetime.timedelta(hours=1)).last_empty([start, start, start + datetime.timedelta(hours=2)])
        2
        """
        position, full_until = 0, None
        for number, time in enumerate(times):
            if full_until is None or time >= full_until:
                position, full_until = number, time
            full_until = self.full_until(full_until, time)
        return position


class OrderKind(t.NamedTuple):
    """What an order is for a CA that exempts renewals from its limits."""

    has_same_names: bool = False  # as the certificate that it replaces
    is_in_window: bool = False  # of renewal, which the CA suggested for that certificate (RFC 9773)
    has_expired: bool = False  # the certificate before it, so that it leaves no place free for renewals


class CaLimits:
    """The limits of a directory: those that its CA publishes, and those that the inventory names in their place.

    settings: C(limits) of the issuer. Its keys are those of PERIODS; its values are counts, where 0 is for no limit, and C(registered_domain) may be
    a dictionary of counts by domain. Raises TlsError for others.
    """

    def __init__(self, directory_url: str, settings: t.Mapping[str, t.Any] | None = None) -> None:
        self.directory_url = directory_url
        self.counts: dict[str, int] = dict(PUBLISHED.get(directory_url, {}))
        self.domain_counts: dict[str, int] = {}
        for name, value in (settings or {}).items():
            if name not in PERIODS:
                raise TlsError(f"limits: {name} is none of the limits that are counted; write {', '.join(PERIODS)}")
            if name == REGISTERED_DOMAIN and isinstance(value, dict):
                self.domain_counts = {str(domain).lower(): _count(name, count) for domain, count in value.items()}
            else:
                self.counts[name] = _count(name, value)

    def bucket(self, name: str, domain: str = "") -> Bucket | None:
        """Return a limit by its name in PERIODS, None without one. domain: for C(registered_domain)."""
        count = self.domain_counts.get(domain) if name == REGISTERED_DOMAIN else None
        count = self.counts.get(name, 0) if count is None else count
        return _bucket(name, count) if count else None


@functools.lru_cache(maxsize=1024)
def _bucket(name: str, count: int) -> Bucket:
    return Bucket(count, PERIODS[name] / count)


# not a parser: a number of the inventory
def _count(name: str, value: t.Any) -> int:
    """Return a count of the inventory, which may be text. Raises TlsError for anything else."""
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or not text.isascii() or int(text) > MAX_COUNT:
        raise TlsError(
            f"limits: {name} is {value!r}, and a limit is a number of {_unit(name)}, or 0 for none; correct it"
        )
    return int(text)


def _unit(name: str) -> str:
    return "orders in three hours" if name == ORDERS else "certificates a week"
