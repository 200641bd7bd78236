# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proofs that clients see the very certificate that is installed."""

from __future__ import annotations

import datetime
import socket
import ssl
import sys
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
    not_after,
    not_before,
    parse_certificate,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.strict_clients import PYTHON
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls import verify
from ansible_collections.evergreen.tls.plugins.module_utils._tls.verify import (
    Expected,
    verify_endpoint,
    verify_request,
)
from ansible_collections.evergreen.tls.tests.unit.chain_factory import certificate_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

NAMES = ["www.example.org", "*.shop.example"]
KEY = some_key()
ROOT = Authority("Proof Root CA")
CHAIN = ROOT.chain(NAMES, KEY)
ROOTS = ROOT.pem.decode()
ADVICE = "tell the CA, or have those clients leave out strict checks"


def test_a_proof_tells_what_is_seen_and_where(start):
    server = start().present(CHAIN)
    assert verify_endpoint("127.0.0.1", server.port, "*.shop.example", ROOTS, Expected(), 0) == {
        "name": "evergreen-probe.shop.example",
        "address": "127.0.0.1",
        "port": server.port,
        "protocol": "TLSv1.3",
        "chain": to_pem(CHAIN).decode(),
    }


def test_what_is_proved_is_the_very_certificate(start):
    server = start().present(CHAIN)
    result = verify_endpoint("127.0.0.1", server.port, "www.example.org", ROOTS, Expected(fingerprint(CHAIN[0])), 0)
    assert result["chain"] == to_pem(CHAIN).decode()
    verify_endpoint("127.0.0.1", server.port, "www.example.org", ROOTS, Expected(), 0)
    another = ROOT.chain(NAMES, KEY)
    with pytest.raises(TlsError) as caught:
        verify_endpoint("127.0.0.1", server.port, "www.example.org", ROOTS, Expected(fingerprint(another[0])), 0)
    assert str(caught.value) == (
        f"www.example.org at 127.0.0.1 port {server.port}: the certificate presented is not the installed one: "
        f"{describe_certificate(CHAIN[0])}; see which server answers there"
    )
    assert caught.value.details == {"failure": "another"}


def test_a_proof_waits_for_workers_that_are_going_away(start):
    server, another = start().present(CHAIN), ROOT.chain(NAMES, KEY)
    timer = threading.Timer(0.5, server.present, [another])
    timer.start()
    begin = time.monotonic()
    result = verify_endpoint("127.0.0.1", server.port, "www.example.org", ROOTS, Expected(fingerprint(another[0])), 10)
    timer.join()
    assert result["chain"] == to_pem(another).decode()
    assert 0.4 < time.monotonic() - begin < 5
    assert server.connections > 2


def test_a_proof_gives_up_with_the_last_reason(start):
    server = start().present(Authority("Unknown root").chain(NAMES, KEY))
    begin = time.monotonic()
    with pytest.raises(TlsError, match="clients cannot trust the certificate"):
        verify_endpoint("127.0.0.1", server.port, "www.example.org", ROOTS, Expected(), 0.5)
    assert 0.5 <= time.monotonic() - begin < 3
    assert server.connections > 1


def all_of(server, check_mode=False, domains=tuple(NAMES), **arguments):
    arguments = {"timeout": 0.3, "roots": ROOTS, "fingerprint": None, **arguments}
    return verify_request({"domains": domains}, [("127.0.0.1", server.port)], arguments, "controller", check_mode)


def test_all_domains_of_a_request_are_proved(start):
    server = start().present(CHAIN)
    result = all_of(server, fingerprint=fingerprint(CHAIN[0]))
    assert result["msg"] == "www.example.org, evergreen-probe.shop.example proved from the controller"
    assert [handshake["name"] for handshake in result["handshakes"]] == [
        "www.example.org",
        "evergreen-probe.shop.example",
    ]
    assert (result["changed"], result["problems"], result["verified_from"]) == (False, [], "controller")


def test_all_places_of_a_host_are_looked_at(start):
    good, bad = start().present(CHAIN), start().present(ROOT.chain(NAMES, KEY))
    places = [("127.0.0.1", good.port), ("127.0.0.1", bad.port)]
    arguments = {"timeout": 0, "roots": ROOTS, "fingerprint": fingerprint(CHAIN[0])}
    with pytest.raises(TlsError) as caught:
        verify_request({"domains": NAMES}, places, arguments, "controller", False)
    assert [handshake["port"] for handshake in caught.value.details["handshakes"]] == [good.port] * 2
    assert [
        f"port {bad.port}: the certificate presented is not the installed one" in problem
        for problem in caught.value.details["problems"]
    ] == [True] * 2
    arguments["fingerprint"] = None
    result = verify_request({"domains": NAMES}, places, arguments, "controller", False)
    assert result["msg"] == "www.example.org, evergreen-probe.shop.example proved from the controller"
    assert len(result["handshakes"]) == 4


def validity_of(leaf, seconds=0):
    """Return the dates of a certificate as a cloud says them, the end *seconds* later."""
    zone = datetime.timezone(datetime.timedelta(hours=8))
    end = not_after(leaf) + datetime.timedelta(seconds=seconds)
    dates = {"not_before": not_before(leaf), "not_after": end}
    return {name: date.astimezone(zone).isoformat() for name, date in dates.items()}


def test_without_a_fingerprint_the_dates_say_which_certificate_it_is(start):
    server = start().present(CHAIN)
    places = [("127.0.0.1", server.port)]
    arguments = {"timeout": 0, "roots": ROOTS, "fingerprint": None, "validity": validity_of(CHAIN[0])}
    result = verify_request({"domains": NAMES}, places, arguments, "controller", False)
    assert result["msg"].endswith("proved from the controller")
    for seconds in (-1, 1):
        arguments["validity"] = validity_of(CHAIN[0], seconds)
        with pytest.raises(TlsError) as caught:
            verify_request({"domains": NAMES}, places, arguments, "controller", False)
        end = not_after(CHAIN[0]) + datetime.timedelta(seconds=seconds)
        assert (
            f"the certificate presented is not the one that was issued, which is valid from {not_before(CHAIN[0]):%Y-%m-%d %H:%M:%S} UTC to "
            f"{end:%Y-%m-%d %H:%M:%S} UTC: {describe_certificate(CHAIN[0])}; see which server answers there"
        ) in str(caught.value)
        assert (caught.value.details["answered"], caught.value.details["untrusted"]) == (True, False)


def test_dates_that_are_none_are_refused_before_any_handshake():
    arguments = {"timeout": 0, "roots": ROOTS, "fingerprint": None, "validity": {"not_before": "x", "not_after": "y"}}
    with pytest.raises(TlsError, match="of validity have to be dates; write them in ISO 8601, as in 2026-11-30T12:00"):
        verify_request({"domains": NAMES}, [("127.0.0.1", 1)], arguments, "controller", False)


def test_a_domain_that_is_not_proved_fails_the_request_and_the_others_are_told_of(start):
    server = start().present(ROOT.chain(["*.shop.example"], KEY))
    with pytest.raises(TlsError) as caught:
        all_of(server)
    assert str(caught.value).startswith(f"seen from the controller: www.example.org at 127.0.0.1 port {server.port}: ")
    details = caught.value.details
    assert [handshake["name"] for handshake in details["handshakes"]] == ["evergreen-probe.shop.example"]
    assert len(details["problems"]) == 1
    assert details["answered"] is True


def test_where_nothing_answers_is_told_from_where_something_else_does(start):
    server = start().present(CHAIN)
    assert all_of(server)["answered"] is False
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        arguments = {"timeout": 0, "roots": ROOTS, "fingerprint": None}
        places = [silent.getsockname()]
        assert verify_request({"domains": NAMES}, places, arguments, "controller", True)["answered"] is False
    server = start().present(ROOT.chain(NAMES, KEY))
    assert all_of(server, check_mode=True, fingerprint=fingerprint(CHAIN[0]))["answered"] is True


def test_one_domain_is_waited_for_and_not_each(start):
    server = start().present(Authority("Unknown root").chain(NAMES, KEY))
    begin = time.monotonic()
    with pytest.raises(TlsError) as caught:
        all_of(server, domains=[f"www{number}.example" for number in range(5)], timeout=0.6)
    assert time.monotonic() - begin < 2.4
    assert len(caught.value.details["problems"]) == 5


def test_in_check_mode_nothing_fails_and_nothing_is_waited_for(start):
    server = start().present(Authority("Unknown root").chain(NAMES, KEY))
    result = all_of(server, check_mode=True, timeout=30)
    assert result["msg"].startswith("not served yet: www.example.org at 127.0.0.1")
    assert len(result["problems"]) == server.connections == 2


def test_that_trust_alone_is_missing_is_told_from_other_faults(start):
    trusted, other = CHAIN, Authority("Stranger CA").chain(NAMES, some_key())
    stranger = Authority("Stranger CA").pem.decode()

    def looked_at(server, expected, roots=stranger):
        arguments = {"roots": roots, "fingerprint": expected, "timeout": 0}
        return verify_request({"domains": NAMES}, [("127.0.0.1", server.port)], arguments, "controller", True)[
            "untrusted"
        ]

    server = start().present(trusted)
    assert looked_at(server, fingerprint(trusted[0])) is True
    assert looked_at(server, fingerprint(other[0])) is False  # another one than is installed
    assert looked_at(server, None) is False
    server.reject = {NAMES[0]}  # of one name, nothing is presented
    assert looked_at(server, fingerprint(trusted[0])) is False
    assert looked_at(start().present(trusted), fingerprint(trusted[0]), ROOTS) is False  # all is well


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python shows the leaf alone")
def test_a_proof_warns_once_about_what_stricter_clients_refuse(start):
    chain = certificate_chain("ECC", {3: {"usages": None}})
    server = start().present([parse_certificate(one.der) for one in chain[:-1]], chain[0].key)
    request = {"name": "web", "domains": ["www.example.org"]}
    arguments = {"roots": chain[-1].pem.decode(), "fingerprint": None, "timeout": 0}
    result = verify_request(
        request, [("127.0.0.1", server.port), ("localhost", server.port)], arguments, "controller", False
    )
    assert result["problems"] == [] and result["warnings"] == [
        f"the root Root CA has no keyUsage: {PYTHON} refuse it, and most clients do not; {ADVICE}"
    ]


def test_several_handshakes_in_a_row_have_to_succeed_where_several_machines_may_answer(monkeypatch):
    another = Authority().chain(["www.example.org"], some_key(1))
    presented = iter([CHAIN[0], CHAIN[0], another[0], CHAIN[0], CHAIN[0], CHAIN[0]])
    made = []

    def handshake(*_arguments, **_options):
        made.append(next(presented))
        return [made[-1]], "TLSv1.3"

    monkeypatch.setattr(verify, "handshake", handshake)
    verify_endpoint("127.0.0.1", 443, "www.example.org", ROOTS, Expected(fingerprint(CHAIN[0])), 10, times=3)
    assert len(made) == 6


def test_a_server_that_accepts_a_version_of_tls_that_it_should_not_is_a_warning(start):
    server = start().present(CHAIN)
    assert "warnings" not in all_of(server)
    result = all_of(server, tls_versions=["TLSv1.3"], domains=["www.example.org"])
    (warning,) = result["warnings"]
    assert result["problems"] == [] and warning == (
        f"www.example.org at 127.0.0.1 port {server.port} accepts TLSv1.2, though it is for TLSv1.3 alone; see the ssl_protocols of the "
        "default server of that port, or what stands before nginx"
    )
    server.context.minimum_version = ssl.TLSVersion.TLSv1_3
    assert "warnings" not in all_of(server, tls_versions=["TLSv1.3"])
