# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts get complete requests only, and are left alone with what makes no sense."""

from __future__ import annotations

import types

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import (
    certificate_install,
    certificate_request,
    handshake_verify,
    nginx_reload,
)

ACTIONS = {
    "certificate_request": certificate_request,
    "certificate_install": certificate_install,
    "nginx_reload": nginx_reload,
    "handshake_verify": handshake_verify,
}
REQUEST = {"name": "web", "domains": ["www.example.org"], "issuer": "ours"}


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


class Roots:
    """An issuer of which only the roots are needed."""

    def roots(self):
        return b"roots"


def run(monkeypatch, name, request, check_mode=False, result=None, **arguments):
    """Return the result of an action, and the arguments that the host gets."""
    action_class = ACTIONS[name].ActionModule
    for owner in (certificate_request, handshake_verify):
        monkeypatch.setattr(owner, "open_issuer", lambda *_a: Roots())
    task, passed = Task(), []
    task.action, task.check_mode = f"evergreen.tls.{name}", check_mode
    task.args = {"request": request, **arguments}
    action = action_class(task, None, None, None, None, None)

    def execute(*_name, module_args, task_vars):
        passed.append(module_args)
        return dict(result or {"changed": False})

    action._execute_module = execute
    return action.run(task_vars={"inventory_hostname": "web1"}), passed


@pytest.mark.parametrize("name", ACTIONS)
def test_a_host_gets_a_complete_request(monkeypatch, name):
    domains = ["EXAMPLE.org.", " www.example.org", "bücher.example", "example.org"]
    options = {"verify_from": "host"} if name == "handshake_verify" else {"directory": "/srv/tls"}
    result, (passed,) = run(monkeypatch, name, {**REQUEST, "domains": domains}, **options)
    assert result == {"changed": False}
    assert passed["request"]["domains"] == ["example.org", "www.example.org", "xn--bcher-kva.example"]
    assert (passed["request"]["keep"], passed["request"]["mode"], passed["request"]["type"]) == (3, "0600", "ECC")
    assert options.items() <= passed.items()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"domains": []},
            "certificate request web: the list of domains is empty; name at least one DNS name or IP address",
        ),
        ({"domains": ["a b"]}, "certificate request web: 'a b' is not a DNS name: the part 'a b' has characters other"),
        ({"mode": "0644"}, "certificate request web: mode is 0644, and the private key's file must be readable by its"),
        ({"links": {"a": "cert.pem"}}, "certificate request web: links: 'a' is not an absolute path in its plain form"),
        ({"keep": 0}, "certificate request web: keep is 0, and a way back needs at least one earlier version; write 1"),
        ({"validate": "'"}, 'certificate request web: validate: "\'" is no command: No closing quotation; correct its'),
        (
            {"renew_before": "soon"},
            "certificate request web: renew_before: 'soon' is not a length of time; write a number",
        ),
        ({"type": "DSA"}, "certificate request web: value of type must be one of: RSA, ECC, Ed25519, got: DSA"),
        ({"domain": "a.example"}, "certificate request web: there is no request.domain"),
    ],
)
@pytest.mark.parametrize("name", ACTIONS)
def test_a_request_that_makes_no_sense_fails_with_one_sentence_and_reaches_no_host(
    monkeypatch, name, changes, sentence
):
    result, passed = run(monkeypatch, name, {**REQUEST, **changes})
    assert result["failed"] and result["msg"].startswith(sentence)
    assert passed == []


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("encrypt_key", [None, False])
def test_a_passphrase_is_brought_by_itself_and_only_where_the_key_is_made(monkeypatch, name, encrypt_key):
    request = {**REQUEST, "key_passphrase": "correct horse", "encrypt_key": encrypt_key}
    options = {"verify_from": "host"} if name == "handshake_verify" else {}
    result, (passed,) = run(monkeypatch, name, request, **options)
    assert result == {"changed": False}
    assert passed["request"]["key_passphrase"] is None
    assert passed["request"]["encrypt_key"] is (encrypt_key is None)
    is_brought = name == "certificate_request" and encrypt_key is None
    assert passed.get("passphrase") == ("correct horse" if is_brought else None)
    assert ("correct horse" in repr(passed)) is is_brought


@pytest.mark.parametrize("name", ["certificate_install", "nginx_reload"])
def test_check_mode_says_that_a_package_would_be_installed_first(monkeypatch, name):
    missing = {"failed": True, "missing": "python3-cryptography", "msg": "it is missing"}
    result, _passed = run(monkeypatch, name, REQUEST, check_mode=True, result=missing)
    assert result == {"changed": True, "msg": "the package python3-cryptography would be installed first"}
    assert run(monkeypatch, name, REQUEST, result=missing)[0] == missing


def test_words_of_a_package_manager_are_cut_and_on_one_line(monkeypatch):
    action_class = certificate_request.ActionModule
    words = "E: \x1b[2JUnable\n\nto fetch\u202e " + "x" * 5000

    async def run_action(*_arguments):
        return {"failed": True, "msg": words}

    monkeypatch.setattr(action_class, "run_action", run_action)
    action = action_class(Task(), None, None, None, None, None)
    with pytest.raises(StopIteration) as ended:
        action._install("python3-cryptography", {}).send(None)
    message = ended.value.value["msg"]
    start = "Python's cryptography library is not on this host, and its package python3-cryptography cannot be installed: E: ?[2JUnable to fetch? xxx"
    assert message.startswith(start)
    assert message.endswith("xxx; install it for the Python interpreter of this host")
    assert len(message) < 500 and message.isprintable()


def test_no_package_is_installed_on_the_controller_for_a_certificate_in_a_cloud(monkeypatch):
    missing = {"failed": True, "missing": "python3-cryptography", "msg": "it is missing"}
    request = {**REQUEST, "served_by": "cloud"}
    result, _passed = run(monkeypatch, "certificate_request", request, result=missing)
    assert result["failed"]
    assert result["msg"].endswith('set ansible_python_interpreter: "{{ ansible_playbook_python }}" for this host')


def test_no_key_of_a_cloud_is_made_elsewhere_than_on_the_controller():
    task = Task()
    task.action, task.args = "evergreen.tls.certificate_request", {"request": {**REQUEST, "served_by": "cloud"}}
    connection = types.SimpleNamespace(transport="ssh")
    result = certificate_request.ActionModule(task, connection, None, None, None, None).run(
        task_vars={"inventory_hostname": "web1"}
    )
    assert result["failed"] and result["msg"].endswith("is ssh; set ansible_connection: local for it")
