# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory no longer has is removed once nginx goes on without it and no client gets it; the host is played by its results."""

from __future__ import annotations

import pytest
from ansible.playbook.block import Block
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_obtain
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.deployed_names import DeployedNames
from ansible_collections.evergreen.tls.tests.unit.plugins.action.test_certificate_obtain_parts import (
    FIREWALL,
    NGINX,
    REFUSED,
    Run,
)

OLD = {
    "name": "old",
    "state": "due",
    "sentence": "/etc/evergreen/old is removed with its key once no client gets it any more",
    "domains": ["old.example.org"],
    "fingerprints": ["ab" * 32],
    "port": 443,
    "remove_after": "2026-12-07T10:00:00+00:00",
}
LISTED = {"changed": False, "msg": OLD["sentence"], "unused": [OLD]}
REMOVED = {
    "changed": True,
    "msg": "/etc/evergreen/old is removed with its key",
    "unused": [{**OLD, "state": "removed", "sentence": "/etc/evergreen/old is removed with its key"}],
    "diff": {"before": "old: no longer requested\n", "after": ""},
}


class RemovalRun(Run):
    """A run for a host that lists certificates and removes them."""

    def __init__(self, monkeypatch, folder):
        super().__init__(monkeypatch)
        self.results |= {"certificate_request": {"changed": False, "due": False}, "listing": LISTED, "removal": REMOVED}
        self.calls = []
        self.answers = {}
        self.records = DeployedNames(str(folder / "deployed"))
        monkeypatch.setattr(certificate_obtain, "FOLDER", str(folder / "deployed"))
        monkeypatch.setattr(certificate_obtain, "first_answer", self._first_answer)

    def remove(self, *names, inventory=..., check_mode=False, run_tags=("all",), grace="7d", **arguments):
        task = Task(block=Block())
        task.tags = ["always"]
        task.action, task.check_mode = "evergreen.tls.certificate_obtain", check_mode
        requests = [{"name": name, "domains": [f"{name}.example.org"], "issuer": "le"} for name in names]
        removal = {"removal": {"grace": grace}}
        task.args = {"requests": requests, "issuers": {"le": {"type": "local_ca"}}, **removal, **arguments}
        action = certificate_obtain.ActionModule(task, None, None, None, None, None)
        action.run_action, action.run_module = self._step, self._module
        tags = {"ansible_run_tags": list(run_tags), "ansible_skip_tags": []}
        defined = {} if inventory is None else {"certificate_requests": requests if inventory is ... else inventory}
        return action.run(task_vars={"inventory_hostname": "web1", **tags, **defined})

    async def _module(self, module, arguments, _task_vars, is_last=False):
        assert module == "certificate_remove"
        self.calls.append(arguments)
        self.steps.append("removal" if "remove" in arguments else "listing at last" if is_last else "listing")
        result = self.results["removal" if "remove" in arguments else "listing"]
        return {**result, "unused": [dict(one) for one in result.get("unused", [])]}

    def _first_answer(self, certificate, addresses_at):
        self.steps.append("handshakes")
        assert addresses_at(443) == [("web1", 443)]
        return self.answers.get(certificate["name"])


@pytest.fixture
def run(monkeypatch, tmp_path):
    return RemovalRun(monkeypatch, tmp_path)


def test_the_site_goes_first_then_clients_are_seen_to_get_it_no_longer_and_then_it_is_removed(run):
    result = run.remove("www", nginx=NGINX)
    assert run.steps[-4:] == ["nginx_sites at last", "listing at last", "handshakes", "removal"]
    assert run.calls[0] == {
        "directory": "/etc/evergreen",
        "host": "web1",
        "grace": 604800,
        "kept": [],
        "requests": [{"name": "www", "domains": ["www.example.org"], "links": {}, "owner": None, "port": 443}],
    }
    assert run.calls[1] == {**run.calls[0], "remove": ["old"]}
    assert (result["changed"], result["failed"]) == (True, False)
    assert result["msg"].endswith("/etc/evergreen/old is removed with its key")
    assert result["diff"][-1] == REMOVED["diff"]
    assert result["unused"][0]["state"] == "removed"
    assert "warnings" not in result


def test_a_host_without_requests_is_visited_and_its_last_certificate_removed(run):
    result = run.remove(nginx={"sites": []})
    assert run.steps == ["nginx_sites at last", "listing at last", "handshakes", "removal"]
    assert result["changed"] is True


def test_what_a_client_still_gets_stays_with_a_warning(run):
    run.answers["old"] = ("192.0.2.1", 443, "old.example.org")
    result = run.remove("www", nginx=NGINX)
    assert "removal" not in run.steps
    assert result["unused"][0]["state"] == "kept"
    assert result["warnings"] == [
        (
            "old is not removed: old.example.org at 192.0.2.1 port 443 is still answered with it; take it out of the configuration of what "
            "answers there, and run evergreen.tls.deploy again"
        )
    ]


def test_where_the_controller_cannot_see_the_host_the_host_itself_looks(run):
    run.remove("www", removal={"grace": "0", "verify_from": "host"})
    assert run.steps[-2:] == ["listing at last", "removal"]
    assert run.calls[0]["grace"] == 0


def test_a_certificate_in_its_grace_time_is_a_warning_and_no_client_is_played(run):
    waiting = {**OLD, "state": "waiting", "sentence": "the first deploy after 2026-12-07 removes it"}
    run.results["listing"] = {"changed": True, "msg": waiting["sentence"], "unused": [waiting]}
    result = run.remove("www")
    assert run.steps[-1] == "listing at last"
    assert result["warnings"] == [waiting["sentence"]]
    assert result["changed"] is True
    assert [one.remove_after for one in run.records.unused("web1", ["www"])] == [OLD["remove_after"]]


def test_check_mode_lists_and_removes_nothing(run):
    run.results["listing"] = {**LISTED, "changed": True, "diff": REMOVED["diff"]}
    result = run.remove("www", nginx=NGINX, check_mode=True)
    assert run.steps[-1] == "listing at last"
    assert (result["changed"], result["diff"][-1]) == (True, REMOVED["diff"])
    assert run.records.unused("web1", []) == []


@pytest.mark.parametrize("part", ["firewall_port", "nginx_sites"])
def test_nothing_is_removed_where_a_step_before_failed(run, part):
    run.results[part] = REFUSED
    result = run.remove("www", firewall=FIREWALL, nginx=NGINX)
    assert "removal" not in run.steps
    assert result["failed"] and result["msg"].startswith(REFUSED["msg"])


def test_a_listing_that_fails_fails_the_host_and_keeps_its_certificates_proved(run):
    run.results["listing"] = {"failed": True, "msg": "/etc/evergreen belongs to somebody else; run chown"}
    result = run.remove("www", nginx=NGINX)
    assert result["failed"] and result["ready"]
    assert result["msg"].endswith(run.results["listing"]["msg"])
    assert "removal" not in run.steps


@pytest.mark.parametrize("inventory", [None, [{"name": "www"}, {"name": "other"}], [], "{{ broken }}", [7]])
def test_nothing_is_removed_where_a_play_has_other_requests_than_the_inventory(run, inventory):
    result = run.remove("www", inventory=inventory)
    assert not run.calls
    assert "unused" not in result


def test_a_request_that_makes_no_sense_is_one_of_the_inventory_all_the_same(run):
    requests = [{"name": "www", "domains": ["www.example.org"], "issuer": "le"}, {"name": "bad", "domains": {}}]
    run.remove(requests=requests, inventory=requests)
    assert run.calls[0]["kept"] == ["bad"]
    assert [one["name"] for one in run.calls[0]["requests"]] == ["www"]


def test_never_removes_and_lists_nothing_and_neither_do_other_tags(run):
    assert "unused" not in run.remove("www", grace="never")
    run.remove("www", nginx=NGINX, honour_tags=True, run_tags=["nginx"])
    assert not run.calls


def test_a_grace_time_that_is_none_is_refused_before_anything_is_done(run):
    result = run.remove("www", grace="soon")
    assert result["failed"] and result["msg"].startswith("certificate_removal_grace: 'soon' is not a length of time")
    assert not run.steps


def test_the_controller_remembers_what_was_deployed_and_forgets_what_was_removed(run):
    run.results["listing"] = {"changed": False, "msg": "", "unused": []}
    run.remove("www", "old")
    assert [one.name for one in run.records.unused("web1", ["www"])] == ["old"]
    run.results["listing"] = LISTED
    run.remove("www")
    assert run.records.unused("web1", ["www"]) == []


def test_a_folder_of_the_controller_that_cannot_be_written_is_a_warning(run, tmp_path):
    (tmp_path / "deployed").write_text("in the way")
    result = run.remove("www")
    assert not result["failed"]
    assert result["warnings"][0].startswith("the survey will not list unused certificates of web1: ")
