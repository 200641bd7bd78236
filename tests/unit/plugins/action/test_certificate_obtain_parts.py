# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose ports are opened and whose sites are configured on the way to its certificates; steps are played by their results."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.block import Block
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_obtain

FIREWALL = {"ports": [80, 443]}
NGINX = {"sites": [{"name": "www"}]}
ACME = {"le": {"type": "acme", "directory": "https://acme.example/"}}
REFUSED = {"failed": True, "msg": "it is refused; correct it"}


class Run:
    """A run of certificate_obtain for a host on which each certificate is due, and each step returns what a test says."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
        self.steps = []
        self.results = {
            "firewall_port": {"changed": True, "msg": "ports are open", "diff": {"after": "80"}},
            "rehearsal of nginx_sites": {"changed": False, "msg": "nginx accepts it"},
            "nginx_sites": {"changed": True, "msg": "nginx has loaded it", "loaded": ["www"], "diff": {"after": "www"}},
            "certificate_request": {"changed": True, "due": True, "reason": "it expires", "csr": "CSR"},
            "certificate_issue": {"changed": True, "msg": "le issued it", "chain": "CHAIN"},
            "certificate_install": {"changed": True, "msg": "v0001 is in use", "diff": {"after": "v0001"}},
        }

    def obtain(self, *names, check_mode=False, issuers=None, run_tags=("all",), skip_tags=(), **parts):
        task = Task(block=Block())
        task.tags = ["always"]
        task.action, task.check_mode = "evergreen.tls.certificate_obtain", check_mode
        requests = [{"name": name, "domains": [f"{name}.example.org"], "issuer": "le"} for name in names]
        task.args = {"requests": requests, "issuers": issuers or {"le": {"type": "local_ca"}}, **parts}
        action = certificate_obtain.ActionModule(task, None, None, None, None, None)
        action.run_action = self._step
        tags = {"ansible_run_tags": list(run_tags), "ansible_skip_tags": list(skip_tags)}
        return action.run(task_vars={"inventory_hostname": "web1", **tags})

    async def _step(self, action, arguments, _task_vars, is_last=False):
        name = action.rpartition(".")[2]
        name = f"rehearsal of {name}" if arguments.get("rehearse") else name
        self.steps.append(f"{name} at last" if is_last else name)
        result = self.results[name]
        if isinstance(result, list):
            result = result.pop(0)
        if isinstance(result, Exception):
            raise result
        return dict(result)


@pytest.fixture
def run(monkeypatch):
    return Run(monkeypatch)


def before(steps, first, then):
    """Say whether all of some steps come before all of some others."""
    places = [[number for number, step in enumerate(steps) if step in names] for names in (first, then)]
    return all(places) and max(places[0]) < min(places[1])


PREPARING = ("firewall_port", "rehearsal of nginx_sites", "certificate_request")


def test_ports_are_open_before_a_certificate_is_asked_for_and_nginx_is_configured_for_it_at_last(run):
    result = run.obtain("www", "mail", firewall=FIREWALL, nginx=NGINX)
    assert sorted(run.steps[:4]) == sorted(["certificate_request", *PREPARING])
    assert before(run.steps, PREPARING, ("certificate_issue", "nginx_sites at last"))
    assert run.steps.count("nginx_sites at last") == 1 and "nginx_sites" not in run.steps
    assert (result["changed"], result["failed"], result["ready"]) == (True, False, True)
    assert result["firewall"] == {"changed": True, "msg": "ports are open"}
    assert result["nginx"] == {"changed": True, "msg": "nginx has loaded it", "loaded": ["www"]}
    assert result["msg"].startswith("ports are open · nginx has loaded it · www: le issued it")
    assert [diff["after"] for diff in result["diff"]] == ["80", "www", "v0001", "v0001"]


def test_nginx_is_configured_before_too_where_it_answers_challenges(run):
    first = {
        **run.results["nginx_sites"],
        "warnings": ["www waits for its certificate"],
        "diff": {"after": "challenges"},
    }
    run.results["nginx_sites"] = [first, {**run.results["nginx_sites"], "warnings": ["beware"]}]
    result = run.obtain("www", issuers=ACME, nginx=NGINX)
    assert before(run.steps, ("nginx_sites", "certificate_request"), ("certificate_issue", "nginx_sites at last"))
    assert result["warnings"] == ["beware"]  # what held in between is over
    assert [diff["after"] for diff in result["diff"]] == ["challenges", "www", "v0001"]


def test_nginx_is_configured_before_too_where_it_has_to_find_passphrases(run):
    run.obtain("www", nginx=NGINX)
    assert "nginx_sites" not in run.steps
    run.steps.clear()
    task_arguments = {"requests": [{"name": "www", "domains": ["www.example.org"], "encrypt_key": True}]}
    task = Task()
    task.action, task.args = "evergreen.tls.certificate_obtain", {**task_arguments, "nginx": NGINX}
    action = certificate_obtain.ActionModule(task, None, None, None, None, None)
    action.run_action = run._step
    action.run(task_vars={})
    assert before(run.steps, ("nginx_sites", "certificate_request"), ("certificate_issue",))


def test_nothing_is_bought_for_a_host_whose_nginx_could_not_have_the_sites(run):
    run.results["rehearsal of nginx_sites"] = REFUSED
    result = run.obtain("www", firewall=FIREWALL, nginx=NGINX)
    assert not {"certificate_issue", "certificate_install", "nginx_sites at last"} & set(run.steps)
    assert (result["failed"], result["ready"], result["msg"]) == (True, False, REFUSED["msg"])


@pytest.mark.parametrize("part", ["firewall_port", "nginx_sites"])
def test_for_a_host_that_is_not_ready_nothing_is_asked_of_a_ca(run, part):
    run.results[part] = REFUSED
    result = run.obtain("www", "mail", issuers=ACME, firewall=FIREWALL, nginx=NGINX)
    assert not {"certificate_issue", "certificate_install", "nginx_sites at last"} & set(run.steps)
    assert (result["failed"], result["ready"], result["msg"]) == (True, False, REFUSED["msg"])
    assert [one["failed"] for one in result["certificates"]] == [True, True]
    assert {one["msg"] for one in result["certificates"]} == {REFUSED["msg"]}
    assert result["changed"]  # keys were made


def test_a_host_that_is_lost_while_it_is_made_ready_is_unreachable_and_nothing_is_asked_of_a_ca(run):
    run.results["firewall_port"] = AnsibleConnectionFailure("it is gone")
    with pytest.raises(AnsibleConnectionFailure, match="it is gone"):
        run.obtain("www", firewall=FIREWALL, nginx=NGINX)
    assert not {"certificate_issue", "certificate_install", "nginx_sites at last"} & set(run.steps)


def test_a_certificate_that_cannot_be_had_keeps_nginx_from_nothing(run):
    run.results["certificate_issue"] = REFUSED
    result = run.obtain("www", firewall=FIREWALL, nginx=NGINX)
    assert run.steps[-1] == "nginx_sites at last"
    assert (result["failed"], result["ready"], result["msg"]) == (True, True, f"www: {REFUSED['msg']}")


def test_sites_that_are_refused_at_last_fail_and_the_certificates_are_told_of(run):
    run.results["nginx_sites"] = REFUSED
    result = run.obtain("www", nginx=NGINX)
    assert (result["failed"], result["ready"], result["msg"]) == (True, False, REFUSED["msg"])
    assert result["certificates"][0]["changed"] and not result["certificates"][0]["failed"]


def test_check_mode_asks_nginx_once_for_all(run):
    run.obtain("www", issuers=ACME, nginx=NGINX, check_mode=True)
    assert "nginx_sites" not in run.steps and "nginx_sites at last" in run.steps


def test_where_nothing_is_due_the_host_is_as_it_should_be_all_the_same(run):
    run.results["certificate_request"] = {"changed": False, "due": False, "fingerprint": "ab" * 32}
    for part in ("firewall_port", "nginx_sites"):
        run.results[part] = {"changed": False, "msg": "it is as it should be"}
    result = run.obtain("www", firewall=FIREWALL, nginx=NGINX)
    assert sorted(run.steps) == sorted([*PREPARING, "nginx_sites at last"])
    assert (result["changed"], result["msg"]) == (False, "www: it is not due")
    assert "diff" not in result and "warnings" not in result


def test_a_host_without_requests_is_made_ready_too(run):
    result = run.obtain(firewall=FIREWALL, nginx=NGINX)
    assert run.steps == ["firewall_port", "nginx_sites at last"] and result["certificates"] == []


def test_many_requests_are_walked_in_groups_and_nginx_is_configured_after_the_last_of_them(run):
    names = [f"site{number}" for number in range(120)]
    result = run.obtain(*names, firewall=FIREWALL, nginx=NGINX)
    assert len(result["certificates"]) == 120 and not result["failed"]
    assert run.steps.count("firewall_port") == run.steps.count("nginx_sites at last") == 1
    assert before(run.steps, ("firewall_port",), ("certificate_issue",))
    last = run.steps.index("nginx_sites at last")
    assert run.steps[:last].count("certificate_request") == 120


def test_nothing_is_said_of_a_host_of_which_nothing_else_is_wanted(run):
    result = run.obtain("www", firewall={}, nginx={})
    assert not {"ready", "firewall", "nginx"} & set(result)
    assert run.steps == ["certificate_request", "certificate_issue", "certificate_install"]


ISSUING = ["certificate_request", "certificate_issue", "certificate_install"]


@pytest.mark.parametrize(
    ("tags", "steps"),
    [
        ({"run_tags": ["firewall"]}, ["firewall_port"]),
        ({"run_tags": ["nginx"]}, ["nginx_sites at last"]),
        ({"run_tags": ["certificates"]}, ISSUING),
        ({"run_tags": ["firewall", "nginx"]}, ["firewall_port", "nginx_sites at last"]),
        ({"skip_tags": ["firewall"]}, ["rehearsal of nginx_sites", *ISSUING, "nginx_sites at last"]),
        ({"skip_tags": ["certificates"]}, ["firewall_port", "nginx_sites at last"]),
        ({}, ["firewall_port", "rehearsal of nginx_sites", *ISSUING, "nginx_sites at last"]),
    ],
)
def test_tags_select_what_is_done(run, tags, steps):
    result = run.obtain("www", firewall=FIREWALL, nginx=NGINX, honour_tags=True, **tags)
    assert sorted(run.steps) == sorted(steps)
    assert (result["failed"], bool(result["certificates"])) == (False, "certificate_issue" in steps)


@pytest.mark.parametrize("tags", [{"run_tags": ["verify"]}, {"skip_tags": ["all"]}])
def test_a_task_of_which_tags_select_nothing_is_skipped(run, tags):
    result = run.obtain("www", firewall=FIREWALL, nginx=NGINX, honour_tags=True, **tags)
    assert (result["skipped"], result["changed"], run.steps) == (True, False, [])


def test_tags_that_select_what_a_host_does_not_need_skip_the_task(run):
    assert run.obtain("www", honour_tags=True, run_tags=["firewall"])["skipped"]


def test_what_waits_for_people_is_withdrawn_only_where_certificates_are_selected(run, monkeypatch):
    withdrawn = []
    monkeypatch.setattr(
        certificate_obtain.ActionModule,
        "_withdrawn_requests",
        lambda _action, arguments, _host: withdrawn.append(arguments["issuers"]) or [],
    )
    run.obtain("www", firewall=FIREWALL, honour_tags=True, run_tags=["firewall"])
    run.obtain("www", firewall=FIREWALL, honour_tags=True, run_tags=["certificates"])
    assert withdrawn == [{}, {"le": {"type": "local_ca"}}]


def test_tags_are_for_ansible_alone_where_nobody_says_otherwise(run):
    run.obtain("www", firewall=FIREWALL, run_tags=["nginx"])
    assert "firewall_port" in run.steps and "certificate_issue" in run.steps
