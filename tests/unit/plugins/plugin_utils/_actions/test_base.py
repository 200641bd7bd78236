# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action plugins have in common."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import base
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Batch
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    PerRequestAction,
)


def test_secrets_are_no_part_of_a_request_that_reaches_a_host(monkeypatch):
    sent = []

    def execute(_self, _module, module_args, **_more):
        sent.append(module_args)
        return {"changed": False}

    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    action = PerRequestAction(Task(), None, None, None, None)
    request = {"name": "www", "key_passphrase": "secret", "exports": [{"path": "/a.p12", "password": "secret"}]}
    arguments = {"request": request, "directory": "/etc/evergreen"}
    Batch().run([action.run_module("nginx_reload", arguments, {})])
    assert sent == [
        {
            "request": {"name": "www", "key_passphrase": None, "exports": [{"path": "/a.p12", "password": None}]},
            "directory": "/etc/evergreen",
        }
    ]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (
            {"module_stdout": "", "module_stderr": "", "rc": -9},
            (
                "the host was lost: nginx_reload ended without an answer (exit status -9); "
                "see that it runs, and what ends programs there or ssh here, and run this again"
            ),
        ),
        (
            {"module_stdout": "", "module_stderr": "Traceback\n\nMemoryError\n", "rc": 1},
            (
                "the host was lost: nginx_reload ended without an answer (MemoryError); "
                "see that it runs, and what ends programs there or ssh here, and run this again"
            ),
        ),
        (
            {"module_stdout": "no\njson", "module_stderr": "a\nb\x1b\n", "rc": 0},
            "nginx_reload gives no answer on the host, and the last that it prints is b?; see what its Python does, with -vvv",
        ),
        (
            {"module_stdout": "", "module_stderr": "/bin/sh: 1: /usr/bin/python9: not found", "rc": 127},
            (
                "Ansible finds no Python on the host: /bin/sh: 1: /usr/bin/python9: not found; "
                "install it there, or correct ansible_python_interpreter, and run this again"
            ),
        ),
    ],
)
def test_a_module_that_gives_no_answer_fails_with_a_sentence(monkeypatch, result, sentence):
    action = PerRequestAction(Task(), None, None, None, None)
    monkeypatch.setattr(
        action, "_execute_module", lambda *_name, **_how: {"failed": True, "msg": "No start of json", **result}
    )
    assert Batch().run([action.run_module("nginx_reload", {}, {})]) == [{"failed": True, "msg": sentence}]


PYENV = "pyenv: python3.13: command not found\n\nNote: See 'pyenv help global' for tips on allowing both\n      Python versions.\n"


@pytest.mark.parametrize(
    ("transport", "sentence"),
    [
        (
            "local",
            (
                "Ansible finds no Python on the controller: pyenv: python3.13: command not found; set ansible_python_interpreter: "
                '"{{ ansible_playbook_python }}" for this host, and run this again'
            ),
        ),
        (
            "ssh",
            (
                "Ansible finds no Python on the host: pyenv: python3.13: command not found; install it there, or correct "
                "ansible_python_interpreter, and run this again"
            ),
        ),
    ],
)
def test_a_host_that_is_the_controller_is_given_the_python_of_the_playbook(monkeypatch, transport, sentence):
    connection = types.SimpleNamespace(transport=transport)
    action = PerRequestAction(Task(), connection, None, None, None, None)
    result = {"failed": True, "module_stdout": "", "module_stderr": PYENV, "rc": 127}
    monkeypatch.setattr(action, "_execute_module", lambda *_name, **_how: dict(result))
    assert Batch().run([action.run_module("nginx_reload", {}, {})]) == [{"failed": True, "msg": sentence}]


def test_of_all_facts_the_python_that_was_found_on_a_host_is_passed_on(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    found = {"discovered_interpreter_python": "/usr/bin/python3.11"}

    class Step(ActionBase):
        def run(self, tmp=None, task_vars=None):
            return {"changed": False, "msg": self._task.action, "ansible_facts": {**found, "certificate_requests": []}}

    class Chain(PerRequestAction):
        ARGUMENTS: t.ClassVar = {}

        async def decide(self, arguments, task_vars):
            return self.run_requests([{"name": "www"}], self.reload)

        async def reload(self, request):
            result = await self.run_step("nginx_reload", {}, {})
            return {"msg": result["msg"]}

    task = Task()
    task.args = {}
    action = Chain(task, None, None, None, None)
    action._shared_loader_obj = types.SimpleNamespace(
        action_loader=types.SimpleNamespace(
            get=lambda name, task, connection, play_context, loader, templar, **others: Step(
                task, connection, play_context, loader, templar
            )
        )
    )
    result = action.run(task_vars={})
    assert result["msg"] == "www: evergreen.tls.nginx_reload"
    assert result["ansible_facts"] == found

    class Idle(Chain):
        async def reload(self, request):
            return {"msg": "not due"}

    assert "ansible_facts" not in Idle(task, None, None, None, None).run(task_vars={})


def test_a_passphrase_travels_alone_too():
    assert base._has_secret({"request": {"name": "www"}, "passphrase": "secret"})
    assert not base._has_secret({"request": {"name": "www"}, "passphrase": None})


EVIL = "\x1b[2J\x07\x9b31m\u202e\u2028"
ESCAPED = "?[2J??31m??"


class Evil(base.TlsAction):
    """Returns, or raises, what is set."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {}
    outcome: t.Any = None

    async def decide(self, arguments, task_vars):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def run_evil(monkeypatch):
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments, **_more: {})  # which wants a connection
    return run_with


def run_with(outcome):
    task = Task()
    task.action, task.args = "evergreen.tls.evil", {}
    action = Evil(task, None, None, None, None, None)
    action.outcome = outcome
    return action.run(task_vars={})


def test_no_text_leaves_an_action_with_control_characters(run_evil):
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    result = run_evil(
        {
            "changed": True,
            EVIL: [EVIL, {"names": [EVIL]}],
            "warnings": [EVIL],
            "deprecations": [{"msg": EVIL, "version": "1"}],
            "diff": [{"before": f"a\tb\n{EVIL}"}],
            "chain": pem,
        }
    )
    assert result == {
        "changed": True,
        ESCAPED: [ESCAPED, {"names": [ESCAPED]}],
        "warnings": [ESCAPED],
        "deprecations": [{"msg": ESCAPED, "version": "1"}],
        "diff": [{"before": f"a\tb\n{ESCAPED}"}],
        "chain": pem,
    }


def test_no_error_leaves_an_action_with_control_characters(run_evil):
    assert run_evil(TlsError(f"no: {EVIL}", problems=[EVIL])) == {
        "failed": True,
        "msg": f"no: {ESCAPED}",
        "problems": [ESCAPED],
    }
    assert run_evil(OSError(2, "no such file", f"/{EVIL}"))["msg"].count("\x1b") == 0
    with pytest.raises(AnsibleConnectionFailure) as caught:
        run_evil(AnsibleConnectionFailure(f"Failed to connect: {EVIL}{'x' * 999}"))
    assert f"Failed to connect: {ESCAPED}" in str(caught.value) and len(str(caught.value)) == 300
