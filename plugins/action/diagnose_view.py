# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import FleetAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.connection_errors import why_lost
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.host_text import sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.fleet_names import names_of_fleet
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.local_view import VIEW_TIMEOUT_S


class ActionModule(FleetAction):
    """Have the host of the task look at the names of a diagnosis. A host that cannot be reached is a result, and no failure."""

    VARIABLES: t.ClassVar[dict[str, str]] = {
        option: f"diagnose_{option}" for option in ("requests", "domains", "issuer", "from")
    }
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "requests": {"type": "list", "elements": "str", "default": []},
        "domains": {"type": "list", "elements": "str", "default": []},
        "issuer": {"type": "str"},
        "from": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "float", "default": VIEW_TIMEOUT_S},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        host = str(self._task.delegate_to or task_vars.get("inventory_hostname", ""))
        self._check_host(host, [one.strip() for one in arguments["from"]], task_vars)
        names, _faults = names_of_fleet(task_vars, arguments["requests"], arguments["domains"], arguments["issuer"])
        domains = list(dict.fromkeys(one.domain for one in names))
        views: list[dict[str, t.Any]] = []
        try:
            result = await self.run_module(
                "network_view", {"names": domains, "timeout": arguments["timeout"]}, task_vars
            )
        except AnsibleConnectionFailure as error:
            failure = why_lost(str(error))
        except AnsibleError as error:
            failure = f"Ansible cannot run a module there: {sentence(str(error))}; see with -vvv why"
        except TlsError as error:
            failure = str(error)
        else:
            failure = result["msg"] if result.get("failed") else ""
            views = result.get("names") or []
        msg = f"{host} does not look: {failure}" if failure else f"{host} looked at {len(domains)} names"
        return {"changed": False, "host": host, "failure": failure, "names": views, "msg": msg}

    def _check_host(self, host: str, hosts: list[str], task_vars: dict[str, t.Any]) -> None:
        """Raise TlsError for a host that the inventory does not name in diagnose_from, such as one from facts."""
        if hosts and host not in hosts:
            raise TlsError(f"diagnose_from of the inventory does not name {host}; correct diagnose_from")
        known = (task_vars.get("groups") or {}).get("all")
        if known is not None and host not in known:
            raise TlsError(f"the inventory has no host {host}; correct diagnose_from")
