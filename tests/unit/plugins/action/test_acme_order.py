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
    """Runs of an action on a host that answers what it is told to, with a CA that wants files."""

    def __init__(self, monkeypatch, folder):
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
        monkeypatch.setattr(Acme, "begin_order", self._begin)
        files = {"type": "acme", "folder": str(folder), "solver": {"type": "webroot"}}
        self.issuers = {"files": files, "http": {**files, "solver": "http"}}
        self.asked = {"changed": True, "due": True, "reason": "there is none", "csr": CSR, "in_use": None}
        self.steps, self.begun = [], []
        self.places = [{"host": "web1", "path": "/srv/www", "files": {"a": "a.x"}}]

    def order(self, *requests, check_mode=False, **arguments):
        arguments = {"requests": list(requests), "issuers": self.issuers, **arguments}
        return self._action(acme_order, "acme_order", arguments, check_mode).run(
            task_vars={"inventory_hostname": "web1"}
        )

    def show(self, answer, **arguments):
        action = self._action(acme_challenge_files, "acme_challenge_files", arguments, False)
        action._execute_module = lambda _name, module_args, task_vars: dict(answer)
        return action.run(task_vars={"inventory_hostname": "web1"})

    def _action(self, module, name, arguments, check_mode):
        task = Task()
        task.action, task.args, task.check_mode = f"evergreen.tls.{name}", arguments, check_mode
        action = module.ActionModule(task, None, None, None, None, None)
        action.run_step = self._run_step
        return action

    async def _run_step(self, called, asked, _task_vars):
        self.steps.append((called, asked))
        return dict(self.asked)

    def _begin(self, request, csr, host):
        self.begun.append((request["name"], csr.decode(), host))
        return self.answer()

    def answer(self):
        return self.places


@pytest.fixture
def run(monkeypatch, tmp_path):
    return Run(monkeypatch, tmp_path)


def request(name="www", issuer="files"):
    return {"name": name, "domains": ["www.example.org"], "issuer": issuer}


def test_only_requests_whose_hosts_show_files_are_ordered(run):
    result = run.order(request(), request("mail", "http"), force=True)
    assert result == {
        "changed": True,
        "places": [{"host": "web1", "path": "/srv/www", "files": {"a": "a.x"}}],
        "msg": "www: web1 has to show 1 files",
    }
    assert [(called, asked["request"]["name"], asked["force"]) for called, asked in run.steps] == [
        ("certificate_request", "www", True)
    ]
    assert run.begun == [("www", CSR, "web1")]


def test_files_of_several_requests_go_to_a_host_together(run):
    run.places = [{"host": host, "path": "/srv/www", "files": {host: host}} for host in ("web1", "web2")]
    result = run.order(request())
    more = run.order(request(), request("mail"))
    assert [place["host"] for place in result["places"]] == ["web1", "web2"]
    assert more["places"] == result["places"]


@pytest.mark.parametrize("answer", [{"due": False}, {"due": True, "ready": "next"}, {"failed": True, "msg": "no disk"}])
def test_nothing_is_ordered_for_what_is_not_due_or_ready_or_not_known(run, answer):
    run.asked = {"changed": False, **answer}
    result = run.order(request())
    assert (result["changed"], result["places"], run.begun) == (False, [], [])


@pytest.mark.parametrize("answer", [{"due": True}, {"due": True, "changed": True, "csr": ""}])
def test_a_host_that_gives_no_signing_request_is_told(run, answer):
    run.asked = answer
    result = run.order(request())
    assert not result.get("failed") and result["places"] == []
    assert result["msg"] == "www: the signing request cannot be read; have it made again on the host with force: true"


def test_what_the_host_says_beside_is_passed_on(run):
    run.asked.update(diff={"before": "", "after": "due: there is none\n"}, warnings=["its key could be read by others"])
    result = run.order(request())
    assert (result["diff"], result["warnings"]) == ([run.asked["diff"]], run.asked["warnings"])
    run.asked = {"changed": True, "due": False, "msg": "server.key adopted as v0001 of www"}
    result = run.order(request())
    assert (result["changed"], result["msg"]) == (True, "www: server.key adopted as v0001 of www")


def test_check_mode_orders_nothing(run):
    result = run.order(request(), check_mode=True)
    assert (result["changed"], result["places"], run.steps) == (False, [], [])


def test_what_fails_is_left_to_whoever_obtains_the_certificate(run, monkeypatch):
    def refuse():
        raise TlsError("the CA refuses; see its status page")

    monkeypatch.setattr(run, "answer", refuse)
    result = run.order(request())
    assert not result.get("failed")
    assert (result["places"], result["msg"]) == ([], "www: the CA refuses; see its status page")


def test_a_host_that_shows_files_says_nothing_else(run):
    answer = {"changed": True, "msg": "1 file is shown", "ansible_facts": {"certificate_requests": ["bank.example"]}}
    assert run.show(answer, files={}) == {"changed": True, "msg": "1 file is shown"}


def test_a_host_that_cannot_show_files_says_why(run):
    result = run.show({"failed": True, "msg": "/srv/www is no folder on this host; create it"}, files={})
    assert result["failed"] and result["msg"] == "/srv/www is no folder on this host; create it"
