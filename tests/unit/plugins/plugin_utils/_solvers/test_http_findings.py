# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way of http-01 as findings: each address of a name, on the loopback network."""

from __future__ import annotations

import socket
import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import http_check, http_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_findings import (
    AddressResult,
    describe_results,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.shared_results import (
    share_results,
    shared_result,
)
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
NAME = "www.example.org"


def right(_name, path):
    return 200, {}, f"{path.rpartition('/')[2]}.{THUMBPRINT}".encode()


def wrong(status, body=b"", **headers):
    return lambda _name, _path: (status, headers, body)


@pytest.fixture
def find(here):
    """Return a function that finds the obstacles of names."""

    def found(*names, seconds=5.0, is_public=False, **settings):
        settings = {"type": "http", "resolvers": [f"{RESOLVER}:{here.port}"], "timeout": "5s", **settings}
        solver = open_solver(settings, AcmeAccount(THUMBPRINT, is_public=is_public))
        return solver.find_obstacles(list(names or [NAME]), time.monotonic() + seconds)

    return found


def test_a_name_whose_hosts_respond_rightly_is_fine(here, web, find):
    here.zone("example.org", (NAME, "A", "127.0.0.21", "127.0.0.22"))
    for address in ("127.0.0.21", "127.0.0.22"):
        web.host(address, right)
    [finding] = find()
    assert (finding.severity, finding.code) == ("fine", "http")
    assert finding.sentence.startswith(f"http-01 requests for {NAME} get the expected response at 127.0.0.2")
    assert len(finding.evidence) == 2 and "http://www.example.org: 200 OK" in finding.evidence[0]


def test_each_address_that_responds_wrongly_is_a_finding_and_the_others_are_named(here, web, find):
    here.zone("example.org", (NAME, "A", "127.0.0.21", "127.0.0.22", "127.0.0.23"))
    web.host("127.0.0.21", wrong(404))
    web.host("127.0.0.22", right)
    first, second = sorted(find(), key=lambda finding: finding.code)
    assert (first.severity, second.severity) == ("blocks", "blocks")
    assert first.code == "http.answer" and f"{NAME} at 127.0.0.21 does not answer challenges (404" in first.sentence
    assert first.sentence.endswith("; the response of 127.0.0.22 is right")
    assert second.code == "http.unreachable" and "127.0.0.23 cannot be reached (Connection refused)" in second.sentence


def test_the_evidence_has_each_hop(here, web, find):
    here.zone("example.org", (NAME, "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, path: (301, {"Location": f"https://{NAME}{path}"}, b""))
    web.host("127.0.0.21", wrong(200, b"<html>\x1b[31mIt works!\x07"), "https")
    [finding] = find()
    assert f"after redirects to https://{NAME}" in finding.sentence
    [hops] = finding.evidence
    assert hops.startswith(f"127.0.0.21 → http://{NAME}: 301 Moved Permanently") and f"→ https://{NAME}: 200 OK" in hops
    assert "It works!" in hops and hops.isprintable() and finding.sentence.isprintable()


def test_a_run_asks_each_address_of_a_name_once(here, web, find):
    other, requests = "other.example.org", []
    here.zone("example.org", (NAME, "A", "127.0.0.21"), (other, "A", "127.0.0.21"))

    def counted(name, path):
        requests.append(name)
        return right(name, path)

    web.host("127.0.0.21", counted)
    with share_results():
        tasks = [lambda: find(NAME), lambda: find(other), lambda: find(NAME, other)]
        alone, of_other, whole = map_in_threads(lambda task: task(), tasks)
    assert sorted(requests) == [other, NAME]
    assert whole == [*alone, *of_other] and {one.severity for one in whole} == {"fine"}
    find()
    assert len(requests) == 3, "another run asks again"


def test_what_another_account_expects_is_another_result():
    with share_results():
        first = shared_result(("www", "account"), lambda: 1)
        assert (first, shared_result(("www", "other"), lambda: 2), shared_result(("www", "account"), lambda: 3)) == (
            1,
            2,
            1,
        )
        for _time in range(2):
            with pytest.raises(ZeroDivisionError):
                shared_result("fails", lambda: 1 / 0)


@pytest.mark.parametrize(
    ("response", "code", "words"),
    [
        (wrong(403, b"<title>Just a moment...</title>"), "answer", "this is the page of a firewall"),
        (wrong(200, b"please solve this CAPTCHA"), "answer", "have it pass /.well-known/acme-challenge/ for every"),
        (wrong(200, b"A" * 43 + b"." + b"x" * 43), "answer", "the key authorization of another challenge"),
        (wrong(200, b"It works!"), "answer", "this is another program than nginx"),
        (lambda _name, path: (200, {}, f"{path[-43:]}.{'x' * 43}".encode()), "key", "another ACME account"),
        (lambda name, path: (200, {}, b" " + right(name, path)[2]), "answer", "blanks or line breaks stand before"),
        (wrong(303, Location="/"), "status_303", "with the status 303"),
        (
            lambda name, path: (301, {"Location": f"http://{name}{path[1:]}"}, b""),
            "redirect_slash",
            "where a slash lacks",
        ),
        (lambda name, path: (301, {"Location": f"http://{name}{path}"}, b""), "circle", "redirects in a circle"),
        (wrong(302, Location="http://169.254.169.254/latest/"), "redirect", "no host of ours answers there"),
    ],
)
def test_each_cause_has_its_code(here, web, find, response, code, words):
    here.zone("example.org", (NAME, "A", "127.0.0.21"))
    web.host("127.0.0.21", response)
    [finding] = find()
    assert (finding.severity, finding.code) == ("blocks", f"http.{code}")
    assert words in finding.sentence and finding.source == "RFC 8555, section 8.3"


def test_a_host_that_refuses_the_user_agent_of_cas_is_a_finding(here, web, find):
    here.zone("example.org", (NAME, "A", "127.0.0.21"))

    def respond(name, path):
        return wrong(403)(name, path) if "Let's Encrypt" in web.user_agents[-1] else right(name, path)

    web.host("127.0.0.21", respond)
    [finding] = find()
    assert finding.code == "http.user_agent" and len(web.requests) == 2


def test_the_metadata_service_of_a_cloud_is_never_asked(here, web, find, monkeypatch):
    here.zone(
        "example.org",
        (NAME, "A", "169.254.169.254"),
        ("b.example.org", "A", "127.0.0.21"),
        ("m.example.org", "A", "100.100.100.200"),
    )
    web.host("127.0.0.21", lambda _name, path: (301, {"Location": f"http://m.example.org{path}"}, b""))
    connect, asked = socket.create_connection, []

    def recorded(address, *arguments, **options):
        asked.append(address[0])
        return connect(address, *arguments, **options)

    monkeypatch.setattr(http_request.socket, "create_connection", recorded)
    direct, redirected = find(NAME, "b.example.org")
    assert (
        "cannot be reached (the metadata service of a cloud, which is never asked); this is a link-local"
        in direct.sentence
    )
    assert "(the metadata service of a cloud, which is never asked)" in redirected.sentence
    assert set(asked) == {"127.0.0.21"}


def test_an_address_without_a_route_is_unknown_beside_one_that_responds(here, web, find, monkeypatch):
    here.zone("example.org", (NAME, "A", "127.0.0.21"), (NAME, "AAAA", "2001:db8::7"))
    web.host("127.0.0.21", right)
    connect = socket.create_connection

    def routed(address, *arguments, **options):
        if ":" in address[0]:
            raise OSError(http_check.errno.ENETUNREACH, "Network is unreachable")
        return connect(address, *arguments, **options)

    monkeypatch.setattr(http_request.socket, "create_connection", routed)
    unrouted, fine = find()
    assert (unrouted.severity, unrouted.code, fine.severity) == ("unknown", "http.unrouted", "fine")
    assert (
        "no route to www.example.org at 2001:db8::7, so that is not checked, and CAs ask IPv6 addresses first"
        in unrouted.sentence
    )


def test_an_ipv6_address_that_is_wrong_comes_first_with_its_remedy():
    results = [
        AddressResult("192.0.2.1"),
        AddressResult("192.0.2.2", "b", "response"),
        AddressResult("2001:db8::7", "a", "response"),
    ]
    first, second = describe_results(NAME, results)
    assert first.sentence == (
        "a; the response of 192.0.2.1 is right, but CAs ask IPv6 addresses first: correct the AAAA record, or remove it"
    )
    assert second.sentence == "b; the response of 192.0.2.1 is right"


def test_many_wrong_addresses_are_not_all_findings():
    findings = describe_results(NAME, [AddressResult(f"192.0.2.{one}", f"{one}", "response") for one in range(20)])
    assert len(findings) == 6 and findings[-1].sentence.startswith(
        "15 more addresses of www.example.org respond wrongly"
    )


def test_a_name_without_an_address_is_refused_as_before_an_order(here, find):
    here.zone("example.org")
    [finding] = find("no.example.org")
    assert (finding.severity, finding.code) == ("blocks", "http.address")


def test_the_deadline_holds_for_a_host_that_trickles(here, start, find, monkeypatch):
    def trickle(_server, connection):
        for _byte in range(200):
            connection.sendall(b"H")
            time.sleep(0.02)

    server = start(trickle)
    monkeypatch.setattr(http_request, "PORTS", {"http": server.port, "https": server.port})
    here.zone("example.org", (NAME, "A", "127.0.0.1"))
    started = time.monotonic()
    [finding] = find(seconds=0.3)
    assert (finding.severity, finding.code) == (
        "unknown",
        "http.unreachable",
    ) and "(no answer in time)" in finding.sentence
    assert time.monotonic() - started < 3


def test_a_response_of_64_kilobytes_is_read_in_part(here, web, find):
    here.zone("example.org", (NAME, "A", "127.0.0.21"))
    web.host("127.0.0.21", wrong(200, b"\x1b]0;x\x07" * 10000))
    [finding] = find()
    assert finding.sentence.isprintable() and len(finding.sentence) < 800 and len(finding.evidence[0]) <= 301


def test_a_solver_that_does_not_check_has_seen_nothing(find):
    [finding] = find(check=False)
    assert (finding.severity, finding.code) == ("note", "http.off")


def test_webroot_needs_no_file_before_an_order(here, web, find):
    here.zone("example.org", (NAME, "A", "127.0.0.21"))
    web.host("127.0.0.21", wrong(404))
    [finding] = find(type="webroot")
    assert finding.severity == "fine"
