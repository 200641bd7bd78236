# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of a problem document, whatever a server writes into it."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    ERROR_PREFIX,
    problem,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.remedies import REMEDIES

SEE = "see the documentation of the CA"


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"type": ERROR_PREFIX + "dns", "detail": "NXDOMAIN."}, f"it: NXDOMAIN (dns); {REMEDIES['dns']}"),
        ({"type": ERROR_PREFIX + "new", "detail": "something new"}, f"it: something new (new); {SEE}"),
        ({"type": "about:blank", "title": "Bad Request"}, f"it: Bad Request (HTTP 400); {SEE}"),
        ({"type": "https://ca.example/odd", "detail": "odd"}, f"it: odd (https://ca.example/odd); {SEE}"),
        ({}, f"it: the CA gives no reason (HTTP 400); {SEE}"),
        (None, f"it: the CA gives no reason (HTTP 400); {SEE}"),
        (["odd"], f"it: the CA gives no reason (HTTP 400); {SEE}"),
        ({"detail": ["a", 1]}, f"it: ['a', 1] (HTTP 400); {SEE}"),
        ({"type": 5, "detail": "odd"}, f"it: odd (5); {SEE}"),
        ({"detail": "one\ntwo\x1b[31m  three"}, f"it: one two [31m three (HTTP 400); {SEE}"),
        ({"detail": "odd", "subproblems": "none"}, f"it: odd (HTTP 400); {SEE}"),
        ({"detail": "odd", "subproblems": [1, {"identifier": "x"}, {"detail": "y"}]}, f"it: odd (HTTP 400); y; {SEE}"),
        (
            {
                "type": ERROR_PREFIX + "malformed",
                "detail": "some",
                "subproblems": [{"detail": "no", "identifier": {"value": "a.example"}}],
            },
            f"it: some (malformed); a.example: no; {REMEDIES['malformed']}",
        ),
    ],
)
def test_the_words_of_the_ca_are_shown_with_what_to_do(document, sentence):
    assert str(problem("it", document, 400)) == sentence


def test_words_without_end_are_shortened():
    assert len(str(problem("it", {"detail": "x" * 5000}, 400))) < MAX_TEXT_CHARACTERS + 100


def test_subproblems_without_end_are_counted():
    parts = [{"type": f"{ERROR_PREFIX}caa", "identifier": {"value": f"{number}.example.org"}} for number in range(9999)]
    sentence = str(problem("it", {"type": f"{ERROR_PREFIX}compound", "subproblems": parts}, 400))
    assert "19.example.org" in sentence and "and 9979 more" in sentence and len(sentence) < 2000


def test_the_kind_of_a_refusal_is_that_of_the_part_that_tells_what_to_do():
    parts = [{"type": ERROR_PREFIX + "odd"}, {"type": ERROR_PREFIX + "caa"}]
    assert problem("it", {"type": ERROR_PREFIX + "compound", "subproblems": parts}).code == "caa"


def test_other_advice_takes_the_place_of_the_first():
    refusal = problem(
        "making an account", {"type": ERROR_PREFIX + "unauthorized", "detail": "an account"}, 401
    ).with_remedy("do this")
    assert str(refusal) == "making an account: an account (unauthorized); do this"
    assert (refusal.code, refusal.status) == ("unauthorized", 401)


TIMEOUT = "192.0.2.7: Fetching http://www.example.org/.well-known/acme-challenge/x: Timeout during connect (likely firewall problem)"
AS_BOULDER_WRITES = {
    ("connection", TIMEOUT): "open port 80 of that address to the world in the firewalls of host, network and cloud",
    (
        "connection",
        f"During secondary validation: {TIMEOUT}",
    ): "the CA asks from several countries, and could not connect from all",
    (
        "connection",
        "192.0.2.7: Fetching http://x: Connection refused",
    ): "see that nginx listens on port 80 at that address",
    (
        "connection",
        "192.0.2.7: Fetching http://x: Timeout after connect (your server may be slow or overloaded)",
    ): "see what keeps the server at that address from answering in ten seconds",
    (
        "unauthorized",
        'During secondary validation: 192.0.2.7: Invalid response from http://x: "<html>"',
    ): "the CA asks from several countries, and did not get the same answer everywhere: see that all addresses of the name",
    (
        "dns",
        "During secondary validation: DNS problem: NXDOMAIN looking up TXT for _acme-challenge.x",
    ): "the CA asks from several countries, and did not get the same answer everywhere: have all name servers",
    (
        "dns",
        "DNS problem: SERVFAIL looking up CAA for example.org - the domain's nameservers may be malfunctioning",
    ): "see that each name server of the zone answers questions for CAA records",
    (
        "dns",
        "DNS problem: looking up A for www.example.org: DNSSEC: Signature Expired",
    ): "correct the DNSSEC of that zone: have it signed anew",
    (
        "dns",
        "DNS problem: NXDOMAIN looking up A for www.example.org - check that a DNS record exists for this domain",
    ): "create an A or AAAA record of that name",
    (
        "dns",
        "no valid A records found for www.example.org; no valid AAAA records found",
    ): "create an A or AAAA record of that name",
    (
        "dns",
        "DNS problem: query timed out looking up A for www.example.org",
    ): "see that all name servers of the zone run and know it",
    ("dns", "DNS problem: NXDOMAIN looking up TXT for _acme-challenge.example.org"): REMEDIES["dns"],
    ("caa", "CAA record for example.org prevents issuance"): REMEDIES["caa"],
    ("caa", "During secondary validation: CAA record for example.org prevents issuance"): REMEDIES["caa"],
    ("connection", "192.0.2.7: Fetching http://x: Error getting validation data"): REMEDIES["connection"],
    (
        "rateLimited",
        "too many failed authorizations (5) for x in the last 1h0m0s, retry after 2026-08-21 06:27:45 UTC: see https://x",
    ): "run this again after 2026-08-21 06:27",
}


@pytest.mark.parametrize(
    ("refusal", "remedy"), AS_BOULDER_WRITES.items(), ids=[words for _code, words in AS_BOULDER_WRITES]
)
def test_the_words_of_the_ca_decide_what_to_do(refusal, remedy):
    code, words = refusal
    sentence = str(problem("it", {"type": ERROR_PREFIX + code, "detail": words}, 403))
    assert f"({code}); {remedy}" in sentence
    part = {"type": ERROR_PREFIX + code, "detail": words, "identifier": {"value": "www.example.org"}}
    assert f"({code}); {remedy}" in str(problem("it", {"type": ERROR_PREFIX + "compound", "subproblems": [part]}, 403))


def test_causes_of_several_names_have_a_remedy_each():
    parts = [
        {"type": f"{ERROR_PREFIX}dns", "detail": "DNSSEC: Bogus", "identifier": {"value": "a.example"}},
        {"type": f"{ERROR_PREFIX}caa", "detail": "CAA record for b", "identifier": {"value": "b.example"}},
        {"type": f"{ERROR_PREFIX}caa", "detail": "CAA record for c", "identifier": {"value": "c.example"}},
    ]
    sentence = str(problem("it", {"type": f"{ERROR_PREFIX}compound", "subproblems": parts}, 403))
    assert "dnsviz.net shows what is wrong; have the CAA records of the domain allow this CA" in sentence
    assert sentence.count("have the CAA records") == 1


UNPAUSE = f"https://portal.letsencrypt.org/sfe/v1/unpause?jwt={'eyJ' * 200}.{'x' * 43}"
PAUSE = f"Your account is temporarily prevented from requesting certificates for www.example.org and possibly others. Please visit: {UNPAUSE}"


@pytest.mark.parametrize("code", ["rateLimited", "unauthorized"])
def test_a_pause_has_its_page_whole_and_is_not_waited_for(code):
    refusal = problem("a new order", {"type": ERROR_PREFIX + code, "detail": PAUSE}, 429)
    assert str(refusal) == (
        "a new order: Your account is temporarily prevented from requesting certificates for www.example.org and possibly others. "
        f"Please visit ({code}); see {UNPAUSE}; open that page and allow these names again, since waiting does not help; "
        "see first why the CA could not validate them for weeks"
    )


def test_a_page_of_odd_characters_is_no_page():
    sentence = str(
        problem("it", {"type": ERROR_PREFIX + "rateLimited", "detail": "Please visit: https://x/\x1b[31m"}, 429)
    )
    assert "\x1b" not in sentence and "see https://x/;" in sentence


def test_the_date_in_words_is_the_time_to_wait():
    words = "too many certificates (5) already issued for this exact set of identifiers, retry after 2999-01-01T00:00:00Z: see https://x"
    limited = problem("it", {"type": ERROR_PREFIX + "rateLimited", "detail": words}, 403)
    assert limited.retry_after and limited.retry_after > 86_400
    assert (
        problem("it", {"type": ERROR_PREFIX + "rateLimited", "detail": words}, 429, retry_after=7.0).retry_after == 7.0
    )
    odd = problem("it", {"type": ERROR_PREFIX + "rateLimited", "detail": "retry after 2026-99-99 00:00:00 UTC"}, 429)
    assert odd.retry_after is None
