# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dates: read in any form of ISO 8601, written in one."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date, utc_now

DATE = datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:00:00+00:00",
        "2026-11-21T10:00:00Z",
        "2026-11-21T10:00:00",
        "2026-11-21 12:00:00+02:00",
        "2026-11-21T10:00:00.000000999Z",
    ],
)
def test_a_date_in_iso_8601_is_read_as_utc(text):
    assert parse_date(text) == DATE
    assert parse_date(text).utcoffset() == datetime.timedelta()


@pytest.mark.parametrize(
    "text", [None, 5, "", "soon", {}, b"2026-11-21T10:00:00", "2026-11-21T25:00:00", "0001-01-01T00:00:00+23:00"]
)
def test_anything_else_is_no_date(text):
    assert parse_date(text) is None


def test_a_date_is_written_to_the_minute_or_second():
    east = DATE.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
    assert format_date(east) == "2026-11-21 10:00:00 UTC"
    assert format_date(east, "minutes") == "2026-11-21 10:00 UTC"


def test_the_time_is_in_utc():
    assert utc_now().utcoffset() == datetime.timedelta()
