# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role deploy passes the same arguments as the roles firewall and nginx, under the same conditions."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROLES = pathlib.Path(__file__).parents[3] / "roles"


def read(path):
    return yaml.safe_load((ROLES / path).read_text(encoding="utf-8"))


def task_of(role, module):
    (task,) = (task for task in read(f"{role}/tasks/main.yml") if f"evergreen.tls.{module}" in task)
    return task


@pytest.mark.parametrize(
    ("role", "module", "variable"),
    [("firewall", "firewall_port", "deploy_firewall_settings"), ("nginx", "nginx_sites", "deploy_nginx_settings")],
)
def test_deploy_passes_a_module_the_arguments_that_its_own_role_passes(role, module, variable):
    task = task_of(role, module)
    arguments = task[f"evergreen.tls.{module}"]
    assert arguments.pop("session_tickets", None) in (None, "{{ nginx_session_tickets | default(omit) }}")
    if role == "firewall":  # which is told the sites that deploy writes
        arguments["ports"] = arguments["ports"].replace("(firewall_sites)", "(deploy_firewall_sites)")
        (cloud,) = (
            task for task in read("deploy/tasks/main.yml") if "cloud" in str(task.get("ansible.builtin.import_role"))
        )
        assert cloud["vars"] == {"firewall_sites": "{{ deploy_firewall_sites }}"}
    assert read("deploy/vars/main.yml")[variable] == arguments


@pytest.mark.parametrize(
    ("role", "module", "settings"),
    [
        ("firewall", "firewall_port", "deploy_firewall_settings"),
        ("nginx", "nginx_sites", "deploy_nginx_settings | combine(deploy_tickets)"),
    ],
)
def test_deploy_has_the_conditions_of_the_role(role, module, settings):
    task = task_of(role, module)
    condition = (
        task["when"]
        if isinstance(task["when"], str)
        else " and ".join(f"({part})" if " or " in part else part for part in task["when"])
    )
    # The role itself is not run for hosts whose certificates a cloud presents.
    condition = f"not deploy_is_remote and {condition}"
    assert read("deploy/vars/main.yml")[f"deploy_{role}"] == f"{{{{ {settings} if {condition} else {{}} }}}}"


def test_deploy_hands_all_of_it_to_the_action_that_obtains_certificates():
    prepare, block = (
        task for task in read("deploy/tasks/main.yml") if "block" in task or "evergreen.tls.certificate_obtain" in task
    )
    arguments = {"firewall": "{{ deploy_firewall }}", "nginx": "{{ deploy_nginx }}", "honour_tags": True}
    variables = {f"certificate_{argument}": value for argument, value in arguments.items()}
    assert block["vars"].items() >= variables.items()
    assert not any(variables.keys() & task.get("vars", {}).keys() for task in block["block"] + block["always"])
    assert prepare["evergreen.tls.certificate_obtain"] == {"requests": [], **arguments}
    (obtain,) = read("certificate/tasks/obtain.yml")
    passed = {argument: f"{{{{ certificate_{argument} }}}}" for argument in arguments}
    assert obtain["evergreen.tls.certificate_obtain"].items() >= passed.items()
