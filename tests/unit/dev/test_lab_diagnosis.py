# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The zones, wrong name servers and wrong HTTP hosts that a lab has for the diagnosis. dnspython and http.client judge them."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import ssl
import sys
import threading
import time

import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest

sys.path.append(str(pathlib.Path(__file__).parents[3] / "dev"))

import lab_diagnosis
import lab_http_hosts
import lab_name_servers
import lab_parts
import lab_signing

NAMES, WEB = "10.89.7.201", "10.89.7.11"
WHERE = lab_diagnosis.addresses(NAMES, WEB)
TOKEN, THUMBPRINT = "abc", "thumb"
PATH = f"/.well-known/acme-challenge/{TOKEN}"
NOW = time.time()


@pytest.fixture(scope="module")
def signed():
    texts, anchor = lab_signing.signed_zones(lab_diagnosis.zone_files(WHERE, ["example.test"]), NOW)
    return {zone: dns.zone.from_text(text, zone, relativize=False) for zone, text in texts.items()}, anchor


def keys_of(zones, zone):
    name = dns.name.from_text(zone)
    return {name: zones[zone].get_rdataset(name, "DNSKEY")}


def validate_soa(zones, zone, now=NOW):
    name = dns.name.from_text(zone)
    soa = zones[zone].get_rdataset(name, "SOA")
    signatures = zones[zone].get_rdataset(name, "RRSIG", "SOA")
    dns.dnssec.validate((name, soa), (name, signatures), keys_of(zones, zone), now=now)


def has_right_ds(zones, zone):
    name = dns.name.from_text(zone)
    records = zones[lab_signing.parent_of(zone)].get_rdataset(name, "DS")
    (key,) = keys_of(zones, zone)[name]
    return dns.dnssec.make_ds(name, key, "SHA256") in records


def test_zones_are_signed_from_the_root_as_the_table_says(signed):
    zones, anchor = signed
    (root_key,) = keys_of(zones, ".")[dns.name.root]
    assert anchor.split("DNSKEY ")[1].strip() == root_key.to_text()
    judged = {}
    for zone, hours in lab_diagnosis.SIGNED_HOURS.items():
        validate_soa(zones, zone, NOW + hours * 3600 - 60)
        with pytest.raises(dns.dnssec.ValidationFailure):
            validate_soa(zones, zone, NOW + hours * 3600 + 60)
        judged[zone] = zone == "." or has_right_ds(zones, zone)
    assert [zone for zone, is_right in judged.items() if not is_right] == ["wrong-ds.test"]
    with pytest.raises(dns.dnssec.ValidationFailure):
        validate_soa(zones, "expired.test")


def test_zones_without_signatures_have_neither_keys_nor_ds_records_but_one_that_lost_its_keys(signed):
    zones, _anchor = signed
    with_ds = []
    for zone in lab_diagnosis.UNSIGNED:
        name = dns.name.from_text(zone)
        assert zones[zone].get_rdataset(name, "DNSKEY") is None
        if zones["test"].get_rdataset(name, "DS") is not None:
            with_ds.append(zone)
    assert with_ds == ["no-key.test"]


def test_every_zone_and_the_fleet_s_are_delegated_to_the_server_that_has_them(signed):
    zones, _anchor = signed
    assert len(zones) > 8
    for zone in [*(zone for zone in zones if zone not in (".", "test")), "example.test"]:
        servers = [record.target for record in zones["test"].get_rdataset(f"{zone}.", "NS")]
        addresses = [record.address for server in servers for record in zones["test"].get_rdataset(server, "A")]
        assert NAMES in addresses
    for kind, address in WHERE.servers.items():
        server = f"ns2.{kind}.test." if kind == "old" else f"ns.{lab_diagnosis.zone_of(kind)}."
        assert [record.address for record in zones["test"].get_rdataset(server, "A")] == [address]


def test_each_kind_has_an_address_of_its_own_and_a_name():
    assert len(set(WHERE.own)) == len(WHERE.own) == len(WHERE.hosts) + len(WHERE.servers) + 2
    assert {address.rpartition(".")[0] for address in WHERE.own} == {"10.89.7"}
    names = {line.split()[0] for line in lab_diagnosis.way_records(WHERE)}
    assert {lab_diagnosis.label_of(kind) for kind in WHERE.hosts} <= names


def test_resolvers_begin_at_the_root_of_the_lab_and_one_of_them_validates():
    files = lab_diagnosis.resolver_files(WHERE, ["example.test", "example.org"])
    assert 'module-config: "validator iterator"' in files["unbound.conf"]
    assert 'trust-anchor-file: "/lab/root.key"' in files["unbound.conf"]
    assert 'module-config: "iterator"' in files["plain.conf"]
    assert "trust-anchor" not in files["plain.conf"]
    assert "name: example.org." in files["unbound.conf"]
    assert "name: example.test." not in files["unbound.conf"]


@contextlib.contextmanager
def serving(servers):
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for server in servers:
            if hasattr(server, "closing"):
                server.closing.set()
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


@pytest.fixture
def ask():
    """Return a function that asks a name server of a kind. It returns the name of the error where no response comes in time."""

    def asked(kind, name, rdatatype):
        zone = lab_name_servers.Zone("zone.test", "192.0.2.7", "192.0.2.53")
        servers = lab_name_servers.servers_of("127.0.0.1", kind, zone, 0)
        with serving(servers):
            port = servers[0].server_address[1]
            try:
                return dns.query.udp_with_fallback(dns.message.make_query(name, rdatatype), "127.0.0.1", 0.2, port)[0]
            except (dns.exception.DNSException, OSError) as error:
                return type(error).__name__

    return asked


@pytest.mark.parametrize(
    ("kind", "rdatatype", "expected"),
    [
        ("right", "A", "192.0.2.7"),
        ("right", "CAA", ""),
        ("notimp", "A", "NOTIMP"),
        ("refused", "A", "REFUSED"),
        ("servfail", "A", "SERVFAIL"),
        ("silent", "A", "Timeout"),
        ("lame", "A", ""),
        ("old", "A", "192.0.2.7"),
        ("other_id", "A", "BadResponse"),
        ("other_question", "A", "BadResponse"),
        ("garbage", "A", "BadPointer"),
        ("caa_refused", "CAA", "REFUSED"),
        ("caa_refused", "A", "192.0.2.7"),
        ("caa_notimp", "CAA", "NOTIMP"),
        ("caa_silent", "CAA", "Timeout"),
        ("caa_truncated", "CAA", "Timeout"),
        ("trickle", "A", "Timeout"),
    ],
)
def test_a_name_server_is_wrong_in_its_own_way(ask, kind, rdatatype, expected):
    response = ask(kind, "www.zone.test", rdatatype)
    if isinstance(response, str):
        assert response == expected
    elif response.rcode():
        assert dns.rcode.to_text(response.rcode()) == expected
    else:
        assert " ".join(record.to_text() for rrset in response.answer for record in rrset) == expected


def test_a_name_server_sends_64_kilobytes(ask):
    response = ask("large", "_acme-challenge.zone.test", "TXT")
    assert len(response.answer[0]) == 1  # the same record again and again
    assert 60_000 < len(response.wire) <= 65_535


def test_a_server_outside_of_its_zone_refuses(ask):
    assert ask("right", "www.other.test", "A").rcode() == dns.rcode.REFUSED


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    lab_parts.make_certificate(folder, "misbehaving", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "misbehaving.pem", folder / "misbehaving.key")
    return context


@pytest.fixture
def get(context, tmp_path):
    """Return a function that asks an HTTP host of a kind, over http or https, and returns its response and body."""
    (tmp_path / "thumbprint").write_text(f"{THUMBPRINT}\n")

    def got(kind, scheme="http", path=PATH, agent="test"):
        ports = dict.fromkeys(lab_http_hosts.LISTEN_PORTS, 0)
        servers = lab_http_hosts.servers_of("127.0.0.1", kind, tmp_path / "thumbprint", context, ports)
        with serving(servers):
            port = servers[0 if scheme == "http" else 1].server_address[1]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.3)
            if scheme == "https":
                unverified = ssl._create_unverified_context()
                connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=0.3, context=unverified)
            try:
                connection.request("GET", path, headers={"Host": "www.way.test", "User-Agent": agent})
                response = connection.getresponse()
                return response, response.read().decode()
            finally:
                connection.close()

    return got


RIGHT = f"{TOKEN}.{THUMBPRINT}"


@pytest.mark.parametrize(
    ("kind", "status", "end"),
    [
        ("right", 200, RIGHT),
        ("other_account", 200, lab_http_hosts.OTHER_THUMBPRINT),
        ("not_found", 404, "</html>"),
        ("see_other", 303, f"http://www.way.test{PATH}?seen"),
        ("to_https", 301, f"https://www.way.test{PATH}"),
        ("to_wrong_https", 301, f"https://www.way.test{PATH}"),
        ("to_other_host", 302, f"http://missing.way.test{PATH}"),
        ("to_metadata", 302, f"http://169.254.169.254{PATH}"),
        ("to_port", 301, f"http://www.way.test:8080{PATH}"),
        ("circle", 301, f"http://www.way.test{PATH}"),
        ("endless", 302, f"http://www.way.test{PATH}?1"),
        ("no_slash", 301, "http://www.way.test.well-known/acme-challenge/"),
        ("changed_path", 301, "http://www.way.test/index.html"),
        ("blanks", 200, f"  {RIGHT}"),
        ("long", 200, " "),
        ("browser_page", 200, "</html>"),
        ("firewall_page", 403, "</html>"),
        ("blocks_agents", 200, RIGHT),
        ("escapes", 200, "<html>"),
    ],
)
def test_an_http_host_answers_in_its_own_way(get, kind, status, end):
    response, body = get(kind)
    assert response.status == status
    assert (response.headers.get("Location") or body).endswith(end)


def test_the_table_above_has_every_kind():
    marks = test_an_http_host_answers_in_its_own_way.pytestmark
    assert {case[0] for case in marks[0].args[1]} == set(lab_http_hosts.KINDS)


def test_hosts_that_redirect_answer_rightly_over_https_but_one(get):
    assert get("to_https", "https")[1] == RIGHT
    assert "shop" in get("to_wrong_https", "https")[1]


def test_what_follows_a_redirect_with_the_status_303_is_right(get):
    assert get("see_other", path=f"{PATH}?seen")[1] == RIGHT


def test_a_host_blocks_cas_by_their_user_agent(get):
    agent = "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)"
    assert get("blocks_agents", agent=agent)[0].status == 403


def test_hosts_are_silent_trickle_or_speak_tls_on_the_port_of_http(get):
    with pytest.raises(TimeoutError):
        get("silent")
    with pytest.raises((http.client.HTTPException, OSError)):
        get("tls_on_80")
    with pytest.raises(TimeoutError):
        get("trickle")
