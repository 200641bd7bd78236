# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of HTTP/3, against a server for QUIC and against what is none."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils import _http3_proof
from ansible_collections.evergreen.tls.plugins.plugin_utils._http3_proof import prove_http3
from ansible_collections.evergreen.tls.plugins.plugin_utils._quic import quic_handshake
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.quic_server import quic_server

ROOT = Authority("QUIC Root CA")
INTERMEDIATE = Authority("QUIC Intermediate CA", above=ROOT)
NAMES = ["www.example.org", "example.org"]
KEY = some_key()
CHAIN = INTERMEDIATE.chain(NAMES, KEY)
RENEWED = INTERMEDIATE.chain(NAMES, KEY)


@contextlib.contextmanager
def udp_port(answer=None):
    """Yield a UDP port at which a program answers each datagram with some bytes, or with none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(0.05)
        ended = threading.Event()

        def run():
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    _datagram, client = one.recvfrom(2000)
                    if answer is not None:
                        one.sendto(answer, client)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield one.getsockname()[1]
        finally:
            ended.set()
            thread.join()


def closed_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def by_tcp(port, chain=None, names=None, address="127.0.0.1"):
    """Return the handshakes by TCP that came before."""
    pem = to_pem(chain or CHAIN).decode()
    return [
        {"name": name, "address": address, "port": port, "protocol": "TLSv1.3", "chain": pem} for name in names or NAMES
    ]


def test_a_handshake_over_quic_returns_the_chain_and_leaves_nothing_behind():
    with quic_server(CHAIN, KEY) as port:
        before = len(os.listdir("/proc/self/fd"))
        assert quic_handshake("127.0.0.1", port, "www.example.org") == CHAIN
        assert quic_handshake("localhost", port, "*.example.org") == CHAIN
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_server_without_the_key_of_its_certificate_is_no_handshake():
    with quic_server(CHAIN, some_key(1)) as port, pytest.raises(TlsError, match="the handshake failed") as caught:
        quic_handshake("127.0.0.1", port, "www.example.org")
    assert caught.value.details["failure"] == "no handshake"


def test_a_server_that_does_not_speak_http3_is_no_handshake():
    with quic_server(CHAIN, KEY, protocol="doq") as port, pytest.raises(TlsError, match="; ") as caught:
        quic_handshake("127.0.0.1", port, "www.example.org")
    assert caught.value.details["failure"] == "no handshake"


@pytest.mark.parametrize("answer", [None, b"", b"\x00" * 40, b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes([0xC0]) * 1200])
def test_what_does_not_answer_as_quic_does_takes_no_longer_than_its_time(answer):
    start = time.monotonic()
    with udp_port(answer) as port, pytest.raises(TlsError) as caught:
        quic_handshake("127.0.0.1", port, "www.example.org", timeout=0.4)
    assert caught.value.details["failure"] == "nothing"
    assert str(caught.value) == (
        f"www.example.org at 127.0.0.1 port {port} by HTTP/3: no answer by UDP within 0.4 seconds; "
        f"open UDP port {port} on every firewall on the way"
    )
    assert time.monotonic() - start < 2


def test_a_port_at_which_nothing_listens_is_named():
    port = closed_port()
    with pytest.raises(
        TlsError, match=f"port {port} by HTTP/3: nothing listens there by UDP, .*open UDP port {port}"
    ) as caught:
        quic_handshake("127.0.0.1", port, "www.example.org")
    assert caught.value.details["failure"] == "nothing"


def test_the_names_of_sites_with_http3_are_proved_and_no_others():
    with quic_server(CHAIN, KEY) as port:
        proof = prove_http3(by_tcp(port), ["www.example.org"], 0)
    assert (proof.names, proof.problems, proof.warnings) == (["www.example.org"], [], [])
    assert [one["protocol"] for one in proof.proved] == ["HTTP/3"]


def test_another_certificate_than_by_tcp_is_a_problem():
    with quic_server(CHAIN, KEY) as port:
        proof = prove_http3(by_tcp(port, RENEWED), NAMES, 0)
    assert (proof.names, proof.warnings, len(proof.problems)) == ([], [], 2)
    assert "by HTTP/3: the certificate presented is not the one that clients get by TCP: " in proof.problems[0]
    assert proof.problems[0].endswith("; see which server block listens there with quic")


def test_a_chain_without_its_intermediate_is_a_problem():
    with quic_server(CHAIN[:1], KEY) as port:
        proof = prove_http3(by_tcp(port), ["example.org"], 0)
    assert "example.org at 127.0.0.1" in proof.problems[0] and "has another chain than" in proof.problems[0]


def test_workers_that_go_away_are_waited_for(monkeypatch):
    presented = iter([CHAIN, CHAIN, RENEWED])
    monkeypatch.setattr(_http3_proof, "quic_handshake", lambda *_arguments: next(presented))
    monkeypatch.setattr(_http3_proof, "RETRY_INTERVAL_S", 0.01)
    assert prove_http3(by_tcp(443, RENEWED), ["example.org"], 5).names == ["example.org"]


def test_a_worker_that_goes_away_and_answers_nobody_is_passed_over(monkeypatch):
    timeouts = []

    def silent_at_first(_address, _port, _name, timeout):
        timeouts.append(timeout)
        if len(timeouts) < 4:
            raise TlsError("no answer", failure="nothing")
        return CHAIN

    monkeypatch.setattr(_http3_proof, "quic_handshake", silent_at_first)
    monkeypatch.setattr(_http3_proof, "RETRY_INTERVAL_S", 0.01)
    assert prove_http3(by_tcp(443), ["example.org"], 0).names == ["example.org"]
    assert timeouts == [0.7, 1.0, 1.5, 2.0]


def test_an_address_that_does_not_answer_is_a_warning_and_asked_a_few_times_alone(monkeypatch):
    monkeypatch.setattr(_http3_proof, "RETRY_INTERVAL_S", 0.01)
    handshakes = [*by_tcp(closed_port()), *by_tcp(closed_port(), names=["example.org"])]
    proof = prove_http3(handshakes, NAMES, 10)
    assert (proof.proved, proof.problems, len(proof.warnings)) == ([], [], 2)
    assert proof.warnings[0].startswith("HTTP/3 was not proved: www.example.org at 127.0.0.1 port ")


def test_without_the_library_a_warning_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "aioquic.quic.connection", None)
    assert prove_http3(by_tcp(443), NAMES, 0).warnings == [
        (
            "HTTP/3 was not proved by a handshake, since the Python library aioquic is missing on the controller; to have it proved, "
            "run pip install 'aioquic >= 1.2, < 2' with the Python of ansible-playbook"
        )
    ]
    assert prove_http3(by_tcp(443), [], 0) == ([], [], [])
