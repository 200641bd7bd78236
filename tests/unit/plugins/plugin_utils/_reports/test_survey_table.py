# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of a survey as a table, as a sentence, and as counts."""

from __future__ import annotations

import re
import time

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey_table import (
    Progress,
    count_by_state,
    count_fine_requests,
    findings_table,
    summary_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import text_width

NAME = "www.example.org"
SEEN = {"issuer": "Example Issuing CA", "not_after": "2026-12-13T09:00:00+00:00"}
DUE = {"renew_at": "2026-11-29T15:12:44+00:00", "certificate": SEEN}
EXPIRED = "the certificate expired on 2026-11-18 09:00:00 UTC; have it issued again"
TWICE = "two certificate requests are named www"
NOTHING = "nothing listens there; start nginx with a site on that port"
FINDINGS = [
    Finding("web3", "expired", EXPIRED, "www", NAME, "192.0.2.3", 443, days_left=-12.4, **DUE),
    Finding("web12", "unknown", f"{NAME} at 192.0.2.12 port 8443: {NOTHING}", "www", NAME, "192.0.2.12", 8443),
    Finding("web4", "unknown", TWICE),
    Finding("web5", "due", "it expires on …", "www", NAME, "192.0.2.5", 443, days_left=0.9, **DUE),
    Finding("web6", "due", "it expires on …", "www", NAME, "192.0.2.6", 443, days_left=0.05, **DUE),
    Finding("web7", "fine", "", "www", NAME, "192.0.2.7", 443, days_left=60.2, **DUE),
]
STRANGE = [
    Finding(
        "主机一", "unknown", f"it cannot be read: {'資料' * 40}; see 說明", "www", "例え.example", "2001:db8::1", 443
    ),
    Finding("h" * 63, "unknown", "x" * 350, "www", "a" * 63 + ".example.org", "2001:db8::2", 65535),
    Finding("web1", "due", "e\u0301 \u200d " * 30 + "end", "www", NAME, "192.0.2.1", 443, days_left=3.0, **DUE),
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
    assert findings_table(findings, None, 1).splitlines() == [
        "host  name             address        left  until       renewal     issuer              state",
        "web7  www.example.org  192.0.2.7 443  60 d  2026-12-13  2026-11-29  Example Issuing CA  fine",
        "1 endpoint of 1 host: 1 fine; 2 hosts due as asked for",
    ]


def test_without_a_terminal_a_reason_stands_behind_its_endpoint_and_equal_ones_below_theirs():
    assert findings_table(FINDINGS, None, 6).splitlines() == [
        "host   name             address          left      until       renewal     issuer              state",
        f"web3   www.example.org  192.0.2.3 443    12 d ago  2026-12-13  2026-11-29  Example Issuing CA  expired: {EXPIRED}",
        f"web12  www.example.org  192.0.2.12 8443  -         -           -           -                   unknown: {NOTHING}",
        f"web4   -                -                -         -           -           -                   unknown: {TWICE}",
        "web5   www.example.org  192.0.2.5 443    22 h      2026-12-13  2026-11-29  Example Issuing CA  due",
        "web6   www.example.org  192.0.2.6 443    72 min    2026-12-13  2026-11-29  Example Issuing CA  due",
        "    2 endpoints: it expires on …",
        "web7   www.example.org  192.0.2.7 443    60 d      2026-12-13  2026-11-29  Example Issuing CA  fine",
        "6 endpoints of 6 hosts: 1 expired, 2 unknown, 2 due, 1 fine",
    ]


def test_on_a_terminal_a_reason_that_does_not_fit_stands_below_its_endpoint():
    assert findings_table(FINDINGS, 80, 6).splitlines() == [
        "host   name             address          left      until       state",
        "web3   www.example.org  192.0.2.3 443    12 d ago  2026-12-13  expired",
        "    the certificate expired on 2026-11-18 09:00:00 UTC; have it issued again",
        "web12  www.example.org  192.0.2.12 8443  -         -           unknown",
        "    nothing listens there; start nginx with a site on that port",
        "web4   -                -                -         -           unknown",
        "    two certificate requests are named www",
        "web5   www.example.org  192.0.2.5 443    22 h      2026-12-13  due",
        "web6   www.example.org  192.0.2.6 443    72 min    2026-12-13  due",
        "    2 endpoints: it expires on …",
        "web7   www.example.org  192.0.2.7 443    60 d      2026-12-13  fine",
        "6 endpoints of 6 hosts: 1 expired, 2 unknown, 2 due, 1 fine",
    ]


def test_a_table_without_room_for_its_columns_is_a_list():
    assert findings_table(FINDINGS[:1], 30, 6).splitlines() == [
        "web3  www.example.org",
        "    192.0.2.3 443  12 d ago",
        "    expired",
        "    the certificate expired on",
        "    2026-11-18 09:00:00 UTC;",
        "    have it issued again",
        "1 endpoint of 1 host: 1",
        "    expired",
    ]


def test_no_reason_is_lost_and_no_line_is_longer_than_the_terminal_at_any_width():
    findings = [*STRANGE, *FINDINGS]
    reasons = {re.sub(f"^{NAME} at .*: (?=nothing)", "", finding.reason) for finding in findings} - {""}
    assert len(reasons) == 7
    for width in [*range(20, 301), None]:
        text = findings_table(findings, width, 100)
        joined = text.replace(" ", "").replace("\n", "")
        assert [reason for reason in reasons if reason.replace(" ", "") not in joined] == []
        assert all(text_width(line) <= (width or 10_000) for line in text.splitlines())


def test_wide_characters_take_two_columns():
    findings = [Finding("主机一", "unknown", "no", "www", NAME), Finding("web5678", "unknown", "why", "www", NAME)]
    header, wide, narrow, _sum = findings_table(findings, None, 100).splitlines()
    assert narrow.startswith("web5678  www") and wide.startswith("主机一   www")
    assert text_width(wide.partition("www")[0]) == text_width(narrow.partition("www")[0]) == header.index("name")


def test_control_characters_are_escaped_in_rows_and_reasons():
    table = findings_table([Finding("we\x1bb1", "unknown", "no\x1b[2J\nfine \u202e; start it")], 60, 1)
    assert "we?b1" in table
    assert "no?[2J?fine ?; start it" in table


def test_of_many_endpoints_with_one_reason_some_are_shown_with_their_number():
    dead = [Finding(f"web{n:03}", "unknown", NOTHING, "www", NAME, "192.0.2.9", 443) for n in range(100, 1100)]
    other = Finding("web1", "due", "it is revoked", "www", NAME, "192.0.2.1", 443)
    lines = findings_table([*dead, other], None, 100).splitlines()
    assert len(lines) == 1 + 10 + 3 + 1
    assert lines[11] == f"    1000 endpoints, of which 10 are shown: {NOTHING}"
    assert lines[12].endswith("due: it is revoked")
    assert lines[13] == "… and 990 more"


def test_a_table_of_many_leaves_out_those_that_are_fine():
    lines = findings_table(FINDINGS, 160, 5).splitlines()
    assert [line.split()[0] for line in lines] == [
        *("host", "web3", "the", "web12", "nothing", "web4", "web5", "web6", "2", "…", "6")
    ]
    assert lines[-2] == "… and 1 more"


def test_a_table_of_very_many_shows_the_worst():
    lines = findings_table(FINDINGS, 160, 2).splitlines()
    assert [line.split()[0] for line in lines] == ["host", "web3", "the", "web12", "nothing", "…", "6"]
    assert lines[-2] == "… and 4 more"


def test_a_table_of_many_that_are_fine_is_a_summary():
    assert findings_table(FINDINGS[-1:] * 7, 160, 6) == "… and 7 more\n7 endpoints of 1 host: 7 fine"
    assert findings_table([], 160, 6) == "0 endpoints of 0 hosts: nothing to see"
