# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a run, in format 2, as reports read it.

All times are texts in ISO 8601 with the offset of UTC, in whole seconds. docs/schema/run.json describes the same.
"""

from __future__ import annotations

import typing as t

FORMAT = 2
STATES = ("failed", "untouched", "waiting", "renewed", "repaired", "fine")  # of an outcome, the worst first


class OutcomeEntry(t.TypedDict):
    """What became of a request of a host, or of a host as a whole. Of a record of format 1 the fields from contact on are empty."""

    host: str
    state: str
    reason: str
    request: str  # nothing for the host as a whole
    until: str | None  # the end of the certificate that is served
    since: str | None  # when the request began to wait
    unproved: bool
    put_back: str | None
    contact: list[str]
    issuer: str  # its name in the inventory
    kind: str | None  # dv, ov or ev, of a request that waits for people
    fingerprint: str | None  # of the certificate that is served, SHA-256 in hexadecimal digits
    serial_number: str | None
    not_before: str | None
    seconds: float | None  # from the begin of its wave to its proof
    wave: int | None  # 1 is the canary


class RunDocument(t.TypedDict):
    """The record of a run as a whole."""

    format: int
    started: str | None
    finished: str
    check_mode: bool
    controller: str
    user: str
    ansible: str
    playbooks: list[str]
    play: str | None
    limit: str | None
    survey: dict[str, int]  # endpoints by state
    counts: dict[str, int]  # outcomes by state
    stopped_by: list[str]  # the hosts whose failure kept the run from others
    outcomes: list[OutcomeEntry]
    msg: str
