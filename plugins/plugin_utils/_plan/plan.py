# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan: when each certificate of a fleet is issued, for which limit it waits, and what lifts that limit."""

from __future__ import annotations

import collections
import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import first_renewal_time
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_suffixes import registered_domain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import (
    EXACT_SET,
    ORDERS,
    REGISTERED_DOMAIN,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.first_renewals import (
    costs_no_limit,
    is_large_batch,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import (
    LimitRecords,
    Scope,
    scopes_of,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.fleet import Account, Fleet, Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.load import (
    DAY,
    HOUR,
    LIFETIMES,
    Load,
    load_at,
    sustainable_names,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.order_times import (
    Placement,
    PlannedOrder,
    Schedule,
)

HORIZON = datetime.timedelta(days=7)  # within which renewals that become due are planned
# Limits by which a group of orders is named, the closest first.
LIMITS = (EXACT_SET, REGISTERED_DOMAIN, ORDERS)
FREE_LIFETIME = 90 * DAY  # of free certificates that a cloud makes


class Entry(t.NamedTuple):
    """One certificate that is to be issued."""

    host: str
    request: str
    names: tuple[str, ...]
    issuer: str
    kind: str  # new, renewal, expired, replacement
    at: datetime.datetime
    limit: Scope | None  # for which it waits
    expires: datetime.datetime | None
    is_late: bool


class Group(t.NamedTuple):
    """The certificates that share a limit."""

    issuer: str
    scope: Scope
    number: int
    at_once: int
    done: datetime.datetime
    limit: str  # what the CA allows
    remedy: str


class QuotaUse(t.NamedTuple):
    """The free certificates that an inventory requests of a cloud for a primary domain, or of an account as a whole."""

    account: str
    domain: str  # empty for the account
    names: int
    places: int
    sustainable: int  # how many names the places carry, when each is renewed for ever


class Plan(t.NamedTuple):
    """When everything is issued."""

    now: datetime.datetime
    entries: list[Entry]
    groups: list[Group]
    quotas: list[QuotaUse]
    loads: list[Load]
    certificates: int  # requested ones
    renewals_later: int  # that become due after the plan
    schedule_is_known: bool
    faults: list[str]


def make_plan(
    fleet: Fleet,
    now: datetime.datetime,
    until: datetime.datetime | None = None,
    pause: datetime.timedelta | None = None,
    delay: datetime.timedelta = HOUR,
    is_replacement: bool = False,
) -> Plan:
    """Return the plan of a fleet.

    until: when everything is to be issued; later certificates are late. is_replacement: whether all certificates are replaced now, as before a
    revocation. pause, delay: of the schedule; None: it is not known.
    """
    end = max(now + HORIZON, until or now)
    accounts: dict[Account | None, list[Subject]] = {}
    later = 0
    for subject in fleet.subjects:
        if not is_replacement and subject.current and subject.current.has_same_names and subject.current.renew_at > end:
            later += 1
            continue
        accounts.setdefault(subject.account, []).append(subject)
    entries: list[Entry] = []
    groups: list[Group] = []
    for account, subjects in accounts.items():
        issuer = fleet.issuers.get(account) if account else None
        counts = issuer.servers.counts(issuer.directories[0]) if issuer else None
        planned = [_planned(subject, counts, now, is_replacement) for subject in subjects]
        placements = _placements(planned, counts, now)
        entries += [
            _entry(subject, placement, now, until, is_replacement) for subject, placement in zip(subjects, placements)
        ]
        if counts:
            groups += _groups(subjects, planned, placements, counts, now)
    loads = [] if is_replacement else _loads(fleet, pause, delay, now)
    entries.sort(key=lambda entry: (entry.at, entry.host, entry.request))
    return Plan(
        now, entries, groups, _quotas(fleet), loads, len(fleet.subjects), later, pause is not None, fleet.faults
    )


def _planned(
    subject: Subject, counts: LimitRecords | None, now: datetime.datetime, is_replacement: bool
) -> PlannedOrder:
    """Return the order of a request. Expired ones come first, then those that expire soon, then new ones."""
    current = subject.current
    if current is None or not current.has_same_names:
        is_known = bool(counts and counts.has_issued(subject.names, now))
        return PlannedOrder(subject.names, now, (2, subject.host, subject.request), is_known, is_new=True)
    is_expired = current.end <= now
    earliest = now if is_replacement else max(now, current.renew_at)
    is_in_window = bool(current.window and current.window[0] <= earliest < current.window[1]) and not is_expired
    is_renewal = not is_expired or bool(counts and counts.has_issued(subject.names, now))
    rank = (0 if is_expired else 1, current.end.isoformat(), subject.host, subject.request)
    return PlannedOrder(subject.names, earliest, rank, is_renewal, is_in_window)


def _placements(planned: list[PlannedOrder], counts: LimitRecords | None, now: datetime.datetime) -> list[Placement]:
    if counts is None:
        return [Placement(order.earliest) for order in planned]
    scopes = {scope for order in planned for scope in scopes_of(order.names)}
    return Schedule(counts.limits, counts.levels(scopes, now)).place(planned)


def _entry(
    subject: Subject,
    placement: Placement,
    now: datetime.datetime,
    until: datetime.datetime | None,
    is_replacement: bool,
) -> Entry:
    current = subject.current
    kind = (
        "new"
        if current is None
        else "replacement"
        if is_replacement
        else "expired"
        if current.end <= now
        else "renewal"
    )
    expires = current.end if current else None
    is_late = bool(until and placement.at > until) or bool(expires and now < expires < placement.at)
    return Entry(
        subject.host,
        subject.request,
        subject.names,
        subject.issuer,
        kind,
        placement.at,
        placement.limit,
        expires,
        is_late,
    )


def _groups(
    subjects: list[Subject],
    planned: list[PlannedOrder],
    placements: list[Placement],
    counts: LimitRecords,
    now: datetime.datetime,
) -> list[Group]:
    """Return a group for each limit for which orders wait, with those that have its places at once."""
    waited = {placement.limit for placement in placements if placement.limit}
    members: dict[Scope, list[int]] = {}
    for number, (order, placement) in enumerate(zip(planned, placements)):
        shared = [scope for scope in scopes_of(order.names) if scope in waited]
        if order.is_renewal:
            shared = [scope for scope in shared if scope.limit == EXACT_SET]
        scope = placement.limit or min(shared, key=lambda one: LIMITS.index(one.limit), default=None)
        if scope:
            members.setdefault(scope, []).append(number)
    groups = []
    for scope, numbers in sorted(members.items()):
        times = [placements[number].at for number in numbers]
        groups.append(
            Group(
                subjects[numbers[0]].issuer,
                scope,
                len(numbers),
                sum(placements[number].limit is None for number in numbers),
                max(times),
                counts.limit_sentence(scope),
                counts.remedy(scope),
            )
        )
    return groups


# not a parser: names of the inventory are in their normal form
def _quotas(fleet: Fleet) -> list[QuotaUse]:
    """Return how the free certificates of clouds fit the quotas: that of the account, and that of each primary domain."""
    uses: collections.Counter[tuple[str, str]] = collections.Counter()
    places: dict[tuple[str, str], int] = {}
    seen = set()
    for request in fleet.hosted:
        cloud = request["cloud"] or {}
        account, domain = str(cloud.get("account") or ""), request["domains"][0].removeprefix("*.")
        if (account, request["domains"][0]) in seen:
            continue
        seen.add((account, request["domains"][0]))
        for key in ((account, ""), (account, registered_domain(domain) or domain)):
            uses[key] += 1
            places[key] = int(cloud.get("free_quota") or 0)
    return [
        QuotaUse(
            account, domain, number, places[account, domain], sustainable_names(places[account, domain], FREE_LIFETIME)
        )
        for (account, domain), number in sorted(uses.items())
    ]


def _loads(
    fleet: Fleet, pause: datetime.timedelta | None, delay: datetime.timedelta, now: datetime.datetime
) -> list[Load]:
    """Return the load at the present lifetime, and at those that are to come."""
    if not fleet.subjects:
        return []
    present = collections.Counter(
        _rounded(subject.current.end - subject.current.begin) for subject in fleet.subjects if subject.current
    )
    lifetimes = {*LIFETIMES, *(lifetime for lifetime, _number in present.most_common(1))}
    sets = collections.Counter(subject.names for subject in fleet.subjects if subject.account)
    seeds = [f"{subject.host}/{subject.request}" for subject in fleet.subjects]
    return [
        load_at(
            lifetime,
            seeds,
            max(sets.values(), default=0),
            pause,
            delay,
            bool(fleet.issuers),
            _spread_seeds(fleet, lifetime, now),
        )
        for lifetime in sorted(lifetimes, reverse=True)
    ]


def _spread_seeds(fleet: Fleet, lifetime: datetime.timedelta, now: datetime.datetime) -> list[str]:
    """Return the requests whose first renewals may be spread with a lifetime, as HOST/REQUEST."""
    if not is_large_batch(len(fleet.subjects), len(fleet.subjects), lifetime):
        return []
    sets = collections.Counter((subject.account, subject.names) for subject in fleet.subjects)
    seeds = []
    for subject in fleet.subjects:
        issuer = fleet.issuers.get(subject.account) if subject.account else None
        if issuer is None or not issuer.settings["spread"] or not subject.may_spread:
            continue
        limits, seed = issuer.first_renewals.limits[issuer.directories[0].url], f"{subject.host}/{subject.request}"
        age = first_renewal_time(now, now + lifetime, seed) - now
        if costs_no_limit(limits, sets[subject.account, subject.names], age):
            seeds.append(seed)
    return seeds


def _rounded(lifetime: datetime.timedelta) -> datetime.timedelta:
    """Return a lifetime in whole hours, without the second that CAs take off, and one hour at least."""
    return HOUR * max(1, round(lifetime / HOUR))
