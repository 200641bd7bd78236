# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TXT records by signed updates. The name servers are real ones, on the loopback network."""

from __future__ import annotations

import base64
import itertools
import time
import types

import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns01, rfc2136
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, TTL, name_of
from ansible_collections.evergreen.tls.tests.unit.servers import answering_port

SECRET = base64.b64encode(b"a secret of at least 32 octets, as it ought to be").decode()
OTHER = base64.b64encode(b"another secret of 32 octets and some, as it ought to be").decode()
RECORD = "_acme-challenge.example.org"


@pytest.fixture
def zone(here):
    created = here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    add_key(here.servers["127.0.0.2"])
    return created


def add_key(server, secret=SECRET, name="updates"):
    server.keys[dns.name.from_text(name)] = dns.tsig.Key(name, secret, "hmac-sha256.")


def solver(here, **settings):
    setting = {"type": "rfc2136", "resolvers": [f"{RESOLVER}:{here.port}"], "key_name": "updates", "key_secret": SECRET}
    return open_solver({**setting, "timeout": "90s", **settings}, AcmeAccount("thumbprint"))


def response(domain, value, is_wildcard=False):
    return ChallengeResponse(domain, "dns-01", "token", "key authorization", value)


def values(zone, record=RECORD):
    return zone.records.get((name_of(record), dns.rdatatype.TXT), set())


def test_a_server_that_answers_a_byte_at_a_time_is_left_in_seconds(here, zone, monkeypatch):
    monkeypatch.setattr(rfc2136, "UPDATE_TIMEOUT_S", 1.0)

    def trickle(connection):
        for byte in itertools.chain(b"\xff\xff", itertools.repeat(0)):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    started = time.monotonic()
    with answering_port(trickle) as port:
        message = error_text(here, server=f"127.0.0.1:{port}")
    assert "takes no changes of the zone example.org (no whole answer in time); see that it runs" in message
    assert time.monotonic() - started < 5


def error_text(here, *domains, **settings):
    with pytest.raises(TlsError) as caught:
        solver(here, **settings).check(list(domains) or ["example.org"])
    return str(caught.value)


def test_a_name_and_its_wildcard_have_their_records_side_by_side(here, zone):
    zone.records[name_of(RECORD), dns.rdatatype.TXT] = {'"of somebody else"'}
    one, two = response("example.org", "one"), response("example.org", "two", is_wildcard=True)
    updates = solver(here)
    updates.present([one, two])
    assert values(zone) == {'"of somebody else"', '"one"', '"two"'}
    updates.clean_up([one, two])
    assert values(zone) == {'"of somebody else"'}


def test_a_record_that_is_an_alias_is_put_where_the_alias_leads_to(here, zone):
    zone.records[name_of("_acme-challenge.www.example.org"), dns.rdatatype.CNAME] = {"www.challenges.example."}
    other = here.zone("challenges.example", servers={"ns.challenges.example": "127.0.0.3"})
    add_key(here.servers["127.0.0.3"])
    updates = solver(here)
    updates.check(["www.example.org"])
    updates.present([response("www.example.org", "mine")])
    assert values(other, "www.challenges.example") == {'"mine"'}
    updates.clean_up([response("www.example.org", "mine")])
    assert values(other, "www.challenges.example") == set()


def test_the_memory_of_resolvers_is_waited_for_where_somebody_else_has_records(here, zone, monkeypatch):
    slept = []
    monkeypatch.setattr(dns01, "time", types.SimpleNamespace(sleep=slept.append))
    updates = solver(here)
    updates.present([response("example.org", "one"), response("example.org", "two")])
    solver(here).present([response("example.org", "of-another-host")])
    assert slept == [0, TTL]


def test_records_are_not_to_be_remembered_unless_it_is_wanted(here, zone):
    solver(here).present([response("example.org", "one")])
    solver(here, ttl=30).clean_up([response("example.org", "one")])
    solver(here, ttl=30).present([response("example.org", "two")])
    sent = [
        change.ttl
        for update in here.servers["127.0.0.2"].updates
        for change in update.update
        if change.deleting is None
    ]
    assert sent == [0, 30]


def test_a_check_leaves_no_trace(here, zone):
    before = {key: set(value) for key, value in zone.records.items()}
    solver(here).check(["example.org", "*.example.org", "www.example.org"])
    assert zone.records == before
    assert len(here.servers["127.0.0.2"].updates) == 2


def test_a_hidden_primary_may_be_named(here, zone):
    hidden = here.serve("127.0.0.9", [zone])
    add_key(hidden)
    solver(here, server=f"127.0.0.9:{here.port}").present([response("example.org", "mine")])
    assert len(hidden.updates) == 1 and not here.servers["127.0.0.2"].updates


def test_what_is_not_there_any_more_is_no_mistake(here, zone):
    solver(here).clean_up([response("example.org", "never shown")])


def test_one_record_that_cannot_be_taken_away_keeps_none_of_the_others_there(here, zone):
    updates, first, second = solver(here), response("www.example.org", "first"), response("example.org", "second")
    updates.present([first, second])
    here.servers["127.0.0.2"].forbidden = {"_acme-challenge.www.example.org"}
    with pytest.raises(
        TlsError, match="does not let the key updates change the TXT record _acme-challenge.www.example.org"
    ):
        updates.clean_up([first, second])
    assert values(zone) == set()


def test_a_key_that_may_not_change_the_record_is_reported(here, zone):
    here.servers["127.0.0.2"].forbidden = {RECORD}
    message = error_text(here)
    assert message.startswith(
        "ns.example.org (127.0.0.2) does not let the key updates change the TXT record _acme-challenge.example.org"
    )
    assert message.endswith("allow that in its configuration (BIND: update-policy, Knot: acl)")


def test_another_secret_is_reported(here, zone):
    assert error_text(here, key_secret=OTHER) == (
        "ns.example.org (127.0.0.2) has another secret for the key updates; correct key_secret"
    )


def test_an_unknown_key_is_reported(here, zone):
    message = error_text(here, key_name="nobody")
    assert "takes no changes of the zone example.org from the key nobody" in message and message.endswith(
        "or allow the key there"
    )


def test_a_server_that_is_no_primary_is_reported(here, zone):
    add_key(here.serve("127.0.0.9", []))
    message = error_text(here, server=f"127.0.0.9:{here.port}")
    assert (
        "it is no primary of the zone" in message
        and "name the server that takes them by the solver's server" in message
    )


def test_a_server_that_is_down_is_reported(here, zone):
    message = error_text(here, server="127.0.0.99")
    assert message.startswith(
        "127.0.0.99 takes no changes of the zone example.org (Connection refused); see that it runs"
    )


def test_a_server_that_hangs_up_is_reported(here, zone):
    here.serve("127.0.0.9", []).silent = True
    assert "(it hung up); see that it runs" in error_text(here, server=f"127.0.0.9:{here.port}")


def test_any_other_refusal_is_reported_by_its_name(here, zone):
    other = here.serve("127.0.0.9", [])
    add_key(other)
    other.status = dns.rcode.SERVFAIL
    assert f"answers a change of {RECORD} with SERVFAIL; its log says why" in error_text(
        here, server=f"127.0.0.9:{here.port}"
    )


def test_a_consent_that_nobody_signed_is_not_believed(here, zone, monkeypatch):
    server = here.servers["127.0.0.2"]
    monkeypatch.setattr(server, "update", lambda _query: dns.rcode.NOERROR)
    respond = server.answer

    def forged(wire):
        message = dns.message.from_wire(respond(wire), keyring=False)
        message.tsig = None
        return message.to_wire() if message.opcode() == dns.opcode.UPDATE else respond(wire)

    monkeypatch.setattr(server, "answer", forged)
    assert "takes no changes of the zone example.org" in error_text(here)


def test_the_secret_is_in_no_sentence(here, zone):
    for settings in ({"key_secret": OTHER}, {"key_name": "nobody", "key_secret": OTHER}, {"server": "127.0.0.99"}):
        assert SECRET not in error_text(here, **settings) and OTHER not in error_text(here, **settings)


def test_addresses_are_refused_before_anything_is_asked(here, zone):
    message = error_text(here, "example.org", "192.0.2.1", "2001:db8::1")
    assert message.startswith("192.0.2.1, 2001:db8::1: CAs believe IP addresses over HTTP alone")
    assert message.endswith("give addresses a request of their own, with an issuer whose solver is http")
    assert not here.resolver.queries


def test_each_domain_that_has_no_place_is_reported(here, zone):
    message = error_text(here, "www.example.org", "www.example.com", "www.example.net")
    assert [part.partition(";")[0] for part in message.split(" · ")] == [
        "DNS knows no zone with www.example.com in it",
        "DNS knows no zone with www.example.net in it",
    ]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"key_secret": "no base64!"},
            "solver rfc2136: the key_secret of the key updates is not base64; write it as it stands",
        ),
        ({"key_name": "a..b"}, "solver rfc2136: 'a..b' is no name of a key; write it as"),
        ({"key_algorithm": "md5"}, "solver rfc2136: value of key_algorithm must be one of"),
        ({"timeout": "soon"}, "solver rfc2136: 'soon' is not a length of time"),
        ({"sever": "192.0.2.53"}, "solver rfc2136: there is no sever (did you mean server?); correct it"),
    ],
)
def test_settings_that_make_no_sense_are_reported(here, settings, sentence):
    with pytest.raises(TlsError) as caught:
        solver(here, **settings)
    assert str(caught.value).startswith(sentence)
    assert SECRET not in str(caught.value)
