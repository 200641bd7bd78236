# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of CAs: orders that do not fit are put off before the CA is asked, and renewals are not kept back."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import heapq
import random

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import limit_records
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import (
    Bucket,
    CaLimits,
    OrderKind,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import WELL_KNOWN
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_finding import check_limits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import LimitRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords

LETSENCRYPT = WELL_KNOWN["letsencrypt"]
START = datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc)
DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
NEW, IN_WINDOW = OrderKind(), OrderKind(True, True)


class Clock:
    """The time, as tests move it."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(limit_records, "utc_now", clock)
    return clock


@pytest.fixture
def opened(tmp_path, clock):
    """Return a function that opens the counts at Let's Encrypt. settings: the limits that the inventory names."""
    return lambda settings=None, url=LETSENCRYPT: LimitRecords(
        JsonRecords(str(tmp_path / "counts")), CaLimits(url, settings)
    )


class Memory(JsonRecords):
    """Records that are not written, for tests with thousands of orders."""

    def __init__(self):
        super().__init__("")
        self.records = {}

    def read(self, name, texts=()):
        return self.records.get(name, {})

    def write(self, name, record):
        self.records[name] = record

    def locked(self, name, timeout_s=0.0):
        return contextlib.nullcontext()


def issue(counts, order, names, kind=NEW):
    counts.reserve(order, names, kind)
    counts.confirm(order, names, kind)


def issue_all(counts, clock, orders):
    """Order until all are issued, each as early as it is said to fit; return after what time each one was."""
    queue = [(START, number, names) for number, names in enumerate(orders)]
    times = []
    while queue:
        clock.now, number, names = heapq.heappop(queue)
        try:
            issue(counts, f"order {number}", names)
            times.append(clock.now - START)
        except Problem as refusal:
            later = clock.now + datetime.timedelta(seconds=refusal.retry_after)
            assert later > clock.now
            heapq.heappush(queue, (later, number, names))
    return times


def refused_by_ca(times, burst, interval, now):
    """Say whether a CA refuses one more: a bucket with so many tokens, refilled little by little, and looked at each time."""
    tokens, last = float(burst), None
    for time in sorted(times):
        tokens = min(burst, tokens + ((time - last) / interval if last else 0)) - 1
        last = time
    return tokens + ((now - last) / interval if last else 0) < 1 - 1e-9


def test_a_bucket_says_the_earliest_time_at_which_a_ca_accepts_one_more():
    generator = random.Random(7)
    for _history in range(10_000):
        bucket = Bucket(generator.randint(1, 6), datetime.timedelta(minutes=generator.randint(1, 300)))
        now, times = START, []
        for _order in range(generator.randint(0, 15)):
            now += datetime.timedelta(seconds=generator.randint(0, 20_000))
            now = bucket.next_free(times, now)
            times.append(now)
        now += datetime.timedelta(seconds=generator.randint(0, 20_000))
        free = bucket.next_free(times, now)
        assert not refused_by_ca(times, *bucket, free)
        kept = sorted(times)[bucket.last_empty(sorted(times)) :]
        assert bucket.next_free(kept, now) == free
        assert free == now or refused_by_ca(times, *bucket, free - datetime.timedelta(seconds=1))


@pytest.mark.parametrize(
    ("orders", "at_once", "all_after"),
    [
        ([[f"web{number}.example.com"] for number in range(100)], 50, 7 * DAY),
        ([["example.org", "www.example.org"]] * 10, 5, 7 * DAY),
        ([[f"web{number}.example.org", "www.example.org"] for number in range(10)], 10, 0 * DAY),
        ([[f"www{name}.example.com" for name in range(ten, ten + 10)] for ten in range(0, 1000, 10)], 50, 7 * DAY),
        ([[f"www.shop{number}.org"] for number in range(350)], 300, HOUR / 2),
    ],
    ids=[
        "100 hosts in one domain",
        "ten hosts with one set of names",
        "ten hosts with a name of their own",
        "1000 names in tens",
        "350 shops",
    ],
)
def test_a_fleet_is_issued_as_its_size_says(clock, orders, at_once, all_after):
    times = issue_all(LimitRecords(Memory(), CaLimits(LETSENCRYPT)), clock, orders)
    assert len(times) == len(orders)
    assert sum(time == 0 * DAY for time in times) == at_once
    assert abs(max(times) - all_after) <= 0.001 * all_after


def test_an_order_that_does_not_fit_is_put_off_to_a_date_with_what_lifts_the_limit(opened):
    counts = opened()
    for number in range(50):
        issue(counts, f"order {number}", [f"web{number}.example.org"])
    with pytest.raises(Problem) as caught:
        counts.reserve("another", ["www.example.org"], NEW)
    assert caught.value.code == "rateLimited"
    assert str(caught.value) == (
        "acme-v02.api.letsencrypt.org issues 50 certificates a week for names in example.org, and this controller has ordered as "
        "many; the order is put off until 2026-11-30 03:21:36 UTC. Put several names into a certificate, or a wildcard by DNS, or write limits: "
        "{registered_domain: {example.org: N}} where the CA allows more (https://letsencrypt.org/docs/rate-limits/)"
    )
    issue(counts, "elsewhere", ["www.example.com"])


def test_the_names_of_a_set_and_the_orders_of_an_account_are_limited_too(opened, clock):
    counts = opened()
    for number in range(5):
        issue(counts, f"order {number}", ["example.org", "www.example.org"])
    with pytest.raises(
        Problem, match="issues 5 certificates a week for the names example.org,www.example.org, and this"
    ):
        counts.reserve("another", ["www.example.org", "example.org"], NEW)
    # Hosts with the same names after the first one are renewals for the CA: one of these orders counts.
    counts = opened({"orders": "3", "exact_set": 0})
    for number in range(2):
        issue(counts, f"further {number}", [f"www{number}.example.net"])
    with pytest.raises(
        Problem,
        match="takes 3 orders in three hours from an account, and this controller has placed as many; .*limits: {orders: N}",
    ):
        counts.reserve("another", ["www.example.com"], NEW)
    clock.now += HOUR
    issue(counts, "another", ["www.example.com"])


def test_renewals_do_not_wait_for_a_domain_and_in_the_window_for_nothing(opened, clock):
    counts = opened()
    issue(counts, "first", ["www.example.org"])
    clock.now += 60 * DAY
    for number in range(50):
        issue(counts, f"order {number}", [f"web{number}.example.org"])
    for number in range(5):
        issue(counts, f"renewal {number}", ["www.example.org"])
    with pytest.raises(Problem, match="issues 5 certificates a week for www.example.org alone"):
        counts.reserve("too much", ["www.example.org"], NEW)
    issue(counts, "in its window", ["www.example.org"], IN_WINDOW)
    issue(counts, "known by its certificate", ["shop.example.org"], OrderKind(has_same_names=True))
    with pytest.raises(Problem, match="names in example.org"):
        counts.reserve("new", ["new.example.org"], NEW)


@pytest.mark.parametrize("settings", [{"exact_set": 0}, {"exact_set": 0, "orders": 0}])
def test_renewals_are_known_where_a_set_of_names_has_no_limit(opened, clock, settings):
    counts = opened(settings)
    issue(counts, "first", ["www.example.org"])
    clock.now += 60 * DAY
    for number in range(50):
        issue(counts, f"order {number}", [f"web{number}.example.org"])
    for number in range(10):
        issue(counts, f"renewal {number}", ["www.example.org"])
    with pytest.raises(Problem, match="names in example.org"):
        counts.reserve("new", ["new.example.org"], NEW)


def test_an_order_that_fails_or_is_lost_counts_no_longer(opened, clock):
    counts = opened({"registered_domain": 1, "orders": 0})
    counts.reserve("failing", ["www.example.org"], NEW)
    with pytest.raises(Problem):
        counts.reserve("another", ["shop.example.org"], NEW)
    counts.release("failing", ["www.example.org"])
    counts.reserve("killed", ["shop.example.org"], NEW)
    with pytest.raises(Problem):
        counts.reserve("another", ["www.example.org"], NEW)
    counts.reserve("killed", ["shop.example.org"], NEW)  # the next run goes on with it
    clock.now += 2 * HOUR
    issue(counts, "another", ["www.example.org"])
    counts.release("another", ["www.example.org"])  # which is issued
    with pytest.raises(Problem):
        counts.reserve("last", ["pages.example.org"], NEW)


def test_a_key_that_is_used_again_does_not_hide_its_earlier_certificates(opened, clock):
    counts = opened()
    for _renewal in range(5):
        issue(counts, "the same request", ["www.example.org"])
        clock.now += 2 * HOUR
    with pytest.raises(Problem, match="issues 5 certificates a week"):
        counts.reserve("the same request", ["www.example.org"], NEW)


def test_runs_at_the_same_time_do_not_exceed_a_limit_together(opened):
    counts = opened()

    def attempt(number):
        try:
            counts.reserve(f"order {number}", [f"web{number}.example.org", f"www.shop{number}.example.com"], NEW)
            return True
        except Problem:
            return False

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(80))) == 50


def test_other_cas_have_the_limits_that_the_inventory_names(opened, tmp_path):
    issue(opened(url="https://ca.example/directory"), "order", ["www.example.org"])
    assert not (tmp_path / "counts").exists()
    counts = opened({"registered_domain": {"example.org": 1}}, "https://ca.example/directory")
    issue(counts, "order", ["www.example.org"])
    issue(counts, "another", ["www.example.com"])
    with pytest.raises(
        Problem, match="^ca.example issues 1 certificate a week for names in example.org, .* where the CA allows more$"
    ):
        counts.reserve("another", ["shop.example.org"], NEW)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"domain": 5},
            "limits: domain is none of the limits that are counted; write orders, registered_domain, exact_set",
        ),
        (
            {"orders": "many"},
            "limits: orders is 'many', and a limit is a number of orders in three hours, or 0 for none",
        ),
        (
            {"exact_set": True},
            "limits: exact_set is True, and a limit is a number of certificates a week, or 0 for none",
        ),
        (
            {"registered_domain": {"example.org": -1}},
            "limits: registered_domain is -1, and a limit is a number of certificates",
        ),
    ],
)
def test_a_limit_that_is_none_is_refused(settings, sentence):
    with pytest.raises(TlsError) as caught:
        CaLimits(LETSENCRYPT, settings)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"events": 7}', '{"events": [7, {"at": 7}, {"at": "2099-01-01T00:00:00+00:00"}]}']
)
def test_a_record_that_is_broken_counts_nothing(opened, tmp_path, content):
    counts = opened({"registered_domain": 1})
    issue(counts, "order", ["www.example.org"])
    records = list((tmp_path / "counts").glob("*.json"))
    assert len(records) == 3
    for record in records:
        record.write_text(content, encoding="utf-8")
    issue(counts, "another", ["shop.example.org"])


def test_a_finding_says_whether_the_limits_leave_room_for_an_order(opened, clock):
    counts = opened({"registered_domain": 2})

    def found(names, kind=NEW):
        return check_limits(counts, names, kind, clock.now)

    free = found(["web1.example.org"])
    assert (free.severity, free.code) == ("fine", "limits")
    assert free.sentence == (
        "used: 0 of 5 web1.example.org alone, 0 of 300 orders of the account, 0 of 2 names in example.org; what other controllers and programs order "
        "is not known here"
    )
    issue(counts, "one", ["web1.example.org"])
    issue(counts, "two", ["web2.example.org"])
    full = found(["web3.example.org"])
    assert full.severity == "blocks"
    assert full.sentence.startswith(
        "acme-v02.api.letsencrypt.org issues 2 certificates a week for names in example.org, and this controller has ordered as many; the order is "
        "put off until 2026-12-03 12:00:00 UTC. "
    )
    assert found(["web1.example.org"]).sentence == "it is a renewal; used: 1 of 5 web1.example.org alone"
    assert "no limit counts" in found(["web1.example.org"], IN_WINDOW).sentence
    unknown = check_limits(opened(url="https://ca.example/directory"), ["web1.example.org"], NEW, clock.now)
    assert unknown.severity == "note"
    assert unknown.sentence == "the limits of ca.example are not known here; write them as limits of the issuer"


def delays(times, due, burst, interval):
    """Return how long each renewal waits at a CA that has counted *times*, which may be ahead."""
    waits, counted = [], sorted(times)
    for time in sorted(due):
        at = time
        while refused_by_ca([one for one in counted if one <= at], burst, interval, at):
            at += datetime.timedelta(minutes=1)
        counted.append(at)
        waits.append(at - time)
    return waits


def test_a_new_certificate_is_put_off_until_it_keeps_no_renewal_back():
    generator, put_off = random.Random(11), 0
    for _history in range(300):
        bucket = Bucket(generator.randint(1, 5), datetime.timedelta(minutes=60))
        now, times = START, []
        for _order in range(generator.randint(0, 6)):
            now = bucket.next_free(times, now + generator.randint(0, 60) * datetime.timedelta(minutes=1))
            times.append(now)
        due = [now + datetime.timedelta(minutes=generator.randint(0, 300)) for _one in range(generator.randint(0, 6))]
        free = bucket.free_beside(bucket.level(times), now, due)
        without = delays(times, due, *bucket)
        assert not refused_by_ca(times, *bucket, free)
        beside = delays([*times, free], due, *bucket) if free <= max(due, default=now) else without
        assert all(one - other < datetime.timedelta(minutes=2) for one, other in zip(beside, without))
        if free > bucket.next_free(times, now):
            put_off += 1
            early = delays([*times, bucket.next_free(times, now)], due, *bucket)
            assert any(one > other for one, other in zip(early, without)), "it waits only where a renewal would wait"
    assert put_off > 50


def test_what_is_left_of_a_set_of_names_is_for_renewals_that_are_due(tmp_path, clock):
    names, due = ["example.org", "www.example.org"], []
    folder = JsonRecords(str(tmp_path / "counts"))
    counts = LimitRecords(folder, CaLimits(LETSENCRYPT), lambda _names, _now: due)
    for number in range(4):
        issue(counts, f"order {number}", names)
    due += [START + 2 * HOUR]
    sentence = (
        "acme-v02.api.letsencrypt.org issues 5 certificates a week for the names example.org,www.example.org, and what is left is for "
        "1 renewal that is due within a week; the order is put off until 2026-12-01 09:36:00 UTC. Give each host a name of its own"
    )
    with pytest.raises(Problem, match=sentence) as refusal:
        counts.check("new host", names, NEW)
    assert counts.standing(names, NEW, START).free == START + datetime.timedelta(seconds=refusal.value.retry_after)
    counts.check("renewal", names, OrderKind(has_same_names=True))
    counts.check("expired", names, OrderKind(has_expired=True))
    due.clear()
    counts.check("new host", names, NEW)


def test_certificates_are_counted_for_120_days_however_short_they_live(opened, clock):
    counts, names = opened(), ["www.example.org"]
    for number in range(36):  # 160 hours each, renewed after 80
        clock.now = START + number * 80 * HOUR
        issue(counts, f"order {number}", names, OrderKind(has_same_names=number > 0))
    last = clock.now
    for days, is_counted in ((7, True), (119, True), (121, False)):
        assert counts.has_issued(names, last + days * DAY) is is_counted
        assert counts.standing(names, NEW, last + days * DAY).is_renewal is is_counted
    clock.now = START + 119 * DAY
    [(_scope, events)] = [
        (scope, events)
        for scope in limit_records.scopes_of(names)
        if (events := counts._read(scope, clock.now)) and scope.limit == "exact_set"
    ]
    assert len(events) == 36, "all are there, although all but one have expired"
    issue(counts, "another", names, OrderKind(has_same_names=True))
    assert len(counts._read(limit_records.scopes_of(names)[0], START + 121 * DAY)) == 36, "the first one is left out"


def test_what_counts_for_a_week_is_the_same_after_certificates_have_expired(opened, clock):
    counts = opened()
    for number in range(50):
        issue(counts, f"order {number}", [f"h{number}.example.org"])
    clock.now = START + 3 * HOUR  # as if all of them had lived for an hour
    with pytest.raises(Problem, match="issues 50 certificates a week for names in example.org"):
        counts.check("one more", ["more.example.org"], NEW)
    counts.check("a renewal", ["h1.example.org"], NEW)
