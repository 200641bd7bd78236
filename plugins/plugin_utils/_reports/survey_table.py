# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of a survey as people read them: a table, a sentence, counts, and how far the survey has come."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import STATES, Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters


def count_by_state(findings: list[Finding]) -> dict[str, int]:
    """Return how many findings there are of each state, the worst first, without what is a mere wish."""
    return {state: sum(finding.state == state and not finding.is_wish for finding in findings) for state in STATES}


def count_fine_requests(findings: list[Finding]) -> int:
    """Return how many requests of hosts are fine at every endpoint."""
    fine = {(finding.host, finding.request) for finding in findings if finding.state == "fine"}
    return len(fine - {(finding.host, finding.request) for finding in findings if finding.state != "fine"})


def summary_sentence(findings: list[Finding]) -> str:
    """Return the findings in one sentence."""
    seen = [finding for finding in findings if not finding.is_wish]
    hosts = len({finding.host for finding in seen})
    said = [f"{number} {state}" for state, number in count_by_state(findings).items() if number]
    wishes = [f"; {_counted(len(findings) - len(seen), 'host')} due as asked for"] if len(findings) > len(seen) else []
    return "".join(
        [
            f"{_counted(len(seen), 'endpoint')} of {_counted(hosts, 'host')}: {', '.join(said) or 'nothing to see'}",
            *wishes,
        ]
    )


def findings_table(findings: list[Finding], width: int, most: int) -> str:
    """Return a table that people read: one line an endpoint, *width* characters at the most, and a sum.

    Of more than *most* findings only those that are not fine are shown, and of these *most*. Wishes are in the sum alone.
    """
    seen = [finding for finding in findings if not finding.is_wish]
    shown = seen if len(seen) <= most else [finding for finding in seen if finding.state != "fine"][:most]
    lines = [("host", "name", "address", "left", "state")] if shown else []
    for finding in shown:
        place = f"{finding.address} {finding.port}" if finding.address else "-"
        left = "-" if finding.days_left is None else _readable(finding.days_left)
        state = f"{finding.state}: {_without_place(finding)}" if finding.reason else finding.state
        lines.append((finding.host, finding.name or "-", place, left, state))
    widths = [max(len(line[column]) for line in lines) for column in range(4)] if lines else []
    rows = ["  ".join([*(cell.ljust(size) for cell, size in zip(line, widths)), line[4]]) for line in lines]
    left_out = [f"… and {len(seen) - len(shown)} more"] if len(shown) < len(seen) else []
    return "\n".join([*(escape_control_characters(row)[:width] for row in rows), *left_out, summary_sentence(findings)])


class Progress:
    """Tells now and then how far the survey has come, once it takes longer than a few seconds."""

    def __init__(self, tell: t.Callable[[str], None], every: float = 3.0) -> None:
        self.tell = tell
        self.every = every
        self.next = time.monotonic() + every

    def __call__(self, what: str, done: int, total: int) -> None:
        if time.monotonic() >= self.next and done < total:
            self.tell(f"{what}: {done} of {total}")
            self.next = time.monotonic() + self.every


# not a parser: it reads what the collection has made or checked
def _without_place(finding: Finding) -> str:
    """Return the reason without the name and address that stand in front of it in the table."""
    return finding.reason.split(f"at {finding.address} port {finding.port}: ", 1)[-1]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _readable(days: float) -> str:
    return f"{days:.0f} d" if abs(days) >= 2 else f"{days * 24:.0f} h" if abs(days) >= 0.1 else f"{days * 1440:.0f} min"
