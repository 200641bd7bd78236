# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of a survey as people read them: a table, a sentence, counts, and how far the survey has come."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import STATES, Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

PROGRESS_INTERVAL_S = 3.0


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


def findings_table(findings: list[Finding], width: int, most: int) -> str:
    """Return a table with one line an endpoint, and summary_sentence() as its last line.

    width: the maximum of characters in a line of the table.
    most: of more findings, only those are shown that are not fine, and of these the first *most*. Forced ones are not shown.
    """
    observed = _observed(findings)
    is_short = len(observed) <= most
    shown = observed if is_short else [finding for finding in observed if finding.state != "fine"][:most]
    lines = [("host", "name", "address", "left", "state")] if shown else []
    lines += [_table_line(finding) for finding in shown]
    widths = [max(len(line[column]) for line in lines) for column in range(4)] if lines else []
    rows = ["  ".join([*(cell.ljust(size) for cell, size in zip(line, widths)), line[4]]) for line in lines]
    left_out = [f"… and {len(observed) - len(shown)} more"] if len(shown) < len(observed) else []
    return "\n".join([*(escape_control_characters(row)[:width] for row in rows), *left_out, summary_sentence(findings)])


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


def _table_line(finding: Finding) -> tuple[str, str, str, str, str]:
    endpoint = f"{finding.address} {finding.port}" if finding.address else "-"
    left = "-" if finding.days_left is None else _format_days(finding.days_left)
    state = f"{finding.state}: {_reason_without_endpoint(finding)}" if finding.reason else finding.state
    return (finding.host, shorten(finding.name or finding.request or "-"), endpoint, left, shorten(state))


# not a parser: it reads what the collection has made or checked
def _reason_without_endpoint(finding: Finding) -> str:
    """Return the reason without the name and address, which have columns of their own in the table."""
    return finding.reason.split(f"at {finding.address} port {finding.port}: ", 1)[-1]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _format_days(days: float) -> str:
    """Return a time as people read it: in days, and below two days in hours or minutes."""
    if abs(days) >= 2:
        return f"{days:.0f} d"
    return f"{days * 24:.0f} h" if abs(days) >= 0.1 else f"{days * 1440:.0f} min"
