# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates of six days renew inside the window of their renewal information: a simulated fleet with the defaults of the role."""

from __future__ import annotations

import datetime
import pathlib
import random

import pytest
import yaml
from ansible.plugins.filter.core import flatten
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.evergreen.tls.plugins.action.plan import default_times
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import renewal_time
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_window import renewal_instant

ROLE = pathlib.Path(__file__).parents[3] / "roles/schedule"
START = datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
PERIODS = {"hourly": HOUR, "00/4:00": 4 * HOUR, "17 * * * *": HOUR, "17 */4 * * *": 4 * HOUR}
SHORT = {"le": {"type": "acme", "profile": "shortlived"}}


def default_of(name, issuers):
    """Return the default of a variable of the role, where the hosts have these issuers."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    environment = NativeEnvironment()
    environment.filters["flatten"] = flatten
    if not isinstance(defaults[name], str):
        return defaults[name]
    known = {"schedule_settings": list(issuers.values())}
    short = environment.from_string(variables["schedule_has_short_lived"]).render(**known)
    return environment.from_string(defaults[name]).render(**known, schedule_has_short_lived=short)


def share_in_window(hours, period, delay):
    """Return the share of a fleet that is renewed inside its windows, as Let's Encrypt makes them: 2 % of the lifetime around its middle."""
    generator, lifetime, inside, number = random.Random(11), hours * HOUR, 0, 3000
    middle = lifetime / 2 if lifetime < 240 * HOUR else lifetime * 2 / 3
    for one in range(number):
        begin = START + HOUR * generator.uniform(0, 24)
        window = begin + middle - lifetime / 100, begin + middle + lifetime / 100
        advised = renewal_instant(f"AKI.{one}", *window)
        due = renewal_time(begin, begin + lifetime, None, f"web{one}/www", advised)
        run = START + (due - START) // period * period - period  # each run begins with a delay of its own
        while (started := run + delay * generator.random()) < due:
            run += period
        inside += window[0] <= started < window[1]
    return inside / number


def test_certificates_of_six_days_renew_inside_their_windows_with_the_default_schedule():
    delay = datetime.timedelta(seconds=default_of("schedule_delay", SHORT))
    periods = [PERIODS[default_of(name, SHORT)[0]] for name in ("schedule_times", "schedule_cron_times")]
    assert periods == [HOUR, HOUR]
    assert share_in_window(160, HOUR, delay) >= 0.99
    assert share_in_window(160, 4 * HOUR, delay) < 0.8, (
        "a run in four hours is not enough, which is why there is another default"
    )


@pytest.mark.parametrize("days", [45, 64, 90])
def test_longer_lifetimes_need_a_run_in_four_hours(days):
    delay = datetime.timedelta(seconds=default_of("schedule_delay", {}))
    [times] = default_of("schedule_times", {})
    assert share_in_window(24 * days, PERIODS[times], delay) == 1


@pytest.mark.parametrize(
    ("issuers", "times"),
    [
        ({}, "00/4:00"),
        ({"le": {"type": "acme"}, "ca": {"type": "local_ca"}}, "00/4:00"),
        ({"le": {"type": "acme", "directories": ["letsencrypt", {"directory": "zerossl"}]}}, "00/4:00"),
        (SHORT, "hourly"),
        (
            {"le": {"type": "acme", "directories": ["zerossl", {"directory": "letsencrypt", "profile": "shortlived"}]}},
            "hourly",
        ),
    ],
)
def test_the_profile_of_an_issuer_decides_how_often_certificates_are_renewed(issuers, times):
    assert default_of("schedule_times", issuers) == [times]
    assert default_times(times == "hourly") == [times], "the plan reckons with the same"
    assert PERIODS[default_of("schedule_cron_times", issuers)[0]] == PERIODS[times]
