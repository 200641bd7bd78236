# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pending requests are described with their urgency, and are an error when they are overdue."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import (
    Pending,
    pending_message,
    pending_result,
    urgency,
)

START = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
PENDING = Pending("hand it in", START + 100 * DAY, START + 190 * DAY)


def validity(days):
    return {"not_before": START.isoformat(), "not_after": (START + days * DAY).isoformat(), "names": ["a.example"]}


def message(left, pending=PENDING, days=200):
    return pending_message(pending, validity(days), START + (days - left) * DAY)


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
def test_the_urgency_follows_from_the_share_that_is_left(days, share, word):
    assert urgency(validity(days), START + days * (1 - share) * DAY) == word


def test_without_a_certificate_in_use_it_is_never_urgent():
    pending, later = PENDING._replace(until=None), START + 400 * DAY
    assert urgency(None, START) == "plain"
    assert pending_result(pending, None, later) == {
        "for": "hand it in",
        "since": "2026-09-09T00:00:00+00:00",
        "until": None,
        "urgency": "plain",
        "names": [],
    }
    assert (
        pending_message(pending, None, later)
        == "hand it in (waiting since 2026-09-09 00:00 UTC; no certificate is in use until then)"
    )


def test_a_lifetime_of_zero_is_late():
    assert urgency(validity(0), START) == "late"


def test_result_and_message_name_since_when_and_until_when():
    assert pending_result(PENDING, validity(200), START + 170 * DAY) == {
        "for": "ask where it stays: hand it in",
        "since": "2026-09-09T00:00:00+00:00",
        "until": "2026-12-18T00:00:00+00:00",
        "urgency": "soon",
        "names": ["a.example"],
    }
    assert message(100) == (
        "hand it in (waiting since 2026-09-09 00:00 UTC, given up on 2026-12-08 00:00 UTC; the certificate in use goes on until "
        "2026-12-18 00:00 UTC)"
    )
    assert message(30).startswith("ask where it stays: hand it in (")
    assert message(30).endswith("goes on until 2026-12-18 00:00 UTC, 15% of its lifetime is left)")
    assert message(10).startswith("urgent: hand it in (waiting since ")


@pytest.mark.parametrize(
    ("left", "end"),
    [
        (4, "the certificate in use goes on until 2026-12-18 00:00 UTC, 2% of its lifetime is left)"),
        (-1, "the certificate in use expired on 2026-12-18 00:00 UTC)"),
    ],
)
def test_an_overdue_request_is_an_error(left, end):
    with pytest.raises(TlsError) as caught:
        message(left, PENDING._replace(changed=True))
    assert str(caught.value).startswith("overdue: hand it in (waiting since")
    assert str(caught.value).endswith(end)
    assert caught.value.details["waiting"]["urgency"] == "late"
    assert caught.value.details["changed"]
