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
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.text_table import (
    INDENT,
    Entry,
    table_lines,
    wrapped_lines,
)

HEADER = ("state", "host", "request", "valid until", "why")
UNKNOWN_END = "-"
END_COLUMN = HEADER.index("valid until")


def report_text(report: Report, most: int, check_mode: bool = False, width: int | None = None) -> str:
    """Return a report with one row an outcome, and its sentence as the last line.

    Outcomes of one state with one reason stand together, above that reason. Each reason is shown whole. The column of ends is left out
    where none is known, as for requests with an unknown issuer.

    most: the maximum of rows for each state.
    width: of the terminal in columns; no line is longer. None for no limit.
    """
    most = max(0, most)
    entries: list[Entry] = []
    for state in REPORTED_STATES:
        outcomes = [outcome for outcome in report.outcomes if outcome.state == state]
        entries += _entries(outcomes, most, check_mode)
        if len(outcomes) > most:
            entries.append(Entry([], f"… and {len(outcomes) - most} more {state_words(state, check_mode)}"))
    header: tuple[str, ...] = HEADER
    if all(row[END_COLUMN] == UNKNOWN_END for entry in entries for row in entry.rows):
        header = _without_end(HEADER)
        entries = [entry._replace(rows=[_without_end(row) for row in entry.rows]) for entry in entries]
    lines = table_lines(header, entries, width)
    return "\n".join([*lines, *wrapped_lines(report.sentence, width, INDENT, "")])


def _entries(outcomes: list[Outcome], most: int, check_mode: bool) -> list[Entry]:
    """Return an entry for each reason of outcomes that have one state, with the first *most* of them in all."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        since = f"since {_display_date(outcome.since)}: " if outcome.since else ""
        groups.setdefault(since + outcome.reason, []).append(outcome)
    entries = []
    for reason, group in groups.items():
        rows = [_cells(outcome, check_mode) for outcome in group[:most]]
        most -= len(rows)
        counted = f"{len(group)} of them: " if len(group) > 1 else ""
        entries += [Entry(rows, counted + reason, "")] if rows else []
    return entries


def _cells(outcome: Outcome, check_mode: bool) -> tuple[str, ...]:
    return (
        state_words(outcome.state, check_mode),
        outcome.host,
        outcome.request or "-",
        _display_date(outcome.until) if outcome.until else UNKNOWN_END,
        "",
    )


def _without_end(row: tuple[str, ...]) -> tuple[str, ...]:
    """Return a row without the end of its certificate."""
    return row[:END_COLUMN] + row[END_COLUMN + 1 :]


def _display_date(iso_date: str) -> str:
    date = parse_date(iso_date)
    return format_date(date, "minutes") if date else iso_date
