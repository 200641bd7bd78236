# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words that sentences of several checks share."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding, Severity

MAX_NAMES_IN_SENTENCE = 5
MAX_EVIDENCE = 10  # texts of one finding


def shown_names(names: t.Sequence[str]) -> str:
    """Return a few names, and how many more there are.

    >>> shown_names(["a.example", "b.example"])
    'a.example, b.example'
    """
    more = len(names) - MAX_NAMES_IN_SENTENCE
    return ", ".join(names[:MAX_NAMES_IN_SENTENCE]) + (f" and {more} more" if more > 0 else "")


class Fact(t.NamedTuple):
    """What a check says of one name: a finding whose sentence is C(before NAMES after)."""

    severity: Severity
    code: str
    before: str
    after: str
    source: str
    evidence: tuple[str, ...] = ()


def group_facts(facts: t.Iterable[tuple[str, Fact]]) -> list[Finding]:
    """Return one finding for all names of which the same is said. *facts* are pairs of a name and a fact."""
    names: dict[Fact, list[str]] = {}
    evidence: dict[Fact, list[str]] = {}
    for name, fact in facts:
        key = fact._replace(evidence=())
        names.setdefault(key, []).append(name)
        evidence.setdefault(key, []).extend(fact.evidence)
    return [
        Finding(
            fact.severity,
            fact.code,
            f"{fact.before} {shown_names(of)}{fact.after}",
            tuple(dict.fromkeys(evidence[fact]))[:MAX_EVIDENCE],
            fact.source,
        )
        for fact, of in names.items()
    ]
