# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clocks that disagree: by how much, and whether it matters."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.clock_skew import (
    duration_in_words,
    is_excessive,
    measured_skew,
    skew_message,
)

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
MINUTE, HOUR, DAY = (datetime.timedelta(seconds=seconds) for seconds in (60, 3600, 86400))
NOTHING = datetime.timedelta()


@pytest.mark.parametrize(
    ("told", "ahead"),
    [
        (NOON, NOTHING),
        (NOON + MINUTE, NOTHING),
        (NOON + 2 * MINUTE, NOTHING),
        (NOON - HOUR, -HOUR),
        (NOON + HOUR, HOUR - 2 * MINUTE),
    ],
)
def test_a_host_agrees_that_tells_a_time_between_question_and_answer(told, ahead):
    assert measured_skew(NOON, told.isoformat(), NOON + 2 * MINUTE) == ahead


def test_a_controller_whose_clock_is_set_back_meanwhile_makes_no_host_wrong():
    assert measured_skew(NOON, NOON.isoformat(), NOON - DAY) == NOTHING


def test_a_host_tells_its_time_in_any_zone():
    assert measured_skew(NOON, "2026-11-21T13:00:00+01:00", NOON) == NOTHING


@pytest.mark.parametrize("told", ["", "now", "0001-01-01T00:00:00+23:00", "2026-11-21T25:00:00+00:00"])
def test_a_host_that_tells_no_time_is_not_believed(told):
    with pytest.raises(TlsError) as caught:
        measured_skew(NOON, told, NOON)
    assert str(caught.value) == f"the host says that it is {told!r} now; look at what it is doing"


def test_a_disagreement_is_told_with_its_side_and_what_to_do():
    assert skew_message(-3 * DAY - HOUR) == (
        "the clock of this host is 3 days and 1 hour behind that of the controller; set the one that is wrong"
    )
    assert skew_message(HOUR).startswith("the clock of this host is 1 hour ahead of that of the controller; ")
    assert skew_message(MINUTE / 2) is None


@pytest.mark.parametrize(
    ("ahead", "too_wrong"),
    [(NOTHING, False), (-HOUR, False), (-HOUR - MINUTE, True), (2 * HOUR, False), (DAY, False), (DAY + HOUR, True)],
)
def test_a_host_may_be_somewhat_wrong_and_more_ahead_than_behind(ahead, too_wrong):
    assert is_excessive(ahead) is too_wrong


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (61, "1 minute and 1 second"),
        (3600, "1 hour"),
        (3601, "1 hour"),
        (90061, "1 day and 1 hour"),
        (86400 * 400, "400 days"),
        (0, ""),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_units(seconds, text):
    assert duration_in_words(datetime.timedelta(seconds=seconds)) == text
