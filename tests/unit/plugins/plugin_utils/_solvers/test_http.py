# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that answer challenges by themselves, and what is told of those that do not. All of them are on the loopback network."""

from __future__ import annotations

import http.server
import platform
import socket
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import http_check, http_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

SERVER = f"BaseHTTP/{http.server.__version__} Python/{platform.python_version()}"
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


@pytest.fixture
def warnings(monkeypatch):
    """Return the list of all warnings that are shown."""
    shown = []
    monkeypatch.setattr(http_check.display, "warning", shown.append)
    return shown


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
        and "mail.example.org at 127.0.0.22 cannot be reached (Connection refused); this is a loopback address, which"
        in second
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
        "www.example.org at 127.0.0.21 redirects to http://shop.example.org, and no host of ours answers there (200 OK from "
        f"{SERVER[:40]}, beginning with 'buy!'); let the redirect leave out /.well-known/acme-challenge/"
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
    assert {requested[1] for requested in web.requests} == {"127.0.0.21"}


def test_a_circle_ends(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect(""))
    assert "www.example.org at 127.0.0.21 redirects in a circle; correct" in error_text(solver, "www.example.org")
    assert len(web.requests) <= 12


def test_what_does_not_speak_http_is_reported(here, start, monkeypatch, solver):
    from ansible_collections.evergreen.tls.tests.unit.servers import send_garbage

    server = start(send_garbage)
    monkeypatch.setattr(http_request, "PORTS", {"http": server.port, "https": server.port})
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
    monkeypatch.setattr(http_request, "PORTS", {"http": server.port, "https": server.port})
    here.zone("example.org", ("www.example.org", "A", "127.0.0.1"))
    started = time.monotonic()
    message = error_text(open_solver(settings, AcmeAccount(THUMBPRINT)), "www.example.org")
    assert "of www.example.org at 127.0.0.1 cannot be reached (no answer in time); this is a loopback" in message
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
    here, web, solver, monkeypatch, warnings
):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"), ("www.example.org", "AAAA", "2001:db8::1"))
    web.host("127.0.0.21", right)
    connect = http_request.socket.create_connection

    def without_ipv6(address, **options):
        if ":" in address[0]:
            raise OSError(http_check.errno.ENETUNREACH, "Network is unreachable")
        return connect(address, **options)

    monkeypatch.setattr(http_request.socket, "create_connection", without_ipv6)
    solver.check(["www.example.org"])
    assert len(warnings) == 1
    assert warnings[0].startswith("this controller has no route to www.example.org at 2001:db8::1, so that is not")
    assert "see from a machine with IPv6 that the host answers there, or remove the AAAA record" in warnings[0]
    here.zone("example.net", ("www.example.net", "AAAA", "2001:db8::1"))
    assert "www.example.net at 2001:db8::1 cannot be reached (Network is unreachable)" in error_text(
        solver, "www.example.net"
    )


def test_wildcards_are_refused_before_anything_is_asked(web, solver):
    message = error_text(solver, "*.example.org", "example.org")
    assert message.startswith(
        "*.example.org: CAs believe wildcards by DNS alone, and the solver of the issuer answers over HTTP; "
    )
    assert message.endswith(
        "whose solver is dnspod, route53, rfc2136, command or persist, or name the hosts one by one"
    )
    assert web.requests == []


def test_the_check_can_be_disabled(here):
    open_solver({"type": "http", "check": False}, AcmeAccount(THUMBPRINT)).check(["www.example.org"])


def test_nothing_is_shown_and_nothing_taken_away():
    solver = open_solver("http", AcmeAccount(THUMBPRINT))
    assert solver.challenge_type == "http-01"
    assert solver.present([]) is None
    assert solver.clean_up([]) is None


def test_the_status_303_is_no_redirect_for_cas(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, path: (303, {"Location": f"https://www.example.org{path}"}, b""))
    web.host("127.0.0.21", right, "https")
    message = error_text(solver, "www.example.org")
    assert message.startswith(
        "www.example.org at 127.0.0.21 redirects with the status 303, and CAs follow 301, 302, 307"
    )
    assert "https" not in {requested[0] for requested in web.requests}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_every_other_redirect_is_followed(here, web, solver, status):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, path: (status, {"Location": f"https://www.example.org{path}"}, b""))
    web.host("127.0.0.21", right, "https")
    solver.check(["www.example.org"])


@pytest.mark.parametrize("after", [b"", b"\n", b"\r\n", b" \t\n" * 10, b"\n" * 40])
def test_blanks_behind_the_key_authorization_are_passed_over(here, web, solver, after):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda name, path: (200, {}, right(name, path)[2].strip() + after))
    solver.check(["www.example.org"])


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"\n", b"", "blanks or line breaks stand before the key authorization"),
        (b"  ", b"\n", "blanks or line breaks stand before the key authorization"),
        (b"", b"\n" * 41, "its body has 128 bytes, and CAs refuse more than 127"),
        (b"", b" " * 2913, "its body has 3000 bytes, and CAs refuse more than 127"),
        (b"", b" " * 9000, "its body has thousands of bytes, and CAs refuse more than 127"),
        (b"\xef\xbb\xbf", b"", "other text stands beside the key authorization"),
        (b"", b"<!-- 1 -->", "other text stands beside the key authorization"),
    ],
)
def test_a_right_answer_in_a_form_that_cas_refuse_is_refused(here, web, solver, before, after, reason):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda name, path: (200, {}, before + right(name, path)[2].strip() + after))
    message = error_text(solver, "www.example.org")
    assert message.startswith(f"www.example.org at 127.0.0.21 answers challenges, but {reason}")
    assert f"have it answer with TOKEN.{THUMBPRINT} alone" in message


def test_an_error_tells_the_redirects_and_the_first_printable_characters(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect("https://www.example.org"))
    web.host(
        "127.0.0.21", wrong(200, b"<!doctype html>\n\x1b[2J<title>Are you\xff a browser?</title>" + b"x" * 99), "https"
    )
    message = error_text(solver, "www.example.org")
    assert f"(200 OK from {SERVER[:40]} after redirects to https://www.example.org, beginning with " in message
    assert "beginning with '<!doctype html> [2J<title>Are you\ufffd a browser?</title>xxx" in message
    assert "\x1b" not in message and "x" * 10 not in message


def test_a_redirect_without_the_slash_is_named(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, path: (301, {"Location": f"https://www.example.org{path[1:]}"}, b""))
    message = error_text(solver, "www.example.org")
    assert "where a slash lacks between the name and .well-known; correct the redirect" in message
    assert "return 301 https://$host$request_uri" in message


@pytest.fixture
def tls_on_the_http_port(web, monkeypatch):
    """Let a host speak TLS on the port of plain HTTP."""
    monkeypatch.setitem(web.ports, "http", web.ports["https"])
    web.host("127.0.0.21", right, "https")


def test_tls_on_the_http_port_is_named(here, tls_on_the_http_port, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    message = error_text(solver, "www.example.org")
    assert message.startswith("www.example.org at 127.0.0.21 speaks TLS on port ")
    assert "CAs ask there in plain HTTP; remove ssl from the line listen " in message


def test_a_connection_that_breaks_off_is_not_called_tls(here, start, monkeypatch, solver):
    def reset(_server, connection):
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    server = start(reset)
    monkeypatch.setattr(http_request, "PORTS", {"http": server.port, "https": server.port})
    here.zone("example.org", ("www.example.org", "A", "127.0.0.1"))
    message = error_text(solver, "www.example.org")
    assert "of www.example.org at 127.0.0.1 cannot be reached (Connection reset by peer)" in message


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.1.2.3", "a private address"),
        ("172.31.0.1", "a private address"),
        ("192.168.1.1", "a private address"),
        ("fd00::1", "a private address"),
        ("fe80::1", "a link-local address"),
        ("169.254.1.1", "a link-local address"),
        ("100.64.0.1", "an address behind the NAT of a provider"),
        ("127.0.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:10.0.0.1", "a private address"),
        ("0.0.0.0", "the unspecified address"),
        ("192.0.2.1", "a reserved address"),
    ],
)
def test_an_address_that_the_internet_cannot_reach_is_named(here, solver, monkeypatch, address, kind):
    def refuse(*_arguments, **_options):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(http_request.socket, "create_connection", refuse)
    here.zone("example.org", ("www.example.org", "AAAA" if ":" in address else "A", address))
    message = error_text(solver, "www.example.org")
    assert (
        f"cannot be reached (Connection refused); this is {kind}, which no CA on the internet can reach: correct"
        in message
    )


def test_an_address_of_the_internet_is_not_called_private(here, solver, monkeypatch):
    def refuse(*_arguments, **_options):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(http_request.socket, "create_connection", refuse)
    here.zone("example.org", ("www.example.org", "A", "9.9.9.9"), ("example.org", "AAAA", "2620:fe::fe"))
    message = error_text(solver, "www.example.org", "example.org")
    assert message.count("cannot be reached (Connection refused); open it to the world") == 2


def test_for_a_public_ca_an_internal_address_is_warned_about(here, web, solver, warnings, monkeypatch):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", right)
    solver.check(["www.example.org"])
    assert warnings == [], "a private CA may reach it"
    settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "timeout": "5s"}
    public = open_solver(settings, AcmeAccount(THUMBPRINT, is_public=True))
    public.check(["www.example.org"])
    assert len(warnings) == 1
    assert warnings[0].startswith(
        "the CA cannot reach www.example.org at 127.0.0.21, a loopback address; correct the DNS"
    )
    web.host("127.0.0.22", wrong(404))
    here.zone("example.net", ("www.example.net", "A", "127.0.0.22"))
    assert error_text(public, "www.example.net").endswith(
        "; 127.0.0.22 is a loopback address, which the CA cannot reach"
    )


@pytest.mark.parametrize("word", ["Mozilla/5.0 (compatible; ", "Let's Encrypt"])
def test_a_host_that_refuses_only_the_user_agent_of_cas_is_named(here, web, solver, word):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))

    def respond(name, path):
        return (403, {}, b"Access denied") if word in web.user_agents[-1] else right(name, path)

    web.host("127.0.0.21", respond)
    message = error_text(solver, "www.example.org")
    assert message.startswith(
        "www.example.org at 127.0.0.21 answers challenges, and refuses requests whose User-Agent is like"
    )
    assert message.endswith("let the firewall or nginx pass /.well-known/acme-challenge/ for any User-Agent")


def test_a_host_that_refuses_everybody_is_not_said_to_mind_the_user_agent(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", wrong(403, b"Access denied"))
    message = error_text(solver, "www.example.org")
    assert "does not answer challenges (403 Forbidden" in message and "User-Agent" not in message
    assert len(web.user_agents) == 2, "it is asked once more with another one"


def test_a_host_that_answers_is_asked_once(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", right)
    solver.check(["www.example.org"])
    assert len(web.user_agents) == 1
    assert web.user_agents[0].startswith("Mozilla/5.0 (compatible; evergreen.tls, ")


def test_a_redirect_to_an_internal_address_is_not_followed_for_a_public_ca(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", redirect("http://127.0.0.22"))
    web.host("127.0.0.22", right)
    solver.check(["www.example.org"])
    web.requests.clear()
    settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "timeout": "5s"}
    message = error_text(open_solver(settings, AcmeAccount(THUMBPRINT, is_public=True)), "www.example.org")
    assert (
        "redirects to http://127.0.0.22, and no host of ours answers there (it is a loopback address, which" in message
    )
    assert {requested[1] for requested in web.requests} == {"127.0.0.21"}


@pytest.mark.parametrize(
    ("name", "domain"), [("web1", "web1"), ("web1.corp", "corp"), ("db.shop.internal", "internal")]
)
def test_a_redirect_to_a_name_that_the_internet_does_not_know_is_refused_for_a_public_ca(
    here, web, solver, name, domain
):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    here.zone(domain, (name, "A", "127.0.0.22"))
    web.host("127.0.0.21", redirect(f"http://{name}"))
    web.host("127.0.0.22", right)
    solver.check(["www.example.org"])
    settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "timeout": "5s"}
    message = error_text(open_solver(settings, AcmeAccount(THUMBPRINT, is_public=True)), "www.example.org")
    assert (
        f"redirects to http://{name}, and no host of ours answers there (no name in {domain} is in the DNS of the internet, so the CA "
        "cannot find it); let the redirect leave out /.well-known/acme-challenge/" in message
    )


def obstacles(solver, *domains):
    return [(one.severity, one.code) for one in solver.find_obstacles(list(domains), time.monotonic() + 10)]


def test_a_host_that_answers_is_no_obstacle(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", right)
    assert obstacles(solver, "www.example.org") == [("fine", "http")]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (wrong(404, Server="Apache"), "http.answer"),
        (redirect("http://elsewhere.example.net:8080"), "http.redirect_port"),
        (redirect("http://www.example.org"), "http.circle"),
        (
            lambda _name, path: (301, {"Location": "http://www.example.org" + path.lstrip("/")}, b""),
            "http.redirect_slash",
        ),
        (wrong(303, Location="http://www.example.org/"), "http.status_303"),
        (lambda _name, path: (301, {"Location": "http://www.example.org/other"}, b""), "http.redirect"),
    ],
)
def test_each_step_that_fails_has_its_code(here, web, solver, answer, code):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", answer)
    assert obstacles(solver, "www.example.org") == [("blocks", code)]


def test_the_evidence_has_the_hops(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"), ("other.example.org", "A", "127.0.0.22"))
    web.host("127.0.0.21", redirect("http://other.example.org"))
    web.host("127.0.0.22", wrong(404))
    [finding] = solver.find_obstacles(["www.example.org"], time.monotonic() + 10)
    [hops] = finding.evidence
    assert finding.code == "http.redirect" and hops.startswith(
        "127.0.0.21 → http://www.example.org: 301 Moved Permanently"
    )
    assert " → http://other.example.org: 404 Not Found" in hops


def test_a_closed_port_and_a_missing_name_have_codes(here, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    found = obstacles(solver, "www.example.org", "no.example.org")
    assert found == [("blocks", "http.unreachable"), ("blocks", "http.address")]


def test_a_host_that_is_silent_takes_no_longer_than_the_deadline(here, solver, monkeypatch):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.23"))
    with socket.create_server(("127.0.0.23", 0)) as silent:
        monkeypatch.setitem(http_request.PORTS, "http", silent.getsockname()[1])
        start = time.monotonic()
        [finding] = solver.find_obstacles(["www.example.org"], start + 0.5)
    assert finding.code == "http.unreachable" and "no answer in time" in finding.sentence
    assert finding.severity == "unknown"  # the CA waits longer than what was left
    assert time.monotonic() - start < 3


def test_resolvers_that_do_not_answer_leave_the_way_unknown(here, web, solver):
    here.resolver.silent = True
    [finding] = solver.find_obstacles(["www.example.org"], time.monotonic() + 10)
    assert (finding.severity, finding.code) == ("unknown", "http.address")


def test_resolvers_that_are_slow_take_no_longer_than_the_deadline(here, web, solver, monkeypatch):
    monkeypatch.setattr(solver.checker.dns, "addresses", lambda _name: time.sleep(2))
    start = time.monotonic()
    [finding] = solver.find_obstacles(["www.example.org"], start + 0.2)
    assert time.monotonic() - start < 1.5
    assert (finding.severity, finding.code) == ("unknown", "http.address")
    assert finding.sentence == "the resolvers do not say the addresses of www.example.org in time; see that they run"


def test_without_an_account_key_no_host_can_answer_and_that_is_said(here, web):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"), ("off.example.org", "A", "127.0.0.22"))
    web.host("127.0.0.21", wrong(404))
    settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "timeout": "5s"}
    solver = open_solver(settings, AcmeAccount(""))
    assert obstacles(solver, "www.example.org") == [("unknown", "http.key")]
    assert obstacles(solver, "off.example.org") == [("blocks", "http.unreachable"), ("unknown", "http.key")]


def test_a_solver_without_checks_says_so(here, web):
    settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "check": False}
    solver = open_solver(settings, AcmeAccount(THUMBPRINT))
    assert obstacles(solver, "www.example.org") == [("note", "http.off")]
    assert not web.requests
