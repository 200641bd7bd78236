# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts get sites that have been checked and completed, and nothing where something is wrong with one."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.nginx_sites import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


def run(task_vars=None, **arguments):
    """Return the result of a task, and what the host got."""
    task, passed = Task(), []
    task.action, task.args = "evergreen.tls.nginx_sites", arguments
    action = ActionModule(task, None, None, None, None, None)

    def execute(module, module_args, task_vars):
        passed.append(module_args)
        return {"changed": True}

    action._execute_module = execute
    return action.run(task_vars=task_vars or {}), passed


def test_a_host_gets_complete_sites_and_the_other_arguments_as_they_are():
    site = {"name": "www.example.org", "server_names": ["WWW.Example.org", "bücher.example"], "return_code": "404"}
    result, (passed,) = run(sites=[site], store="~/tls", profile="modern")
    assert result == {"changed": True}
    (complete,) = passed["sites"]
    assert complete["server_names"] == ["www.example.org", "xn--bcher-kva.example"]
    assert (complete["certificate"], complete["profile"], complete["return_code"]) == ("www.example.org", "modern", 404)
    assert {name: passed[name] for name in passed if name != "sites"} == {"store": "~/tls", "profile": "modern"}


def test_no_sites_are_no_sites():
    assert run(state="absent", sites=[{"name": "www", "root": "/srv"}])[1] == [{"state": "absent", "sites": []}]
    assert run()[1] == [{"sites": []}]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"sites": [{"name": "a", "root": "srv"}]},
            "the site a cannot be configured: root is 'srv'; write an absolute path",
        ),
        ({"sites": [{"name": "a", "rot": "/srv"}]}, "evergreen.tls.nginx_sites: there is no sites.rot"),
        (
            {"profile": "old"},
            "evergreen.tls.nginx_sites: value of profile must be one of: modern, intermediate, got: old",
        ),
        (
            {"sites": [{"name": "a", "root": "/srv"}], "session_cache": "on"},
            "the session_cache 'on' is none for nginx",
        ),
    ],
)
def test_what_makes_no_sense_reaches_no_host(arguments, sentence):
    result, passed = run(**arguments)
    assert result["failed"] and result["msg"].startswith(sentence)
    assert passed == []


def test_hosts_learn_thumbprints_and_nothing_else_of_issuers(tmp_path):
    issuers = {
        "le": {"type": "acme", "folder": str(tmp_path), "eab_kid": "kid", "eab_hmac": "c2VjcmV0"},
        "local": {"type": "local_ca", "passphrase": "secret"},
    }
    requests = [{"name": "a", "issuer": "le"}, {"name": "b", "issuer": "local"}]
    sites = [{"name": name, "return_code": 404} for name in "abc"] + [
        {"name": "d", "certificate": "a", "return_code": 404}
    ]
    _result, (passed,) = run(sites=sites, requests=requests, issuers=issuers)
    assert set(passed) == {"sites", "ports"}
    thumbprints = [site["acme_thumbprint"] for site in passed["sites"]]
    assert thumbprints[1:3] == [None, None]
    assert thumbprints[0] == thumbprints[3] and len(thumbprints[0]) == 43


def test_hosts_learn_which_keys_are_to_be_encrypted_and_not_with_what():
    requests = [
        {"name": "a", "key_passphrase": "correct horse"},
        {"name": "b", "encrypt_key": True},
        {"name": "c", "encrypt_key": False, "key_passphrase": "correct horse"},
    ]
    sites = [{"name": name, "return_code": 404} for name in "abcd"] + [
        {"name": "e", "certificate": "a", "return_code": 404},
        {"name": "f", "encrypted": True, "return_code": 404},
    ]
    _result, (passed,) = run(sites=sites, requests=requests)
    assert [site["name"] for site in passed["sites"] if site["encrypted"]] == ["a", "b", "e", "f"]
    assert "correct horse" not in repr(passed)


def test_a_site_may_answer_for_an_account_of_somebody_else():
    thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    _result, (passed,) = run(sites=[{"name": "a", "return_code": 404, "acme_thumbprint": thumbprint}])
    assert passed["sites"][0]["acme_thumbprint"] == thumbprint


@pytest.mark.parametrize(
    "text", ['x"; } location / { return 200 "', "$request_uri" + "x" * 31, "x" * 42, "x" * 44, "x" * 42 + "\n"]
)
def test_nothing_but_a_thumbprint_gets_into_a_configuration(text):
    result, passed = run(sites=[{"name": "a", "return_code": 404, "acme_thumbprint": text}])
    assert result["msg"].startswith("the site a cannot be configured: acme_thumbprint is ")
    assert result["msg"].endswith("write that of the account, or leave it out")
    assert passed == []


def test_an_issuer_that_makes_no_sense_is_told():
    issuers = {"le": {"type": "acme", "folder": "/tmp", "solver": "http", "at_once": "many"}}
    result, passed = run(
        sites=[{"name": "a", "return_code": 404}], requests=[{"name": "a", "issuer": "le"}], issuers=issuers
    )
    assert result["failed"] and result["msg"].startswith("issuer le: ") and passed == []


def test_an_issuer_that_cannot_be_used_is_a_warning_and_the_other_sites_are_configured(tmp_path):
    issuers = {
        "le": {"type": "acme", "folder": str(tmp_path)},
        "broken": {"type": "acme", "account_key": "/nowhere/key.pem"},
    }
    requests = [{"name": "a", "issuer": "le"}, {"name": "b", "issuer": "broken"}]
    sites = [{"name": name, "return_code": 404} for name in "ab"]
    result, (passed,) = run(sites=sites, requests=requests, issuers=issuers)
    assert not result.get("failed") and len(result["warnings"]) == 1
    assert result["warnings"][0].startswith("nginx answers no challenges of broken, which cannot be used: ")
    assert [bool(site["acme_thumbprint"]) for site in passed["sites"]] == [True, False]


def test_a_host_accepts_the_sites_that_it_gets():
    sites = [{"name": "a", "return_code": 204}, {"name": "b", "return_code": 204, "tls_versions": ["TLSv1.3"]}]
    (passed,) = run(sites=sites)[1]
    assert ArgumentSpecValidator(OPTIONS).validate(passed).error_messages == []


def run_without_nginx(monkeypatch, package_result, **arguments):
    """Return the result of a task on a host without nginx, and the calls to the host: modules, and actions of others with their arguments."""
    calls = []

    def execute(module, module_args, task_vars):
        calls.append(module)
        is_missing = "ansible.builtin.package" not in str(calls)
        missing = {"failed": True, "msg": "nginx is not installed on this host", "missing": "nginx"}
        return missing if is_missing else {"changed": False, "msg": "wrote it"}

    async def run_action(_self, name, action_arguments, task_vars, is_last=False):
        calls.append((name, action_arguments))
        return package_result

    monkeypatch.setattr(ActionModule, "run_action", run_action)
    task = Task()
    task.action = "evergreen.tls.nginx_sites"
    task.args = {"sites": [{"name": "a", "return_code": 404}], **arguments}
    action = ActionModule(task, None, None, None, None, None)
    action._execute_module = execute
    return action.run(task_vars={}), calls


def test_nginx_is_installed_where_the_inventory_wants_it(monkeypatch):
    result, calls = run_without_nginx(monkeypatch, {"changed": True}, install=True)
    assert result == {"changed": True, "msg": "installed nginx, wrote it"}
    package = ("ansible.builtin.package", {"name": "nginx", "state": "present", "update_cache": True})
    assert calls == ["evergreen.tls.nginx_sites", package, "evergreen.tls.nginx_sites"]


def test_nginx_is_not_installed_by_default(monkeypatch):
    result, calls = run_without_nginx(monkeypatch, {"changed": True})
    assert result["failed"] and result["msg"] == "nginx is not installed on this host"
    assert calls == ["evergreen.tls.nginx_sites"]


def test_why_nginx_cannot_be_installed_is_told_in_the_words_of_the_package_manager(monkeypatch):
    failed = {"failed": True, "msg": "E: Unable to locate\x1b package nginx"}
    result, _calls = run_without_nginx(monkeypatch, failed, install=True)
    assert result["msg"] == (
        "nginx cannot be installed on this host: E: Unable to locate? package nginx; install it, and run this again"
    )


def test_a_host_gets_the_ports_at_which_nginx_has_to_present_the_certificates():
    requests = [
        {"name": "www"},
        {"name": "a", "port": "8443", "served_by": "nginx"},
        {"name": "b", "served_by": "cloud"},
        {"name": "c", "port": "many"},
        {"port": 1},
    ]
    _result, (passed,) = run(requests=requests, sites=[{"name": "www", "root": "/srv"}])
    assert passed["ports"] == {"www": 443, "a": 8443}
    at_load_balancer = {"inventory_hostname": "web1", "certificate_endpoint": "lb.example.org"}
    _result, (passed,) = run(at_load_balancer, requests=requests, sites=[{"name": "www", "root": "/srv"}])
    assert "ports" not in passed
