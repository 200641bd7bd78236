# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a client sees of servers that are right, and of those that are wrong in one way each."""

from __future__ import annotations

import concurrent.futures
import socket
import ssl
import sys
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls import handshake as handshakes
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, garbled_pem, named, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import (
    closed_port,
    drip,
    full_port,
    hang_up,
    keep_silent,
    plain_http,
    reset,
    send_garbage,
)

NAMES = ["www.example.org", "*.shop.example", "127.0.0.1", "::1"]
KEY = some_key()
ROOT = Authority("Handshake Root CA")
ISSUING = Authority("Handshake Issuing CA", above=ROOT)
CHAIN = ISSUING.chain(NAMES, KEY)
ROOTS = ROOT.pem.decode()


def refusal(port, domain="www.example.org", roots=ROOTS, verify=True, address="127.0.0.1"):
    """Return the sentence and the failure of handshake()."""
    with pytest.raises(TlsError) as caught:
        handshake(address, port, domain, roots, verify)
    sentence = str(caught.value)
    where = f"{domain} at {address} port {port}: "
    assert sentence.startswith(where)
    return sentence[len(where) :], caught.value.details["failure"]


def test_a_server_that_is_right_is_seen_as_it_is(start):
    server = start().present(CHAIN)
    chain, protocol = handshake("127.0.0.1", server.port, "www.example.org", ROOTS, verify=True)
    assert chain == (CHAIN if sys.version_info >= (3, 10) else CHAIN[:1])
    assert protocol == "TLSv1.3"
    assert server.server_names == ["www.example.org"]


def test_a_wildcard_is_seen_by_a_name_that_it_covers(start):
    server = start().present(CHAIN)
    handshake("127.0.0.1", server.port, "*.shop.example", ROOTS, verify=True)
    assert server.server_names == ["evergreen-probe.shop.example"]


def test_an_address_is_proved_without_asking_for_it(start):
    server = start().present(CHAIN)
    handshake("127.0.0.1", server.port, "127.0.0.1", ROOTS, verify=True)
    handshake("127.0.0.1", server.port, "::1", ROOTS)
    assert server.server_names == [None, None]


def test_a_server_is_seen_at_an_address_of_version_6(start):
    try:
        server = start(family=socket.AF_INET6).present(CHAIN)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert handshake("::1", server.port, "www.example.org", ROOTS, verify=True)[0][0] == CHAIN[0]


def test_every_look_is_a_new_connection(start):
    server = start().present(CHAIN)
    handshake("127.0.0.1", server.port, "www.example.org", ROOTS)
    another = Authority("Another").chain(NAMES, KEY)
    server.present(another)
    assert handshake("127.0.0.1", server.port, "www.example.org")[0][0] == another[0]
    assert server.connections == 2


@pytest.mark.parametrize("names", [["other.example"], ["example.org"], ["*.www.example.org"], ["127.0.0.1"]])
def test_a_certificate_for_other_names_is_not_trusted(start, names):
    sentence, failure = refusal(start().present(ISSUING.chain(names, KEY)).port)
    assert "the certificate is for other names (" in sentence
    assert sentence.endswith("; see which server block answers to www.example.org")
    assert failure == "untrusted"


def test_a_certificate_for_other_addresses_is_not_trusted(start):
    sentence, failure = refusal(start().present(ISSUING.chain(["192.0.2.1"], KEY)).port, "127.0.0.1")
    assert sentence.startswith("the certificate is for other names (IP address mismatch")
    assert failure == "untrusted"


def test_a_common_name_covers_nothing(start):
    leaf = ISSUING.sign(named("www.example.org"), KEY.public_key(), (-1, 9), x509.BasicConstraints(False, None))
    sentence, failure = refusal(start().present([leaf, ISSUING.certificate]).port)
    assert "other names" in sentence and failure == "untrusted"


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        (Authority("Unknown root").chain(NAMES, KEY), "unable to get local issuer certificate"),
        (CHAIN[:1], "unable to get local issuer certificate"),
        ([Authority("www.example.org", key=KEY).certificate], "self-signed certificate"),
    ],
)
def test_a_chain_to_no_root_of_the_issuer_is_not_trusted(start, chain, reason):
    sentence, failure = refusal(start().present(chain).port)
    assert sentence.startswith("clients cannot trust the certificate (")
    assert reason in sentence.replace("self signed", "self-signed")  # as OpenSSL 1.1.1 writes it
    assert sentence.endswith("; see that the server sends fullchain.pem, not cert.pem, and the root is the issuer's")
    assert failure == "untrusted"


def test_the_roots_of_the_system_do_not_know_ours(start):
    sentence, failure = refusal(start().present(CHAIN).port, roots=None)
    assert sentence.startswith("clients cannot trust the certificate (") and failure == "untrusted"


def test_a_certificate_that_has_expired_is_not_trusted(start):
    port = start().present(ISSUING.chain(NAMES, KEY, days=(-9, -1))).port
    assert refusal(port) == ("the certificate or its chain has expired; renew it and have it served", "untrusted")
    assert handshake("127.0.0.1", port, "www.example.org")[0]


@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO < (3,), reason="OpenSSL is strict about CAs since 3.0")
def test_what_only_strict_clients_refuse_is_trusted(start):
    """A root that may sign without saying so (no key usage, no key identifier) is one for OpenSSL with default settings."""
    lax = Authority("Lax root")
    lax.certificate = (
        x509.CertificateBuilder()
        .subject_name(named("Lax root"))
        .issuer_name(named("Lax root"))
        .public_key(lax.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(True, None), critical=False)
        .sign(lax.key, hashes.SHA256())
    )
    server = start().present(lax.chain(NAMES, KEY))
    assert handshake("127.0.0.1", server.port, "www.example.org", lax.pem.decode(), verify=True)[0]
    context = ssl.create_default_context(cadata=lax.pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", server.port)) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(connection, server_hostname="www.example.org")


def test_whom_nobody_trusts_can_still_be_looked_at(start):
    other = Authority("Unknown root").chain(["other.example"], KEY, days=(-9, -1))
    chain, _protocol = handshake("127.0.0.1", start().present(other).port, "www.example.org")
    assert chain[0] == other[0]


def test_a_port_that_speaks_plain_http_is_told_apart(start):
    sentence, failure = refusal(start(plain_http).port)
    assert sentence in {
        "what answers does not speak TLS; see which program or server block listens there",
        "what answers speaks plain HTTP; see which server block listens there",
    }
    assert failure == "no handshake"


def test_a_server_that_hangs_up_is_told_apart(start):
    sentence, failure = refusal(start(hang_up).port)
    assert sentence == "the server closed the connection in the middle of the handshake; see its error log"
    assert failure == "no handshake"


def test_a_port_on_which_nothing_listens_is_told_apart():
    assert refusal(closed_port()) == ("nothing listens there; start nginx with a site on that port", "nothing")


@pytest.mark.parametrize("server", [keep_silent, drip])
def test_a_handshake_that_does_not_come_to_an_end_is_not_waited_for(start, monkeypatch, server):
    """Whatever comes, and however slowly: the time is one for the whole of it."""
    monkeypatch.setattr(handshakes, "HANDSHAKE_TIMEOUT_S", 0.6)
    assert refusal(start(server).port) == (
        "what listens there has not finished a handshake within 1 seconds; see which program it is, and its load",
        "nothing",
    )


def test_a_port_that_neither_accepts_nor_refuses_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(handshakes, "HANDSHAKE_TIMEOUT_S", 0.6)
    with full_port() as port:
        assert refusal(port) == (
            "no answer within 1 seconds; open the port on every firewall on the way",
            "nothing",
        )


def test_a_name_is_looked_at_where_it_first_answers(start, monkeypatch):
    """An address that is dead leaves time for the next."""
    port = start().present(CHAIN).port
    results = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", resolving(socket.getaddrinfo, "two.example", lambda: results))
    assert handshake("two.example", port, "www.example.org")[0][0] == CHAIN[0]
    monkeypatch.setattr(handshakes, "HANDSHAKE_TIMEOUT_S", 4.0)
    with full_port() as dead:
        monkeypatch.setattr(socket, "create_connection", diverting(socket.create_connection, "127.0.0.2", dead))
        assert handshake("two.example", port, "www.example.org")[0][0] == CHAIN[0]


def test_name_servers_that_keep_silent_are_not_waited_for(monkeypatch):
    """They cannot be told to hurry, so this one waits for the end of the test."""
    over = threading.Event()
    monkeypatch.setattr(handshakes, "HANDSHAKE_TIMEOUT_S", 0.6)
    monkeypatch.setattr(socket, "getaddrinfo", resolving(socket.getaddrinfo, "slow.example", over.wait))
    try:
        assert refusal(443, address="slow.example") == (
            "the address cannot be resolved (no answer within 1 seconds); correct ansible_host",
            "nothing",
        )
    finally:
        over.set()


def resolving(getaddrinfo, name, resolve):
    """Return a getaddrinfo() that calls *resolve* for one name."""
    return lambda host, *rest, **more: resolve() if host == name else getaddrinfo(host, *rest, **more)


def diverting(create_connection, address, port):
    """Return a create_connection() that goes to another port for one address."""
    return lambda endpoint, **more: create_connection(
        ("127.0.0.1", port) if endpoint[0] == address else endpoint, **more
    )


def test_connections_share_what_takes_long_to_load(start, tmp_path, monkeypatch):
    """The roots of the system are read once, and again where they are to be found elsewhere."""
    server, loaded = start().present(CHAIN), []
    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda **given: loaded.append(given) or create(**given))
    for number in range(2):
        (tmp_path / f"system{number}.pem").write_bytes(ROOT.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / f"system{number}.pem"))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            looks = [
                pool.submit(handshake, "127.0.0.1", server.port, "www.example.org", verify=True)
                for _number in range(16)
            ]
        assert all(look.result()[0][0] == CHAIN[0] for look in looks)
    assert loaded == [{}, {}]


def test_a_server_that_answers_to_no_such_name_is_told_apart(start):
    server = start().present(CHAIN)
    server.reject = {"www.example.org"}
    assert refusal(server.port) == (
        "the server answers to no such name; see that nginx_sites has a site for it, and run evergreen.tls.deploy",
        "no handshake",
    )


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
def test_a_server_of_older_protocols_alone_is_told_apart(start):
    server = start().present(CHAIN)
    server.context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    server.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake("127.0.0.1", server.port, "www.example.org", ROOTS, verify=True)[1] == "TLSv1.2"
    server.context.set_ciphers("ALL:@SECLEVEL=0")
    server.context.minimum_version = server.context.maximum_version = ssl.TLSVersion.TLSv1
    sentence, failure = refusal(server.port)
    assert sentence.endswith("; see the error log of the server") and sentence.startswith("the handshake failed (")
    assert failure == "no handshake"


def test_an_address_that_cannot_be_resolved_is_told_apart():
    sentence, failure = refusal(443, address="no-such-host.invalid")
    assert sentence.startswith("the address cannot be resolved (") and sentence.endswith("); correct ansible_host")
    assert failure == "nothing"


@pytest.mark.parametrize("address", ["no..such.host", "a" * 64 + ".example", "no\0host"])
def test_an_address_that_cannot_even_be_asked_for_is_told_apart(address):
    sentence, failure = refusal(443, address=address)
    assert sentence.startswith("the address cannot be resolved (") and sentence.endswith("); correct ansible_host")
    assert failure == "nothing"


def test_a_server_that_breaks_the_connection_off_is_told_apart(start):
    assert refusal(start(reset).port) == (
        "Connection reset by peer; see that the server runs and can be reached",
        "nothing",
    )


def test_a_server_that_sends_garbage_is_told_apart(start):
    sentence, failure = refusal(start(send_garbage).port)
    assert sentence == "what answers does not speak TLS; see which program or server block listens there"
    assert failure == "no handshake"


def test_a_chain_that_is_larger_than_any_is_not_taken_in(start):
    ballast = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), bytes(1000000))
    sentence, failure = refusal(start().present(ISSUING.chain(NAMES, KEY, extensions=[ballast])).port, verify=False)
    assert sentence == "the handshake failed (EXCESSIVE_MESSAGE_SIZE); see the error log of the server"
    assert failure == "no handshake"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the leaf alone is seen there")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x7f"),  # a curve that there is not
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x06"),  # a version neither
    ],
)
def test_a_chain_that_cannot_be_read_is_told_apart(start, old, new):
    garbled = to_pem(CHAIN[:1]) + garbled_pem(ISSUING.certificate, old, new)
    assert refusal(start().present_pem(garbled).port, verify=False) == (
        "the certificate that is presented cannot be read; replace it",
        "garbage",
    )
