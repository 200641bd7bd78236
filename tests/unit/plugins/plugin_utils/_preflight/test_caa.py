# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of CAA records before an order. The name servers are real ones, on the loopback network."""

from __future__ import annotations

import time

import dns.flags
import dns.message
import dns.rcode
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import checks, sentences
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of

ACCOUNT = "https://acme-v02.api.letsencrypt.org/acme/acct/12"
OURS = CaaIssuer(("letsencrypt.org",), (ACCOUNT,), "http-01")
TITLE = "https://acme-v02.api.letsencrypt.org/directory"
FORBIDDEN = '0 issue ";"'
ALLOWED = '0 issue "letsencrypt.org"'


@pytest.fixture
def check(here, monkeypatch):
    """Return a function that checks the CAA records of domains, with the resolver of the test."""
    monkeypatch.setattr(checks, "CHECKS", {"caa": checks.CHECKS["caa"]})

    def checked(*domains, issuer=OURS, timeout=5.0):
        client = DnsClient([f"{RESOLVER}:{here.port}"])
        return checks.run_checks(Subject(list(domains), TITLE, client, issuer, time.monotonic() + timeout))

    return checked


def fail(here, name, status=dns.rcode.SERVFAIL):
    """Have the resolver answer all questions about a name with a status."""
    look_up = here.resolver.look_up

    def refuse(question, response):
        if question.name == name_of(name):
            response.set_rcode(status)
        else:
            look_up(question, response)

    here.resolver.look_up = refuse


WWW, APEX, WILD = "www.example.org", "example.org", "*.example.org"
# By name: the records by owner, the domain of the order, and severity and code of the finding.
CASES = {
    "no records": ({}, WWW, "fine", "caa"),
    "this CA": ({WWW: [ALLOWED]}, WWW, "fine", "caa"),
    "this CA and a semicolon": ({WWW: ['0 issue "letsencrypt.org;"']}, WWW, "fine", "caa"),
    "another CA": ({WWW: ['0 issue "sectigo.com"']}, WWW, "blocks", "caa.ca"),
    "nobody": ({WWW: [FORBIDDEN]}, WWW, "blocks", "caa.ca"),
    "several CAs": ({WWW: ['0 issue "sectigo.com"', ALLOWED]}, WWW, "fine", "caa"),
    "this CA in another case": ({WWW: ['0 issue "LetsEncrypt.org"']}, WWW, "blocks", "caa.ca"),
    "a tag in upper case": ({WWW: ['0 ISSUE "sectigo.com"']}, WWW, "blocks", "caa.ca"),
    "the parent": ({APEX: [FORBIDDEN]}, WWW, "blocks", "caa.ca"),
    "the closest set": ({APEX: [FORBIDDEN], WWW: [ALLOWED]}, WWW, "fine", "caa"),
    "the top-level domain": ({"org": [FORBIDDEN]}, WWW, "blocks", "caa.ca"),
    "wildcards by issue": ({APEX: [ALLOWED]}, WILD, "fine", "caa"),
    "wildcards by issuewild": ({APEX: [FORBIDDEN, '0 issuewild "letsencrypt.org"']}, WILD, "fine", "caa"),
    "no wildcards": ({APEX: [ALLOWED, '0 issuewild ";"']}, WILD, "blocks", "caa.ca"),
    "issuewild does not count": ({APEX: ['0 issuewild ";"']}, APEX, "fine", "caa"),
    "an internationalized name": (
        {"xn--bcher-kva.example.org": [FORBIDDEN]},
        "xn--bcher-kva.example.org",
        "blocks",
        "caa.ca",
    ),
    "nothing that counts": ({APEX: ['0 iodef "mailto:a@example.org"']}, WWW, "fine", "caa"),
    "an unknown tag": ({APEX: ['0 unknown "x"']}, WWW, "fine", "caa"),
    "a critical unknown tag": ({APEX: [ALLOWED, '128 unknown "x"']}, WWW, "blocks", "caa.critical"),
    "a tag with the flags 1": ({APEX: [ALLOWED, '1 unknown "x"']}, WWW, "blocks", "caa.critical"),
    "a critical tag of S/MIME": ({APEX: [ALLOWED, '128 issuemail ";"']}, WWW, "fine", "caa"),
    "this account": ({APEX: [f'0 issue "letsencrypt.org; accounturi={ACCOUNT}"']}, WWW, "fine", "caa"),
    "another account": ({APEX: [f'0 issue "letsencrypt.org; accounturi={ACCOUNT}3"']}, WWW, "blocks", "caa.account"),
    "two accounts": (
        {APEX: [f'0 issue "letsencrypt.org; accounturi={ACCOUNT}; accounturi={ACCOUNT}"']},
        WWW,
        "blocks",
        "caa.account",
    ),
    "this method": ({APEX: ['0 issue "letsencrypt.org; validationmethods=dns-01,http-01"']}, WWW, "fine", "caa"),
    "another method": ({APEX: ['0 issue "letsencrypt.org; validationmethods=dns-01"']}, WWW, "blocks", "caa.method"),
    "malformed parameters": ({APEX: ['0 issue "letsencrypt.org; accounturi"']}, WWW, "blocks", "caa.malformed"),
}


@pytest.mark.parametrize(("records", "domain", "severity", "code"), CASES.values(), ids=CASES)
def test_records_are_judged_as_lets_encrypt_does(here, check, records, domain, severity, code):
    here.zone("org", *((owner, "CAA", *values) for owner, values in records.items() if owner == "org"))
    here.zone(
        APEX, (WWW, "A", "192.0.2.1"), *((owner, "CAA", *values) for owner, values in records.items() if owner != "org")
    )
    [finding] = check(domain)
    assert (finding.severity, finding.code) == (severity, code)
    assert domain in finding.sentence and TITLE in finding.sentence
    assert finding.source.startswith("RFC 8659") and bool(finding.evidence) is bool(records)
    assert severity == "fine" or ";" in finding.sentence


@pytest.mark.parametrize(
    ("target", "parent", "severity"),
    [([FORBIDDEN], [], "blocks"), ([], [FORBIDDEN], "fine"), ([ALLOWED], [FORBIDDEN], "fine")],
)
def test_the_target_of_an_alias_counts_and_its_parents_do_not(here, check, target, parent, severity):
    here.zone("org")
    here.zone(APEX, (WWW, "CNAME", "edge.example.net."))
    here.zone(
        "example.net",
        *(
            (owner, "CAA", *values)
            for owner, values in (("edge.example.net", target), ("example.net", parent))
            if values
        ),
    )
    assert [finding.severity for finding in check(WWW)] == [severity]


@pytest.mark.parametrize("status", [dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED])
@pytest.mark.parametrize("name", [WWW, APEX, "org"])
def test_a_resolver_that_fails_blocks_nothing(here, check, name, status):
    here.zone("org")
    here.zone(APEX, (WWW, "A", "192.0.2.1"))
    fail(here, name, status)
    [finding] = check(WWW)
    assert (finding.severity, finding.code) == ("unknown", "caa.error")
    assert (
        finding.sentence.startswith(f"the CAA records of {WWW} are not known: ")
        and "; see that they run" in finding.sentence
    )
    assert f"cannot find out about {name}: {dns.rcode.to_text(status)}" in finding.sentence


def test_an_error_above_the_records_that_count_does_not_matter(here, check):
    here.zone("org")
    here.zone(APEX, (WWW, "CAA", ALLOWED), (APEX, "CAA", FORBIDDEN))
    fail(here, APEX)
    assert [finding.severity for finding in check(WWW)] == ["fine"]
    fail(here, WWW)
    assert [finding.severity for finding in check(WWW)] == ["unknown"]


def test_an_answer_that_is_truncated_and_not_had_by_tcp_is_not_known(here, check):
    here.zone("org")
    here.zone(APEX, (WWW, "CAA", ALLOWED))
    answer = here.resolver.answer

    def truncated(wire):
        response = dns.message.from_wire(answer(wire))
        response.answer.clear()
        response.flags |= dns.flags.TC
        return response.to_wire()

    here.resolver.answer = truncated
    [finding] = check(WWW, timeout=1.0)
    assert finding.severity == "unknown" and "the answer is truncated" in finding.sentence


def test_silent_resolvers_are_left_in_time_however_many_names_there_are(here, check):
    here.resolver.silent = True
    started = time.monotonic()
    findings = check(*(f"host{number}.example{number}.org" for number in range(100)), timeout=0.5)
    assert time.monotonic() - started < 2.0
    [finding] = findings
    assert (
        finding.severity == "unknown" and "host0.example0.org" in finding.sentence and "and 95 more" in finding.sentence
    )
    assert len(finding.sentence) < 600


def test_each_name_is_asked_once_for_all_domains_of_an_order(here, check):
    here.zone("org")
    here.zone(APEX, (APEX, "CAA", FORBIDDEN))
    domains = [f"host{number}.example.org" for number in range(20)]
    [wild, plain] = check(WILD, *domains)
    assert len(here.resolver.queries) == len(set(here.resolver.queries)) == 22
    assert " for *.example.org (" in wild.sentence
    assert (
        " for host0.example.org, host1.example.org, host2.example.org, host3.example.org, host4.example.org and 15 more ("
        in plain.sentence
    )


def test_nothing_is_asked_for_addresses_nor_for_a_ca_that_records_cannot_name(here, check):
    assert check("192.0.2.1", "2001:db8::1") == []
    assert check(WWW, issuer=None) == []
    assert here.resolver.queries == []


def test_an_account_that_does_not_exist_yet_is_a_note(here, check):
    here.zone("org")
    here.zone(APEX, (APEX, "CAA", f'0 issue "letsencrypt.org; accounturi={ACCOUNT}"'))
    [finding] = check(WWW, issuer=OURS._replace(account_urls=()))
    assert (finding.severity, finding.code) == ("note", "caa.account")
    assert finding.sentence.endswith("; compare accounturi with what evergreen.tls.acme_account returns")


@pytest.mark.parametrize(
    "records",
    [
        ['0 issue "Sectigo.com"'],
        ['0 issue "sectigo.com"', '1 unknown "x"'],
        ['0 issue "sectigo.com"', '128 contactemail "a@b.example"'],
    ],
)
def test_what_only_some_cas_refuse_is_a_risk_at_others(here, check, records):
    here.zone("org")
    here.zone(APEX, (APEX, "CAA", *records))
    [finding] = check(WWW, issuer=CaaIssuer(("sectigo.com",)))
    assert finding.severity == "risk" and finding.sentence.startswith(
        "some CAs refuse this: the CAA records of example.org do not let "
    )


def test_values_of_strangers_are_shown_on_one_line(here, check):
    here.zone("org")
    here.zone(APEX, (APEX, "CAA", '0 issue "\\027[2J\\010' + "x" * 2000 + '"'))
    [finding] = check(WWW)
    assert finding.severity == "blocks" and len(finding.sentence) < 700
    assert finding.sentence.isprintable() and all(text.isprintable() for text in finding.evidence)


def test_a_check_that_fails_has_found_something_unknown(check, monkeypatch):
    def broken(_subject):
        raise ZeroDivisionError("by chance")

    monkeypatch.setitem(checks.CHECKS, "caa", broken)
    [finding] = check(WWW)
    assert (finding.severity, finding.code) == ("unknown", "caa.failed")
    assert finding.sentence.startswith("the check caa before the order failed: ") and ";" in finding.sentence


def test_an_interrupt_is_not_a_finding(check, monkeypatch):
    def interrupted(_subject):
        raise KeyboardInterrupt

    monkeypatch.setitem(checks.CHECKS, "caa", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check(WWW)


def test_names_are_counted_where_there_are_many():
    assert sentences.shown_names(list("abcdefg")) == "a, b, c, d, e and 2 more"
