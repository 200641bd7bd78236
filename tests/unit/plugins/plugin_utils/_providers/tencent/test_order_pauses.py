# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A refusal for which waiting helps is remembered on the disk, for as long as it says, and by later runs."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import TencentError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.order_pauses import OrderPauses, pause_of

NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.timezone.utc)


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pauses(tmp_path, clock):
    """Return what opens the pauses of an account as a run does that begins."""
    return lambda account="main", key="AKIDexample": OrderPauses(JsonRecords(str(tmp_path)), account, key, clock)


def refusal(code, words="the words of the cloud"):
    return TencentError(f"Tencent Cloud refuses ssl:ApplyCertificate: {words}", code, "r")


@pytest.mark.parametrize(
    ("code", "words", "minutes"),
    [
        ("RequestLimitExceeded", "too often", 10),
        ("LimitExceeded.SslCertRequestLimitExceeded", "try again in 30 minutes", 30),
        ("RequestLimitExceeded", "wait 1 hour", 60),
        ("RequestLimitExceeded", "wait 45 seconds", 0.75),
        ("RequestLimitExceeded", "wait 0 seconds", 1 / 60),
        ("RequestLimitExceeded", "wait 9999 days", 8 * 24 * 60),
        ("FailedOperation.ExceedsFreeLimit", "the limit is exceeded", 6 * 60),
        ("FailedOperation.MainDomainCertificateCountLimit", "once in 2 days", 2 * 24 * 60),
    ],
)
def test_a_pause_is_as_long_as_the_words_say_or_the_code_implies(code, words, minutes):
    assert pause_of(code, words) == datetime.timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "code", ["", "AuthFailure.SignatureFailure", "InternalError", "FailedOperation.NoRealNameAuth"]
)
def test_what_does_not_pass_by_waiting_is_no_pause(pauses, code):
    error = refusal(code) if code else TlsError("it does not answer within 90 seconds")
    assert pause_of(code, "try again in 30 minutes") is None
    assert pauses().refused(error, "example.org") is error
    pauses().check("example.org")


def test_a_later_run_is_told_and_may_order_once_the_time_is_over(pauses, clock):
    told = pauses().refused(refusal("RequestLimitExceeded", "try again in 30 minutes"), "example.org")
    assert str(told).endswith(
        "; nothing is ordered again before 2026-11-30 12:30:00 UTC, unless with certificate_force=true"
    )
    for zone in ("example.org", "example.net"):
        with pytest.raises(TlsError) as caught:
            pauses().check(zone)
        assert str(caught.value) == str(told)
    clock.now = NOW + datetime.timedelta(minutes=31)
    pauses().check("example.org")


def test_the_quota_of_a_primary_domain_stops_no_other_domain(pauses):
    pauses().refused(refusal("FailedOperation.MainDomainCertificateCountLimit"), "example.org")
    pauses().check("example.net")
    with pytest.raises(TlsError, match="nothing is ordered again before"):
        pauses().check("example.org")


def test_another_account_is_not_paused_though_it_has_the_same_name(pauses):
    pauses().refused(refusal("RequestLimitExceeded"), "example.org")
    pauses(key="AKIDother").check("example.org")
    pauses(account="shop").check("example.org")


def test_a_date_from_a_clock_that_was_ahead_does_not_count(pauses, clock):
    clock.now = NOW + datetime.timedelta(days=365)
    pauses().refused(refusal("RequestLimitExceeded"), "example.org")
    clock.now = NOW
    pauses().check("example.org")


def test_a_record_that_was_damaged_stops_nothing(pauses, tmp_path):
    pauses().refused(refusal("RequestLimitExceeded"), "example.org")
    (record,) = tmp_path.glob("*.json")
    for content in ("", "[]", '{"account": 1}', '{"account": {"until": 5}}', "{"):
        record.write_text(content, encoding="utf-8")
        pauses().check("example.org")
