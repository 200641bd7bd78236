# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_task
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.role_variables import (
    ROLES,
    check_role_variables,
    inventory_names,
    known_variables,
    misspelling_sentence,
    role_options,
)

for _role in ROLES:  # once, before Ansible forks for each host
    role_options(_role)
known_variables()


class ActionModule(TlsAction):
    """Check the variables of a role, on the controller."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "role": {"type": "str", "required": True, "choices": list(ROLES)},
        "refuse_misspellings": {"type": "bool", "default": True},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        host = task_vars.get("inventory_hostname", "")
        variables = variables_of_task(task_vars)
        misspelling = misspelling_sentence(inventory_names(variables, task_vars.get("hostvars"), host))
        if misspelling and arguments["refuse_misspellings"]:
            raise TlsError(misspelling)
        names = [name for name in role_options(arguments["role"]) if name in task_vars]
        check_role_variables(arguments["role"], {name: self._render(task_vars[name]) for name in names})
        return {"changed": False, "msg": "the variables are in order"}
