# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to resolvers that fail, lie, or are slow. They are real ones, on the loopback network."""

from __future__ import annotations

import time

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import resolvers
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import Question, Resolvers
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of, truncated

WWW = "www.example.org"
OTHER = "127.0.0.9"


@pytest.fixture
def zone(here, monkeypatch):
    monkeypatch.setattr(resolvers, "RESOLVER_TRY_TIMEOUT_S", 0.1)
    return here.zone("example.org", (WWW, "A", "192.0.2.1"))


@pytest.fixture
def both(here, zone):
    """Return two resolvers, the first of which the tests spoil."""
    here.serve(OTHER, [zone], recursive=True)
    return Resolvers([f"{RESOLVER}:{here.port}", f"{OTHER}:{here.port}"])


def addresses(asked, timeout=1.0):
    return [record.address for rrset in asked.resolve(WWW, "A", timeout) for record in rrset]


def spoil(here, monkeypatch, change):
    """Change the answers of the first resolver: *change* takes the question and the answer, both as bytes, and returns bytes or None."""
    answer = here.resolver.answer
    monkeypatch.setattr(here.resolver, "answer", lambda wire: change(wire, answer(wire)))


def with_status(status):
    def change(_wire, answer):
        response = dns.message.from_wire(answer)
        response.set_rcode(status)
        return response.to_wire()

    return change


def other_name(_wire, answer):
    return answer.replace(b"\x03www", b"\x03wwx")


SPOILED = {
    "refuses": with_status(dns.rcode.REFUSED),
    "fails": with_status(dns.rcode.SERVFAIL),
    "is silent": lambda _wire, _answer: None,
    "answers with another id": lambda _wire, answer: bytes([answer[0] ^ 1]) + answer[1:],
    "answers about another name": other_name,
    "answers with garbage": lambda _wire, _answer: b"\xff" * 700,
    "answers with half of a message": lambda _wire, answer: answer[: len(answer) // 2],
}


@pytest.mark.parametrize("change", SPOILED.values(), ids=SPOILED)
def test_the_next_resolver_is_asked_where_one(here, both, monkeypatch, change):
    spoil(here, monkeypatch, change)
    assert addresses(both) == ["192.0.2.1"]


@pytest.mark.parametrize("change", SPOILED.values(), ids=SPOILED)
def test_alone_it_is_an_error_in_bounded_time_where_it(here, zone, monkeypatch, change):
    spoil(here, monkeypatch, change)
    started = time.monotonic()
    with pytest.raises(TlsError, match=f"127.0.0.1:{here.port} cannot find out about {WWW}: .*; see that they run"):
        addresses(Resolvers([f"{RESOLVER}:{here.port}"]), 0.5)
    assert time.monotonic() - started < 1.5


def test_a_lost_message_is_sent_again(here, zone, monkeypatch):
    lost = []
    spoil(here, monkeypatch, lambda wire, answer: answer if lost else lost.append(wire))
    assert addresses(Resolvers([f"{RESOLVER}:{here.port}"])) == ["192.0.2.1"]


@pytest.mark.parametrize("status", [dns.rcode.FORMERR, None], ids=["is refused", "is dropped"])
def test_a_resolver_is_asked_without_edns_where_it(here, zone, monkeypatch, status):
    def change(wire, answer):
        if dns.message.from_wire(wire).edns < 0:
            return answer
        return status and with_status(status)(wire, answer)

    spoil(here, monkeypatch, change)
    assert addresses(Resolvers([f"{RESOLVER}:{here.port}"])) == ["192.0.2.1"]


def test_an_answer_of_64_kilobytes_comes_by_tcp(here, zone, monkeypatch):
    monkeypatch.setattr(resolvers, "RESOLVER_TRY_TIMEOUT_S", 5.0)
    zone.records[name_of(WWW), dns.rdatatype.A] = {f"10.{number // 250}.{number % 250}.1" for number in range(3800)}
    assert len(addresses(Resolvers([f"{RESOLVER}:{here.port}"]), 5.0)) == 3800


def test_an_answer_that_trickles_by_tcp_is_left_in_time(here, zone, monkeypatch):
    spoil(here, monkeypatch, lambda _wire, answer: answer + bytes(2000))  # too long for UDP

    def trickle(write, wire):
        for byte in wire[:20]:
            write(bytes([byte]))
            time.sleep(0.05)

    monkeypatch.setattr("ansible_collections.evergreen.tls.tests.unit.fake_internet.truncated", _always_truncated)
    monkeypatch.setattr(here.resolver, "send_by_tcp", trickle)
    started = time.monotonic()
    with pytest.raises(TlsError, match="no answer in time"):
        addresses(Resolvers([f"{RESOLVER}:{here.port}"]), 0.4)
    assert time.monotonic() - started < 1.0


def _always_truncated(wire):
    message = dns.message.from_wire(wire, ignore_trailing=True)
    message.flags |= dns.flags.TC
    return message.to_wire()


def test_short_messages_are_sent_whole():
    assert truncated(b"short") == b"short"


def test_the_cause_that_a_resolver_names_is_shown_on_one_line(here, zone, monkeypatch):
    def change(_wire, answer):
        response = dns.message.from_wire(answer)
        response.set_rcode(dns.rcode.SERVFAIL)
        options = [
            dns.edns.EDEOption(7, "until\x1b[2J yesterday\n" + "x" * 400),
            *(dns.edns.EDEOption(6) for _number in range(20)),
        ]
        response.use_edns(0, options=options)
        return response.to_wire()

    spoil(here, monkeypatch, change)
    with pytest.raises(TlsError) as caught:
        addresses(Resolvers([f"{RESOLVER}:{here.port}"]))
    sentence = str(caught.value)
    assert (
        f"about {WWW}: SERVFAIL, signature expired (until" in sentence and ", dnssec bogus, dnssec bogus;" in sentence
    )
    assert sentence.isprintable() and len(sentence) < 500


def test_a_controller_without_resolvers_says_so(monkeypatch):
    def missing():
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(resolvers.dns.resolver, "Resolver", missing)
    with pytest.raises(TlsError, match="no resolvers in /etc/resolv.conf; name some by the solver's resolvers"):
        Resolvers([]).resolve(WWW, "A")


def test_the_flags_of_a_question_reach_the_resolver(here, zone, monkeypatch):
    questions = []
    spoil(here, monkeypatch, lambda wire, answer: questions.append(dns.message.from_wire(wire)) or answer)
    Resolvers([f"{RESOLVER}:{here.port}"]).ask(Question(WWW, "A", has_signatures=True, is_unchecked=True))
    [question] = questions
    assert question.flags & dns.flags.CD and question.flags & dns.flags.RD
    assert question.ednsflags & dns.flags.DO and question.payload == 1232
