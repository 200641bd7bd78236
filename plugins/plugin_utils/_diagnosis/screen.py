# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses as people read them: one block for one name, and for many names one block for those with the same findings."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import (
    VERDICTS,
    Diagnosis,
    summary_sentence,
    worst_first,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.text_table import INDENT, wrapped_lines
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

MAX_SENTENCES = 3  # with one code, in a block about many names
MAX_NAMES = 5  # in the first line of a block about many names
MAX_NAME_CHARACTERS = 100
MIN_SENTENCE_COLUMNS = 30  # on a narrower terminal, sentences are not aligned
VERDICT_OF_ORDER = {
    "blocks": "an order would be refused",
    "risk": "an order may be refused",
    "unknown": "not all of it can be seen from here",
    "note": "nothing stands in the way of an order",
    "fine": "nothing stands in the way of an order",
}
VERDICT_OF_SERVED = {
    "blocks": "not in effect everywhere",
    "risk": "in effect, with risks",
    "unknown": "whether it is in effect cannot be seen from here",
    "note": "in effect",
    "fine": "in effect",
}

Line = tuple[str, str, str]  # severity, code, sentence


def diagnosis_screen(diagnoses: t.Collection[Diagnosis], width: int | None, most: int) -> str:
    """Return the diagnoses for people, the worst first, with summary_sentence() as the last line.

    width: of the terminal in columns; no line is longer. None for no limit.
    most: up to so many names have a block each. Of more, those with the same findings share one, and so many blocks are shown.
    """
    ordered = worst_first(diagnoses)
    is_short = len(ordered) <= most
    groups = [[one] for one in ordered] if is_short else _groups(ordered)
    shown = groups[: max(most, 0)]
    lines = [line for group in shown for line in _block(group, width)]
    left_out = sum(len(group) for group in groups[len(shown) :])
    lines += [f"… and {left_out} more names"] if left_out else []
    return "\n".join([*lines, *wrapped_lines(summary_sentence(diagnoses), width, INDENT, "")])


def _groups(ordered: t.Iterable[Diagnosis]) -> list[list[Diagnosis]]:
    """Return the diagnoses with those together that have the same findings at the same issuer, the largest group of a verdict first."""
    groups: dict[t.Any, list[Diagnosis]] = {}
    for one in ordered:
        codes = tuple((finding.severity, finding.code, finding.seen_from) for finding in _worth_lines(one.findings))
        groups.setdefault((one.verdict, one.issuer, one.challenge, codes), []).append(one)
    return sorted(groups.values(), key=lambda group: (VERDICTS.index(group[0].verdict), -len(group)))


def _worth_lines(findings: t.Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity != "fine"]


def _block(group: list[Diagnosis], width: int | None) -> list[str]:
    """Return the lines about one name, or about names with the same findings."""
    first, subject = group[0], _subject(group)
    lines: list[str] = []
    if first.order or not first.is_served_checked:
        issuer = ", ".join(filter(None, (first.issuer, first.challenge)))
        verdict = VERDICT_OF_ORDER[first.order[0].severity] if first.order else "nothing was looked at"
        lines += wrapped_lines("  ".join(filter(None, (subject, issuer))) + f": {verdict}", width, INDENT, "")
        lines += _finding_lines([finding for one in group for finding in one.order], width)
    if first.served:
        lines += wrapped_lines(f"{subject}: {VERDICT_OF_SERVED[first.served[0].severity]}", width, INDENT, "")
        lines += _finding_lines([finding for one in group for finding in one.served], width)
    return lines


def _subject(group: list[Diagnosis]) -> str:
    """Return the names that a block is about."""
    names = [_name(one) for one in group[:MAX_NAMES]]
    if len(group) == 1:
        return names[0]
    more = f" and {len(group) - MAX_NAMES} more" if len(group) > MAX_NAMES else ""
    return f"{len(group)} names ({', '.join(names)}{more})"


def _name(diagnosis: Diagnosis) -> str:
    what = diagnosis.domain or diagnosis.request
    return " ".join(shorten(escape_as_one_line(text), MAX_NAME_CHARACTERS) for text in (diagnosis.host, what) if text)


def _finding_lines(findings: list[Finding], width: int | None) -> list[str]:
    """Return a line for each finding that is worth one, and one with the codes of those that are fine."""
    lines = _sentences(_worth_lines(findings))
    fine = list(dict.fromkeys(finding.code for finding in findings if finding.severity == "fine"))
    lines += [("fine", "", " · ".join(fine))] if fine else []
    severity_size = max((len(severity) for severity, _code, _text in lines), default=0)
    code_size = max((len(code) for _severity, code, _text in lines if code), default=0)
    result = []
    for severity, code, text in lines:
        columns = [severity.ljust(severity_size), *([code.ljust(code_size)] if code else [])]
        beginning = "  " + "  ".join([*columns, ""])
        if width is None or width - len(beginning) >= MIN_SENTENCE_COLUMNS:
            result += wrapped_lines(text, width, " " * len(beginning), beginning)
        else:
            result += wrapped_lines(" ".join(filter(None, (severity, code, text))), width, INDENT, "  ")
    return result


def _sentences(findings: list[Finding]) -> list[Line]:
    """Return the first sentences with each code, and how many more there are."""
    by_code: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        place = f" (seen from {finding.seen_from})" if finding.seen_from else ""
        sentence = escape_as_one_line(f"{finding.sentence}{place}")
        sentences = by_code.setdefault((finding.severity, finding.code), [])
        if sentence not in sentences:
            sentences.append(sentence)
    lines = []
    for (severity, code), sentences in by_code.items():
        lines += [(severity, code, sentence) for sentence in sentences[:MAX_SENTENCES]]
        if len(sentences) > MAX_SENTENCES:
            lines.append((severity, code, f"… and {len(sentences) - MAX_SENTENCES} more like these"))
    return lines
