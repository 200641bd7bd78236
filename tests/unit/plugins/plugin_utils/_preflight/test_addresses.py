# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of addresses before an order. The name servers are real ones, on the loopback network."""

from __future__ import annotations

import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import addresses, dns_answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.addresses import check_addresses
from ansible_collections.evergreen.tls.tests.unit.fake_internet import Zone, name_of

WWW, APEX = "www.example.org", "example.org"
GLOBAL, OTHER_GLOBAL = "198.41.0.4", "199.9.14.201"


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(dns_answers, "SERVER_TIMEOUT_S", 0.1)


@pytest.fixture
def org(here):
    return here.zone("org")


def judged(findings):
    return sorted((finding.severity, finding.code) for finding in findings)


def test_names_with_an_address_of_the_internet_are_one_finding(here, subject_of, org):
    here.zone(APEX, *((f"{label}.{APEX}", "A", GLOBAL) for label in "abcdefg"))
    [finding] = check_addresses(subject_of(*(f"{label}.{APEX}" for label in "abcdefg")))
    assert (finding.severity, finding.code) == ("fine", "addresses")
    assert finding.sentence == (
        "DNS has addresses for a.example.org, b.example.org, c.example.org, d.example.org, e.example.org and 2 more"
    )
    assert finding.evidence[0] == f"a.example.org: {GLOBAL}" and len(finding.evidence) == 7


CASES = {
    "no name": ([], "addresses.none", "there is no address in DNS for www.example.org; create an A or AAAA record"),
    "another record": ([(WWW, "TXT", "x")], "addresses.none", "there is no address in DNS for www.example.org; create"),
    "an alias of nothing": (
        [(WWW, "CNAME", "gone.example.org.")],
        "addresses.alias",
        "whose CNAME records lead to gone.example.org, which has no address; create",
    ),
    "aliases of nothing": (
        [(WWW, "CNAME", "a.example.org."), ("a.example.org", "CNAME", "edge.example.net.")],
        "addresses.alias",
        "whose CNAME records lead to edge.example.net, which has no address",
    ),
    "an alias of itself": (
        [(WWW, "CNAME", f"{WWW}.")],
        "addresses.circle",
        "lead in a circle for www.example.org; corr",
    ),
    "a circle": (
        [(WWW, "CNAME", "a.example.org."), ("a.example.org", "CNAME", f"{WWW}.")],
        "addresses.circle",
        "(www.example.org → a.example.org → www.example.org)",
    ),
    "a circle behind an alias": (
        [
            (WWW, "CNAME", "a.example.org."),
            ("a.example.org", "CNAME", "b.example.org."),
            ("b.example.org", "CNAME", "a.example.org."),
        ],
        "addresses.circle",
        "(www.example.org → a.example.org → b.example.org → a.example.org)",
    ),
    "300 aliases": (
        [(WWW, "CNAME", "a0.example.org."), *((f"a{n}.{APEX}", "CNAME", f"a{n + 1}.{APEX}.") for n in range(300))],
        "addresses.aliases",
        "too many CNAME records follow each other for www.example.org; let them lead to a11.example.org",
    ),
}


@pytest.mark.parametrize(("records", "code", "words"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("is_failing", [False, True], ids=["", "and the resolver fails"])
def test_a_name_without_an_address_is_explained(here, subject_of, org, records, code, words, is_failing):
    here.zone(APEX, *records)
    if is_failing and code in ("addresses.circle", "addresses.aliases"):  # as unbound does
        fail_for_aliases(here)
    [finding] = check_addresses(subject_of(WWW, is_thorough=False))
    assert (finding.severity, finding.code) == ("blocks", code)
    assert words in finding.sentence and finding.sentence.isprintable() and len(finding.sentence) < 400


def fail_for_aliases(here):
    """Let the resolver fail for addresses behind CNAME records."""
    look_up = here.resolver.look_up

    def refuse(question, response):
        look_up(question, response)
        if question.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and response.answer:
            response.answer.clear()
            response.set_rcode(dns.rcode.SERVFAIL)

    here.resolver.look_up = refuse


@pytest.mark.parametrize(
    "address", ["10.0.0.7", "127.0.0.1", "169.254.1.1", "100.64.0.1", "fd00::1", "::1", "192.0.2.1"]
)
def test_an_address_that_the_internet_cannot_reach_blocks_at_a_public_ca_alone(here, subject_of, org, address):
    here.zone(APEX, (WWW, "AAAA" if ":" in address else "A", address))
    found = [one for one in check_addresses(subject_of(WWW)) if one.severity != "unknown"]
    assert judged(found) == [("blocks", "addresses.internal")]
    assert (
        f"www.example.org ({address} is a" in found[0].sentence
        and "; correct the A and AAAA records" in found[0].sentence
    )
    private = [one for one in check_addresses(subject_of(WWW, is_public_ca=False)) if one.severity != "unknown"]
    assert judged(private) == [("fine", "addresses")]


def test_one_such_address_among_others_is_a_risk(here, subject_of, org):
    here.zone(APEX, (WWW, "A", "10.0.0.7", GLOBAL))
    assert judged(check_addresses(subject_of(WWW))) == [("fine", "addresses"), ("risk", "addresses.internal")]


def test_such_an_address_is_a_risk_where_the_servers_of_the_zone_do_not_confirm_it(here, subject_of, org):
    here.zone(APEX, (WWW, "A", "10.0.0.7"))
    here.servers["127.0.0.2"].silent = True
    assert ("risk", "addresses.internal") in judged(check_addresses(subject_of(WWW, is_thorough=False)))


def test_an_ipv6_address_without_a_route_is_unknown(here, subject_of, org, monkeypatch):
    monkeypatch.setattr(addresses, "has_route", lambda address: ":" not in address)
    here.zone(APEX, (WWW, "A", GLOBAL), (WWW, "AAAA", "2001:500:2::c"))
    [unknown, fine] = check_addresses(subject_of(WWW))
    assert judged([unknown, fine]) == [("fine", "addresses"), ("unknown", "addresses.ipv6")]
    assert (
        "no route to the IPv6 addresses of www.example.org (2001:500:2::c); have diagnose_from name a host that has IPv6"
        in unknown.sentence
    )


def divide(here, *records):
    """Let the resolver answer from other records of the zone than its name server."""
    here.zone(APEX, (WWW, "A", GLOBAL))
    office = Zone(
        APEX,
        [
            (APEX, "SOA", f"ns.{APEX}. a.{APEX}. 1 1 1 1 1"),
            (APEX, "NS", f"ns.{APEX}."),
            (f"ns.{APEX}", "A", "127.0.0.2"),
            *records,
        ],
    )
    here.resolver.zones = [zone for zone in here.resolver.zones if zone.name != name_of(APEX)] + [office]


@pytest.mark.parametrize(
    ("records", "shown"),
    [([(WWW, "A", "10.0.0.7")], "10.0.0.7"), ([(WWW, "A", OTHER_GLOBAL)], OTHER_GLOBAL), ([], "no address")],
)
def test_other_answers_of_the_resolver_are_a_risk_with_both(here, subject_of, org, records, shown):
    divide(here, *records)
    findings = check_addresses(subject_of(WWW))
    assert judged(findings) == [("fine", "addresses"), ("risk", "addresses.split")]
    assert (
        f"for www.example.org: {GLOBAL} by the name servers of the zone, {shown} by 127.0.0.1:" in findings[0].sentence
    )


def test_a_choice_of_the_same_addresses_is_no_difference(here, subject_of, org):
    divide(here, (WWW, "A", GLOBAL, OTHER_GLOBAL))
    assert judged(check_addresses(subject_of(WWW))) == [("fine", "addresses")]


def test_an_alias_out_of_the_zone_is_no_difference(here, subject_of, org):
    here.zone(APEX, (WWW, "CNAME", "edge.example.net."))
    here.zone("example.net", ("edge.example.net", "A", GLOBAL))
    assert judged(check_addresses(subject_of(WWW))) == [("fine", "addresses")]


def test_questions_for_one_family_that_fail_are_a_risk(here, subject_of, org):
    here.zone(APEX, (WWW, "A", GLOBAL))
    look_up = here.resolver.look_up

    def refuse(question, response):
        if question.rdtype == dns.rdatatype.AAAA and question.name == name_of(WWW):
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            look_up(question, response)

    here.resolver.look_up = refuse
    [risk, fine] = check_addresses(subject_of(WWW))
    assert judged([risk, fine]) == [("fine", "addresses"), ("risk", "addresses.error")]
    assert (
        "do not answer questions for AAAA records, which CAs ask as well, of www.example.org; see that" in risk.sentence
    )
    assert "SERVFAIL" in risk.evidence[0]


def test_resolvers_that_are_silent_leave_it_unknown_in_time(here, subject_of):
    here.resolver.silent = True
    started = time.monotonic()
    [finding] = check_addresses(subject_of(*(f"host{n}.example{n}.org" for n in range(50)), timeout=0.5))
    assert time.monotonic() - started < 2
    assert (finding.severity, finding.code) == ("unknown", "addresses.error") and "and 45 more" in finding.sentence


def test_addresses_do_not_matter_for_wildcards_ip_addresses_and_validation_by_dns(here, subject_of):
    assert check_addresses(subject_of("*.example.org", "192.0.2.1")) == []
    assert check_addresses(subject_of(WWW, challenge_type="dns-01")) == []
    assert here.resolver.queries == []


def test_text_of_strangers_is_shown_on_one_line(here, subject_of, org):
    here.zone(APEX, (WWW, "CNAME", "a\\027[2Jb.example.org."))
    [finding] = check_addresses(subject_of(WWW))
    assert finding.sentence.isprintable() and all(text.isprintable() for text in finding.evidence)


def test_no_question_is_asked_twice(here, subject_of, org):
    here.zone(APEX, *((f"a{n}.{APEX}", "A", GLOBAL) for n in range(30)))
    check_addresses(subject_of(*(f"a{n}.{APEX}" for n in range(30))))
    for server in (here.resolver, here.servers["127.0.0.2"]):
        assert server.queries and len(server.queries) == len(set(server.queries))


def test_addresses_are_left_out_where_the_controller_does_not_see_what_the_ca_sees(here, subject_of):
    assert check_addresses(subject_of(WWW, has_view_of_ca=False)) == []
    assert here.resolver.queries == []
