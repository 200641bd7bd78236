# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the orders of a fleet are placed, beside a simulation of the CA's own algorithm, which is independent code."""

from __future__ import annotations

import collections
import datetime
import random

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import CaLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import WELL_KNOWN
from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.order_times import PlannedOrder, Schedule

NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)
URL = WELL_KNOWN["letsencrypt"]


class SimulatedCa:
    """The limits of Let's Encrypt as tokens, which come back little by little. Times are in seconds."""

    SIZES = {"orders": (300, 3 * 3600), "domain": (50, 7 * 86400), "set": (5, 7 * 86400)}

    def __init__(self):
        self.tokens, self.seen, self.issued = {}, {}, set()

    def left(self, key, now):
        size, period = self.SIZES[key[0]]
        tokens, seen = self.tokens.get(key, size), self.seen.get(key, now)
        return min(size, tokens + (now - seen) * size / period)

    def order(self, names, domains, now, in_window=False):
        """Issue a certificate and return True, or refuse."""
        names = frozenset(names)
        keys = [("set", names)]
        if names not in self.issued and not in_window:
            keys += [("orders",), *(("domain", one) for one in domains)]
        if not in_window and any(self.left(key, now) < 1 - 1e-6 for key in keys):
            return False
        for key in keys:
            self.tokens[key], self.seen[key] = self.left(key, now) - 1, now
        self.issued.add(names)
        return True


def own_names(number, domain="example.org"):
    return [((f"web{one}.{domain}",), {domain}) for one in range(number)]


def one_set(number):
    return [(("example.org", "www.example.org"), {"example.org"})] * number


FLEETS = {
    "200 hosts with a name each below one domain": own_names(200),
    "ten hosts with one set of names": one_set(10),
    "ten hosts with a name each": own_names(10),
    "1000 names in tens": [
        (tuple(f"n{10 * one + two}.example.org" for two in range(10)), {"example.org"}) for one in range(100)
    ],
    "400 shops with domains of their own": [((f"shop{one}.com",), {f"shop{one}.com"}) for one in range(400)],
    "1000 hosts on 20 domains": [one for domain in range(20) for one in own_names(50, f"d{domain}.org")],
    "1200 hosts on 20 domains": [one for domain in range(20) for one in own_names(60, f"d{domain}.org")],
    "certificates for two domains each": [
        ((f"a{one}.one.org", f"a{one}.two.org"), {"one.org", "two.org"}) for one in range(60)
    ]
    + own_names(20, "one.org")
    + own_names(20, "two.org"),
    "sets that many hosts share": [((f"s{one % 12}.example.org",), {"example.org"}) for one in range(90)],
    "a network and two domains": [((f"192.0.2.{one}",), {f"192.0.2.{one}/32"}) for one in range(30)]
    + own_names(70, "x.github.io")
    + one_set(7),
}


def as_planned(names, number, **options):
    return PlannedOrder(
        names,
        options.pop("earliest", NOW),
        options.pop("rank", (2, number)),
        options.pop("is_renewal", False),
        **options,
    )


@pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)
def test_each_order_is_accepted_when_the_plan_says_and_not_an_hour_before(fleet):
    assert len(FLEETS) == 10
    schedule = Schedule(CaLimits(URL), {})
    placements = schedule.place([as_planned(names, number) for number, (names, _domains) in enumerate(fleet)])
    ca = SimulatedCa()
    by_time = sorted(range(len(fleet)), key=lambda number: (placements[number].at, number))
    for number in by_time:
        names, domains = fleet[number]
        at = (placements[number].at - NOW).total_seconds()
        if at and placements[number].limit:
            early = at - 1.0
            keys = [("set", frozenset(names)), ("orders",), *(("domain", one) for one in domains)]
            if frozenset(names) in ca.issued:
                keys = keys[:1]
            assert any(ca.left(key, early) < 1 - 1e-9 for key in keys), (
                "nothing is put off for longer than it has to be"
            )
        assert ca.order(names, domains, at), f"the CA refuses {names} at {at}"


@pytest.mark.parametrize(
    ("fleet", "at_once", "days"),
    [
        ("200 hosts with a name each below one domain", 50, 21.0),
        ("ten hosts with one set of names", 5, 7.0),
        ("1000 hosts on 20 domains", 300, 0.3),
    ],
)
def test_a_fleet_is_done_as_its_size_says(fleet, at_once, days):
    schedule = Schedule(CaLimits(URL), {})
    placements = schedule.place([as_planned(names, number) for number, (names, _domains) in enumerate(FLEETS[fleet])])
    assert sum(one.at == NOW for one in placements) == at_once
    assert (max(one.at for one in placements) - NOW) / datetime.timedelta(days=1) == pytest.approx(days, abs=0.05)


def test_renewals_do_not_wait_for_new_certificates():
    new = [as_planned(names, number) for number, (names, _domains) in enumerate(own_names(120))]
    renewals = [
        as_planned(
            (f"old{number}.example.org",),
            number,
            rank=(1, number),
            is_renewal=True,
            earliest=NOW + datetime.timedelta(hours=number),
        )
        for number in range(40)
    ]
    placements = Schedule(CaLimits(URL), {}).place([*new, *renewals])
    assert [one.at for one in placements[120:]] == [order.earliest for order in renewals]


def test_what_is_expired_comes_first_where_a_set_of_names_is_limited():
    names = ("www.example.org",)
    orders = [as_planned(names, number, rank=(2, number)) for number in range(6)] + [
        as_planned(names, 9, rank=(0, 9), is_renewal=True)
    ]
    placements = Schedule(CaLimits(URL), {}).place(orders)
    assert placements[6].at == NOW and placements[5].at > placements[4].at > NOW == placements[3].at


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_new_host_leaves_places_of_its_set_of_names_to_renewals_that_are_due(number):
    names, hour = ("www.example.org",), datetime.timedelta(hours=1)
    renewals = [
        as_planned(names, one, rank=(1, one), is_renewal=True, earliest=NOW + (2 + one) * hour) for one in range(number)
    ]
    new = [as_planned(names, one, is_renewal=True, is_new=True) for one in range(6)]
    placements = Schedule(CaLimits(URL), {}).place([*new, *renewals])
    assert [one.at for one in placements[6:]] == [order.earliest for order in renewals], "no renewal waits"
    assert sum(one.at == NOW for one in placements[:6]) == 5 - number
    ca = SimulatedCa()
    for one in sorted(placements):
        assert ca.order(names, {"example.org"}, (one.at - NOW).total_seconds())
    careless = [order._replace(is_new=False) for order in new]
    late = Schedule(CaLimits(URL), {}).place([*careless, *renewals])[6:]
    assert any(one.at > order.earliest for one, order in zip(late, renewals))


def test_many_new_hosts_and_renewals_of_one_set_of_names_are_placed_in_few_looks():
    names = ("www.example.org",)
    renewals = [as_planned(names, one, rank=(1, one), is_renewal=True) for one in range(60)]
    new = [as_planned(names, one, is_renewal=True, is_new=True) for one in range(60)]
    schedule = Schedule(CaLimits(URL), {})
    placements = schedule.place([*new, *renewals])
    assert max(one.at for one in placements[60:]) < min(one.at for one in placements[:60])
    assert schedule.looks < 10 * 120


def test_the_work_grows_linearly_with_the_number_of_orders():
    generator = random.Random(5)

    def looks(number):
        fleet = [((f"h{one}.d{generator.randrange(number // 40)}.org",), one) for one in range(number)]
        schedule = Schedule(CaLimits(URL), {})
        schedule.place([as_planned(names, number) for number, (names, _one) in enumerate(fleet)])
        return schedule.looks

    for number in (200, 1000, 5000):
        assert looks(number) < 4 * number


def test_orders_of_an_account_wait_in_the_order_of_their_rank():
    fleet = [((f"shop{one}.com",), one) for one in range(330)]
    placements = Schedule(CaLimits(URL), {}).place(
        [as_planned(names, number) for number, (names, _one) in enumerate(fleet)]
    )
    times = [one.at for one in placements]
    assert times == sorted(times)
    assert collections.Counter(one.limit.limit for one in placements if one.limit) == {"orders": 30}
