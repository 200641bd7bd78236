# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rate limits, the backoff after failures, and slots for orders. What servers send is in test_orders.py."""

from __future__ import annotations

import datetime
import threading

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import ERROR_PREFIX, Problem, problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import (
    OrderSlots,
    RateLimits,
    limited_scopes,
    retry_after,
    scopes,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.remedies import PAUSED_REMEDY
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords

NOW = datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.timezone.utc)
NAMES = ["www.example.org", "*.shop.example.org"]
SET = "*.shop.example.org,www.example.org"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 12:01:00 GMT"}, 60),
        ({"Retry-After": "Sat, 21 Nov 2026 12:01:00 GMT", "Date": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30),
        ({"Retry-After": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "99999999999999999999"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("words", "limited"),
    [
        ('too many certificates (50) already issued for "example.org" in the last 168h0m0s', ["example.org"]),
        ("too many failed authorizations (5) for www.example.org in the last 1h0m0s.", ["www.example.org"]),
        ("too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s", [SET]),
        ("too many new orders (300) from this account in the last 3h0m0s", ["*"]),
        ("too many certificates for other.example", ["*"]),
        ("see https://letsencrypt.org/docs/rate-limits/", ["*"]),
        ("", ["*"]),
    ],
)
def test_a_limit_applies_to_the_names_in_the_words_of_the_ca(words, limited):
    assert limited_scopes(words, NAMES) == limited


def test_the_scopes_of_a_limit_are_names_their_domains_and_their_set():
    assert scopes(NAMES) == ["*.shop.example.org", "example.org", "shop.example.org", "www.example.org", SET]
    assert scopes(["192.0.2.1"]) == ["192.0.2.1", "192.0.2.1"]
    assert scopes([]) == []


def test_a_pause_keeps_its_remedy_and_bars_its_names_for_a_minute(tmp_path):
    limits = RateLimits(JsonRecords(str(tmp_path)), "https://ca.example.org/directory")
    words = "Your account is temporarily prevented from requesting certificates for www.example.org and possibly others"
    page = "https://portal.example.org/unpause?jwt=x"
    paused = problem(
        "an order", {"type": f"{ERROR_PREFIX}rateLimited", "detail": f"{words}. Please visit: {page}"}, 429
    )
    recorded = str(limits.record(paused, NAMES))
    assert f"see {page}; {PAUSED_REMEDY}; nothing is asked again before " in recorded
    with pytest.raises(Problem) as caught:
        limits.wait(["www.example.org"])
    assert str(caught.value) == recorded and 30 < caught.value.retry_after <= 60
    limits.wait(["shop.example.org"])


def test_no_more_orders_at_a_time_than_slots(tmp_path):
    slots, busy, counts = OrderSlots(JsonRecords(str(tmp_path)), 3), [], []

    def work():
        with slots.slot(60):
            busy.append(1)
            counts.append(len(busy))
            release.wait(0.05)
            busy.pop()

    release = threading.Event()
    threads = [threading.Thread(target=work) for _number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 9 and max(counts) <= 3


def test_an_order_without_a_slot_fails_after_the_timeout(tmp_path):
    slots = OrderSlots(JsonRecords(str(tmp_path)), 1)
    with (
        slots.slot(60),
        pytest.raises(TlsError, match="the places for orders, 1 of them, have been taken for 0 seconds; wait"),
        slots.slot(0),
    ):
        pass
