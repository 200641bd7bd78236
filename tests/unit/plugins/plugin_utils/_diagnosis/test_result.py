# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict, the order and the JSON of a diagnosis."""

from __future__ import annotations

import json

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.result import (
    VERDICTS,
    count_by_verdict,
    diagnosis_as_json,
    make_diagnosis,
    summary_sentence,
    worst_first,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding


def finding(severity, code="caa", sentence="see that", **more):
    return Finding(severity, code, sentence, **more)


def diagnosis(order=(), served=None, host="web1", request="www", domain="www.example.org"):
    return make_diagnosis(
        host,
        request,
        domain,
        "letsencrypt",
        "http-01",
        [finding(one) for one in order],
        None if served is None else [finding(one) for one in served],
    )


@pytest.mark.parametrize(
    ("order", "served", "verdict"),
    [
        (["fine", "note"], ["fine"], "fine"),
        (["fine"], ["unknown"], "unknown"),
        (["unknown", "risk"], ["note"], "risk"),
        (["risk"], ["blocks"], "not_in_effect"),
        (["blocks"], ["blocks"], "refused"),
        ([], None, "fine"),
    ],
)
def test_the_worst_finding_is_the_verdict(order, served, verdict):
    assert diagnosis(order, served).verdict == verdict


def test_findings_come_once_and_the_worst_first():
    severities = ["fine", "note", "unknown", "blocks", "risk", "blocks"]
    found = diagnosis(severities).order
    assert [one.severity for one in found] == ["blocks", "risk", "unknown", "note", "fine"]


def test_the_worst_names_come_first():
    made = [
        diagnosis([severity], ["blocks"] if domain == "b" else [], domain=domain)
        for domain, severity in (("a", "fine"), ("b", "fine"), ("c", "unknown"), ("d", "blocks"), ("e", "risk"))
    ]
    assert [one.verdict for one in worst_first(made)] == list(VERDICTS)
    assert count_by_verdict(made) == dict.fromkeys(VERDICTS, 1)


def test_a_summary_counts_names_and_hosts():
    made = [
        diagnosis(["blocks"], ["blocks"]),
        diagnosis(["fine"], ["blocks"], domain="example.org"),
        diagnosis(["fine"], ["fine"], host="web2"),
    ]
    sentence = "3 names of 2 hosts: 1 would be refused, 2 are not in effect everywhere, 1 fine"
    assert summary_sentence(made) == sentence
    assert summary_sentence([diagnosis(["risk"], host="")]) == "1 name: 1 with risks"
    assert summary_sentence([]) == "0 names: nothing to look at"


def test_json_has_the_keys_that_are_promised():
    evidence = ('CAA 0 issue "ca.example"',)
    made = make_diagnosis(
        "web1",
        "www",
        "www.example.org",
        "letsencrypt",
        "http-01",
        [finding("blocks", evidence=evidence, source="RFC 8659")],
        [finding("risk", "served.sni", seen_from="web2")],
    )
    assert json.loads(json.dumps(diagnosis_as_json(made))) == {
        "host": "web1",
        "request": "www",
        "domain": "www.example.org",
        "issuer": "letsencrypt",
        "challenge": "http-01",
        "verdict": "refused",
        "findings": [
            {
                "severity": "blocks",
                "code": "caa",
                "sentence": "see that",
                "evidence": list(evidence),
                "seen_from": "",
                "source": "RFC 8659",
            },
            {
                "severity": "risk",
                "code": "served.sni",
                "sentence": "see that",
                "evidence": [],
                "seen_from": "web2",
                "source": "",
            },
        ],
    }
