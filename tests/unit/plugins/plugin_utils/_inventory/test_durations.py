# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lengths of time and shares of a lifetime, as people write them."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import (
    normal_renew_before,
    parse_duration,
    parse_renew_before,
)

SECOND = datetime.timedelta(seconds=1)
DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1s", SECOND),
        ("90m", 90 * 60 * SECOND),
        ("12h", DAY / 2),
        ("90d", 90 * DAY),
        ("2w", 14 * DAY),
        (" 30 d ", 30 * DAY),
        ("007d", 7 * DAY),
        ("36500d", 36500 * DAY),
    ],
)
def test_a_length_of_time_is_a_number_and_a_unit(text, length):
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "90", "d", "-1d", "1.5d", "1y", "90 days", "0d", "P90D", "9d\n1d", "९d", None, 90]
)
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(TlsError) as caught:
        parse_duration(text)
    assert str(caught.value) == (
        f"{text!r} is not a length of time; write a number and a unit, such as 90d, 12h or 30m"
    )


@pytest.mark.parametrize("text", ["36501d", "5215w", "999999999w"])
def test_more_than_a_hundred_years_is_refused(text):
    with pytest.raises(TlsError) as caught:
        parse_duration(text)
    assert str(caught.value) == f"{text!r} is longer than a hundred years; write a shorter time, such as 90d"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("1/3", 1 / 3),
        (" 2 / 3 ", 2 / 3),
        ("33%", 0.33),
        ("50 %", 0.5),
        ("1%", 0.01),
        ("0.25", 0.25),
        (".5", 0.5),
        ("30d", 30 * DAY),
        ("12h", DAY / 2),
    ],
)
def test_what_has_to_be_left_is_a_share_or_a_length_of_time(text, left):
    assert parse_renew_before(text) == left


@pytest.mark.parametrize("text", ["1/1", "3/2", "1/0", "100%", "999%", "0%", "0/3", "0.0", ".000"])
def test_a_share_is_more_than_nothing_and_less_than_the_whole(text):
    with pytest.raises(TlsError) as caught:
        parse_renew_before(text)
    assert str(caught.value) == (
        f"renew_before: {text} is no share of a lifetime; write one between none and all of it, such as 1/3, "
        "or a duration such as 30d"
    )


@pytest.mark.parametrize("text", ["soon", "-1/3", "1/3/3", "30", "0d", "1.0", "0.", "1/", "%", "", None, 0.25j])
def test_what_is_neither_a_share_nor_a_length_of_time_is_refused(text):
    with pytest.raises(TlsError) as caught:
        parse_renew_before(text)
    assert str(caught.value) == (
        f"renew_before: {text!r} is not a length of time; write a number and a unit, such as 90d, 12h or 30m, "
        "or a share such as 1/3"
    )


def test_a_share_that_is_too_long_a_time_is_refused():
    with pytest.raises(TlsError, match="renew_before: '36501d' is longer than a hundred years"):
        parse_renew_before("36501d")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("1/3", "0.333333"),
        ("99%", "0.990000"),
        (".5", "0.500000"),
        ("30d", "2592000s"),
        ("1s", "1s"),
        ("12 h", "43200s"),
    ],
)
def test_what_has_to_be_left_has_one_normal_form(text, normal):
    assert normal_renew_before(text) == normal
    assert normal_renew_before(normal) == normal


def test_what_means_nothing_has_no_normal_form():
    with pytest.raises(TlsError, match="renew_before: 100% is no share of a lifetime"):
        normal_renew_before("100%")
