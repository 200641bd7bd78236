# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What acme_order orders and says, and what acme_challenge_files passes on."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import acme_challenge_files, acme_order
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.issuer import Acme
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

CSR = make_csr(some_key(), ["www.example.org"], {}).decode()


class Run:
    """Runs of an action with a step whose result is given, and a CA whose challenges need files."""

    def __init__(self, monkeypatch, folder):
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
        monkeypatch.setattr(Acme, "begin_order", self._begin)
        files = {"type": "acme", "folder": str(folder), "solver": {"type": "webroot"}}
        self.issuers = {"files": files, "http": {**files, "solver": "http"}}
        self.step_result = {"changed": True, "due": True, "reason": "there is none", "csr": CSR, "in_use": None}
        self.steps, self.orders_begun = [], []
        self.challenge_files = [{"host": "web1", "path": "/srv/www", "files": {"a": "a.x"}}]

    def order(self, *requests, check_mode=False, **arguments):
        arguments = {"requests": list(requests), "issuers": self.issuers, **arguments}
        return self._action(acme_order, "acme_order", arguments, check_mode).run(
            task_vars={"inventory_hostname": "web1"}
        )

    def write_files(self, module_result, **arguments):
        action = self._action(acme_challenge_files, "acme_challenge_files", arguments, False)
        action._execute_module = lambda _name, module_args, task_vars: dict(module_result)
        return action.run(task_vars={"inventory_hostname": "web1"})

    def _action(self, module, name, arguments, check_mode):
        task = Task()
        task.action, task.args, task.check_mode = f"evergreen.tls.{name}", arguments, check_mode
        action = module.ActionModule(task, None, None, None, None, None)
        action.run_step = self._run_step
        return action

    async def _run_step(self, name, arguments, _task_vars):
        self.steps.append((name, arguments))
        return dict(self.step_result)

    def _begin(self, request, csr, host):
        self.orders_begun.append((request["name"], csr.decode(), host))
        return self.begin_order()

    def begin_order(self):
        return self.challenge_files


@pytest.fixture
def run(monkeypatch, tmp_path):
    return Run(monkeypatch, tmp_path)


def request(name="www", issuer="files"):
    return {"name": name, "domains": ["www.example.org"], "issuer": issuer}


def test_only_requests_with_the_solver_webroot_are_ordered(run):
    result = run.order(request(), request("mail", "http"), force=True)
    assert result == {
        "changed": True,
        "places": [{"host": "web1", "path": "/srv/www", "files": {"a": "a.x"}}],
        "msg": "www: web1 has to show 1 files",
    }
    assert [(name, step["request"]["name"], step["force"]) for name, step in run.steps] == [
        ("certificate_request", "www", True)
    ]
    assert run.orders_begun == [("www", CSR, "web1")]


def test_nothing_is_ordered_for_a_certificate_that_a_cloud_makes(run):
    hosted = {**request("static"), "served_by": "cloud", "cloud": {"hosted": True}}
    assert run.order(hosted)["places"] == []
    assert run.steps == []


def test_files_of_several_requests_are_merged_by_host(run):
    run.challenge_files = [{"host": host, "path": "/srv/www", "files": {host: host}} for host in ("web1", "web2")]
    result = run.order(request())
    more = run.order(request(), request("mail"))
    assert [place["host"] for place in result["places"]] == ["web1", "web2"]
    assert more["places"] == result["places"]


def test_files_of_several_owners_are_not_merged(run):
    place = {"host": "web1", "path": "/srv/www", "files": {"a": "a.x"}}
    run.challenge_files = [{**place, "owner": "alice"}, place, {**place, "owner": "alice", "files": {"b": "b.x"}}]
    assert run.order(request())["places"] == [{**place, "owner": "alice", "files": {"a": "a.x", "b": "b.x"}}, place]


@pytest.mark.parametrize(
    "step_result", [{"due": False}, {"due": True, "ready": "next"}, {"failed": True, "msg": "no disk"}]
)
def test_nothing_is_ordered_for_a_request_that_is_not_due_or_ready_or_failed(run, step_result):
    run.step_result = {"changed": False, **step_result}
    result = run.order(request())
    assert (result["changed"], result["places"], run.orders_begun) == (False, [], [])


@pytest.mark.parametrize("step_result", [{"due": True}, {"due": True, "changed": True, "csr": ""}])
def test_a_missing_signing_request_is_reported(run, step_result):
    run.step_result = step_result
    result = run.order(request())
    assert not result.get("failed") and result["places"] == []
    assert result["msg"] == "www: the signing request cannot be read; have it made again on the host with force: true"


def test_diffs_and_warnings_of_the_host_are_passed_on(run):
    run.step_result.update(
        diff={"before": "", "after": "due: there is none\n"}, warnings=["its key could be read by others"]
    )
    result = run.order(request())
    assert (result["diff"], result["warnings"]) == ([run.step_result["diff"]], run.step_result["warnings"])
    run.step_result = {"changed": True, "due": False, "msg": "server.key adopted as v0001 of www"}
    result = run.order(request())
    assert (result["changed"], result["msg"]) == (True, "www: server.key adopted as v0001 of www")


def test_check_mode_orders_nothing(run):
    result = run.order(request(), check_mode=True)
    assert (result["changed"], result["places"], run.steps) == (False, [], [])


def test_a_failed_order_is_left_to_certificate_obtain(run, monkeypatch):
    def refuse():
        raise TlsError("the CA refuses; see its status page")

    monkeypatch.setattr(run, "begin_order", refuse)
    result = run.order(request())
    assert not result.get("failed")
    assert (result["places"], result["msg"]) == ([], "www: the CA refuses; see its status page")


def test_facts_of_the_host_are_ignored(run):
    module_result = {
        "changed": True,
        "msg": "1 file is shown",
        "ansible_facts": {"certificate_requests": ["bank.example"]},
    }
    assert run.write_files(module_result, files={}) == {"changed": True, "msg": "1 file is shown"}


def test_a_failure_of_the_host_is_passed_on(run):
    result = run.write_files({"failed": True, "msg": "/srv/www is no folder on this host; create it"}, files={})
    assert result["failed"] and result["msg"] == "/srv/www is no folder on this host; create it"
