# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that answer challenges by themselves, and what is told of those that do not. All of them are on the loopback network."""

from __future__ import annotations

import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import http_check
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def right(_name, path):
    return 200, {}, f"{path.rpartition('/')[2]}.{THUMBPRINT}\n".encode()


def wrong(status, body=b"", **headers):
    return lambda _name, _path: (status, headers, body)


def redirect(target):
    return lambda _name, path: (301, {"Location": target + path}, b"")


@pytest.fixture
def solver(here):
    settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "timeout": "5s"}
    return open_solver(settings, AcmeAccount(THUMBPRINT))


def error_text(solver, *domains):
    with pytest.raises(TlsError) as caught:
        solver.check(list(domains))
    return str(caught.value)


def test_names_pass_whose_hosts_all_answer(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21", "127.0.0.22"), ("example.org", "A", "127.0.0.21"))
    for address in ("127.0.0.21", "127.0.0.22"):
        web.host(address, right)
    solver.check(["www.example.org", "example.org", "127.0.0.22"])
    requested = {(address, name) for _scheme, address, name, _path in web.requests}
    assert requested == {
        ("127.0.0.21", "www.example.org"),
        ("127.0.0.22", "www.example.org"),
        ("127.0.0.21", "example.org"),
        ("127.0.0.22", "127.0.0.22"),
    }
    assert len({path for *_where, path in web.requests}) == 3, "for each name another token"


def test_one_host_of_several_that_does_not_answer_is_named(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21", "127.0.0.22"))
    web.host("127.0.0.21", right)
    web.host("127.0.0.22", wrong(404, Server="nginx/1.30.6"))
    message = error_text(solver, "www.example.org")
    assert "www.example.org at 127.0.0.22 does not answer challenges (404 Not Found from " in message
    assert message.endswith(f"have it answer /.well-known/acme-challenge/TOKEN with TOKEN.{THUMBPRINT}")
    assert "run evergreen.tls.deploy on the host whose address that is" in message


def test_each_cause_has_its_sentence(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"), ("mail.example.org", "A", "127.0.0.22"))
    web.host("127.0.0.21", wrong(200, b"<html>It works!</html>"))
    first, second, third = error_text(solver, "www.example.org", "mail.example.org", "no.example.org").split(" · ")
    assert first.startswith("www.example.org at 127.0.0.21 does not answer challenges (200 OK")
    assert (
        second.startswith("port ")
        and "mail.example.org at 127.0.0.22 cannot be reached (Connection refused); open it" in second
    )
    assert second.endswith("set check: false in the solver where the controller does not see what the CA sees")
    assert third.startswith("no.example.org has no address in DNS; create")


def test_a_host_of_another_account_is_reported_from_one_that_knows_nothing(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, path: (200, {}, f"{path.rpartition('/')[2]}.{'x' * 43}".encode()))
    message = error_text(solver, "www.example.org")
    assert message.startswith("www.example.org at 127.0.0.21 answers for another ACME account, as if")
    assert "give it that key (folder or account_key of the issuer), run evergreen.tls.deploy from here, or" in message


def test_the_right_body_with_another_status_is_not_right(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda name, path: (500, *right(name, path)[1:]))
    assert "does not answer challenges (500 Internal Server Error" in error_text(solver, "www.example.org")


def test_a_redirect_to_https_is_followed_whatever_the_certificate(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect("https://www.example.org"))
    web.host("127.0.0.21", right, "https")
    solver.check(["www.example.org"])
    assert [requested[:3] for requested in web.requests] == [
        ("http", "127.0.0.21", "www.example.org"),
        ("https", "127.0.0.21", "www.example.org"),
    ]


def test_a_redirect_that_leaves_the_name_is_reported(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"), ("shop.example.org", "A", "127.0.0.22"))
    web.host("127.0.0.21", redirect("http://shop.example.org"))
    web.host("127.0.0.22", wrong(200, b"buy!"))
    message = error_text(solver, "www.example.org")
    assert message == (
        "www.example.org at 127.0.0.21 redirects to http://shop.example.org, and no host of ours answers there; let the redirect leave "
        "out /.well-known/acme-challenge/"
    )


def test_a_redirect_to_a_name_that_is_nowhere_is_reported(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect("http://gone.example.org"))
    assert "redirects to http://gone.example.org, and no host of ours answers there" in error_text(
        solver, "www.example.org"
    )


def test_a_redirect_to_another_name_that_gives_the_right_answer_is_as_good_for_cas(here, web, solver):
    here.zone("example.org", ("example.org", "A", "127.0.0.21"), ("www.example.org", "A", "127.0.0.22"))
    web.host("127.0.0.21", redirect("http://www.example.org"))
    web.host("127.0.0.22", right)
    solver.check(["example.org"])


@pytest.mark.parametrize(
    "target",
    ["http://www.example.org:8080", "ftp://www.example.org", "http://[::1", "https://www.example.org:99999"],
)
def test_a_redirect_that_cas_do_not_follow_is_reported(here, web, solver, target):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect(target))
    assert "CAs follow to ports 80 and 443 only; correct the redirect" in error_text(solver, "www.example.org")


def test_a_redirect_to_a_closed_port_is_reported(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect("https://www.example.org"))
    assert "redirects to https://www.example.org, and no host of ours answers there (Connection refused)" in error_text(
        solver, "www.example.org"
    )


def test_a_host_does_not_choose_what_is_asked_elsewhere(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, path: (302, {"Location": f"http://127.0.0.22/latest/meta-data?{path}"}, b""))
    web.host("127.0.0.22", right)
    message = error_text(solver, "www.example.org")
    assert "redirects to http://127.0.0.22/latest/meta-data?" in message and "no host of ours answers there" in message
    assert [requested[1] for requested in web.requests] == ["127.0.0.21"]


def test_a_circle_ends(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect(""))
    assert "www.example.org at 127.0.0.21 redirects in a circle; correct" in error_text(solver, "www.example.org")
    assert len(web.requests) <= 12


def test_what_does_not_speak_http_is_reported(here, start, monkeypatch, solver):
    from ansible_collections.evergreen.tls.tests.unit.servers import send_garbage

    server = start(send_garbage)
    monkeypatch.setattr(http_check, "PORTS", {"http": server.port, "https": server.port})
    here.zone("example.org", ("www.example.org", "A", "127.0.0.1"))
    assert "www.example.org at 127.0.0.1 does not speak HTTP" in error_text(solver, "www.example.org")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nServer: a", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\na"]
)
def test_a_host_that_sends_a_byte_now_and_then_is_left_in_seconds(here, start, monkeypatch, head):
    def trickle(_server, connection):
        connection.recv(65536)
        connection.sendall(head)
        while True:
            time.sleep(0.1)
            connection.sendall(b"a")

    server = start(trickle)
    settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "timeout": "1s"}
    monkeypatch.setattr(http_check, "PORTS", {"http": server.port, "https": server.port})
    here.zone("example.org", ("www.example.org", "A", "127.0.0.1"))
    started = time.monotonic()
    message = error_text(open_solver(settings, AcmeAccount(THUMBPRINT)), "www.example.org")
    assert "of www.example.org at 127.0.0.1 cannot be reached (no answer in time); open it to the world" in message
    assert time.monotonic() - started < 5


def test_a_name_with_thousands_of_addresses_is_looked_at_in_part(here, web, solver):
    addresses = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(1000)]
    here.zone("example.org", ("www.example.org", "A", *addresses))
    assert "of www.example.org at 127.0." in error_text(solver, "www.example.org")
    assert len(DnsClient([f"{RESOLVER}:{here.port}"]).addresses("www.example.org")) == 20


@pytest.mark.parametrize(
    "target", ["http://" + "a" * 60_000, "gopher://" + "a" * 60_000, "http://www.example.org:" + "9" * 9000]
)
def test_a_redirect_without_end_is_told_of_in_short(here, web, solver, target):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, path: (301, {"Location": target + path}, b""))
    assert len(error_text(solver, "www.example.org")) < 700


def test_all_addresses_of_a_name_share_a_minute(here, web, solver, monkeypatch):
    monkeypatch.setattr(http_check, "DOMAIN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(solver.checker, "timeout", 1.0)

    def late(name, path):
        time.sleep(0.4)
        return right(name, path)

    here.zone("example.org", ("www.example.org", "A", *(f"127.0.0.{number}" for number in range(21, 31))))
    for number in range(21, 31):
        web.host(f"127.0.0.{number}", late)
    started = time.monotonic()
    assert "cannot be reached (no answer in time)" in error_text(solver, "www.example.org")
    assert time.monotonic() - started < 4


def test_an_address_that_the_controller_has_no_way_to_is_left_out_where_another_one_answers(
    here, web, solver, monkeypatch
):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"), ("www.example.org", "AAAA", "2001:db8::1"))
    web.host("127.0.0.21", right)
    connect = http_check.socket.create_connection

    def without_ipv6(address, **options):
        if ":" in address[0]:
            raise OSError(http_check.errno.ENETUNREACH, "Network is unreachable")
        return connect(address, **options)

    monkeypatch.setattr(http_check.socket, "create_connection", without_ipv6)
    solver.check(["www.example.org"])
    here.zone("example.net", ("www.example.net", "AAAA", "2001:db8::1"))
    assert "www.example.net at 2001:db8::1 cannot be reached (Network is unreachable)" in error_text(
        solver, "www.example.net"
    )


def test_wildcards_are_refused_before_anything_is_asked(web, solver):
    message = error_text(solver, "*.example.org", "example.org")
    assert message.startswith(
        "*.example.org: CAs believe wildcards by DNS alone, and the solver of the issuer answers over HTTP; "
    )
    assert message.endswith("whose solver is rfc2136, command or persist, or name the hosts one by one")
    assert web.requests == []


def test_the_check_can_be_disabled(here):
    open_solver({"type": "http", "check": False}, AcmeAccount(THUMBPRINT)).check(["www.example.org"])


def test_nothing_is_shown_and_nothing_taken_away():
    solver = open_solver("http", AcmeAccount(THUMBPRINT))
    assert solver.challenge_type == "http-01"
    assert solver.present([]) is None
    assert solver.clean_up([]) is None
