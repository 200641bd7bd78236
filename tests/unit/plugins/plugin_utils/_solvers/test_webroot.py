# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that answer challenges with files, as they are seen before the CA is told to look. All of them are on the loopback network."""

from __future__ import annotations

import http.server
import platform

import pytest

from ansible_collections.evergreen.tls.plugins.filter.answering_requests import answering_requests
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

SERVER = f"BaseHTTP/{http.server.__version__} Python/{platform.python_version()}"
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
FOLDER = "/.well-known/acme-challenge/"


def response_for(domain, token="tokenA"):
    return ChallengeResponse(domain, "http-01", token, f"{token}.{THUMBPRINT}", "digest")


def serving(*responses, status=200):
    """Return what answers as a host with files does."""
    files = {FOLDER + one.token: one.key_authorization.encode() for one in responses}
    return lambda _name, path: (status, {}, files[path]) if path in files else (404, {}, b"<html>")


@pytest.fixture
def solver(here):
    return opened(resolvers=[f"{RESOLVER}:{here.port}"], timeout="5s", path="/srv/www")


def opened(**settings):
    return open_solver({"type": "webroot", **settings}, AcmeAccount(THUMBPRINT))


def test_files_are_for_the_host_of_the_order_unless_others_are_named():
    responses = [response_for("www.example.org"), response_for("example.org", "tokenB")]
    files = {"tokenA": f"tokenA.{THUMBPRINT}", "tokenB": f"tokenB.{THUMBPRINT}"}
    assert opened().challenge_files(responses, "web1") == [{"host": "web1", "path": "/var/www/html", "files": files}]
    assert opened(hosts=["web2", "web3"], path="/srv/www").challenge_files(responses, "web1") == [
        {"host": "web2", "path": "/srv/www", "files": files},
        {"host": "web3", "path": "/srv/www", "files": files},
    ]
    assert opened(hosts=["web2"]).challenge_files([], "web1") == []
    assert opened(owner="www-data").challenge_files(responses, "web1") == [
        {"host": "web1", "path": "/var/www/html", "files": files, "owner": "www-data"}
    ]


def test_before_an_order_it_is_enough_that_hosts_speak_http(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21", "127.0.0.22"))
    for address in ("127.0.0.21", "127.0.0.22"):
        web.host(address, serving())
    solver.check(["www.example.org"])
    assert {address for _scheme, address, _name, _path in web.requests} == {"127.0.0.21", "127.0.0.22"}


@pytest.mark.parametrize("target", ["/login", "https://www.example.org/"])
def test_before_an_order_it_does_not_matter_where_a_missing_file_leads(here, web, solver, target):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    response = response_for("www.example.org")
    files = serving(response)
    web.host(
        "127.0.0.21",
        lambda name, path: files(name, path) if path.endswith("tokenA") else (302, {"Location": target}, b""),
    )
    solver.check(["www.example.org"])
    solver.present([response])
    with pytest.raises(TlsError, match="redirects|after redirects to http"):
        solver.present([response_for("www.example.org", "tokenB")])


@pytest.mark.parametrize("start", ["/acme", "http://www.example.org/acme", "https://www.example.org/acme"])
def test_another_path_of_the_same_name_is_followed_as_cas_do(here, web, solver, start):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    response = response_for("www.example.org")

    def answer(_name, path):
        if path == "/acme/?file=tokenA":
            return 200, {}, response.key_authorization.encode()
        return 302, {"Location": f"{start}/?file={path.rpartition('/')[2]}"}, b""

    web.host("127.0.0.21", answer)
    if start.startswith("https"):
        web.host("127.0.0.21", answer, scheme="https")
    assert solver.present([response]) is None


def test_another_path_of_another_name_is_not_asked_for(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"), ("db.example.org", "A", "127.0.0.22"))
    web.host("127.0.0.21", lambda _name, _path: (302, {"Location": "http://db.example.org/drop?table=1"}, b""))
    web.host("127.0.0.22", serving())
    with pytest.raises(TlsError, match="redirects to http://db.example.org/drop.*no host of ours answers there"):
        solver.present([response_for("www.example.org")])
    assert {address for _scheme, address, _name, _path in web.requests} == {"127.0.0.21"}


@pytest.mark.parametrize("path", ["/" + "x" * 2001, "/a b\u00e9"])
def test_a_path_that_cas_do_not_ask_for_is_refused(here, web, solver, path):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", lambda _name, _path: (302, {"Location": path}, b""))
    with pytest.raises(
        TlsError, match="redirects to .*; correct the redirect|redirects in a circle; correct"
    ) as caught:
        solver.present([response_for("www.example.org")])
    assert len(str(caught.value)) < 700


def test_before_an_order_each_name_has_to_lead_somewhere(here, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    with pytest.raises(TlsError) as caught:
        solver.check(["www.example.org", "no.example.org"])
    first, second = str(caught.value).split(" · ")
    assert "www.example.org at 127.0.0.21 cannot be reached (Connection refused); this is a loopback" in first
    assert second.startswith("no.example.org has no address in DNS; create")


def test_wildcards_are_refused_before_anything_is_asked(solver):
    with pytest.raises(TlsError, match=r"^\*.example.org: CAs believe wildcards by DNS alone"):
        solver.check(["*.example.org"])


def test_all_hosts_behind_a_name_have_to_show_the_file(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21", "127.0.0.22"))
    response = response_for("www.example.org")
    web.host("127.0.0.21", serving(response))
    web.host("127.0.0.22", serving())
    with pytest.raises(TlsError) as caught:
        solver.present([response])
    assert str(caught.value) == (
        f"www.example.org at 127.0.0.22 does not show the CA what is in /srv/www/.well-known/acme-challenge/ (404 Not Found "
        f"from {SERVER[:40]}, beginning with '<html>'): "
        "see that nginx serves that folder there, without a redirect that leads elsewhere, and that the host is one of hosts of the "
        "solver webroot; then run this again"
    )
    web.host("127.0.0.23", serving(response))
    here.zone("example.net", ("www.example.net", "A", "127.0.0.21", "127.0.0.23"))
    assert solver.present([response_for("www.example.net")]) is None


@pytest.mark.parametrize("status", [403, 500])
def test_the_right_body_with_another_status_is_not_right(here, web, solver, status):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    web.host("127.0.0.21", serving(response_for("www.example.org"), status=status))
    with pytest.raises(TlsError, match=f"does not show the CA what is in /srv/www.*{status}"):
        solver.present([response_for("www.example.org")])


def test_a_file_with_text_before_the_key_authorization_is_refused_with_the_reason(here, web, solver):
    here.zone("example.org", ("www.example.org", "A", "127.0.0.21"))
    response = response_for("www.example.org")
    web.host("127.0.0.21", lambda _name, _path: (200, {}, b"\n" + response.key_authorization.encode()))
    with pytest.raises(TlsError, match="shows the file of the challenge, but blanks or line breaks stand before"):
        solver.present([response])


def test_the_check_can_be_disabled(here):
    solver = opened(check=False)
    assert solver.check(["www.example.org"]) is None
    assert solver.present([response_for("www.example.org")]) is None
    assert solver.clean_up([response_for("www.example.org")]) is None


def test_a_folder_that_begins_nowhere_is_refused():
    with pytest.raises(TlsError, match="^solver webroot: path 'html' does not begin with a slash; write the folder"):
        opened(path="html")


def test_requests_whose_hosts_show_files_are_reported_from_others():
    issuers = {
        "le": {"type": "acme"},
        "files": {"type": "acme", "solver": {"type": "webroot"}},
        "short": {"type": "acme", "solver": "webroot"},
    }
    requests = [{"name": name, "issuer": name} for name in issuers]
    assert answering_requests(requests, issuers) == ["le"]
    assert answering_requests(requests, issuers, "webroot") == ["files", "short"]
