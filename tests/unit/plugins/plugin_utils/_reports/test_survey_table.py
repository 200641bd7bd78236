# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of a survey as a table, as a sentence, and as counts."""

from __future__ import annotations

import time

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey_table import (
    Progress,
    count_by_state,
    count_fine_requests,
    findings_table,
    summary_sentence,
)

NAME = "www.example.org"
FINDINGS = [
    Finding("web3", "expired", "the certificate expired on …", "www", NAME, "192.0.2.3", 443, days_left=-12.4),
    Finding(
        "web12", "unknown", f"{NAME} at 192.0.2.12 port 8443: nothing listens there", "www", NAME, "192.0.2.12", 8443
    ),
    Finding("web4", "unknown", "two certificate requests are named www"),
    Finding("web5", "due", "it expires on …", "www", NAME, "192.0.2.5", 443, days_left=0.9),
    Finding("web6", "due", "it expires on …", "www", NAME, "192.0.2.6", 443, days_left=0.05),
    Finding("web7", "fine", "", "www", NAME, "192.0.2.7", 443, days_left=60.2),
]


def test_progress_is_displayed_once_an_interval(monkeypatch):
    lines, clock = [], [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = Progress(lines.append, interval=3.0)
    for done, seconds in ((1, 0), (2, 2.9), (3, 0.2), (4, 2.9), (5, 3)):
        clock[0] += seconds
        progress("endpoints looked at", done, 5)
    assert lines == ["endpoints looked at: 3 of 5"]


def test_findings_are_counted_the_worst_first():
    assert list(count_by_state(FINDINGS).items()) == [("expired", 1), ("unknown", 2), ("due", 2), ("fine", 1)]
    assert count_by_state([]) == {"expired": 0, "unknown": 0, "due": 0, "fine": 0}


def test_a_request_is_fine_when_all_of_its_endpoints_are():
    def finding(host, request, address, state="fine"):
        return Finding(host, state, "", request, NAME, address, 443)

    findings = [
        *(finding("web1", "www", address) for address in ("192.0.2.1", "192.0.2.2")),
        finding("web1", "shop", "192.0.2.1"),
        finding("web2", "www", "192.0.2.3"),
        finding("web2", "www", "192.0.2.4", "unknown"),
        Finding("web1", "due", "its disk is inspected"),
        Finding("web3", "unknown", "two certificate requests are named www"),
    ]
    assert count_fine_requests(findings) == 2
    assert count_fine_requests([]) == 0


def test_the_summary_counts_endpoints_and_hosts_by_state():
    assert summary_sentence(FINDINGS) == "6 endpoints of 6 hosts: 1 expired, 2 unknown, 2 due, 1 fine"
    assert summary_sentence(FINDINGS[-1:]) == "1 endpoint of 1 host: 1 fine"
    assert summary_sentence(FINDINGS[-1:] * 3) == "3 endpoints of 1 host: 3 fine"
    assert summary_sentence([]) == "0 endpoints of 0 hosts: nothing to see"


def test_a_forced_host_is_no_endpoint():
    forced = [Finding(f"web{number}", "due", "its disk is inspected") for number in (7, 8)]
    findings = [*forced, FINDINGS[-1]]
    assert count_by_state(findings) == {"expired": 0, "unknown": 0, "due": 0, "fine": 1}
    assert summary_sentence(findings) == "1 endpoint of 1 host: 1 fine; 2 hosts due as asked for"
    assert summary_sentence(findings[1:]) == "1 endpoint of 1 host: 1 fine; 1 host due as asked for"
    assert findings_table(findings, 160, 1).splitlines() == [
        "host  name             address        left  state",
        "web7  www.example.org  192.0.2.7 443  60 d  fine",
        "1 endpoint of 1 host: 1 fine; 2 hosts due as asked for",
    ]


def test_a_table_has_a_line_for_each_endpoint_and_a_summary():
    assert findings_table(FINDINGS, 160, 6).splitlines() == [
        "host   name             address          left    state",
        "web3   www.example.org  192.0.2.3 443    -12 d   expired: the certificate expired on …",
        "web12  www.example.org  192.0.2.12 8443  -       unknown: nothing listens there",
        "web4   -                -                -       unknown: two certificate requests are named www",
        "web5   www.example.org  192.0.2.5 443    22 h    due: it expires on …",
        "web6   www.example.org  192.0.2.6 443    72 min  due: it expires on …",
        "web7   www.example.org  192.0.2.7 443    60 d    fine",
        "6 endpoints of 6 hosts: 1 expired, 2 unknown, 2 due, 1 fine",
    ]


def test_a_table_is_no_wider_than_the_terminal():
    *rows, total = findings_table(FINDINGS, 61, 6).splitlines()
    assert max(map(len, rows)) == 61
    assert rows[1] == "web3   www.example.org  192.0.2.3 443    -12 d   expired: the"
    assert total == summary_sentence(FINDINGS)


def test_a_table_of_many_leaves_out_those_that_are_fine():
    lines = findings_table(FINDINGS, 160, 5).splitlines()
    assert [line.split()[0] for line in lines] == ["host", "web3", "web12", "web4", "web5", "web6", "…", "6"]
    assert lines[-2] == "… and 1 more"


def test_a_table_of_very_many_shows_the_worst():
    lines = findings_table(FINDINGS, 160, 2).splitlines()
    assert [line.split()[0] for line in lines] == ["host", "web3", "web12", "…", "6"]
    assert lines[-2] == "… and 4 more"


def test_a_table_of_many_that_are_fine_is_a_summary():
    assert findings_table(FINDINGS[-1:] * 7, 160, 6) == "… and 7 more\n7 endpoints of 1 host: 7 fine"
    assert findings_table([], 160, 6) == "0 endpoints of 0 hosts: nothing to see"
