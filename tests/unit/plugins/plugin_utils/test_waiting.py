# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever waits is told since when and until when, the louder the less is left; and in the end it is a failure."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils.waiting import Waiting, describe, urgency

START = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
WAITING = Waiting("hand it in", START + 100 * DAY, START + 190 * DAY)


def lifetime(days):
    return {"not_before": START.isoformat(), "not_after": (START + days * DAY).isoformat(), "names": ["a.example"]}


def told(left, waiting=WAITING, days=200):
    return describe(waiting, lifetime(days), START + (days - left) * DAY)


@pytest.mark.parametrize("days", [10, 47, 200])
@pytest.mark.parametrize(
    ("share", "word"),
    [
        (1, "plain"),
        (0.5, "plain"),
        (0.17, "plain"),
        (0.16, "soon"),
        (0.09, "soon"),
        (0.08, "hurry"),
        (0.03, "hurry"),
        (0.02, "late"),
        (0, "late"),
        (-1, "late"),
    ],
)
def test_reminders_grow_louder_by_the_share_that_is_left(days, share, word):
    assert urgency(lifetime(days), START + days * (1 - share) * DAY) == word


def test_where_nothing_is_in_use_nothing_can_come_to_an_end():
    assert urgency(None, START) == "plain"
    assert describe(WAITING._replace(until=None), None, START + 400 * DAY) == {
        "for": "hand it in (waiting since 2026-09-09 00:00 UTC; no certificate is in use until then)",
        "since": "2026-09-09T00:00:00+00:00",
        "until": None,
        "urgency": "plain",
        "names": [],
    }


def test_a_certificate_without_a_lifetime_cannot_wait():
    assert urgency(lifetime(0), START) == "late"


def test_it_is_said_since_when_and_until_when():
    assert told(100) == {
        "for": "hand it in (waiting since 2026-09-09 00:00 UTC, given up on 2026-12-08 00:00 UTC; the certificate in use goes on until 2026-12-18 00:00 UTC)",
        "since": "2026-09-09T00:00:00+00:00",
        "until": "2026-12-18T00:00:00+00:00",
        "urgency": "plain",
        "names": ["a.example"],
    }
    assert told(30)["for"].endswith(
        "goes on until 2026-12-18 00:00 UTC, 15% of its lifetime is left: ask where it stays)"
    )
    assert told(10)["for"].startswith("HURRY: hand it in (waiting since ")


@pytest.mark.parametrize(
    ("left", "begin", "end"),
    [
        (
            4,
            "TOO LATE to wait longer: hand it in",
            "the certificate in use expires on 2026-12-18 00:00 UTC, 2% of its lifetime is left)",
        ),
        (-1, "TOO LATE: hand it in", "the certificate in use expired on 2026-12-18 00:00 UTC)"),
    ],
)
def test_in_the_end_waiting_is_a_failure(left, begin, end):
    with pytest.raises(TlsError) as caught:
        told(left, WAITING._replace(changed=True))
    assert str(caught.value).startswith(begin) and str(caught.value).endswith(end)
    assert caught.value.details["waiting"]["urgency"] == "late"
    assert caught.value.details["changed"]
