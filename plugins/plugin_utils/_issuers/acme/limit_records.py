# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was ordered and issued, as far as a CA counts it, and whether one more order fits.

Each scope of a limit (the account, a registered domain, a set of names) has a record at each directory. An order is counted before it is placed, so that
runs at the same time do not exceed a limit together. It is removed again when it fails. What other controllers order for the same domains is not known.

What was issued is kept for 120 days (RENEWAL_PERIOD), whether its certificate has expired or not. The records of certificates leave out expired ones, so
nothing that a limit counts is read from there but the renewals that are due.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import ipaddress
import math
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_suffixes import registered_domain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import (
    EXACT_SET,
    LETSENCRYPT_PAGE,
    ORDERS,
    PUBLISHED,
    REGISTERED_DOMAIN,
    RENEWAL_PERIOD,
    CaLimits,
    OrderKind,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

UNFINISHED_KEPT = datetime.timedelta(hours=1)  # for which an order counts whose run was killed
MAX_EVENTS = 20_000  # of one scope, in its record


DueRenewals = t.Callable[[t.Sequence[str], datetime.datetime], "list[datetime.datetime]"]


class Scope(t.NamedTuple):
    """What a limit is counted for."""

    limit: str  # a key of PERIODS
    subject: str  # the registered domain, the names with commas; empty for the account


class Event(t.NamedTuple):
    """One order that counts."""

    at: datetime.datetime
    order: str  # its name
    is_issued: bool  # whether its certificate is there


class Standing(t.NamedTuple):
    """How an order stands with the limits of its CA."""

    is_renewal: bool  # whether the same names were issued before
    free: datetime.datetime | None  # when the order fits; None where it fits now
    sentence: str = ""  # the limit that is full
    remedy: str = ""  # what lifts that limit
    uses: tuple[str, ...] = ()  # how much of each limit is used


class Counts:
    """What counts in the scopes of an order, the oldest first."""

    def __init__(self, events: dict[Scope, list[Event]]) -> None:
        self.events = events

    def is_renewal(self, names: t.Iterable[str], kind: OrderKind) -> bool:
        """Say whether the same names were issued before, within RENEWAL_PERIOD."""
        same = self.events.get(Scope(EXACT_SET, set_of(names)), [])
        return kind.has_same_names or any(event.is_issued for event in same)

    def add(self, event: Event, names: t.Iterable[str], kind: OrderKind, but: str = "") -> None:
        """Count an order where its CA does (wfe2/wfe.go and ra/ra.go of Boulder). but: a limit that is left alone."""
        is_renewal = self.is_renewal(names, kind)
        for scope, events in self.events.items():
            is_exempt = is_renewal or (kind.is_in_window and scope.limit == ORDERS)
            is_recorded = any(one.order == event.order and event.at - one.at < UNFINISHED_KEPT for one in events)
            if scope.limit != but and not is_recorded and (scope.limit == EXACT_SET or not is_exempt):
                events.append(event)

    def forget(self, order: str, but: str = "") -> None:
        """Leave out an order whose certificate is not there. but: a limit that is left alone."""
        for scope, events in self.events.items():
            if scope.limit != but:
                events[:] = [one for one in events if one.order != order or one.is_issued]


class LimitRecords:
    """The counts at one directory."""

    def __init__(self, folder: JsonRecords, limits: CaLimits, due: DueRenewals | None = None) -> None:
        """Open the counts. due: returns when the renewals for a set of names are due, which leave no place to new hosts."""
        self.folder, self.limits, self.due = folder, limits, due

    def check(self, order: str, names: t.Sequence[str], kind: OrderKind) -> None:
        """Raise Problem, as reserve() does, where an order exceeds a limit. Nothing is counted."""
        if kind.is_in_window:
            return
        with self._counted(names) as counts:
            counts.forget(order)
            self._check(counts, names, kind, utc_now())

    def standing(self, names: t.Sequence[str], kind: OrderKind, now: datetime.datetime) -> Standing:
        """Return how an order stands with the limits. Nothing is counted or written."""
        scopes = self._limited_scopes(names)
        counts = Counts({scope: self._read(scope, now) for scope in scopes})
        is_renewal = counts.is_renewal(names, kind)
        full = [] if kind.is_in_window else self._full_scopes(counts, names, kind, now)
        if full:
            free, scope, reserved = max(full)
            return Standing(is_renewal, free, self._limit_sentence(scope, reserved), self.remedy(scope))
        return Standing(is_renewal, None, "", "", self._uses(counts, now))

    def levels(self, scopes: t.Iterable[Scope], now: datetime.datetime) -> dict[Scope, datetime.datetime]:
        """Return until when the buckets of scopes are not empty, by scope; those without a limit and the empty ones are left out."""
        levels = {}
        for scope in scopes:
            bucket = self.limits.bucket(scope.limit, scope.subject)
            level = bucket.level(event.at for event in self._read(scope, now)) if bucket else None
            if level:
                levels[scope] = level
        return levels

    def has_issued(self, names: t.Iterable[str], now: datetime.datetime) -> bool:
        """Say whether a certificate for exactly these names was issued within RENEWAL_PERIOD."""
        return any(event.is_issued for event in self._read(Scope(EXACT_SET, set_of(names)), now))

    def limit_sentence(self, scope: Scope) -> str:
        """Return what a CA allows in a scope."""
        bucket = self.limits.bucket(scope.limit, scope.subject)
        return self._limit(scope, bucket.burst if bucket else 0)

    def reserve(self, order: str, names: t.Sequence[str], kind: OrderKind) -> None:
        """Count an order by its name. Raises Problem, with the time until one more fits, where it exceeds a limit."""
        with self._counted(names) as counts:
            now = utc_now()
            counts.forget(order)
            if not kind.is_in_window:
                self._check(counts, names, kind, now)
            counts.add(Event(now, order, False), names, kind)

    def confirm(self, order: str, names: t.Sequence[str], kind: OrderKind) -> None:
        """Record that the certificate of an order was issued."""
        with self._counted(names) as counts:
            counts.forget(order, but=ORDERS)
            counts.add(Event(utc_now(), order, True), names, kind, but=ORDERS)

    def release(self, order: str, names: t.Sequence[str]) -> None:
        """Take back an order that failed. The limit of the account counts it all the same."""
        with self._counted(names) as counts:
            counts.forget(order, but=ORDERS)

    @contextlib.contextmanager
    def _counted(self, names: t.Sequence[str]) -> t.Iterator[Counts]:
        """Yield what counts for these names, to be changed, under the locks of its records."""
        scopes = self._limited_scopes(names)
        now = utc_now()
        with contextlib.ExitStack() as stack:
            for scope in scopes:
                stack.enter_context(self.folder.locked(self._name(scope)))
            counts = Counts({scope: self._read(scope, now) for scope in scopes})
            before = {scope: list(events) for scope, events in counts.events.items()}
            yield counts
            for scope, events in counts.events.items():
                if events != before[scope]:
                    self._write(scope, events)

    def _check(self, counts: Counts, names: t.Sequence[str], kind: OrderKind, now: datetime.datetime) -> None:
        """Raise Problem for the scope that is free again last, if one is full."""
        full = self._full_scopes(counts, names, kind, now)
        if full:
            free, scope, reserved = max(full)
            sentence = f"{self._limit_sentence(scope, reserved)}; the order is put off until {format_date(free)}. {self.remedy(scope)}"
            raise Problem(sentence, "rateLimited", retry_after=(free - now).total_seconds())

    def _full_scopes(
        self, counts: Counts, names: t.Sequence[str], kind: OrderKind, now: datetime.datetime
    ) -> list[tuple[datetime.datetime, Scope, int]]:
        """Return the scopes in which an order does not fit now: when it does, the scope, and how many renewals need the places that are left."""
        is_renewal = counts.is_renewal(names, kind)
        full = []
        for scope, events in counts.events.items():
            bucket = self.limits.bucket(scope.limit, scope.subject)
            if bucket and not (is_renewal and scope.limit != EXACT_SET):
                level, due = bucket.level(event.at for event in events), []
                free = bucket.free_at(level, now)
                is_new = scope.limit == EXACT_SET and not (kind.has_same_names or kind.has_expired)
                if free <= now and is_new and self.due and any(event.is_issued for event in events):
                    due = self.due(names, now)
                    free = bucket.free_beside(level, now, due)
                if free > now:
                    full.append((free, scope, len(due)))
        return full

    def _uses(self, counts: Counts, now: datetime.datetime) -> tuple[str, ...]:
        """Return how much of each limit is used."""
        uses = []
        for scope, events in sorted(counts.events.items()):
            bucket = self.limits.bucket(scope.limit, scope.subject)
            level = bucket.level(event.at for event in events) if bucket else None
            if bucket:
                used = max(0, math.ceil((level - now) / bucket.interval)) if level else 0
                uses.append(f"{used} of {bucket.burst} {scope_noun(scope)}")
        return tuple(uses)

    def _limit_sentence(self, scope: Scope, reserved: int) -> str:
        counted = "placed" if scope.limit == ORDERS else "ordered"
        if reserved:
            renewals = "1 renewal that is" if reserved == 1 else f"{reserved} renewals that are"
            return f"{self.limit_sentence(scope)}, and what is left is for {renewals} due within a week"
        return f"{self.limit_sentence(scope)}, and this controller has {counted} as many"

    def _limit(self, scope: Scope, burst: int) -> str:
        server = re.sub("^https?://([^/]*).*", r"\1", self.limits.directory_url)
        if scope.limit == ORDERS:
            return f"{server} takes {burst} orders in three hours from an account"
        return f"{server} issues {burst} certificate{'' if burst == 1 else 's'} a week for {scope_noun(scope)}"

    def remedy(self, scope: Scope) -> str:
        """Return what lifts a limit."""
        page = f" ({LETSENCRYPT_PAGE})" if self.limits.directory_url in PUBLISHED else ""
        if scope.limit == ORDERS:
            return f"Where the CA allows more, write limits: {{orders: N}} for the issuer{page}"
        if scope.limit == EXACT_SET:
            return f"Give each host a name of its own in its request, or write limits: {{exact_set: N}} where the CA allows more{page}"
        return (
            f"Put several names into a certificate, or a wildcard by DNS, or write limits: {{registered_domain: {{{scope.subject}: N}}}} where the "
            f"CA allows more{page}"
        )

    def _limited_scopes(self, names: t.Sequence[str]) -> list[Scope]:
        """Return the scopes of an order that have a limit, always in the same order.

        The set of names is one of them where there is any: it says which orders are renewals.
        """
        limited = {scope for scope in scopes_of(names) if self.limits.bucket(scope.limit, scope.subject)}
        return sorted(limited | {Scope(EXACT_SET, set_of(names))}) if limited else []

    def _read(self, scope: Scope, now: datetime.datetime) -> list[Event]:
        """Return what counts in a scope, the oldest first."""
        recorded = self.folder.read(self._name(scope)).get("events")
        events = []
        for one in recorded if isinstance(recorded, list) else ():
            at = parse_date(one.get("at")) if isinstance(one, dict) else None
            if at is None or at > now or now - at > RENEWAL_PERIOD:  # a date that is ahead is from a clock that was
                continue
            is_issued = bool(one.get("issued")) or scope.limit == ORDERS
            if is_issued or now - at <= UNFINISHED_KEPT:
                events.append(Event(at, str(one.get("order")), is_issued))
        events.sort()
        bucket = self.limits.bucket(scope.limit, scope.subject)
        if bucket is None or scope.limit == EXACT_SET:  # which says what is a renewal, too
            return events
        return events[bucket.last_empty([event.at for event in events]) :]

    def _write(self, scope: Scope, events: list[Event]) -> None:
        recorded = [
            {"at": at.isoformat(), "order": name, "issued": issued} for at, name, issued in events[-MAX_EVENTS:]
        ]
        self.folder.write(
            self._name(scope), {"directory": self.limits.directory_url, **scope._asdict(), "events": recorded}
        )

    def _name(self, scope: Scope) -> str:
        return file_name(self.limits.directory_url, *scope)


def scope_noun(scope: Scope) -> str:
    """Return what a limit is counted for, as it follows C(certificates for).

    >>> scope_noun(Scope(EXACT_SET, "www.example.org"))
    'www.example.org alone'
    """
    if scope.limit == ORDERS:
        return "orders of the account"
    if scope.limit == REGISTERED_DOMAIN:
        return f"names in {scope.subject}"
    return f"the names {scope.subject}" if "," in scope.subject else f"{scope.subject} alone"


# not a parser: names of the inventory are in their normal form
@functools.lru_cache(MAX_EVENTS)
def counted_domain(name: str) -> str | None:
    """Return the registered domain that a CA counts a name for, or the network of an address; None where the list of suffixes is missing.

    >>> counted_domain("www.example.org"), counted_domain("192.0.2.1"), counted_domain("2001:db8::1")
    ('example.org', '192.0.2.1/32', '2001:db8::/64')
    """
    if not is_ip_address(name):
        return registered_domain(name)
    address = ipaddress.ip_address(name)
    return str(ipaddress.ip_network(f"{address}/{32 if address.version == 4 else 64}", strict=False))


def scopes_of(names: t.Sequence[str]) -> list[Scope]:
    """Return what a CA counts an order for names in: their set, the account, and their registered domains."""
    return list(_scopes_of(tuple(names)))


@functools.lru_cache(MAX_EVENTS)
def _scopes_of(names: tuple[str, ...]) -> tuple[Scope, ...]:
    domains = sorted({domain for domain in map(counted_domain, names) if domain})
    return Scope(EXACT_SET, set_of(names)), Scope(ORDERS, ""), *(Scope(REGISTERED_DOMAIN, one) for one in domains)


def set_of(names: t.Iterable[str]) -> str:
    """Return the subject of the scope of a set of names."""
    return ",".join(sorted(names))
