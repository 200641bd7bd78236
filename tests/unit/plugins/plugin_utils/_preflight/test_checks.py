# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All checks before an order together, with name servers that are hostile, and with errors inside of the checks."""

from __future__ import annotations

import time
import typing as t

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Severity
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import checks, dns_answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import (
    DnsAnswers,
    answers_of,
    share_answers,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import resolvers
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient, NameServer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import Question
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of

WWW, APEX = "www.example.org", "example.org"
TIMEOUT_S = 0.5


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(dns_answers, "SERVER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(resolvers, "RESOLVER_TRY_TIMEOUT_S", 0.1)


@pytest.fixture
def zone(here):
    here.zone("org", (APEX, "NS", f"ns.{APEX}."), servers={"a.org": "127.0.0.4"})
    return here.zone(APEX, (WWW, "A", "198.41.0.4"))


def well_formed(findings):
    """Say whether findings can be shown: printable, short, and with a remedy."""
    severities = t.get_args(Severity)
    return bool(findings) and all(
        finding.severity in severities
        and finding.code.partition(".")[0] in checks.CHECKS
        and finding.sentence.isprintable()
        and len(finding.sentence) < 700
        and (finding.severity == "fine" or "; " in finding.sentence)
        and all(text.isprintable() and len(text) < 500 for text in finding.evidence)
        for finding in findings
    )


def test_all_is_fine_in_a_world_that_is(zone, subject_of):
    findings = checks.run_checks(subject_of(WWW))
    assert well_formed(findings)
    assert {finding.code for finding in findings} == {"names", "caa", "addresses", "zone", "dnssec"}
    assert {finding.severity for finding in findings} == {"fine"}


def with_status(status):
    def change(_wire, answer):
        response = dns.message.from_wire(answer)
        response.set_rcode(status)
        response.answer.clear()
        return response.to_wire()

    return change


def about_another_name(_wire, answer):
    return answer.replace(b"\x07example", b"\x07exbmple")


def with_64_kilobytes(_wire, answer):
    response = dns.message.from_wire(answer)
    text = " ".join(f'"{"x" * 250}"' for _number in range(240))
    response.answer.append(dns.rrset.from_text(response.question[0].name, 1, "IN", "TXT", text))
    return response.to_wire(max_size=65535)


def with_terminal_codes(_wire, answer):
    response = dns.message.from_wire(answer)
    name = response.question[0].name
    response.answer = [dns.rrset.from_text(name, 1, "IN", "CNAME", "a\\027[2J\\010\\000b.example.org.")]
    return response.to_wire()


def with_a_circle(_wire, answer):
    response = dns.message.from_wire(answer)
    name = response.question[0].name
    response.answer = [dns.rrset.from_text(name, 1, "IN", "CNAME", name.to_text())]
    return response.to_wire()


HOSTILE = {
    "refuse": with_status(dns.rcode.REFUSED),
    "fail": with_status(dns.rcode.SERVFAIL),
    "implement nothing": with_status(dns.rcode.NOTIMP),
    "say that nothing exists": with_status(dns.rcode.NXDOMAIN),
    "are silent": lambda _wire, _answer: None,
    "answer with another id": lambda _wire, answer: bytes([answer[0] ^ 1]) + answer[1:],
    "answer about another name": about_another_name,
    "answer with garbage": lambda _wire, _answer: b"\xff" * 900,
    "answer with half of a message": lambda _wire, answer: answer[: len(answer) // 2],
    "answer with 64 kilobytes": with_64_kilobytes,
    "answer with terminal codes": with_terminal_codes,
    "answer with circles": with_a_circle,
}


def spoil(server, change):
    answer = server.answer
    server.answer = lambda wire: change(wire, answer(wire))


@pytest.mark.parametrize("who", ["resolvers", "name servers"])
@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_there_are_findings_in_bounded_time_where_servers(here, zone, subject_of, who, change):
    for address, server in here.servers.items():
        if (address == RESOLVER) is (who == "resolvers"):
            spoil(server, change)
    started = time.monotonic()
    findings = checks.run_checks(subject_of(WWW, "*.example.org", timeout=TIMEOUT_S))
    assert time.monotonic() - started < 10 * TIMEOUT_S
    assert well_formed(findings)
    assert not [finding for finding in findings if finding.code.endswith(".failed")]


def test_an_answer_that_trickles_by_tcp_is_left_in_time(here, zone, subject_of, monkeypatch):
    spoil(here.resolver, with_64_kilobytes)

    def trickle(write, wire):
        for byte in wire[:30]:
            write(bytes([byte]))
            time.sleep(0.05)

    monkeypatch.setattr(here.resolver, "send_by_tcp", trickle)
    started = time.monotonic()
    findings = checks.run_checks(subject_of(WWW, timeout=TIMEOUT_S))
    assert time.monotonic() - started < 10 * TIMEOUT_S and well_formed(findings)
    assert {finding.severity for finding in findings} <= {"unknown", "fine"}


def test_a_controller_without_dns_says_so_and_blocks_nothing(subject_of, monkeypatch):
    def missing():
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(resolvers.dns.resolver, "Resolver", missing)
    findings = checks.run_checks(subject_of(WWW, client=DnsClient([])))
    assert well_formed(findings) and {finding.severity for finding in findings} == {"fine", "unknown"}
    assert any("no resolvers in /etc/resolv.conf" in finding.sentence for finding in findings)


ERRORS = [
    ZeroDivisionError("by chance"),
    RecursionError("too deep"),
    UnicodeError("text"),
    OSError(24, "Too many open files"),
]


@pytest.mark.parametrize("error", [*ERRORS, TlsError("no; mend it"), dns.exception.DNSException("x")], ids=repr)
@pytest.mark.parametrize("name", checks.CHECKS)
def test_an_error_in_a_check_is_unknown_and_the_others_go_on(zone, subject_of, monkeypatch, name, error):
    def broken(_subject):
        raise error

    monkeypatch.setitem(checks.CHECKS, name, broken)
    findings = checks.run_checks(subject_of(WWW))
    [failed] = [finding for finding in findings if finding.severity != "fine"]
    assert (failed.severity, failed.code) == ("unknown", f"{name}.failed")
    assert failed.sentence.startswith(f"the check {name} before the order failed: ")
    others = {finding.code for finding in findings} - {failed.code}
    assert others == {"names", "caa", "addresses", "zone", "dnssec"} - {name}


@pytest.mark.parametrize("rdatatype", ["SOA", "CAA", "A", "AAAA", "NS", "DS"])
def test_an_error_inside_of_one_question_is_unknown(zone, subject_of, monkeypatch, rdatatype):
    ask = DnsAnswers.ask

    def broken(self, question, deadline):
        if question.rdatatype == rdatatype:
            raise ZeroDivisionError("by chance")
        return ask(self, question, deadline)

    monkeypatch.setattr(DnsAnswers, "ask", broken)
    findings = checks.run_checks(subject_of(WWW))
    assert {finding.severity for finding in findings} == {"fine", "unknown"}
    assert any(finding.code.endswith(".failed") for finding in findings)


def test_all_checks_together_ask_each_question_once(here, zone, subject_of):
    checks.run_checks(subject_of(*(f"a{number}.example.org" for number in range(20)), "*.example.org"))
    for server in here.servers.values():
        asked = [
            query
            for query in server.queries
            if query[1] not in (dns.rdatatype.SOA, dns.rdatatype.NS, dns.rdatatype.A, dns.rdatatype.AAAA)
        ]
        assert len(asked) == len(set(asked))
        # with and without the flag CD
        assert max(map(server.queries.count, server.queries)) <= 2


def test_subjects_share_their_answers_in_one_run(here, zone, subject_of):
    with share_answers():
        for _time in range(3):
            checks.run_checks(subject_of(WWW))
        assert here.resolver.queries.count((f"{WWW}.", dns.rdatatype.CAA)) == 1
        assert answers_of(DnsClient(["192.0.2.1"])) is not answers_of(DnsClient(["192.0.2.2"]))
    checks.run_checks(subject_of(WWW))
    assert here.resolver.queries.count((f"{WWW}.", dns.rdatatype.CAA)) == 2


def test_an_error_is_asked_for_again(here, zone, subject_of):
    subject = subject_of(WWW, timeout=5)
    here.resolver.silent = True
    with pytest.raises(TlsError, match="take too long"):
        subject.answers.ask(Question(WWW, "A"), time.monotonic() - 1)
    here.resolver.silent = False
    [rrset] = subject.answers.resolve(WWW, "A", subject.deadline)
    assert rrset.name == name_of(WWW)


def test_a_name_server_that_is_silent_is_left_alone_after_a_while(here, zone, subject_of):
    server = next(iter(subject_of(WWW).answers.client.locate(WWW).servers))
    here.servers[server.address].silent = True
    answers = subject_of(WWW).answers
    started = time.monotonic()
    deadline = started + 60
    results = {
        answers.ask_server(server, Question(f"a{n}.example.org", "A", is_recursive=False), deadline) for n in range(50)
    }
    assert results == {"no answer in time"} and time.monotonic() - started < 2


def test_a_controller_to_which_port_53_is_closed_finds_that_out_once(here, zone, subject_of):
    servers = [NameServer(f"ns{n}.example.org", "127.0.0.2", here.port) for n in range(50)]
    here.servers["127.0.0.2"].silent = True
    answers = subject_of(WWW).answers
    started = time.monotonic()
    results = [answers.ask_server(one, Question(WWW, "A", is_recursive=False), started + 60) for one in servers]
    assert set(results) == {"no answer in time"} and time.monotonic() - started < 2
