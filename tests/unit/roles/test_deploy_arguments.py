# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role deploy has done on a host in one trip is what the roles firewall and nginx do in one each."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROLES = pathlib.Path(__file__).parents[3] / "roles"


def read(path):
    return yaml.safe_load((ROLES / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("role", "module", "told"),
    [("firewall", "firewall_port", "deploy_firewall_settings"), ("nginx", "nginx_sites", "deploy_nginx_settings")],
)
def test_deploy_tells_a_module_what_the_role_of_its_own_does(role, module, told):
    (task,) = read(f"{role}/tasks/main.yml")
    alone = task[f"evergreen.tls.{module}"]
    assert alone.pop("session_tickets", None) in (None, "{{ nginx_session_tickets | default(omit) }}")
    assert read("deploy/vars/main.yml")[told] == alone


@pytest.mark.parametrize(
    ("role", "settings"),
    [("firewall", "deploy_firewall_settings"), ("nginx", "deploy_nginx_settings | combine(deploy_tickets)")],
)
def test_deploy_leaves_out_what_the_role_would(role, settings):
    (task,) = read(f"{role}/tasks/main.yml")
    condition = (
        task["when"]
        if isinstance(task["when"], str)
        else " and ".join(f"({one})" if " or " in one else one for one in task["when"])
    )
    assert read("deploy/vars/main.yml")[f"deploy_{role}"] == f"{{{{ {settings} if {condition} else {{}} }}}}"


def test_deploy_hands_all_of_it_to_the_action_that_obtains_certificates():
    prepare, block = (
        task for task in read("deploy/tasks/main.yml") if "block" in task or "evergreen.tls.certificate_obtain" in task
    )
    arguments = {"firewall": "{{ deploy_firewall }}", "nginx": "{{ deploy_nginx }}"}
    assert block["block"][0]["vars"] == {f"certificate_{part}": told for part, told in arguments.items()}
    assert prepare["evergreen.tls.certificate_obtain"] == {"requests": [], **arguments}
