# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What certificate_obtain passes on to its steps, and these to the modules of the host, are options that they have."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import (
    certificate_install,
    certificate_issue,
    certificate_obtain,
    certificate_request,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.modules.host_batch import load_backend
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

ACTIONS = {
    "certificate_obtain": certificate_obtain,
    "certificate_request": certificate_request,
    "certificate_issue": certificate_issue,
    "certificate_install": certificate_install,
}
TASK_VARS = {"inventory_hostname": "web1"}
NAMES = ["www.example.org"]


class Host:
    """A host whose modules refuse options that they do not have, as the real ones do."""

    def __init__(self):
        self.installed = []

    def execute(self, name, module_args, task_vars):
        module = name.rpartition(".")[2]
        if module == "host_batch":
            results = [self.execute(call["module"], call["arguments"], task_vars) for call in module_args["calls"]]
            return {"changed": True, "results": results}
        checked = ArgumentSpecValidator(load_backend(module)[0]).validate(module_args)
        assert checked.error_messages == [], module
        if module == "certificate_request":
            csr = make_csr(some_key(), NAMES, {}).decode()
            return {"changed": True, "due": True, "reason": "there is no certificate yet", "csr": csr}
        self.installed.append(module_args["chain"])
        return {"changed": True, "msg": "v0001 is in use"}

    def action(self, name, arguments):
        task = Task()
        task.action, task.args, task.check_mode = f"evergreen.tls.{name}", arguments, False
        action = ACTIONS[name].ActionModule(task, None, None, None, None, None)
        action._execute_module = self.execute

        async def run_action(called, arguments, task_vars):
            return await self.action(called.rpartition(".")[2], arguments).work(task_vars)

        action.run_action = run_action
        return action


@pytest.mark.parametrize("options", [{}, {"force": True}, {"make_ca": "always"}])
def test_a_certificate_of_a_private_ca_comes_to_its_host(monkeypatch, tmp_path, options):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    host = Host()
    arguments = {
        "requests": [{"name": "www", "domains": NAMES, "issuer": "ours"}],
        "issuers": {"ours": {"type": "local_ca", "directory": str(tmp_path / "pki")}},
        **options,
    }
    result = host.action("certificate_obtain", arguments).run(task_vars=TASK_VARS)
    assert not result["failed"], result["msg"]
    assert len(host.installed) == 1 and host.installed[0].startswith("-----BEGIN CERTIFICATE-----")
