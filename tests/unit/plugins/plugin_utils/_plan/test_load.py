# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lifetimes cost, beside a simulation of the runs of a schedule."""

from __future__ import annotations

import datetime
import random

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._plan.load import (
    DAY,
    HOUR,
    LIFETIMES,
    busiest_days,
    load_at,
    longest_pause,
    share_in_window,
    sustainable_names,
)


def simulated_share(lifetime, pause, delay):
    """Return the share of renewals inside their windows, by runs that are drawn at random. All times are in hours."""
    generator, window = random.Random(3), lifetime / 50
    inside = 0
    for _one in range(20_000):
        due, run = 1000 + generator.uniform(0, pause), 900 - 900 % pause
        opens = due - generator.uniform(0, window / 2)
        while (started := run + generator.uniform(0, delay)) < due:
            run += pause
        inside += started < opens + window
    return inside / 20_000


@pytest.mark.parametrize(
    ("hours", "pause", "delay"),
    [(160, 1, 1), (160, 4, 1), (160, 24, 1), (45 * 24, 24, 1), (90 * 24, 24, 1), (45 * 24, 4, 1)],
)
def test_the_share_inside_the_window_is_that_of_a_simulation(hours, pause, delay):
    computed = share_in_window(hours * HOUR, pause * HOUR, delay * HOUR)
    assert computed == pytest.approx(simulated_share(hours, pause, delay), abs=0.02)


@pytest.mark.parametrize(
    ("times", "minutes"),
    [
        (["hourly"], 60),
        (["*:07"], 60),
        (["*:00/15"], 15),
        (["00/4:00"], 240),
        (["00/4:00", "02:30"], 240),
        (["daily"], 1440),
        (["03:00"], 1440),
        (["Sun 03:00"], None),
        (["00/4:00", "@weekly"], None),
        ([], None),
        (["99:99"], 1440),
    ],
)
def test_the_longest_pause_of_a_schedule(times, minutes):
    pause = longest_pause(times)
    assert (pause and pause / datetime.timedelta(minutes=1)) == minutes


def test_renewals_are_spread_over_days():
    seeds = [f"web{number}/www" for number in range(1000)]
    loads = [load_at(lifetime, seeds, 10, HOUR, HOUR, True) for lifetime in LIFETIMES]
    assert [round(load.a_day, 1) for load in loads] == [7.5, 15.0, 31.9, 300.0]
    assert [round(load.set_a_week, 1) for load in loads] == [0.5, 1.1, 2.2, 21.0]
    assert all(load.share_in_window >= 0.99 for load in loads)
    assert all(load.busiest_day >= load.a_day for load in loads)
    assert busiest_days(90 * DAY, seeds, False)[0] < 500, "renewals without windows are spread over three days"


def test_the_table_of_lifetimes_has_the_busiest_day_with_first_renewals_spread():
    seeds = [f"web{number}/www" for number in range(1000)]
    for lifetime in (47 * DAY, 90 * DAY):
        load = load_at(lifetime, seeds, 1, HOUR, HOUR, True, seeds)
        mean = 1000 * 6 / (lifetime / DAY)
        assert load.busiest_day_spread <= mean + 4 * mean**0.5 < load.busiest_day / 2
        assert load_at(lifetime, seeds, 1, HOUR, HOUR, True).busiest_day_spread == load.busiest_day
    short = load_at(160 * HOUR, seeds, 1, HOUR, HOUR, True, seeds)
    assert short.busiest_day_spread == short.busiest_day, "short-lived certificates have no room for it"


@pytest.mark.parametrize(("places", "days", "names"), [(20, 90, 13), (20, 365, 13), (1, 90, 0), (3, 90, 2)])
def test_a_quota_carries_fewer_names_than_it_has_places(places, days, names):
    assert sustainable_names(places, days * DAY) == names
