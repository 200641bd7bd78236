# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other hosts look at the names of a diagnosis; one that cannot is a result, and no failure."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar

from ansible_collections.evergreen.tls.plugins.action import diagnose_view
from ansible_collections.evergreen.tls.plugins.action.diagnose_view import ActionModule

VIEW = {"name": "www.example.org", "addresses": ["192.0.2.1"], "txt": [], "caa": [], "errors": {}}
HOSTVARS = {
    "web1": {
        "ansible_host": "127.0.0.1",
        "certificate_requests": [
            {"name": "www", "domains": ["www.example.org", "*.example.org"]},
            {"name": "shop", "domains": ["shop.example.org"]},
        ],
    },
    "web-hk": {},
}
TASK_VARS = {
    "inventory_hostname": "web1",
    "ansible_play_hosts_all": ["web1"],
    "groups": {"all": ["web1", "web-hk"]},
    "hostvars": HOSTVARS,
}
TASKS = diagnose_view.__file__.replace("plugins/action/diagnose_view.py", "playbooks/diagnose.yml")


@pytest.fixture
def look():
    """Return a function that runs the action on web-hk, whose module returns or raises what a test says."""

    def run(result=None, host="web-hk", **arguments):
        task = Task()
        task.args, task.check_mode, task.delegate_to = arguments, False, host
        action = ActionModule(task, connection_loader.get("local", PlayContext()), None, None, None, None)

        def execute(name, module_args, task_vars):
            run.calls.append((name, module_args))
            if isinstance(result, Exception):
                raise result
            return result

        action._execute_module = execute
        return action.run(task_vars=TASK_VARS)

    run.calls = []
    return run


def test_a_host_looks_at_the_names_that_are_diagnosed(look):
    result = look({"changed": False, "names": [VIEW]}, requests=["www"], **{"from": "web-hk, web-us"})
    assert (result["host"], result["failure"], result["changed"]) == ("web-hk", "", False)
    assert result["names"][0]["addresses"] == ["192.0.2.1"]
    [(module, arguments)] = look.calls
    assert module == "evergreen.tls.network_view"
    assert arguments == {"names": ["www.example.org", "*.example.org"], "timeout": 20.0}


def test_a_name_that_no_host_has_is_looked_at_alone(look):
    look({"changed": False, "names": []}, domains=["new.example.org"])
    assert look.calls[0][1]["names"] == ["new.example.org"]


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (
            AnsibleConnectionFailure("Failed to connect to the host via ssh: timed out"),
            "the host cannot be reached: timed out; see ",
        ),
        (
            AnsibleError("no such thing"),
            "Ansible cannot run network_view on the host: no such thing; look at what it is doing",
        ),
        (
            {"failed": True, "msg": "/etc/resolv.conf: Permission denied; run this"},
            "/etc/resolv.conf: Permission denied; ",
        ),
        (
            {"failed": True, "module_stdout": "", "module_stderr": "sh: python3: not found", "rc": 127},
            "Ansible finds no Python ",
        ),
        ({"changed": False, "names": "all"}, "the host does not answer network_view as it should: "),
        (
            {"changed": False, "names": [{"name": "a", "http": {"status": "x"}}]},
            "the host does not answer network_view as ",
        ),
        (
            {"changed": False, "names": [{"name": "a", "evil": 1}]},
            "the host does not answer network_view as it should: ",
        ),
    ],
)
def test_a_host_that_cannot_look_is_no_failure(look, result, why):
    answer = look(result)
    assert not answer.get("failed") and answer["names"] == []
    assert answer["failure"].startswith(why)


def test_text_of_a_host_has_no_control_characters(look):
    answer = look({"changed": False, "names": [{**VIEW, "txt": ["\x1b[31mred\nfatal: [web2]"]}]})
    assert answer["names"][0]["txt"] == ["?[31mred fatal: [web2]"]


def test_hosts_that_the_inventory_does_not_name_are_not_asked(look):
    assert look({}, host="db1")["msg"] == "the inventory has no host db1; correct diagnose_from"
    refused = look({}, host="web-hk", **{"from": ["web-us"]})
    assert refused["failed"]
    assert refused["msg"] == "diagnose_from of the inventory does not name web-hk; correct diagnose_from"
    assert look.calls == []


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        (["web-hk", "web-us"], ["web-hk", "web-us"]),
        ("web-hk, web-us", ["web-hk", "web-us"]),
        ("web-hk", ["web-hk"]),
        ("", []),
        ([], []),
        (None, []),
    ],
)
def test_the_playbook_takes_a_list_and_text_with_commas(value, hosts):
    with open(TASKS, encoding="utf-8") as file:
        tasks = yaml.safe_load(file)[0]["tasks"]
    [loop] = [task["loop"] for task in tasks if "evergreen.tls.diagnose_view" in task]
    variables = {} if value is None else {"diagnose_from": value}
    assert Templar(DataLoader(), variables=variables).template(_trusted(loop)) == hosts


def test_the_playbook_passes_each_option_on():
    with open(TASKS, encoding="utf-8") as file:
        playbook = file.read()
    assert ActionModule.VARIABLES
    for option, variable in ActionModule.VARIABLES.items():
        assert playbook.count(f'{option}: "{{{{ {variable} | default(omit) }}}}"') == 2


def _trusted(template):
    """Return a template as one of a playbook, which ansible-core 2.19 renders."""
    try:
        from ansible.template import trust_as_template
    except ImportError:
        return template
    return trust_as_template(template)
