# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller sees of the cause after a CA has refused names."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.after_refusal import seen_from_here
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import PREFLIGHT_REFUSAL, Problem

CLOSED = Finding("blocks", "http.unreachable", "port 80 of www.example.org at 192.0.2.1 cannot be reached; open it")
ANSWERS = Finding("fine", "http", "www.example.org answers as the CA expects")
CAA = Finding("blocks", "caa.other", "the CAA records of example.org forbid it; add a record")
SPLIT = Finding("risk", "addresses.split", "two resolvers give two answers; correct one")


def seen(code, *findings, words="no"):
    return seen_from_here(Problem(f"{words}; wait", code, words=words), lambda _deadline: list(findings))


def test_the_findings_that_fit_the_refusal_are_named_with_what_blocks_first():
    assert seen("connection", SPLIT, CAA, CLOSED) == [f"What is seen from here: {CLOSED.sentence} · {SPLIT.sentence}"]
    assert seen("caa", CLOSED, CAA) == [f"What is seen from here: {CAA.sentence}"]


@pytest.mark.parametrize("code", ["connection", "unauthorized", "incorrectResponse"])
def test_where_all_is_right_here_the_world_sees_something_else(code):
    [sentence] = seen(code, ANSWERS, CAA)
    assert sentence.startswith(
        "What is seen from here: every address answers as the CA expects, so the CA meets something else: a firewall "
    )
    assert sentence.endswith("; have diagnose_from of evergreen.tls.diagnose name hosts there")


@pytest.mark.parametrize("code", ["dns", "unauthorized", "incorrectResponse"])
def test_where_the_zone_and_the_way_to_the_record_are_right_the_ca_came_too_early_or_sees_another_zone(code):
    zone, txt = Finding("fine", "zone", "all name servers answer"), Finding("fine", "txt", "the record has its place")
    [sentence] = seen(code, zone, txt)
    assert sentence.startswith(
        "What is seen from here: the zone answers, and nothing here is in the way of TXT records, so the CA "
    )
    assert sentence.endswith("with diagnose_from of evergreen.tls.diagnose")
    assert seen(code, txt) == []


def test_nothing_is_said_where_nothing_was_seen():
    assert seen("connection", Finding("note", "http.off", "the way is not checked")) == []
    assert seen("dns", ANSWERS) == []


def test_an_ipv6_address_in_the_words_is_named():
    words = "2001:db8::7: Fetching http://www.example.org/.well-known/acme-challenge/x: Connection refused"
    assert seen("connection", ANSWERS, words=words) == [
        "What is seen from here: the CA asked the IPv6 address 2001:db8::7: see that your host answers there, or remove the AAAA record"
    ]
    assert seen("connection", words="192.0.2.1: Fetching http://a/: Timeout at 12:30:15 of 2026-11-30") == []


def test_caa_and_dnssec_in_the_words_of_dns_are_looked_at():
    broken = Finding("blocks", "dnssec.expired", "the signatures of example.org have expired; sign it anew")
    assert seen("dns", CAA, words="SERVFAIL looking up CAA for example.org") == [
        f"What is seen from here: {CAA.sentence}"
    ]
    assert seen("connection", broken, words='could not resolve URL "http://www.example.org"') == [
        f"What is seen from here: {broken.sentence}"
    ]
    assert seen("unauthorized", broken, words="DNSSEC: Bogus") == [f"What is seen from here: {broken.sentence}"]


@pytest.mark.parametrize("error", [TlsError("disk full"), Problem("x", "rateLimited"), Problem("x", PREFLIGHT_REFUSAL)])
def test_other_errors_are_not_looked_into(error):
    def look(_deadline):
        raise AssertionError("nothing is to be looked at")

    assert seen_from_here(error, look) == []


def test_a_look_that_fails_leaves_the_refusal_as_it_is():
    def look(_deadline):
        raise RuntimeError("resolver exploded")

    assert seen_from_here(Problem("x", "connection"), look) == []


def test_control_characters_are_escaped():
    [sentence] = seen("caa", Finding("blocks", "caa.other", "\x1b[31mred"))
    assert "\x1b" not in sentence
