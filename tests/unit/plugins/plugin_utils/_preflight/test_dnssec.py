# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of signatures (DNSSEC) before an order. Zones are signed by dnspython, and served on the loopback network."""

from __future__ import annotations

import datetime
import time

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import dns_answers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dnssec import check_dnssec
from ansible_collections.evergreen.tls.tests.unit.fake_internet import name_of
from ansible_collections.evergreen.tls.tests.unit.signed_zones import DAY, sign, sign_chain, validate

WWW, APEX = "www.example.org", "example.org"
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(dns_answers, "SERVER_TIMEOUT_S", 0.1)


@pytest.fixture
def world(here):
    """Start a root, org and example.org, none of them signed; return them from below."""
    root = here.zone(".", ("org.", "NS", "a.org."), servers={"a.root": "127.0.0.5"})
    org = here.zone("org", (APEX, "NS", f"ns.{APEX}."), servers={"a.org": "127.0.0.4"})
    zone = here.zone(APEX, (WWW, "A", "192.0.2.1"), ("mail.example.org", "A", "192.0.2.2"))
    return zone, org, root


@pytest.fixture(params=[False, True], ids=["by the chain", "by the resolver"])
def resolver_validates(request):
    return request.param


def judged(findings):
    return [(finding.severity, finding.code) for finding in findings]


def test_a_zone_that_is_signed_rightly_is_fine(here, world, subject_of, resolver_validates):
    sign_chain(*world)
    if resolver_validates:
        validate(here)
    [finding] = check_dnssec(subject_of(WWW, "*.example.org", "mail.example.org"))
    assert judged([finding]) == [("fine", "dnssec")]
    assert finding.sentence == "the signatures of example.org (DNSSEC) are valid"
    assert ("is not proved" in "".join(finding.evidence)) is not resolver_validates


def test_a_zone_that_is_not_signed_is_fine(here, world, subject_of, resolver_validates):
    _zone, *above = world
    sign_chain(*above)
    if resolver_validates:
        validate(here)
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("fine", "dnssec")]
    assert finding.sentence == "nothing is signed (DNSSEC) of example.org, which CAs accept"


def test_signatures_that_end_within_three_days_are_a_risk(here, world, subject_of, resolver_validates):
    sign_chain(*world, end=20 * HOUR)
    if resolver_validates:
        validate(here)
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("risk", "dnssec.end")]
    assert "the signatures of example.org (DNSSEC) end in 20 hours (20" in finding.sentence
    assert finding.sentence.endswith(" UTC); see that the zone is signed anew")


def expire(zone, org, root):
    sign_chain(zone, org, root, begin=-9 * DAY, end=-DAY)


def begin_tomorrow(zone, org, root):
    sign_chain(zone, org, root, begin=DAY)


def replace_key(zone, org, root):
    sign_chain(zone, org, root)
    sign(zone)


def remove_keys(zone, org, root):
    sign_chain(zone, org, root)
    del zone.records[zone.name, dns.rdatatype.DNSKEY]
    zone.signatures = {}


def remove_signatures(zone, org, root):
    sign_chain(zone, org, root)
    zone.signatures = {}


def change_records(zone, org, root):
    sign_chain(zone, org, root)
    zone.records[zone.name, dns.rdatatype.SOA] = {"ns.example.org. other.example.org. 9 3600 600 86400 60"}


def forge_ds(zone, org, root):
    sign_chain(zone, org, root)
    org.records[zone.name, dns.rdatatype.DS] = {sign(zone)}


BROKEN = {
    "the signatures have expired": (expire, 7, "example.org", "its signatures have expired; have the zone signed anew"),
    "the signatures are of the future": (
        begin_tomorrow,
        8,
        "example.org",
        "its signatures are of the future; correct the clock",
    ),
    "the key is a new one": (
        replace_key,
        9,
        "example.org",
        "no key of it is that of its DS records; enter the DS record of the present key at the registrar",
    ),
    "there are no keys": (
        remove_keys,
        None,
        "example.org",
        "it has DS records and no keys; have the zone signed anew, or remove",
    ),
    "there are no signatures": (
        remove_signatures,
        10,
        "example.org",
        "its records have no signatures; have the zone signed anew, or",
    ),
    "records were changed": (
        change_records,
        6,
        "example.org",
        "its signatures are not those of its keys; have the zone signed anew",
    ),
    "the DS record is forged": (forge_ds, None, "example.org", "its signatures are not those of its keys"),
}


@pytest.mark.parametrize(("damage", "_code", "zone", "words"), BROKEN.values(), ids=BROKEN)
def test_the_chain_shows_that_it_is_broken_where(world, subject_of, damage, _code, zone, words):
    damage(*world)
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("blocks", "dnssec.broken")]
    assert (
        f"the signatures of {zone} (DNSSEC) are broken, so CAs cannot find out about {WWW}: {words}" in finding.sentence
    )


@pytest.mark.parametrize(("damage", "code", "zone", "words"), BROKEN.values(), ids=BROKEN)
def test_a_validating_resolver_shows_that_it_is_broken_where(here, world, subject_of, damage, code, zone, words):
    damage(*world)
    validate(here, [APEX], dns.edns.EDEOption(code, "x\x1b[2J") if code else None)
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("blocks", "dnssec.broken")]
    assert words in finding.sentence  # resolvers may say no more than "bogus"
    assert "SERVFAIL" in finding.evidence[0] and finding.evidence[0].isprintable()


def test_one_name_of_a_zone_may_be_broken_alone(here, world, subject_of):
    sign_chain(*world)
    validate(here, [WWW], dns.edns.EDEOption(7))
    [finding] = check_dnssec(subject_of("mail.example.org", WWW))
    assert judged([finding]) == [("blocks", "dnssec.broken")]
    assert f"cannot find out about {WWW}: its signatures have expired" in finding.sentence


def test_what_only_the_resolver_refuses_is_not_explained(here, world, subject_of):
    sign_chain(*world)
    validate(here, [APEX], dns.edns.EDEOption(6))
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("blocks", "dnssec.broken")]
    assert "resolvers that validate refuse its signatures; look at it with https://dnsviz.net" in finding.sentence


def test_an_error_that_has_nothing_to_do_with_signatures_is_unknown(here, world, subject_of):
    sign_chain(*world)
    validate(here)
    answer = here.resolver.answer

    def fail(wire):
        response = dns.message.from_wire(answer(wire))
        if response.question[0].name.is_subdomain(name_of(APEX)):
            response.answer.clear()
            response.set_rcode(dns.rcode.SERVFAIL)
        return response.to_wire(max_size=65535)

    here.resolver.answer = fail
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("unknown", "dnssec.error")]
    assert "cannot find out about the signatures of example.org; see that they run" in finding.sentence


def test_signatures_that_a_resolver_leaves_out_are_had_from_the_zone(here, world, subject_of):
    sign_chain(*world)
    here.resolver.add_signatures = lambda _response: None
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("fine", "dnssec")]
    for address in ("127.0.0.2", "127.0.0.4", "127.0.0.5"):
        here.servers[address].silent = True
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("unknown", "dnssec.error")]


def test_an_algorithm_that_nobody_here_knows_blocks_nothing(world, subject_of):
    zone, org, _root = world
    sign_chain(*world)
    org.records[zone.name, dns.rdatatype.DS] = {"1 12 3 " + "ab" * 32}
    [finding] = check_dnssec(subject_of(WWW))
    assert judged([finding]) == [("unknown", "dnssec.error")]


def test_thousands_of_signatures_take_bounded_time(world, subject_of):
    zone, org, root = world
    sign_chain(zone, org, root)
    one = zone.signatures[zone.name, dns.rdatatype.SOA]
    rdata = one[0]
    for number in range(400):
        one.add(rdata.replace(signature=number.to_bytes(2, "big") * 32))
    started = time.monotonic()
    check_dnssec(subject_of(WWW))
    assert time.monotonic() - started < 2


def test_resolvers_that_are_down_leave_it_unknown(here, world, subject_of):
    here.resolver.silent = True
    [finding] = check_dnssec(subject_of(WWW, timeout=0.4))
    assert judged([finding]) == [("unknown", "dnssec.error")]


def test_addresses_have_no_signatures(here, subject_of):
    assert check_dnssec(subject_of("192.0.2.1")) == [] and here.resolver.queries == []


def test_broken_signatures_are_a_risk_at_a_private_ca(world, subject_of):
    expire(*world)
    assert judged(check_dnssec(subject_of(WWW, is_public_ca=False))) == [("risk", "dnssec.broken")]
    assert check_dnssec(subject_of(WWW, is_public_ca=False, is_thorough=False)) == []


def test_broken_signatures_block_an_order_and_silence_does_not(here, world, subject_of):
    expire(*world)
    assert judged(check_dnssec(subject_of(WWW, is_thorough=False))) == [("blocks", "dnssec.broken")]
    here.resolver.silent = True
    assert check_dnssec(subject_of(WWW, is_thorough=False, timeout=0.3)) == []


def test_no_name_server_is_asked_before_an_order(here, world, subject_of):
    sign_chain(*world)
    here.resolver.add_signatures = lambda _response: None
    assert check_dnssec(subject_of(WWW, is_thorough=False)) == []
    assert [server.queries for server in here.servers.values() if server is not here.resolver] == [[], [], []]
