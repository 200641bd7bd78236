# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When each order of a fleet is placed, with the limits of its CA. Pure functions; the work grows linearly with the number of orders."""

from __future__ import annotations

import datetime
import heapq
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import EXACT_SET, CaLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import Scope, scopes_of


class PlannedOrder(t.NamedTuple):
    """An order that is to be placed."""

    names: tuple[str, ...]
    earliest: datetime.datetime  # when it is due
    rank: tuple[t.Any, ...]  # of several that could be placed at one time, the lowest is placed first
    is_renewal: bool  # whether the same names were issued before
    is_in_window: bool = False  # of its renewal information, so that no limit is checked
    is_new: bool = False  # so that it leaves places free for renewals of the same names


class Placement(t.NamedTuple):
    """When an order is placed, and the limit for which it waited last; None where it does not wait."""

    at: datetime.datetime
    limit: Scope | None = None


class Schedule:
    """The orders of one account at one directory, in the order of their placement.

    An order that does not fit waits for the limit that is free again last. A limit that is free wakes the orders that wait for it one after the other,
    the lowest rank first, and each either is placed or waits for another limit. So an order is looked at a few times, whatever waits beside it.
    """

    def __init__(self, limits: CaLimits, levels: t.Mapping[Scope, datetime.datetime]) -> None:
        self.limits, self.levels = limits, dict(levels)
        self.issued_sets: set[Scope] = set()
        self.due: dict[Scope, list[datetime.datetime]] = {}  # of renewals that are not placed, by their set of names
        self.waiting: dict[Scope, list[tuple[t.Any, ...]]] = {}
        self.looks = 0  # how often an order was compared with its limits

    def place(self, orders: t.Sequence[PlannedOrder]) -> list[Placement]:
        """Return the placement of each order."""
        placements: dict[int, Placement] = {}
        # Due orders come before limits that are free at the same time, since a renewal has a lower rank than what waits.
        events: list[tuple[datetime.datetime, int, tuple[t.Any, ...], t.Any]] = [
            (order.earliest, 0, order.rank, number) for number, order in enumerate(orders)
        ]
        heapq.heapify(events)
        for order in orders:
            if not (order.is_new or order.is_in_window):
                self.due.setdefault(scopes_of(order.names)[0], []).append(order.earliest)
        last_limit: dict[int, Scope] = {}
        while events:
            now, kind, _rank, subject = heapq.heappop(events)
            numbers = [subject] if kind == 0 else self._woken(subject, now, events)
            for number in numbers:
                order = orders[number]
                blocking = self._blocking(order, now)
                if blocking is None:
                    self._count(order, now)
                    placements[number] = Placement(now, last_limit.get(number))
                    continue
                free, scope = blocking
                last_limit[number] = scope
                if self._has_place(scope, now):  # which renewals need, so that nothing else would wake it
                    heapq.heappush(events, (free, 0, order.rank, number))
                    continue
                if not self.waiting.get(scope):
                    heapq.heappush(events, (free, 1, (), scope))
                heapq.heappush(self.waiting.setdefault(scope, []), (order.rank, number))
        return [placements[number] for number in range(len(orders))]

    def _woken(self, scope: Scope, now: datetime.datetime, events: list[t.Any]) -> t.Iterator[int]:
        """Yield the orders that waited for a limit, until it is full again."""
        bucket = self.limits.bucket(scope.limit, scope.subject)
        queue = self.waiting.get(scope, [])
        while queue and bucket:
            free = bucket.free_at(self.levels.get(scope), now)
            if free > now:
                heapq.heappush(events, (free, 1, (), scope))
                return
            yield heapq.heappop(queue)[1]

    def _has_place(self, scope: Scope, now: datetime.datetime) -> bool:
        bucket = self.limits.bucket(scope.limit, scope.subject)
        return bucket is None or bucket.free_at(self.levels.get(scope), now) <= now

    def _blocking(self, order: PlannedOrder, now: datetime.datetime) -> tuple[datetime.datetime, Scope] | None:
        """Return the limit that is free again last, and when; None where the order fits now."""
        self.looks += 1
        if order.is_in_window:
            return None
        latest: tuple[datetime.datetime, Scope] | None = None
        for scope in self._scopes(order):
            bucket = self.limits.bucket(scope.limit, scope.subject)
            if bucket is None:
                continue
            level = self.levels.get(scope)
            free = bucket.free_at(level, now)
            if free <= now and order.is_new and self.due.get(scope):
                free = bucket.free_beside(level, now, self.due[scope])
            if free > now and (latest is None or free > latest[0]):
                latest = free, scope
        return latest

    def _count(self, order: PlannedOrder, now: datetime.datetime) -> None:
        if not (order.is_new or order.is_in_window):
            self.due[scopes_of(order.names)[0]].remove(order.earliest)
        for scope in self._scopes(order):
            bucket = self.limits.bucket(scope.limit, scope.subject)
            if bucket:
                self.levels[scope] = bucket.full_until(self.levels.get(scope), now)
            if scope.limit == EXACT_SET:
                self.issued_sets.add(scope)

    def _scopes(self, order: PlannedOrder) -> list[Scope]:
        """Return what counts for an order. What was issued before is exempt, but for the limit of its set of names."""
        scopes = scopes_of(order.names)
        return scopes[:1] if order.is_renewal or scopes[0] in self.issued_sets else scopes
