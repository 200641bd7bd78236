# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way of dns-01 as findings, with name servers on the loopback network."""

from __future__ import annotations

import threading
import time

import dns.rcode
import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns_client
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import DnsSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of

NAME, RECORD = "www.example.org", "_acme-challenge.www.example.org"
VALUE = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo"


@pytest.fixture
def zone(here):
    here.zone("org")
    return here.zone("example.org", (NAME, "A", "192.0.2.1"))


@pytest.fixture
def find(here):
    """Return a function that finds the obstacles of names by severity and code, with a solver that runs programs."""

    def found(*names, seconds=5.0, **settings):
        settings = {"type": "command", "present": "true", "resolvers": [f"{RESOLVER}:{here.port}"], **settings}
        settings = {key: value for key, value in settings.items() if value is not None}
        solver = open_solver(settings, AcmeAccount("thumbprint"))
        findings = solver.find_obstacles(list(names or [NAME]), time.monotonic() + seconds)
        return {(one.severity, one.code): one for one in findings}

    return found


def add_texts(zone, owner, *values):
    zone.records[name_of(owner), dns.rdatatype.TXT] = {f'"{value}"' for value in values}


def test_a_record_that_has_a_place_is_fine_and_nothing_is_written(here, zone, find):
    [((severity, code), finding)] = find(NAME, f"*.{NAME}").items()
    assert (severity, code) == ("fine", "txt")
    assert finding.sentence == f"the TXT record has its place: {RECORD} in the zone example.org"
    assert not [server for server in here.servers.values() if server.updates]


def test_a_name_without_a_zone_has_no_place(here, find):
    finding = find("www.example.net")["blocks", "txt.permission"]
    assert "DNS knows no zone with www.example.net in it" in finding.sentence


def test_the_values_that_stand_there_are_shown(zone, find):
    add_texts(zone, RECORD, VALUE, "\\027[31mred")
    found = find()
    note = found["note", "txt.values"]
    assert f"{RECORD} has 2 TXT records already (" in note.sentence and f'"{VALUE}"' in note.sentence
    assert VALUE in note.evidence
    assert note.sentence.isprintable() and all(one.isprintable() for one in note.evidence)


def test_a_record_with_the_zone_twice_is_named(zone, find):
    add_texts(zone, f"{RECORD}.example.org", VALUE)
    finding = find()["risk", "txt.doubled"]
    assert f"a TXT record stands at {RECORD}.example.org, as if the zone was typed twice" in finding.sentence
    assert finding.sentence.endswith("write the name without .example.org in the form of the DNS provider")


def test_a_wildcard_that_answers_for_everything_is_named(zone, find, monkeypatch):
    rrset = type(zone).rrset

    def answer_all(self, owner, kind):
        if kind == dns.rdatatype.TXT and owner.is_subdomain(name_of(NAME)):
            return dns.rrset.from_text_list(owner, 1, "IN", "TXT", ['"v=spf1 -all"'])
        return rrset(self, owner, kind)

    monkeypatch.setattr(type(zone), "rrset", answer_all)
    finding = find()["risk", "txt.wildcard"]
    assert f"any name in {NAME} has TXT records, by a wildcard" in finding.sentence
    assert "remove the wildcard" in finding.sentence and finding.evidence == ("v=spf1 -all",)


def test_an_alias_into_another_zone_is_named(here, zone, find):
    here.zone("acme.example.net", servers={"ns.acme.example.net": "127.0.0.3"})
    zone.records[name_of(RECORD), dns.rdatatype.CNAME] = {"www.acme.example.net."}
    note = find()["note", "txt.alias"]
    assert note.sentence == (
        f"the TXT record belongs to www.acme.example.net by the CNAME {RECORD}; see that the solver may write in the zone acme.example.net"
    )


def test_an_alias_into_a_zone_whose_servers_refuse_is_named(here, zone, find):
    here.zone("acme.example.net", servers={"ns.acme.example.net": "127.0.0.3"})
    here.servers["127.0.0.3"].status = dns.rcode.REFUSED
    zone.records[name_of(RECORD), dns.rdatatype.CNAME] = {"www.acme.example.net."}
    finding = find()["blocks", "txt.alias"]
    assert (
        f"{RECORD} leads by a CNAME record to www.acme.example.net, where no record can be added: " in finding.sentence
    )
    assert "REFUSED" in finding.sentence and finding.sentence.endswith("correct or remove the CNAME record")


def test_an_answer_that_grows_too_large_for_udp_is_named(zone, find):
    add_texts(zone, RECORD, *(f"{number:02}{VALUE[2:]}" for number in range(22)))
    assert ("risk", "txt.size") in find(NAME, f"*.{NAME}"), "with both of our values it is more than 1232 bytes"
    add_texts(zone, RECORD, *(f"{number:02}{VALUE[2:]}" for number in range(15)))
    assert ("risk", "txt.size") not in find(NAME, f"*.{NAME}")


def test_a_value_of_64_kilobytes_is_shown_in_part(zone, find):
    zone.records[name_of(RECORD), dns.rdatatype.TXT] = {" ".join(['"' + "a" * 255 + '"'] * 240)}
    found = find()
    assert len(found["note", "txt.values"].sentence) < 600
    assert ("risk", "txt.size") in found


def test_a_permission_that_is_missing_is_named(here, zone, find):
    key = {"key_name": "evergreen", "key_secret": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
    finding = find(type="rfc2136", present=None, **key, server=f"127.0.0.2:{here.port}")["blocks", "txt.permission"]
    assert finding.evidence == (RECORD,) and not here.servers["127.0.0.2"].updates


def test_a_program_that_is_missing_is_named(zone, find):
    finding = find(present="/nonexistent/program")["blocks", "solver.command"]
    assert "the program /nonexistent/program of the solver is not on the controller" in finding.sentence


def test_servers_that_are_silent_take_no_longer_than_the_deadline(here, zone, find, monkeypatch):
    monkeypatch.setattr(dns_client, "QUERY_TIMEOUT_S", 5.0)
    here.servers["127.0.0.2"].silent = True
    started = time.monotonic()
    assert ("unknown", "txt.permission") in find(seconds=0.3)
    assert time.monotonic() - started < 3


def test_a_persistent_record_is_looked_at_once_there_is_an_account(here, zone):
    settings = {"type": "persist", "resolvers": [f"{RESOLVER}:{here.port}"], "issuer_domain": "ca.example"}

    def found(url):
        solver = open_solver(settings, AcmeAccount("thumbprint", lambda: url))
        [finding] = solver.find_obstacles([NAME], time.monotonic() + 5)
        return finding

    assert (found("").severity, found("").code) == ("unknown", "persist.account")
    url = "https://ca.example/acct/1"
    assert (found(url).severity, found(url).code) == ("blocks", "persist.record")
    add_texts(zone, f"_validation-persist.{NAME}", f"ca.example; accounturi={url}")
    assert found(url).severity == "fine"


def test_a_provider_that_is_slow_takes_no_longer_than_the_deadline(zone, find, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(DnsSolver, "check_permission", lambda _self, _location: released.wait(10) and None)
    started = time.monotonic()
    try:
        finding = find(seconds=0.5)["unknown", "txt.permission"]
    finally:
        released.set()
    assert time.monotonic() - started < 4 and "it is not known in time whether the solver may add" in finding.sentence
