# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Handshakes are described in the same way, from wherever they were made."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import handshake_verify
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils._tls.verify import Expected, verify_endpoint
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory import targets
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.quic_server import quic_server

ROOT = Authority("Seen Root CA")
NAMES = ["www.example.org", "example.org"]
ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
CHAIN = ROOT.chain(NAMES, some_key())
ROOTS = ROOT.pem.decode()


class Issuer:
    """An issuer of which only the roots are needed."""

    def roots(self):
        return ROOT.pem


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    monkeypatch.setattr(handshake_verify, "open_issuer", lambda *_arguments: Issuer())


def run(port, module_result=None, check_mode=False, **arguments):
    """Return the result of a task; *module_result* is that of the module on the host."""
    task = Task()
    task.action, task.check_mode = "evergreen.tls.handshake_verify", check_mode
    task.args = {"request": {"name": "www", "domains": NAMES, "port": port}, "timeout": 0, **arguments}
    action = handshake_verify.ActionModule(task, None, None, None, None, None)
    action._execute_module = lambda *_arguments, **_more: module_result
    return action.run(task_vars={"inventory_hostname": "127.0.0.1"})


def test_what_the_controller_sees_is_told_as_people_read_it(start):
    result = run(start().present(CHAIN).port)
    assert [handshake["certificate"] for handshake in result["handshakes"]] == [describe_chain(CHAIN)] * 2
    assert (result["verified_from"], result["msg"]) == (
        "controller",
        "www.example.org, example.org proved from the controller",
    )
    assert "BEGIN CERTIFICATE" not in str(result)


def test_what_the_host_sees_is_told_in_the_same_words(start):
    server = start().present(CHAIN)
    handshake = verify_endpoint("127.0.0.1", server.port, "example.org", ROOTS, Expected(), 0)
    result = run(server.port, {"changed": False, "handshakes": [handshake], "problems": []}, verify_from="host")
    assert result["handshakes"][0]["certificate"] == describe_chain(CHAIN)
    assert "BEGIN CERTIFICATE" not in str(result)


def test_what_was_seen_before_something_failed_is_told_too(start):
    server = start().present(CHAIN)
    server.reject = {"example.org"}
    result = run(server.port)
    assert result["failed"] and len(result["problems"]) == 1
    assert [handshake["certificate"]["fingerprint"] for handshake in result["handshakes"]] == [fingerprint(CHAIN[0])]


def test_what_keeps_the_host_from_looking_is_passed_on():
    missing = {"failed": True, "missing": "python3-cryptography", "msg": "it is missing"}
    assert run(443, missing, verify_from="host") == missing


def test_a_cloud_is_seen_at_every_address_of_its_domains_with_advice_about_the_service(start, monkeypatch):
    server = start().present(CHAIN)
    dns = {"www.example.org": ["127.0.0.1"], "example.org": ["127.0.0.1", "127.0.0.2"], "a.cdn.example": ["127.0.0.3"]}
    monkeypatch.setattr(targets, "ip_addresses", lambda name, _port: dns.get(name, []))
    request = {"name": "www", "domains": NAMES, "port": server.port, "served_by": "cloud", "cloud": {}}
    result = run(0, request=request, times=3, canonical_names={"example.org": "a.cdn.example"})
    assert result["failed"] and len(result["problems"]) == 2
    assert [one["address"] for one in result["handshakes"]] == ["127.0.0.1", "127.0.0.1"]
    assert result["msg"].count("see in the settings of the service that HTTPS is on") == 2
    assert "example.org at 127.0.0.2 port" in result["problems"][0] and "at 127.0.0.3 port" in result["problems"][1]


@pytest.mark.parametrize(("variables", "has_header"), [({}, True), ({"certificate_endpoint": "127.0.0.1"}, False)])
def test_a_load_balancer_gets_no_header_since_it_sends_its_own(monkeypatch, variables, has_header):
    seen = []
    monkeypatch.setattr(
        handshake_verify, "verify_targets", lambda _targets, arguments, *_more: seen.append(arguments) or {"msg": ""}
    )
    task = Task()
    task.action = "evergreen.tls.handshake_verify"
    task.args = {"request": {"name": "www", "domains": NAMES}, "proxy_protocol": True}
    action = handshake_verify.ActionModule(task, None, None, None, None, None)
    action.run(task_vars={"inventory_hostname": "127.0.0.1", **variables})
    assert [arguments["proxy_protocol"] for arguments in seen] == [has_header]


def test_a_site_with_http3_is_proved_over_quic_too(start):
    key = some_key()
    server = start().present(CHAIN, key)
    with quic_server(CHAIN, key, port=server.port):
        result = run(server.port, http3_names=["www.example.org"])
    assert result["msg"] == "www.example.org, example.org proved from the controller, by HTTP/3 too"
    seen = [(one["name"], one["protocol"]) for one in result["handshakes"]]
    assert seen == [("www.example.org", "TLSv1.3"), ("example.org", "TLSv1.3"), ("www.example.org", "HTTP/3")]
    assert result["handshakes"][2]["certificate"] == describe_chain(CHAIN)


def test_an_old_certificate_over_quic_is_a_failure_though_that_by_tcp_is_right(start):
    key = some_key()
    server = start().present(CHAIN, key)
    with quic_server(ROOT.chain(NAMES, key), key, port=server.port):
        result = run(server.port, http3_names=NAMES, fingerprint=fingerprint(CHAIN[0]))
        checked = run(server.port, http3_names=NAMES, check_mode=True)
    assert result["failed"] and result["answered"] and not result["untrusted"] and len(result["problems"]) == 2
    assert result["msg"].startswith(
        f"seen from the controller: www.example.org at 127.0.0.1 port {server.port} by HTTP/3: "
    )
    assert not checked.get("failed") and checked["msg"].startswith("not served yet: www.example.org at ")


def test_http3_that_is_not_proved_is_a_warning_and_no_failure(start):
    server = start().present(CHAIN)
    result = run(server.port, http3_names=NAMES)
    assert not result.get("failed") and result["msg"] == "www.example.org, example.org proved from the controller"
    assert [one.partition(": ")[0] for one in result["warnings"]] == ["HTTP/3 was not proved"]
    handshake = verify_endpoint("127.0.0.1", server.port, "example.org", ROOTS, Expected(), 0)
    seen = {"changed": False, "handshakes": [handshake], "problems": []}
    from_host = run(server.port, seen, verify_from="host", http3_names=NAMES)
    assert [one.partition(",")[0] for one in from_host["warnings"]] == ["HTTP/3 was not proved"]


@pytest.mark.parametrize("old", [None, "127.0.0.2"])
def test_each_address_of_an_endpoint_that_is_a_name_has_to_present_the_certificate(site, monkeypatch, old):
    """The third address does not answer, which is a warning."""
    chain = ROOT.chain(NAMES, some_key())
    for address in ADDRESSES[:2]:
        site.present(address, ROOT.chain(NAMES, some_key(), days=(-80, 10)) if address == old else chain)
    monkeypatch.setattr(targets, "ip_addresses", lambda _name, _port: ADDRESSES)
    monkeypatch.setattr(handshake_verify, "variables_of_task", lambda _variables: {"certificate_endpoint": "localhost"})
    result = run(site.port, fingerprint=fingerprint(chain[0]))
    if old:
        assert result["failed"] and len(result["problems"]) == len(NAMES)
        assert (
            f"{NAMES[0]} at {old} port {site.port}: the certificate presented is not the installed one" in result["msg"]
        )
        return
    assert [one["address"] for one in result["handshakes"]] == [*ADDRESSES[:2], *ADDRESSES[:2]]
    (warning,) = [one for one in result["warnings"] if "as well" in one]
    assert warning == (
        f"localhost leads to 127.0.0.3 as well, where port {site.port} does not answer, so that is not proved; let the server listen there, "
        "or correct the DNS record"
    )


def test_an_endpoint_of_which_no_address_answers_is_named_as_it_is_written(site, monkeypatch):
    monkeypatch.setattr(targets, "ip_addresses", lambda _name, _port: ADDRESSES)
    monkeypatch.setattr(handshake_verify, "variables_of_task", lambda _variables: {"certificate_endpoint": "localhost"})
    result = run(site.port)
    assert result["failed"] and f"at localhost port {site.port}: nothing listens there" in result["msg"]
