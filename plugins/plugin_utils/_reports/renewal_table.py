# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report on a renewal run as people read it: a table, and a sentence."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.renewal import (
    REPORTED_STATES,
    Outcome,
    Report,
    state_words,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

HEADER = ("state", "host", "request", "valid until", "why")


def report_text(report: Report, most: int, check_mode: bool = False) -> str:
    """Return a report with one line an outcome, and its sentence as the last line.

    most: the maximum of lines for each state.
    """
    most = max(0, most)
    lines: list[tuple[str, ...]] = [HEADER] if report.outcomes else []
    for state in REPORTED_STATES:
        outcomes = [outcome for outcome in report.outcomes if outcome.state == state]
        lines += [_table_line(outcome, check_mode) for outcome in outcomes[:most]]
        if len(outcomes) > most:
            lines.append((f"… and {len(outcomes) - most} more {state_words(state, check_mode)}",))
    widths = [max(len(line[column]) for line in lines if len(line) > 1) for column in range(4)] if lines else []
    rows = ["  ".join([*(cell.ljust(size) for cell, size in zip(line[:-1], widths)), line[-1]]) for line in lines]
    return "\n".join([*rows, report.sentence])


def _table_line(outcome: Outcome, check_mode: bool) -> tuple[str, str, str, str, str]:
    since = f"since {_display_date(outcome.since)}: " if outcome.since else ""
    return (
        state_words(outcome.state, check_mode),
        escape_control_characters(outcome.host),
        escape_control_characters(outcome.request) or "-",
        _display_date(outcome.until) if outcome.until else "-",
        escape_control_characters(since + outcome.reason),
    )


def _display_date(iso_date: str) -> str:
    date = parse_date(iso_date)
    return format_date(date, "minutes") if date else iso_date
