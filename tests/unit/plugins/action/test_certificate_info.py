# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host shows is described on the controller; what keeps it from showing anything is passed on."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.certificate_info import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_pem
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, some_key

KEY = some_key()
ROOT = Authority("Shown Root CA")
CHAIN = ROOT.chain(["www.example.org"], KEY, days=(0, 90))
SHOWN = {
    "name": "www",
    "path": "/etc/evergreen/www",
    "version": "v0001",
    "versions": ["v0001"],
    "waiting_since": None,
    "issuer": "local",
    "chain": to_pem(CHAIN).decode(),
    "public_key": public_pem(KEY.public_key()).decode(),
}


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


def run(module_result):
    task = Task()
    task.action, task.args = "evergreen.tls.certificate_info", {}
    action = ActionModule(task, None, None, None, None, None)
    action._execute_module = lambda *_arguments, **_more: module_result
    return action.run(task_vars={})


def run_action(now=NOW + DAY, **changes):
    shown = {"changed": False, "now": now.isoformat(), "certificates": [{**SHOWN, **changes}]}
    return run({**shown, "ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3"}})


def test_a_certificate_is_described_by_the_clock_of_its_host():
    result = run_action()
    assert result["ansible_facts"] == {"discovered_interpreter_python": "/usr/bin/python3"}
    (one,) = result["certificates"]
    assert (one["certificate"], one["days_left"], one["problem"]) == (describe_chain(CHAIN), 89, None)
    assert "BEGIN" not in str(result)
    assert "expired on" in run_action(now=NOW + 91 * DAY)["certificates"][0]["problem"]


def test_a_key_of_another_certificate_is_a_problem():
    other = public_pem(some_key(7).public_key()).decode()
    assert run_action(public_key=other)["certificates"][0]["problem"].startswith(
        "the certificate belongs to another private key"
    )


def test_what_the_host_cannot_do_is_passed_on():
    missing = {"failed": True, "missing": "python3-cryptography", "msg": "it is missing"}
    assert run(dict(missing)) == missing


@pytest.mark.parametrize(
    ("before", "same_ca"),
    [
        (None, None),
        (to_pem(ROOT.chain(["old.example.org"], some_key())).decode(), True),
        (to_pem(Authority("Shown Root CA").chain(["www.example.org"], KEY)).decode(), False),  # of the same name
        ("garbage", False),
    ],
)
def test_whether_the_version_before_is_of_the_same_ca_is_told(before, same_ca):
    (one,) = run_action(chain_before=before)["certificates"]
    assert one["same_ca"] is same_ca
