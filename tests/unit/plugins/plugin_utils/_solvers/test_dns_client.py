# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a record has to stand, and whether all servers have it. The name servers are real ones, on the loopback network."""

from __future__ import annotations

import threading
import time

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns_client
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient, NameServer
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, Zone, name_of

RECORD = "_acme-challenge.www.example.org"


@pytest.fixture
def client(here):
    return DnsClient([f"{RESOLVER}:{here.port}"])


def texts(zone, owner=RECORD):
    return zone.records.setdefault((name_of(owner), dns.rdatatype.TXT), set())


def test_a_name_has_its_addresses_of_both_kinds(here, client):
    here.zone(
        "example.org", ("www.example.org", "A", "192.0.2.1", "192.0.2.2"), ("www.example.org", "AAAA", "2001:db8::1")
    )
    assert sorted(client.addresses("www.example.org")) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


def test_an_alias_has_the_addresses_of_what_it_stands_for(here, client):
    here.zone("example.org", ("www.example.org", "CNAME", "lb.example.net."))
    here.zone("example.net", ("lb.example.net", "A", "192.0.2.9"))
    assert client.addresses("www.example.org") == ["192.0.2.9"]


@pytest.mark.parametrize("name", ["nothing.example.org", "mail.example.org", "www.example.com"])
def test_a_name_without_an_address_is_reported(here, client, name):
    here.zone("example.org", ("mail.example.org", "TXT", '"v=spf1"'))
    with pytest.raises(TlsError, match=f"^{name} has no address in DNS; create an A or AAAA record .* run this again$"):
        client.addresses(name)


def test_a_record_stands_in_the_closest_zone(here, client):
    here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    location = client.locate(RECORD)
    assert (location.name, location.zone, location.primary) == (RECORD, "example.org", "ns.example.org")
    assert location.servers == (NameServer("ns.example.org", "127.0.0.2", here.port),)


def test_the_record_of_a_zone_itself_stands_in_it(here, client):
    here.zone("example.org")
    assert client.locate("_acme-challenge.example.org").zone == "example.org"


def test_a_zone_below_a_zone_is_found(here, client):
    here.zone("example.org", ("sub.example.org", "NS", "ns.sub.example.org."))
    here.zone("sub.example.org", ("www.sub.example.org", "A", "192.0.2.1"), servers={"ns.sub.example.org": "127.0.0.3"})
    assert client.locate("_acme-challenge.www.sub.example.org").zone == "sub.example.org"
    assert client.locate("_acme-challenge.www.example.org").zone == "example.org"


def test_the_record_alone_may_be_delegated(here, client):
    here.zone("example.org", ("www.example.org", "A", "192.0.2.1"), (RECORD, "NS", "ns.challenges.example."))
    here.zone("challenges.example", servers={"ns.challenges.example": "127.0.0.3"})
    here.zone(RECORD, servers={"ns.challenges.example": "127.0.0.3"})
    location = client.locate(RECORD)
    assert (location.zone, location.servers[0].address) == (RECORD, "127.0.0.3")


def test_the_record_may_be_an_alias_in_a_zone_of_somebody_else(here, client):
    here.zone(
        "example.org",
        ("www.example.org", "A", "192.0.2.1"),
        (RECORD, "CNAME", "hop.example.org."),
        ("hop.example.org", "CNAME", "x1.challenges.example."),
    )
    here.zone("challenges.example", servers={"ns.challenges.example": "127.0.0.3"})
    location = client.locate(RECORD)
    assert (location.name, location.zone, location.servers[0].address) == (
        "x1.challenges.example",
        "challenges.example",
        "127.0.0.3",
    )


def test_a_domain_that_is_an_alias_keeps_its_record_in_its_own_zone(here, client):
    here.zone("example.org", ("www.example.org", "CNAME", "lb.example.net."))
    here.zone("example.net", ("lb.example.net", "A", "192.0.2.9"), servers={"ns.example.net": "127.0.0.3"})
    assert client.locate(RECORD).zone == "example.org"


def test_resolvers_are_never_asked_for_the_record_which_they_would_remember_as_missing(here, client):
    zone = here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    location = client.locate(RECORD)
    texts(zone).add('"a"')
    client.wait_for({location: {"a"}}, [], 5, "timeout")
    assert name_of(RECORD).to_text() not in {name for name, _kind in here.resolver.queries}


def test_aliases_that_lead_nowhere_are_reported(here, client):
    here.zone("example.org", (RECORD, "CNAME", "a.example.org."), ("a.example.org", "CNAME", f"{RECORD}."))
    with pytest.raises(TlsError, match="the CNAME records of .* lead on and on, .* let them end in a name of a zone"):
        client.locate(RECORD)


def test_a_domain_that_is_not_registered_is_reported(here, client):
    with pytest.raises(
        TlsError, match="^DNS knows no zone with www.example.org in it; see that the domain is registered"
    ):
        client.locate(RECORD)


@pytest.mark.parametrize("status", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_servers_that_know_nothing_are_reported(here, client, status):
    here.zone("example.org")
    here.servers["127.0.0.2"].status = status
    with pytest.raises(
        TlsError,
        match=f"no name server of example.org says anything .*127.0.0.2.: {dns.rcode.to_text(status)}.*see that they run",
    ):
        client.locate(RECORD)


def test_a_silent_server_does_not_keep_others_from_being_asked(here, client):
    here.zone("example.org", servers={"a.example.org": "127.0.0.2", "b.example.org": "127.0.0.3"})
    here.servers["127.0.0.2"].silent = True
    assert client.locate(RECORD).zone == "example.org"


def test_a_resolver_that_does_not_answer_is_reported(here, monkeypatch):
    here.resolver.status = dns.rcode.SERVFAIL
    with pytest.raises(
        TlsError,
        match="^127.0.0.1:.* cannot find out about www.example.org: SERVFAIL; .*name others by the solver's resolvers$",
    ):
        DnsClient([f"{RESOLVER}:{here.port}"]).addresses("www.example.org")


def test_a_zone_with_hundreds_of_name_servers_is_asked_for_some_of_them(here, client):
    here.zone("example.org", ("example.org", "NS", *(f"a{number}.example.org." for number in range(500))))
    with pytest.raises(
        TlsError, match="the name servers of example.org .* have no address in DNS; correct the NS records"
    ):
        client.locate(RECORD)
    assert 0 < len(here.resolver.queries) < 100


def test_name_servers_with_hundreds_of_addresses_are_asked_in_part(here, client, monkeypatch):
    addresses = [f"127.0.{number // 250}.{number % 250 + 4}" for number in range(500)]
    monkeypatch.setattr(dns_client, "QUERY_TIMEOUT_S", 0.1)
    here.zone("example.org", *(("ns.example.org", "A", address) for address in addresses))
    monkeypatch.setattr(
        here.servers["127.0.0.2"], "answer", lambda _wire: None
    )  # the only one that runs may be among them
    asked, query = [], dns_client._query
    monkeypatch.setattr(dns_client, "_query", lambda server, *about: asked.append(server) or query(server, *about))
    with pytest.raises(TlsError, match="no name server of example.org says anything") as caught:
        client.locate(RECORD)
    assert len(asked) == 20 and len(str(caught.value)) < 600


def test_name_servers_that_are_slow_have_a_minute_for_all_questions(here, client, monkeypatch):
    monkeypatch.setattr(dns_client, "LOCATE_TIMEOUT_S", 1.0)
    here.zone("example.org", ("example.org", "NS", *(f"a{number}.example.org." for number in range(500))))
    answer = here.resolver.answer

    def answer_late(wire):
        if dns.message.from_wire(wire).question[0].rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            time.sleep(0.3)
        return answer(wire)

    monkeypatch.setattr(here.resolver, "answer", answer_late)
    started = time.monotonic()
    with pytest.raises(TlsError) as caught:
        client.locate(RECORD)
    assert time.monotonic() - started < 5 and "it is not known where " in str(caught.value)
    monkeypatch.setattr(here.resolver, "answer", answer)
    client.addresses("ns.example.org")  # later questions have time of their own


@pytest.mark.parametrize("target", [RECORD, "_acme-challenge.mail.example.org"])
def test_aliases_in_a_circle_end(here, client, target):
    zone = here.zone("example.org", (RECORD, "CNAME", f"{target}."))
    if target != RECORD:
        zone.records[name_of(target), dns.rdatatype.CNAME] = {f"{RECORD}."}
    with pytest.raises(TlsError, match="lead on and on|cannot find out"):
        client.locate(RECORD)
    with pytest.raises(TlsError):
        client.addresses(RECORD)


def test_a_resolver_is_an_address():
    with pytest.raises(TlsError, match="the resolver dns.example.org is no address; write one such as 192.0.2.53"):
        DnsClient(["dns.example.org"]).addresses("www.example.org")


def test_the_wait_ends_when_the_last_server_has_the_record(here, client):
    zone = here.zone("example.org", servers={"a.example.org": "127.0.0.2", "b.example.org": "127.0.0.3"})
    late = Zone("example.org", [])
    late.records.update(zone.records)
    here.servers["127.0.0.3"].zones[:] = [late]
    location = client.locate(RECORD)
    texts(zone).update(['"mine"', '"of somebody else"'])
    waiting = threading.Thread(target=client.wait_for, args=({location: {"mine"}}, [], 60, "timeout"))
    waiting.start()
    while (name_of(RECORD).to_text(), dns.rdatatype.TXT) not in here.servers["127.0.0.3"].queries:
        pass
    assert waiting.is_alive()
    late.records[name_of(RECORD), dns.rdatatype.TXT] = {'"mine"'}
    waiting.join()


def test_a_server_that_never_gets_the_record_is_named(here, client):
    zone = here.zone("example.org", servers={"a.example.org": "127.0.0.2", "b.example.org": "127.0.0.3"})
    late = Zone("example.org", [])
    late.records.update(zone.records)
    here.servers["127.0.0.3"].zones[:] = [late]
    texts(zone).add('"mine"')
    with pytest.raises(TlsError) as caught:
        client.wait_for({client.locate(RECORD): {"mine"}}, [], 0.2, "the solver's timeout")
    message = str(caught.value)
    assert (
        f"the TXT record {RECORD} is not on all name servers of example.org (b.example.org (127.0.0.3): no such record)"
        in message
    )
    assert "127.0.0.2" not in message
    assert message.endswith("or give them more time by the solver's timeout")


def test_a_server_that_is_silent_all_the_time_is_left_out(here, client):
    zone = here.zone("example.org", servers={"a.example.org": "127.0.0.2", "b.example.org": "127.0.0.3"})
    location = client.locate(RECORD)
    here.servers["127.0.0.3"].silent = True
    texts(zone).add('"mine"')
    client.wait_for({location: {"mine"}}, [], 60, "timeout")


def test_silence_everywhere_is_no_consent(here, client):
    here.zone("example.org")
    location = client.locate(RECORD)
    here.servers["127.0.0.2"].silent = True
    with pytest.raises(TlsError, match="no answer in time"):
        client.wait_for({location: {"mine"}}, [], 0.2, "timeout")


def test_other_servers_may_be_waited_for(here, client):
    zone = here.zone("example.org")
    location = client.locate(RECORD)
    here.servers["127.0.0.2"].silent = True
    here.serve("127.0.0.9", [zone])
    texts(zone).add('"mine"')
    client.wait_for({location: {"mine"}}, [client.name_server(f"127.0.0.9:{here.port}")], 60, "timeout")


def test_long_values_are_one_text(here, client):
    here.zone("example.org", (RECORD, "TXT", '"first half, " "second half"'))
    assert client.texts(RECORD) == ["first half, second half"]
