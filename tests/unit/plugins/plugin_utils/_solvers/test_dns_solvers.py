# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates whose names are shown by DNS. Pebble judges what the name servers say."""

from __future__ import annotations

import re
import sys
import time

import dns.name
import dns.rdatatype
import dns.tsig
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns_client
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_ca import new_key
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, Zone, fake_internet, name_of
from ansible_collections.evergreen.tls.tests.unit.pebble import running_pebble

SECRET = "YSBzZWNyZXQgb2YgYXQgbGVhc3QgMzIgb2N0ZXRzLCBhcyBpdCBvdWdodCB0byBiZQ=="
STALE = [
    ("example.org", "SOA", "ns.example.org. hostmaster.example.org. 1 3600 600 86400 60"),
    ("example.org", "NS", "ns.example.org."),
    ("ns.example.org", "A", "127.0.0.2"),
]

PROGRAM = """\
import json, sys
import dns.query, dns.tsigkeyring, dns.update
told = json.load(sys.stdin)
update = dns.update.UpdateMessage(told["zone"], keyring=dns.tsigkeyring.from_text({"updates": sys.argv[2]}))
change = {"present": lambda *words: update.add(words[0], 60, *words[1:]), "clean_up": update.delete}[told["action"]]
change(told["record"] + ".", "TXT", told["value"])
assert dns.query.udp(update, "127.0.0.2", port=int(sys.argv[1]), timeout=10).rcode() == 0
"""


@pytest.fixture
def here(monkeypatch):
    with fake_internet() as started:
        monkeypatch.setattr(dns_client, "PORT", started.port)
        started.settings = {"resolvers": [f"{RESOLVER}:{started.port}"], "timeout": "30s"}
        yield started


@pytest.fixture
def zone(here):
    created = here.zone("example.org", ("www.example.org", "A", "127.0.0.1"))
    here.servers["127.0.0.2"].keys[dns.name.from_text("updates")] = dns.tsig.Key("updates", SECRET, "hmac-sha256.")
    return created


@pytest.fixture
def issue(here, tmp_path):
    """Return a function that has a certificate issued, with a solver, and returns its names."""
    (tmp_path / "pebble").mkdir()
    resolver = f"{RESOLVER}:{here.port}"
    with running_pebble(tmp_path / "pebble", resolver=resolver, caaIdentities=["pebble.test"]) as (pebble, _hosts):

        def issued(domains, **solver):
            settings = {
                "type": "acme",
                "directory": pebble.url,
                "ca_file": pebble.ca_file,
                "folder": str(tmp_path / "acme"),
            }
            issuer = open_issuer("pebble", {"pebble": {**settings, "profile": "default", "solver": solver}})
            request = {"name": "site", "domains": domains, "issuer": "pebble", "type": "ECC"}
            chain = issuer.issue(request, make_csr(new_key(), domains, {}), "web1")
            return names_of(parse_chain(chain)[0])

        issued.pebble = pebble
        yield issued


def texts(zone):
    return {key for key in zone.records if key[1] == dns.rdatatype.TXT}


def updates(here, **settings):
    return {"type": "rfc2136", "key_name": "updates", "key_secret": SECRET, **here.settings, **settings}


def test_a_wildcard_is_believed_beside_its_name(here, zone, issue):
    domains = ["*.example.org", "example.org", "www.example.org"]
    assert issue(domains, **updates(here)) == set(domains)
    assert texts(zone) == set()


def test_a_record_is_found_where_an_alias_leads_to(here, zone, issue):
    alias = ("_acme-challenge.outer.example", "CNAME", "a.example.org.")
    here.zone("outer.example", alias, servers={"ns.outer.example": "127.0.0.3"})
    assert issue(["outer.example"], **updates(here)) == {"outer.example"}
    assert texts(zone) == set()


def test_any_program_will_do(here, zone, issue, tmp_path):
    (tmp_path / "program").write_text(PROGRAM)
    words = [sys.executable, str(tmp_path / "program"), here.port, SECRET]
    solver = {"type": "command", "present": words, "clean_up": words, **here.settings}
    assert issue(["*.example.org", "example.org"], **solver) == {"*.example.org", "example.org"}
    assert texts(zone) == set()


def test_the_record_that_is_said_to_be_missing_is_the_one_that_is_believed(here, zone, issue):
    domains, solver = ["*.example.org", "example.org"], {"type": "persist", "resolvers": here.settings["resolvers"]}
    with pytest.raises(TlsError, match="create this one, which stays") as caught:
        issue(domains, **solver)
    assert issue.pebble.count("orders in the db") == 0
    owner, record = re.search(r"stays: (\S+)\. IN TXT (.+)$", str(caught.value)).groups()
    zone.records[name_of(owner), dns.rdatatype.TXT] = {record}
    assert issue(domains, **solver) == set(domains)
    assert issue(domains, **solver) == set(domains), "and it stays"


def test_nothing_is_left_behind_where_the_ca_does_not_believe(here, zone, issue):
    server = here.servers["127.0.0.2"]
    here.resolver.zones[:] = [Zone("example.org", STALE)]  # as if all that the CA hears were old
    with pytest.raises(TlsError, match="www.example.org"):
        issue(["www.example.org"], **updates(here))
    assert issue.pebble.count("orders in the db") == 1
    assert len(server.updates) == 3, "one to see whether it may be done, one to do it, one to undo it"
    assert texts(zone) == set()


LOOKING = {"type": "command", "present": ["true"]}


def obstacles(here, *domains, **solver):
    opened = open_solver({**LOOKING, **here.settings, **solver}, AcmeAccount("thumbprint"))
    return opened.find_obstacles(list(domains), time.monotonic() + 10)


def add(zone, owner, kind, value):
    zone.records[name_of(owner), dns.rdatatype.from_text(kind)] = {value}


def test_a_record_that_may_be_added_is_no_obstacle(here, zone):
    [finding] = obstacles(here, "www.example.org", "*.www.example.org")
    assert (finding.severity, finding.code) == ("fine", "txt")
    assert finding.sentence == "the TXT record has its place: _acme-challenge.www.example.org in the zone example.org"


def test_values_that_stand_there_are_shown(here, zone):
    add(zone, "_acme-challenge.www.example.org", "TXT", '"of an order"')
    [finding] = obstacles(here, "www.example.org")
    assert (finding.severity, finding.code, finding.evidence) == ("note", "txt.values", ("of an order",))


def test_a_record_whose_zone_was_typed_twice_is_found(here, zone):
    add(zone, "_acme-challenge.www.example.org.example.org", "TXT", '"digest"')
    [finding] = obstacles(here, "www.example.org")
    assert (finding.severity, finding.code, finding.evidence) == ("risk", "txt.doubled", ("digest",))
    assert "write the name without .example.org in the form of the DNS provider" in finding.sentence


def test_an_alias_is_named_with_its_zone(here, zone):
    here.zone("example.net")
    add(zone, "_acme-challenge.www.example.org", "CNAME", "www.example.net.")
    [finding] = obstacles(here, "www.example.org")
    assert (finding.severity, finding.code) == ("note", "txt.alias")
    assert "may write in the zone example.net" in finding.sentence


def test_a_name_without_a_zone_and_a_missing_program_block(here, zone):
    [finding] = obstacles(here, "www.example.invalid")
    assert (finding.severity, finding.code) == ("blocks", "txt.permission")
    [finding] = obstacles(here, "www.example.org", present=["/nowhere/program"])
    assert (finding.severity, finding.code) == ("blocks", "solver.command") and "/nowhere/program" in finding.sentence
