# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a CA is left alone, with what, and how many work for it at a time. What servers say is in test_acme_orders.py."""

from __future__ import annotations

import datetime
import os
import threading

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import (
    OrderSlots,
    limited_scopes,
    retry_after,
    scopes,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

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
def test_times_to_come_back_are_numbers_or_dates(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("words", "about"),
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
def test_a_limit_is_about_what_the_ca_names(words, about):
    assert limited_scopes(words, NAMES) == about


def test_what_a_limit_may_be_about_are_names_and_the_domains_above_them():
    assert scopes(NAMES) == ["*.shop.example.org", "example.org", "shop.example.org", "www.example.org", SET]
    assert scopes(["192.0.2.1"]) == ["192.0.2.1", "192.0.2.1"]
    assert scopes([]) == []


def test_no_more_work_at_a_time_than_there_are_places(tmp_path):
    slots, busy, most = OrderSlots(JsonRecords(str(tmp_path)), 3), [], []

    def work():
        with slots.slot(60):
            busy.append(1)
            most.append(len(busy))
            release.wait(0.05)
            busy.pop()

    release = threading.Event()
    threads = [threading.Thread(target=work) for _number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 9 and max(most) <= 3


def test_who_finds_no_place_is_told(tmp_path):
    slots = OrderSlots(JsonRecords(str(tmp_path)), 1)
    with (
        slots.slot(60),
        pytest.raises(TlsError, match="the places for orders, 1 of them, have been taken for 0 seconds; wait"),
        slots.slot(0),
    ):
        pass


def test_a_record_that_cannot_be_read_is_as_if_there_were_none(tmp_path):
    state = JsonRecords(str(tmp_path / "folder"))
    assert state.read("one") == {}
    state.write("one", {"a": 1})
    assert state.read("one") == {"a": 1}
    for content in (b"{", b"[]", b"\xff"):
        (tmp_path / "folder/one.json").write_bytes(content)
        assert state.read("one") == {}


def test_what_nobody_has_touched_for_long_is_swept(tmp_path):
    state, now = JsonRecords(str(tmp_path)), datetime.datetime.now(datetime.timezone.utc)
    for name in ("old", "new"):
        state.write(name, {})
    os.utime(state.path_of("old"), (1, 1))
    state.remove_older(datetime.timedelta(days=60), now)
    assert os.listdir(tmp_path) == ["new.json"]
    JsonRecords(str(tmp_path / "missing")).remove_older(datetime.timedelta(days=60), now)


def test_files_are_named_so_that_people_find_them():
    assert file_name("web1", "www.example.org").startswith("www.example.org-")
    assert file_name("web1", "www") != file_name("web", "1www")
    assert "/" not in file_name("../../x", "../../etc/passwd")
