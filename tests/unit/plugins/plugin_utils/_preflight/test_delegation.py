# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of zones and their name servers before an order. They are real ones, on the loopback network."""

from __future__ import annotations

import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import dns_answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.delegation import check_zones
from ansible_collections.evergreen.tls.tests.unit.fake_internet import name_of

WWW, APEX = "www.example.org", "example.org"
FIRST, SECOND, ABOVE = "127.0.0.2", "127.0.0.3", "127.0.0.4"
NAMES = ("ns1.example.org", "ns2.example.org")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(dns_answers, "SERVER_TIMEOUT_S", 0.1)


@pytest.fixture
def zone(here):
    """Start two name servers for a zone that org delegates to them."""
    delegated = (APEX, "NS", *(f"{name}." for name in NAMES)), *zip(NAMES, ("A", "A"), (FIRST, SECOND))
    here.zone("org", *delegated, servers={"a.org": ABOVE})
    return here.zone(APEX, (WWW, "A", "192.0.2.1"), servers=dict(zip(NAMES, (FIRST, SECOND))))


def judged(findings):
    return sorted((finding.severity, finding.code) for finding in findings)


def spoil(server, change):
    """Change the answers of a server: *change* takes the question and the response, and returns bytes or None."""
    answer = server.answer

    def spoiled(wire):
        return change(dns.message.from_wire(wire), dns.message.from_wire(answer(wire)))

    server.answer = spoiled


def fail_resolver(here, status=dns.rcode.SERVFAIL):
    """Let the resolver fail for the zone, as it does where none of its servers answers."""

    def change(query, response):
        if query.question[0].name.is_subdomain(name_of(APEX)):
            response.set_rcode(status)
            response.answer.clear()
            response.authority.clear()
        return response.to_wire()

    spoil(here.resolver, change)


def refuse(query, response):
    response.set_rcode(dns.rcode.REFUSED)
    response.answer.clear()
    return response.to_wire()


def lame(query, response):
    response.flags &= ~dns.flags.AA
    response.answer.clear()
    return response.to_wire()


def recursive(query, response):
    response.flags &= ~dns.flags.AA
    response.flags |= dns.flags.RA
    return response.to_wire()


def silent(query, response):
    return None


def other_id(query, response):
    response.id ^= 1
    return response.to_wire()


def garbage(query, response):
    return b"\xff" * 64


def not_implemented(query, response):
    if query.question[0].rdtype != dns.rdatatype.CAA:
        return response.to_wire()
    response.set_rcode(dns.rcode.NOTIMP)
    return response.to_wire()


def drops_caa(query, response):
    return None if query.question[0].rdtype == dns.rdatatype.CAA else response.to_wire()


def test_a_zone_whose_servers_all_answer_is_fine(zone, subject_of):
    [finding] = check_zones(subject_of(WWW, "*.example.org", APEX))
    assert (finding.severity, finding.code) == ("fine", "zone")
    assert finding.sentence == "2 of 2 name servers answer for example.org"


BROKEN = {
    "refuses": refuse,
    "is lame": lame,
    "is silent": silent,
    "answers with another id": other_id,
    "is mad": garbage,
}
WORDS = {
    "refuses": "REFUSED",
    "is lame": "it does not know the zone",
    "is silent": "no answer in time",
    "answers with another id": "no answer in time",
    "is mad": "no answer in time",
}


@pytest.mark.parametrize("how", BROKEN)
def test_one_of_two_servers_is_a_risk_where_it(here, zone, subject_of, how):
    spoil(here.servers[SECOND], BROKEN[how])
    [finding] = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("risk", "zone.server")
    assert (
        f"1 of 2 name servers of example.org do not answer for it (ns2.example.org (127.0.0.3): {WORDS[how]})"
        in finding.sentence
    )
    assert finding.evidence == (f"ns2.example.org (127.0.0.3): {WORDS[how]}",)


@pytest.mark.parametrize("how", BROKEN)
def test_it_blocks_where_the_resolver_fails_too_and_each_server(here, zone, subject_of, how):
    for address in (FIRST, SECOND):
        spoil(here.servers[address], BROKEN[how])
    fail_resolver(here)
    [finding] = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("blocks", "zone.servers")
    assert "no name server of example.org answers for it (ns1.example.org" in finding.sentence
    assert "; see that they run and have the zone" in finding.sentence and len(finding.evidence) == 2


def test_it_blocks_where_the_resolver_has_nothing_from_lame_servers(here, zone, subject_of):
    # unbound says NOERROR then, with neither records nor a SOA record
    fail_resolver(here, dns.rcode.NOERROR)
    for server in (FIRST, SECOND):
        spoil(here.servers[server], lame)
    (finding,) = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("blocks", "zone.servers")
    assert "no name server of example.org answers for it" in finding.sentence


def test_the_zone_above_is_not_taken_for_the_one_that_nobody_tells_of(here, zone, subject_of):
    fail_resolver(here)
    spoil(here.servers[ABOVE], silent)
    (finding,) = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("unknown", "zone.error")


@pytest.mark.parametrize("how", [silent, recursive], ids=["dropped", "answered by another"])
def test_it_is_unknown_where_questions_to_port_53_are_only_here(here, zone, subject_of, how):
    for address in (FIRST, SECOND):
        spoil(here.servers[address], how)
    [finding] = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("unknown", "zone.servers")
    assert (
        "the resolvers know the zone; let port 53 of the internet be reached from here, or have diagnose_from name another host"
        in finding.sentence
    )


@pytest.mark.parametrize("how", [not_implemented, drops_caa])
def test_servers_that_do_not_know_caa_block_at_lets_encrypt_and_are_a_risk_elsewhere(here, zone, subject_of, how):
    for address in (FIRST, SECOND):
        spoil(here.servers[address], how)
    [finding] = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("blocks", "zone.caa")
    assert "2 of 2 name servers of example.org do not answer questions for CAA records" in finding.sentence
    [finding] = check_zones(subject_of(WWW, issuer=CaaIssuer(("sectigo.com",))))
    assert (finding.severity, finding.code) == ("risk", "zone.caa")


def test_one_such_server_is_a_risk(here, zone, subject_of):
    spoil(here.servers[FIRST], not_implemented)
    [finding] = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("risk", "zone.caa") and "NOTIMP" in finding.sentence


@pytest.mark.parametrize(
    ("above", "severity"),
    [(("ns8.example.net.", "ns9.example.net."), "risk"), (("ns1.example.org.", "ns8.example.net."), "note")],
)
def test_other_servers_in_the_zone_above_are_told(here, zone, subject_of, above, severity):
    [parent] = here.servers[ABOVE].zones
    parent.records[name_of(APEX), dns.rdatatype.NS] = set(above)
    [finding] = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == (severity, "zone.delegation")
    assert "enter the same ones" in finding.sentence or "enter the right ones" in finding.sentence
    assert finding.evidence[0] == "in the zone: ns1.example.org, ns2.example.org"
    assert "ns8.example.net" in finding.evidence[1]


def test_a_domain_that_nobody_registered_blocks(here, subject_of):
    here.zone("org")
    [finding] = check_zones(subject_of("www.unregistered.org"))
    assert (finding.severity, finding.code) == ("blocks", "zone.missing")
    assert (
        "DNS knows nothing between org and www.unregistered.org; see that the domain is registered" in finding.sentence
    )


def test_servers_without_an_address_block_where_the_resolver_fails_too(here, zone, subject_of):
    [parent] = here.servers[ABOVE].zones
    parent.records[name_of(APEX), dns.rdatatype.NS] = {"gone.example.net."}
    fail_resolver(here)
    [finding] = check_zones(subject_of(WWW))
    assert (finding.severity, finding.code) == ("blocks", "zone.servers")
    assert "the name servers of example.org have no address (gone.example.net)" in finding.sentence


def test_resolvers_that_are_down_leave_it_unknown(here, zone, subject_of):
    here.resolver.silent = True
    started = time.monotonic()
    [finding] = check_zones(subject_of(WWW, "www.example.net", timeout=0.5))
    assert time.monotonic() - started < 2
    assert (finding.severity, finding.code) == ("unknown", "zone.error")
    assert "the zone of www.example.org, www.example.net; see that they run" in finding.sentence


def test_a_hundred_dead_zones_take_bounded_time(here, subject_of):
    here.zone("org", *((f"example{n}.org", "NS", f"ns.example{n}.org.") for n in range(100)), servers={"a.org": ABOVE})
    for n in range(100):
        here.zone(f"example{n}.org", (f"www.example{n}.org", "A", "192.0.2.1"), servers={f"ns.example{n}.org": FIRST})
    here.servers[FIRST].silent = True
    started = time.monotonic()
    findings = check_zones(subject_of(*(f"www.example{n}.org" for n in range(100)), timeout=10))
    assert time.monotonic() - started < 5
    assert len(findings) == 100 and {finding.severity for finding in findings} == {"unknown"}


def test_no_name_server_is_asked_before_each_order(here, zone, subject_of):
    assert check_zones(subject_of(WWW, is_thorough=False)) == []
    assert here.servers[FIRST].queries == []


def test_no_server_is_asked_the_same_twice(here, zone, subject_of):
    subject = subject_of(*(f"a{n}.example.org" for n in range(20)))
    check_zones(subject)
    check_zones(subject)
    for server in here.servers.values():
        assert len(server.queries) == len(set(server.queries))
    assert 0 < len(here.servers[FIRST].queries) < 5


def test_names_of_servers_are_shown_on_one_line(here, zone, subject_of):
    zone.records[name_of(APEX), dns.rdatatype.NS] = {"a\\027[2Jb.example.org."}
    findings = check_zones(subject_of(WWW))
    assert findings and all(finding.sentence.isprintable() for finding in findings)
    assert all(text.isprintable() for finding in findings for text in finding.evidence)
