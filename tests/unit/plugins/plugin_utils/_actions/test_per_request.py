# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions that take each request of a host through other actions, in batches, and merge the results."""

from __future__ import annotations

import importlib
import pathlib
import re
import types
import typing as t

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.modules import host_batch
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import batching
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background, Batch
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    PerRequestAction,
    diffs_and_warnings,
)

PLUGINS = pathlib.Path(__file__).parents[5] / "plugins"


def run_requests(work, *names):
    """Return the merged result for requests of these names."""
    action = PerRequestAction(Task(), None, None, None, None)
    return action.run_requests([{"name": name} for name in names], work)


def returning(results):
    """Return what returns one of the results for each request."""

    async def work(request):
        return results[request["name"]]

    return work


def test_the_results_of_the_requests_of_a_host_are_merged():
    results = {"www": {"changed": True, "msg": "renewed", "diff": [{"after": "new"}]}, "mail": {"msg": "not due"}}
    assert run_requests(returning(results), "www", "mail") == {
        "changed": True,
        "failed": False,
        "msg": "www: renewed · mail: not due",
        "certificates": [
            {"name": "www", "changed": True, "failed": False, "msg": "renewed"},
            {"name": "mail", "changed": False, "failed": False, "msg": "not due"},
        ],
        "diff": [{"after": "new"}],
    }


def test_a_request_that_fails_keeps_none_of_the_others_back_and_its_message_stands_alone():
    results = {"www": {"failed": True, "msg": "correct it"}, "mail": {"changed": True, "msg": "renewed"}}
    result = run_requests(returning(results), "www", "mail")
    assert result["failed"] and result["changed"]
    assert result["msg"] == "www: correct it"
    assert [certificate["failed"] for certificate in result["certificates"]] == [True, False]


def test_a_host_that_cannot_be_reached_is_tried_once_for_all_its_requests():
    tried = []

    async def work(request):
        tried.append(request["name"])
        raise AnsibleConnectionFailure(
            "Failed to connect to the host via ssh: ssh: connect to host web1: No route to host.\n"
        )

    result = run_requests(work, "www", "mail")
    sentence = (
        "the host cannot be reached: ssh: connect to host web1: No route to host; "
        "see that it runs, and that ansible_host is right, and run this again"
    )
    assert tried == ["www"]
    assert result["failed"] and not result["changed"]
    assert result["msg"] == f"www: {sentence} · mail: {sentence}"


@pytest.mark.parametrize("at_once", [0, 2])
def test_whatever_one_request_raises_keeps_none_of_the_others_back(at_once):
    async def work(request):
        if request["name"] == "www":
            return {}["nothing"]
        await Background(lambda: None)
        return {"changed": True, "msg": "renewed"}

    action = PerRequestAction(Task(), None, None, None, None)
    result = action.run_requests([{"name": "www"}, {"name": "mail"}], work, at_once)
    assert result["failed"] and result["msg"].startswith(
        "www: it ended in an error that is not foreseen (KeyError: 'nothing'); "
    )
    assert [(one["name"], one["failed"]) for one in result["certificates"]] == [("www", True), ("mail", False)]


def test_an_action_fails_with_a_sentence_whatever_it_raises():
    class Odd(TlsAction):
        ARGUMENTS: t.ClassVar[dict] = {}

        async def decide(self, arguments, task_vars):
            raise ZeroDivisionError("division by zero")

    task = Task()
    task.args = {}
    (result,) = Batch().run([Odd(task, None, None, None, None, None)._decided({})])
    assert result["failed"] and "(ZeroDivisionError: division by zero); " in result["msg"]


def test_diffs_and_warnings_of_all_steps_are_listed():
    steps = [{"diff": {"after": "a"}}, {"changed": True}, {"diff": {"after": "b"}, "warnings": ["beware"]}]
    assert diffs_and_warnings(steps) == {"diff": [{"after": "a"}, {"after": "b"}], "warnings": ["beware"]}


class HostOfRequests(PerRequestAction):
    """An action whose host is played by *run*, which gets the name and the arguments of each module. Its *visits* are these."""

    def __init__(self, run):
        super().__init__(Task(), None, None, None, None, None)
        self.visits, self.play = [], run

    def _execute_module(self, module_name, module_args, task_vars):
        module = module_name.removeprefix("evergreen.tls.")
        self.visits.append((module, module_args))
        return self.play(module, module_args)

    def install(self, *requests, at_once=1):
        async def work(request):
            try:
                result = await self.run_module("certificate_install", {"request": request}, {})
            except TlsError as error:
                return {"failed": True, "msg": str(error)}
            return {"failed": bool(result.get("failed")), "msg": result.get("msg", "")}

        found = self.run_requests(list(requests), work, at_once)["certificates"]
        return {certificate["name"]: certificate for certificate in found}


def installed(arguments):
    return {"changed": False, "msg": f"{arguments['request']['name']} is in use"}


def honest(module, arguments):
    """Return what the modules of an honest host return."""
    if module == "host_batch":
        return {"changed": False, "results": [installed(call["arguments"]) for call in arguments["calls"]]}
    return installed(arguments)


REQUESTS = [{"name": name} for name in ("www", "mail", "shop")]


def test_requests_of_a_batch_go_to_the_host_in_one_visit():
    action = HostOfRequests(honest)
    certificates = action.install(*REQUESTS)
    assert [certificate["msg"] for certificate in certificates.values()] == [
        "www is in use",
        "mail is in use",
        "shop is in use",
    ]
    ((module, arguments),) = action.visits
    assert module == "host_batch" and {call["module"] for call in arguments["calls"]} == {"certificate_install"}
    assert sorted(call["arguments"]["request"]["name"] for call in arguments["calls"]) == ["mail", "shop", "www"]


def test_one_request_needs_no_batch():
    action = HostOfRequests(honest)
    action.install(REQUESTS[0])
    assert action.visits == [("certificate_install", {"request": {"name": "www"}})]


def test_many_requests_go_in_several_batches():
    action = HostOfRequests(honest)
    certificates = action.install(*({"name": f"site{number}"} for number in range(120)))
    assert len(certificates) == 120 and not any(one["failed"] for one in certificates.values())
    assert [len(arguments["calls"]) for _module, arguments in action.visits] == [50, 50, 20]


def test_a_call_with_a_password_is_made_alone_since_hosts_log_the_others():
    action = HostOfRequests(honest)
    action.install({"name": "www", "challenge_password": "secret"}, {"name": "mail", "challenge_password": "word"})
    assert sorted(arguments["request"]["name"] for _module, arguments in action.visits) == ["mail", "www"]
    assert {module for module, _arguments in action.visits} == {"certificate_install"}


def batches_beside(action, *calls):
    """Return the modules of each batch, where *calls* are made beside a request; a call is a module and whether it is the last."""

    async def work(module, is_last):
        result = await action.run_action(module, {}, {}, is_last)
        assert result["msg"] == module

    class Part(TlsAction):
        async def work(self, task_vars):
            self._execute_module = action._execute_module
            return await self.run_module(self._task.action, {}, {})

    def part(_name, task, **_more):
        return Part(task, None, None, None, None, None)

    action._shared_loader_obj = types.SimpleNamespace(action_loader=types.SimpleNamespace(get=part))
    action._play_context = action._loader = action._templar = None

    async def install(request):
        return await action.run_module("certificate_install", {"request": request}, {})

    action.run_requests(REQUESTS[:1], install, 1, [work(module, is_last) for module, is_last in calls])
    return [[call["module"] for call in arguments["calls"]] for _module, arguments in action.visits]


def named(module, arguments):
    """Return results whose messages are the names of the modules."""
    results = [{"changed": False, "msg": call["module"]} for call in arguments["calls"]]
    for call, result in zip(arguments["calls"], results):
        result.update({"host_state": []} if call["module"] == "firewall_commands" else {})
    return {"changed": False, "results": results}


def test_different_modules_go_in_one_batch_each_after_what_it_needs():
    calls = [("nginx_reload", False), ("nginx_sites", False), ("firewall_commands", False)]
    assert batches_beside(HostOfRequests(named), *calls) == [
        ["firewall_commands", "nginx_sites", "certificate_install", "nginx_reload"]
    ]


def test_an_action_loads_its_steps_before_ansible_forks_for_each_host():
    loaded = set()
    for path in PLUGINS.glob("action/*.py"):
        taken = set(re.findall(r'\.(?:run_)?step\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
        module = importlib.import_module(f"ansible_collections.evergreen.tls.plugins.action.{path.stem}")
        assert taken <= set(getattr(module.ActionModule, "STEPS", ()))
        loaded |= taken
    assert loaded  # else there was nothing to look at


def test_the_last_call_is_made_after_all_others():
    calls = [("nginx_sites", True), ("nginx_reload", False), ("nginx_sites", False)]
    assert batches_beside(HostOfRequests(named), *calls) == [
        ["nginx_sites", "certificate_install", "nginx_reload", "nginx_sites"]
    ]


def test_a_module_that_no_batch_can_run_goes_alone():
    def run(module, arguments):
        return named(module, arguments) if module == "host_batch" else {"changed": False, "msg": module}

    action = HostOfRequests(run)

    async def export(_request):
        result = await action.run_module("certificate_export", {"request": {}}, {})
        return {"msg": result["msg"]}

    action.run_requests(REQUESTS[:2], export, at_once=1)
    assert [module for module, _arguments in action.visits] == ["certificate_export"] * 2


@pytest.mark.parametrize(
    "results",
    [
        pytest.param(None, id="none"),
        pytest.param([], id="too few"),
        pytest.param([{"msg": "ha"}] * 7, id="too many"),
        pytest.param("ha", id="no list"),
        pytest.param(["ha", "ha", "ha"], id="no dictionaries"),
    ],
)
def test_a_host_that_does_not_answer_all_calls_fails_all_of_them(results):
    action = HostOfRequests(
        lambda module, arguments: {"results": results} if module == "host_batch" else installed(arguments)
    )
    certificates = action.install(*REQUESTS)
    assert [certificate["failed"] for certificate in certificates.values()] == [True, True, True]
    for certificate in certificates.values():
        assert certificate["msg"].startswith("the host does not answer host_batch as it should: ")
        assert certificate["msg"].endswith("; look at what it is doing")
    assert len(action.visits) == 1


def test_a_batch_that_fails_fails_all_its_calls():
    action = HostOfRequests(lambda module, arguments: {"failed": True, "msg": "this Python is too old"})
    certificates = action.install(*REQUESTS)
    assert [(one["failed"], one["msg"]) for one in certificates.values()] == [(True, "this Python is too old")] * 3
    assert len(action.visits) == 1


def test_a_batch_without_a_result_is_run_call_by_call_and_harms_one_only():
    def run(module, arguments):
        if module == "host_batch" or arguments["request"]["name"] == "mail":
            return {"module_stdout": "", "module_stderr": "Killed", "rc": 137, "failed": True}
        return installed(arguments)

    certificates = HostOfRequests(run).install(*REQUESTS)
    assert [certificate["failed"] for certificate in certificates.values()] == [False, True, False]
    assert "ended without an answer" in certificates["mail"]["msg"]


def test_a_malformed_result_in_a_batch_fails_its_request_only():
    def run(_module, _arguments):
        return {
            "results": [
                {"msg": "www is in use"},
                {"version": {"no": "text"}, "changed": "ha"},
                {"msg": "shop is in use"},
            ]
        }

    action = HostOfRequests(run)

    found = action.install(*REQUESTS).values()
    assert [one["failed"] for one in found].count(True) == 1
    assert "the host does not answer certificate_install as it should" in next(
        one["msg"] for one in found if one["failed"]
    )


def test_a_host_that_is_lost_in_a_batch_is_tried_once_only():
    def run(_module, _arguments):
        raise AnsibleConnectionFailure("Failed to connect to the host via ssh: Connection refused")

    action = HostOfRequests(run)
    certificates = action.install(*REQUESTS)
    assert len(action.visits) == 1
    assert all("the host cannot be reached: Connection refused" in one["msg"] for one in certificates.values())


def test_an_action_that_several_requests_need_is_run_once():
    done = []

    class Other:
        def run(self, task_vars):
            done.append("installed")
            return {"changed": True}

    action = HostOfRequests(honest)
    action._shared_loader_obj = types.SimpleNamespace(
        action_loader=types.SimpleNamespace(get=lambda _name, **_more: Other())
    )
    action._play_context = action._loader = action._templar = None

    async def work(_request):
        result = await action.run_action("ansible.builtin.package", {"name": "python3-cryptography"}, {})
        return {"msg": "", **result}

    result = action.run_requests(REQUESTS, work, 1)
    assert done == ["installed"] and result["changed"] and not result["failed"]


def test_host_batch_can_run_all_modules_that_are_batched():
    assert sorted(batching.BATCH_MODULES) == host_batch.MODULES
