# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmark makes of its figures."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[3] / "dev"))

from bench_table import KIB, goals, page, ratio, spread, table

TITLES = {run: f"the run {run}" for run in ("ping", "deploy", "renew", "peer", "peer again", "renewal")}


def results(deploy=4.0, renew=0.75, commands=3, payload=115):
    seconds = {"ping": 1.0, "deploy": deploy, "renew": renew, "peer": 8.0, "peer again": 6.0}
    trip = {"modules": 3, "commands": commands, "here": 0.0, "results": 12}
    return {
        "taken": "2026-11-21 10:00 UTC",
        "hosts": 10,
        "conditions": {"forks": 10},
        "times": {
            run: {"seconds": [time] * 3, "here": [time / 4] * 3, "there": [time / 2] * 3}
            for run, time in seconds.items()
        },
        "trips": {"renewal": trip},
        "payloads": {
            "ansible.builtin.ping": 100 * KIB,
            "community.crypto.openssl_csr": 180 * KIB,
            "evergreen.tls.certificate_info": 110 * KIB,
            "evergreen.tls.nginx_reload": payload * KIB,
        },
    }


def grown(seconds=(1.0, 4.0, 20.0), memory=(50, 60, 300), logins=0):
    runs = [
        {"endpoints": size, "seconds": [time] * 3, "here": [time / 2] * 3, "memory": [use] * 3, "logins": logins}
        for size, time, use in zip((100, 1000, 5000), seconds, memory)
    ]
    ping = {"endpoints": 1000, "seconds": [200.0], "here": [50.0], "logins": 10}
    return {
        "taken": "2026-11-21 10:00 UTC",
        "hosts": 10,
        "conditions": {"forks": 10},
        "scale": {"runs": runs, "ping": ping},
    }


def test_a_ratio_is_that_of_the_medians():
    assert ratio([1.0, 2.0, 90.0], [4.0, 0.1, 70.0]) == 0.5


def test_a_spread_names_the_median_the_least_and_the_most():
    assert spread([3.0, 2.0, 9.5]) == "3.0 s (2.0 – 9.5)"


def test_goals_are_kept_up_to_their_very_limit():
    assert [goal.kept for goal in goals(results())] == [True] * 4


@pytest.mark.parametrize(
    ("worse", "row"),
    [
        (
            {"deploy": 6.0},
            ["first deployment, against community.crypto", "0.75 of its time", "≤ 0.50 of its time", "0.75"],
        ),
        (
            {"renew": 3.0},
            ["nothing to do: `renew`, against community.crypto", "0.500 of its time", "≤ 0.125 of its time", "0.500"],
        ),
        ({"commands": 4}, ["trips to a host for one renewal", "4", "≤ 3", ""]),
        (
            {"payload": 300},
            ["payload of the heaviest module, `evergreen.tls.nginx_reload`", "307 KB", "≤ 270 KB", ""],
        ),
    ],
)
def test_a_missed_goal_says_what_was_found_and_wanted(worse, row):
    assert [goal.row() for goal in goals(results(**worse)) if not goal.kept] == [[*row[:3], "**missed**", row[3]]]


def test_growth_is_measured_against_one_ping_and_against_itself():
    assert [goal.kept for goal in goals(grown())] == [True] * 4
    assert [goal.kept for goal in goals({**results(), **grown()})] == [True] * 8


@pytest.mark.parametrize(
    ("worse", "row"),
    [
        (
            {"seconds": (1.0, 5.0, 20.0)},
            ["nothing to do on 1000: `renew`, against ping", "0.0250 of its time", "≤ 0.0200 of its time", "0.0500"],
        ),
        ({"logins": 1}, ["logins, nothing to do", "3", "≤ 0", ""]),
        ({"seconds": (1.0, 3.0, 30.0)}, ["time for 5000, against 1000", "10.0 ×", "≤ 6.0 ×", "10.0 ×"]),
        ({"memory": (50, 60, 420)}, ["memory for 5000, against 1000", "7.0 ×", "≤ 6.0 ×", ""]),
    ],
)
def test_growth_that_is_too_much_says_what_was_found_and_wanted(worse, row):
    assert [goal.row() for goal in goals(grown(**worse)) if not goal.kept] == [[*row[:3], "**missed**", row[3]]]


def test_the_page_of_growth_has_a_line_for_each_inventory_and_one_for_ping():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page(grown(), {}).splitlines()]
    assert rows[-3:] == [
        ["`renew`, nothing to do", "1000", "4.0 s (4.0 – 4.0)", "4.0 ms", "2.0 s (2.0 – 2.0)", "60 MiB", "0"],
        ["`renew`, nothing to do", "5000", "20.0 s (20.0 – 20.0)", "4.0 ms", "10.0 s (10.0 – 10.0)", "300 MiB", "0"],
        [
            "`ansible web -m ping`, once",
            "1000",
            "200.0 s (200.0 – 200.0)",
            "200.0 ms",
            "50.0 s (50.0 – 50.0)",
            "",
            "10",
        ],
    ]


def test_a_table_has_columns_of_one_width():
    assert table(["what", "n"], [["deploy", "14"]]).splitlines() == [
        "| what   | n  |",
        "| ------ | -- |",
        "| deploy | 14 |",
    ]


def test_the_page_compares_every_run_with_ping_and_every_payload_with_that_of_ping():
    text = page(results(), TITLES)
    assert (
        "| the run peer       | 8.0 s (8.0 – 8.0)     | 8.0 ×        | 2.0 s (2.0 – 2.0)    | 4.0 s (4.0 – 4.0) |"
        in text
    )
    assert "| `community.crypto.openssl_csr`   | 180.0 KiB | +80.0 KiB   |" in text


def by_acme(ours=10.0):
    def runs(seconds):
        return {
            run: {
                "seconds": [seconds] * 3,
                "here": [seconds / 4] * 3,
                "there": [seconds] * 3,
                "orders": orders,
                "tasks": 6,
            }
            for run, orders in (("issue", 100), ("renew", 100), ("nothing", 0))
        }

    return {
        "taken": "2026-11-21 10:00 UTC",
        "hosts": 10,
        "conditions": {"forks": 10},
        "acme": {"certificates": 100, "ways": {"evergreen.tls": runs(ours), "certbot": runs(50.0), "lego": runs(40.0)}},
    }


@pytest.mark.parametrize(("ours", "kept"), [(10.0, True), (10.5, False)])
def test_certificates_by_acme_are_five_times_as_fast_as_with_certbot(ours, kept):
    (goal,) = goals(by_acme(ours))
    assert goal.kept is kept
    assert goal.row()[0] == "100 certificates by ACME, against certbot"
    assert goal.row()[2] == "≤ 0.20 of its time"


def test_the_page_tells_what_each_way_by_acme_took_and_ordered():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page(by_acme(), TITLES).splitlines()]
    ours = [row for row in rows if row[:1] == ["evergreen.tls"]]
    assert [row[1] for row in ours] == ["had and served", "renewed by force", "nothing due"]
    assert ours[0][2:] == ["10.0 s (10.0 – 10.0)", "2.5 s (2.5 – 2.5)", "10.0 s (10.0 – 10.0)", "100", "6"]
    assert [row[:1] for row in rows].count(["certbot"]) == 3


@pytest.mark.parametrize(("seconds", "kept"), [(1.4, [True, True]), (2.4, [True, False]), (5.1, [False, False])])
def test_many_names_are_checked_in_seconds_and_in_twice_the_time_of_a_bare_loop(seconds, kept):
    times = {"seconds": [seconds] * 3, "here": [seconds / 2] * 3}
    measured = {"names": 1000, "ours": times, "floor": {"seconds": [1.0] * 3, "here": [0.5] * 3}}
    assert [goal.kept for goal in goals({"dns": measured})] == kept
    text = page({"taken": "today", "conditions": {}, "dns": measured}, TITLES)
    assert "| CAA records and addresses of 1000 names, against a loop of dnspython" in text


@pytest.mark.parametrize(("seconds", "kept"), [(4.0, [True, True]), (4.9, [True, False]), (5.1, [False, False])])
def test_a_large_fleet_is_planned_in_seconds_and_in_thrice_the_time_of_reading_it(seconds, kept):
    times = {"seconds": [seconds] * 3, "here": [seconds / 2] * 3}
    measured = {"requests": 5000, "ours": times, "floor": {"seconds": [1.5] * 3, "here": [0.7] * 3}}
    assert [goal.kept for goal in goals({"plan": measured})] == kept
    text = page({"taken": "today", "conditions": {}, "plan": measured}, TITLES)
    assert "| plan of 5000 requests, against ansible-inventory" in text


@pytest.mark.parametrize(("again", "one_more", "test", "kept"), [(4, 5, 0.2, [True] * 3), (9, 20, 0.4, [False] * 3)])
def test_a_host_with_many_sites_has_goals_of_its_own(again, one_more, test, kept):
    def times(seconds):
        return {"seconds": [seconds], "here": [seconds], "there": [0.0]}

    measured = {
        "sites": 200,
        "times": {"ping": times(1.0), "again": times(again), "one more": times(one_more)},
        "nginx -t": [test],
    }
    assert [goal.kept for goal in goals({"sites": measured})] == kept
    text = page({"taken": "today", "conditions": {}, "sites": measured}, TITLES)
    assert "| nothing to do on a host with 200 sites: `deploy`, against ping" in text
