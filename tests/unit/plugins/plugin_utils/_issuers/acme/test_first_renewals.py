# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""First renewals: a fleet that is enrolled on one day is renewed over many days, and no limit of a CA pays for it."""

from __future__ import annotations

import collections
import contextlib
import datetime
import math
import random

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    first_renewal_time,
    renewal_time,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.plugin_utils import _json_records
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import CaLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.directories import WELL_KNOWN
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.first_renewals import FirstRenewals
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import RenewalRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import advice, open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

LETSENCRYPT = WELL_KNOWN["letsencrypt"]
PRIVATE = "https://ca.example.org/directory"
START = datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)
DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)


class Memory(JsonRecords):
    """Records that are not written, and that count how often they are read."""

    def __init__(self):
        super().__init__("")
        self.records, self.reads = {}, 0

    def read(self, name, texts=()):
        self.reads += 1
        return self.records.get(name, {})

    def write(self, name, record):
        self.records[name] = record

    def locked(self, name, timeout_s=0.0):
        return contextlib.nullcontext()

    def names(self):
        return sorted(self.records)


class Fleet:
    """Requests that were enrolled, each with the record of its first certificate."""

    def __init__(self, number, days, names=None, limits=None, url=LETSENCRYPT):
        self.folder, self.certificates = Memory(), Memory()
        self.limits = [CaLimits(url, limits)]
        self.records = {}
        content = FirstRenewals(self.folder, self.certificates, self.limits)
        for one in range(number):
            host, begin = f"web{one}", START + DAY * (one / number)
            content.add(host, "www", f"{one:x}", begin, (names or "{}.example.org").format(host).split())
            self.certificates.records[host] = {}
            self.records[host] = {
                "serial_number": f"{one:x}",
                "not_before": begin.isoformat(),
                "not_after": (begin + days * DAY).isoformat(),
                "directory": url,
            }
        self.first_renewals = FirstRenewals(self.folder, self.certificates, self.limits)

    def spread(self):
        """Return the date of the first renewal of each host, None where it is not spread."""
        advice = {host: self.first_renewals.spread(host, "www", record) for host, record in self.records.items()}
        return {host: parse_date(one["at"]) if one else None for host, one in advice.items()}


def busiest_day(times):
    return max(collections.Counter(time.date() for time in times).values())


def bound(number, days):
    """Return the most renewals that a day has: a mean of number / (days / 6), and four standard deviations."""
    mean = number * 6 / days
    return mean + 4 * math.sqrt(mean)


@pytest.mark.parametrize("days", [47, 90])
def test_a_fleet_that_is_enrolled_on_a_day_is_renewed_over_a_sixth_of_the_lifetime_and_stays_spread(days):
    lifetime, generator = days * DAY, random.Random(5)
    fleet = Fleet(1000, days)
    times = fleet.spread()
    assert len(times) == 1000
    assert all(times.values())
    before = busiest_day(
        renewal_time(
            parse_date(fleet.records[host]["not_before"]),
            parse_date(fleet.records[host]["not_after"]),
            None,
            f"{host}/www",
        )
        for host in times
    )
    assert busiest_day(times.values()) <= bound(1000, days) < before / 2
    for _generation in range(6):  # a run every four hours renews what is due
        begins = {host: time + 4 * HOUR * generator.random() for host, time in times.items()}
        times = {host: renewal_time(begin, begin + lifetime, None, f"{host}/www") for host, begin in begins.items()}
        assert busiest_day(times.values()) <= bound(1000, days)


@pytest.mark.parametrize("hours", [6, 100, 241, 47 * 24, 90 * 24, 398 * 24])
def test_a_first_renewal_is_after_half_of_the_lifetime_and_not_later_than_without_the_spread(hours):
    lifetime = hours * HOUR
    for number in range(500):
        at = first_renewal_time(START, START + lifetime, f"web{number}/www")
        assert START + lifetime / 2 <= at
        usual = renewal_time(START, START + lifetime, None, f"web{number}/www")
        assert at <= usual or hours < 240


def test_no_renewal_is_spread_where_few_certificates_were_issued_on_the_day():
    assert not any(Fleet(30, 47).spread().values()), "30 is the smallest number that is spread"
    assert all(Fleet(31, 47).spread().values())
    daily = Fleet(90, 47)
    daily.certificates.records |= {f"other{number}": {} for number in range(910)}
    assert not any(daily.spread().values()), "90 of 1000 are less than three times 32"


def test_renewals_of_one_set_of_names_are_spread_only_where_the_ca_has_no_limit_for_it():
    shared = {"names": "www.example.org"}
    assert not any(Fleet(40, 47, **shared).spread().values())
    assert all(Fleet(40, 47, **shared, limits={"exact_set": 0}).spread().values())
    assert all(Fleet(40, 47, **shared, url=PRIVATE).spread().values())
    assert not any(Fleet(40, 398).spread().values()), "after 120 days, Let's Encrypt counts it as new"
    assert all(Fleet(40, 398, url=PRIVATE).spread().values())


def test_short_lived_certificates_and_later_generations_are_not_spread():
    assert not any(Fleet(40, 6).spread().values())
    fleet = Fleet(40, 47)
    for record in fleet.records.values():
        record["serial_number"] += "ff"
    assert not any(fleet.spread().values())


def test_what_a_run_reads_grows_with_the_days_of_issue_and_not_with_the_hosts():
    for number in (40, 400):
        fleet = Fleet(number, 47)
        fleet.folder.reads = fleet.certificates.reads = 0
        assert all(fleet.spread().values())
        assert (fleet.folder.reads, fleet.certificates.reads) == (1, 0)


def test_a_survey_where_nothing_is_due_reads_as_many_files_for_each_endpoint_as_without_the_spread(
    tmp_path, monkeypatch
):
    now, reads = utc_now(), []
    opened = open_issuer("ca", {"ca": {"type": "acme", "folder": str(tmp_path)}})
    for one in range(60):
        begin = now - DAY * (one % 3)
        record = {
            "serial_number": f"{one:x}",
            "not_before": begin.isoformat(),
            "not_after": (begin + 90 * DAY).isoformat(),
            "certificate": "",
            "directory": LETSENCRYPT,
            "next": (now + HOUR).isoformat(),
        }
        opened.renewals.folder.write(file_name(f"web{one}", "www"), {"certificates": {"id": record}})
        opened.first_renewals.add(f"web{one}", "www", f"{one:x}", begin, [f"web{one}.example.org"])
    read = _json_records.read_file
    monkeypatch.setattr(_json_records, "read_file", lambda path: reads.append(path) or read(path))

    def number_of_reads(is_spread):
        issuer = open_issuer("ca", {"ca": {"type": "acme", "folder": str(tmp_path), "spread": is_spread}})
        reads.clear()
        assert [advice(issuer, f"web{one}", {"name": "www"}) for one in range(60)] == [{}] * 60
        return len(reads)

    without = number_of_reads(False)
    assert without >= 60
    assert number_of_reads(True) == without + 3, "each day of issue is read once in a run"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"certificates": []},
        {"certificates": {"web0": "x"}},
        {"certificates": {"web0": [1]}},
        {"certificates": None},
    ],
)
def test_a_malformed_record_of_a_day_spreads_nothing(content):
    fleet = Fleet(40, 47)
    fleet.folder.records = dict.fromkeys(fleet.folder.records, content)
    assert not any(fleet.spread().values())


def test_the_earlier_one_of_the_advice_of_the_ca_and_of_the_spread_date_holds(tmp_path):
    renewals = RenewalRecords(JsonRecords(str(tmp_path)))
    record = {
        "serial_number": "1",
        "not_before": START.isoformat(),
        "not_after": (START + 90 * DAY).isoformat(),
        "certificate": "",
        "chosen": (START + 50 * DAY).isoformat(),
    }
    renewals.folder.write(
        file_name("web1", "www"),
        {"certificates": {"id": record}},
    )

    def spread(days):
        advice = {"at": (START + days * DAY).isoformat(), "reason": "spread"}
        return renewals.advice("web1", "www", lambda host, request, one: advice)["1"]

    assert renewals.advice("web1", "www")["1"]["at"] == record["chosen"]
    assert spread(46) == {"at": (START + 46 * DAY).isoformat(), "reason": "spread"}
    assert spread(55)["at"] == record["chosen"]
    assert renewals.advice("web1", "www", lambda host, request, one: None)["1"]["at"] == record["chosen"]
