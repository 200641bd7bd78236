# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of a survey as people read them: a table, a sentence, counts, and how far the survey has come."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import STATES, Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.text_table import (
    INDENT,
    Entry,
    table_lines,
    wrapped_lines,
)

PROGRESS_INTERVAL_S = 3.0
MAX_ROWS_OF_REASON = 10  # in a table that does not show all endpoints
MAX_CELL_CHARACTERS = 100  # of a name of others: a domain, a request, an issuer
MINUTES_OF_DAY = 1440
# until: the day on which the certificate ends. renewal: the day from which it is due. Both are in UTC.
HEADER = ("host", "name", "address", "left", "until", "renewal", "issuer", "state")
DROPPABLE_COLUMNS = ("issuer", "renewal", "until")  # in this order, on a narrow terminal


def count_by_state(findings: list[Finding]) -> dict[str, int]:
    """Return how many findings there are of each state, the worst first, without those that are forced."""
    observed = _observed(findings)
    return {state: sum(finding.state == state for finding in observed) for state in STATES}


def count_fine_requests(findings: list[Finding]) -> int:
    """Return how many requests of hosts are fine at every endpoint."""
    fine = {(finding.host, finding.request) for finding in findings if finding.state == "fine"}
    return len(fine - {(finding.host, finding.request) for finding in findings if finding.state != "fine"})


def summary_sentence(findings: list[Finding]) -> str:
    """Return the findings in one sentence: how many endpoints of how many hosts, and their states."""
    observed = _observed(findings)
    hosts = len({finding.host for finding in observed})
    states = [f"{number} {state}" for state, number in count_by_state(findings).items() if number]
    forced = len(findings) - len(observed)
    return "".join(
        [
            f"{_counted(len(observed), 'endpoint')} of {_counted(hosts, 'host')}: {', '.join(states) or 'nothing to see'}",
            f"; {_counted(forced, 'host')} due as asked for" if forced else "",
        ]
    )


def findings_table(findings: list[Finding], width: int | None, most: int) -> str:
    """Return a table with one row an endpoint, and summary_sentence() as its last line.

    Endpoints of one state with one reason stand together, above that reason. Each reason is shown whole.

    width: of the terminal in columns; no line is longer. None for no limit.
    most: of more findings, only those are shown that are not fine, of each reason the first MAX_ROWS_OF_REASON, and *most* in all.
    Forced ones are not shown.
    """
    observed = _observed(findings)
    is_short = len(observed) <= most
    groups = _groups(observed if is_short else [finding for finding in observed if finding.state != "fine"])
    entries, rest = [], max(0, most)
    for group in groups:
        shown = group if is_short else group[: min(MAX_ROWS_OF_REASON, rest)]
        entries += [_entry(shown, len(group))] if shown else []
        rest -= len(shown)
    left_out = len(observed) - sum(len(entry.rows) for entry in entries)
    lines = table_lines(HEADER, entries, width, DROPPABLE_COLUMNS)
    lines += [f"… and {left_out} more"] if left_out else []
    return "\n".join([*lines, *wrapped_lines(summary_sentence(findings), width, INDENT, "")])


class Progress:
    """Displays how far the survey has come, every few seconds."""

    def __init__(self, display: t.Callable[[str], t.Any], interval: float = PROGRESS_INTERVAL_S) -> None:
        self.display = display
        self.interval = interval  # seconds
        self.next_time = time.monotonic() + interval

    def __call__(self, what: str, done: int, total: int) -> None:
        """Display a line such as C(endpoints looked at: 3 of 5), while there is more to do."""
        if time.monotonic() >= self.next_time and done < total:
            self.display(f"{what}: {done} of {total}")
            self.next_time = time.monotonic() + self.interval


def _observed(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.is_forced]


def _groups(findings: list[Finding]) -> list[list[Finding]]:
    """Return the findings with those together that have the same state and reason, in the order of the first of each."""
    groups: dict[t.Any, list[Finding]] = {}
    for number, finding in enumerate(findings):
        reason = _reason_without_endpoint(finding)
        groups.setdefault((finding.state, reason) if reason else number, []).append(finding)
    return list(groups.values())


def _entry(group: list[Finding], total: int) -> Entry:
    """Return the rows of endpoints with one reason. total: how many endpoints have it, of which the group are those shown."""
    rows = [_cells(finding) for finding in group]
    reason = _reason_without_endpoint(group[0])
    if not reason or total == 1:
        return Entry(rows, reason, ": ")
    shown = f", of which {len(group)} are shown" if len(group) < total else ""
    noun = "endpoint" if all(finding.address for finding in group) else "finding"
    return Entry(rows, f"{_counted(total, noun)}{shown}: {reason}")


# not a parser: it reads what the collection has made or checked
def _cells(finding: Finding) -> tuple[str, ...]:
    """Return the cells of a row, by the titles of HEADER."""
    certificate = finding.certificate
    return (
        finding.host,
        shorten(finding.name or finding.request or "-", MAX_CELL_CHARACTERS),
        f"{finding.address} {finding.port}" if finding.address else "-",
        "-" if finding.days_left is None else _format_days(finding.days_left),
        certificate["not_after"][:10] if certificate else "-",
        finding.renew_at[:10] if finding.renew_at else "-",
        shorten(certificate["issuer"], MAX_CELL_CHARACTERS) if certificate else "-",
        finding.state,
    )


# not a parser: it reads what the collection has made or checked
def _reason_without_endpoint(finding: Finding) -> str:
    """Return the reason without the name and address, which have columns of their own in the table."""
    return finding.reason.split(f"at {finding.address} port {finding.port}: ", 1)[-1]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _format_days(days: float) -> str:
    """Return a time as people read it: in days, and below two days in hours or minutes.

    >>> [_format_days(days) for days in (60.2, 0.9, 0.05, -0.0001, -0.001, -12.4)]
    ['60 d', '22 h', '72 min', 'just now', '1 min ago', '12 d ago']
    """
    amount = abs(days)
    if amount * MINUTES_OF_DAY < 0.5:
        return "just now"
    if amount >= 2:
        text = f"{amount:.0f} d"
    else:
        text = f"{amount * 24:.0f} h" if amount >= 0.1 else f"{amount * MINUTES_OF_DAY:.0f} min"
    return f"{text} ago" if days < 0 else text
