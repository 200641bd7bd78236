# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why nginx does not present a certificate, told by its configuration."""

from __future__ import annotations

import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import nginx_reload
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.nginx_reload import (
    Difference,
    awaits_site,
    explain_differences,
    grouped_by_address,
    names_without_site,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import parse_build
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import BOOKWORM, MAIN

OURS = "ssl_certificate /etc/evergreen/www/current/fullchain.pem;"
FOREIGN = "ssl_certificate /etc/foreign.pem;"
NOTHING = "nothing listens there; start nginx with a site on that port"


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (OURS, "answers to that name; see whether another process has its port"),
        (FOREIGN, "answers to that name, with the certificate /etc/foreign.pem; remove it, or let it refer"),
        (
            f"{OURS} {FOREIGN}",
            "has the certificate /etc/foreign.pem as well, and clients may get that one; take it away there",
        ),
        ("", "answers to that name; see whether another process has its port"),
    ],
)
@pytest.mark.parametrize("is_inherited", [True, False])
def test_the_certificates_of_a_server_block_explain_what_clients_get(monkeypatch, server, sentence, is_inherited):
    names = "listen 443 ssl; server_name ~^www\\.example\\.org$;"
    text = f"{server} server {{ {names} }}" if is_inherited else f"server {{ {names} {server} }}"
    assert sentence in explain(monkeypatch, text)


def test_a_port_that_speaks_the_proxy_protocol_is_named(monkeypatch):
    text = f"server {{ listen 443 ssl proxy_protocol; server_name www.example.org; {OURS} }}"
    assert explain(monkeypatch, text) == (
        f"www.example.org at 127.0.0.1 is reset: port 443 speaks the PROXY protocol, by the server block at {MAIN}:1; write "
        "proxy_protocol: true for its site, or take it away there"
    )
    assert "PROXY" not in explain(monkeypatch, text, proxy_protocol=True)


@pytest.mark.parametrize(
    ("http", "versions", "waits"),
    [
        ("server { listen 80; server_name www.example.org; }", ["v0001"], True),
        ("server { listen 80; server_name www.example.org; }", ["v0001", "v0002"], False),
        (f"server {{ listen 443 ssl; server_name www.example.org; {OURS} }}", ["v0001"], False),
        (f"server {{ listen 443 ssl; server_name other.example.org; {OURS} }}", ["v0001"], True),
    ],
)
def test_the_first_certificate_of_a_request_waits_while_no_site_has_its_name(
    monkeypatch, tmp_path, http, versions, waits
):
    for version in versions:
        (tmp_path / "www" / version).mkdir(parents=True)
    (tmp_path / "www" / "next").mkdir()
    options = {"request": {"name": "www", "port": 443}, "directory": str(tmp_path)}
    difference = Difference("www.example.org", "127.0.0.1", "nothing listens at www.example.org port 443", "nothing")
    assert awaits_site(nginx_with(monkeypatch, http), options, [difference]) is waits


def test_the_differences_of_several_addresses_are_one_sentence_with_one_remedy(monkeypatch):
    nginx = nginx_with(monkeypatch, "server { listen 80; server_name www.example.org; }")
    options = {"request": {"name": "www", "port": 443}}
    differences = [
        Difference("www.example.org", address, f"www.example.org at {address} port 443: {NOTHING}", "nothing")
        for address in ("127.0.0.1", "::1")
    ]
    (sentence,) = explain_differences(nginx, options, differences)
    assert sentence == (
        f"www.example.org at 127.0.0.1 and ::1 port 443: {NOTHING}: no server block of nginx has that name there; if its site has "
        "waited for this first certificate, run evergreen.tls.deploy"
    )
    assert len(sentence) <= 300


def test_differences_of_two_kinds_stay_two_sentences():
    differences = [
        Difference("a.example", "127.0.0.1", "a.example at 127.0.0.1 presents another certificate", "another"),
        Difference("b.example", "127.0.0.1", "no server answers", "nothing"),
        Difference("a.example", "::1", "a.example at ::1 presents another certificate", "another"),
        Difference("b.example", "::1", "no server answers", "nothing"),
    ]
    assert grouped_by_address(differences) == [
        "a.example at 127.0.0.1 and ::1 presents another certificate",
        "no server answers",
    ]
    assert grouped_by_address([]) == []


@pytest.mark.parametrize(
    ("http", "addresses"),
    [
        ("server { listen 443 ssl; server_name www.example.org; } server { listen [::]:443 ssl; }", ["127.0.0.1"]),
        ("server { listen 443 ssl; listen [::]:443 ssl; server_name www.example.org; }", ["127.0.0.1", "::1"]),
        ("server { listen [::1]:443 ssl; server_name www.example.org; } server { listen 443 ssl; }", ["::1"]),
        (
            "server { listen 443 ssl; server_name www.example.org; } server { listen 127.0.0.1:443 ssl; }",
            ["127.0.0.1", "::1"],  # at none, so that nothing is left out
        ),
        ("server { listen 443 ssl; server_name other.example.org; }", ["127.0.0.1", "::1"]),
    ],
)
def test_differences_count_where_a_server_block_with_the_name_listens(monkeypatch, http, addresses):
    sockets = [types.SimpleNamespace(address=address, port=443) for address in ("0.0.0.0", "::")]
    monkeypatch.setattr(nginx_reload, "listening_sockets", lambda: sockets)

    def refused(address, *_arguments, **_options):
        raise TlsError(f"{address} refuses", failure="no handshake")

    monkeypatch.setattr(nginx_reload, "handshake", refused)
    nginx = nginx_with(monkeypatch, http)
    options = {"request": {"name": "www", "port": 443, "domains": ["www.example.org"]}, "addresses": []}
    checked, differences = nginx_reload.find_differences(options, None, lambda: nginx)
    assert checked == ["127.0.0.1", "::1"]
    assert [difference.address for difference in differences] == addresses
    named = {**options, "addresses": ["127.0.0.1", "::1"]}
    assert len(nginx_reload.find_differences(named, None, lambda: nginx)[1]) == 2


def nginx_with(monkeypatch, http):
    """Return an nginx whose configuration has this http block."""
    nginx = NginxProcess.__new__(NginxProcess)
    nginx.build = parse_build(BOOKWORM)
    monkeypatch.setattr(nginx, "config_files", lambda: {MAIN: f"http {{ {http} }}"})
    return nginx


def explain(monkeypatch, http, **options):
    """Return what is said of another certificate, with a configuration that has this http block."""
    nginx = nginx_with(monkeypatch, http)
    difference = Difference("www.example.org", "127.0.0.1", "www.example.org at 127.0.0.1 is reset", "another")
    (sentence,) = explain_differences(nginx, {"request": {"name": "www", "port": 443}, **options}, [difference])
    return sentence


@pytest.mark.parametrize(
    ("served", "later"),
    [
        ("a.example.org", ["b.example.org"]),  # b was added to the request after its site was written
        ("a.example.org b.example.org", []),
        ("*.example.org", []),
        ("c.example.org", []),  # nothing of the certificate would be proved
    ],
)
def test_names_that_were_added_to_a_request_wait_while_others_are_presented(monkeypatch, served, later):
    http = f"server {{ listen 443 ssl; server_name {served}; ssl_certificate /x; }}"
    domains = ["a.example.org", "b.example.org"]
    options = {"request": {"name": "www", "domains": domains, "port": 443}, "await_names": domains}
    differences = [Difference(domain, "127.0.0.1", "another", "another") for domain in domains]
    nginx = nginx_with(monkeypatch, http)
    assert names_without_site(lambda: nginx, options, differences) == later
    assert names_without_site(lambda: nginx, {**options, "await_names": []}, differences) == []
