# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._wire import to_wire
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.change import (
    Change,
    PortResult,
    PortSpec,
    no_firewall_result,
    plan_change,
    verify_change,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import initial_queries, named_firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    HostState,
    QuerySet,
    Results,
    plan_with,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.registry import BACKENDS
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_task

MAX_ATTEMPTS = 3  # to change a firewall that something else changes between the queries and the commands


class ActionModule(TlsAction):
    """Query the host, plan the change here, run it there unless the host has changed, and verify it."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "ports": {"type": "list", "elements": "str", "required": True},
        "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
        "sources": {"type": "list", "elements": "str", "default": []},
        "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
        "backend": {"type": "str", "choices": ["auto", *BACKENDS, "none"], "default": "auto"},
        "zone": {"type": "str"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        spec = t.cast(PortSpec, arguments)
        parse_port_accesses(spec["ports"], spec["protocol"], spec["sources"])
        if spec["backend"] == "none":
            return t.cast("dict[str, t.Any]", no_firewall_result(spec))
        self._task_vars = task_vars
        return t.cast("dict[str, t.Any]", await self._change_firewall(spec))

    async def _change_firewall(self, spec: PortSpec) -> PortResult:
        """Return the result of a change that was verified, or in check mode of one that would be made."""
        host = self._host_state(await self._run_queries(initial_queries(spec["backend"])))
        for _attempt in range(MAX_ATTEMPTS):
            change = await plan_with(lambda state: plan_change(state, spec), host, self._run_queries)
            if change is None:
                return no_firewall_result(spec)
            name = change.firewall.name
            if not change.commands or self._task.check_mode:
                return change.result(change.expected_rules(), change.firewall.warnings, self._task.check_mode)
            result = await self._run_commands(_change_arguments(change, host))
            host = self._host_state(result["host_state"])
            if result["changed"]:
                return await self._verified_result(change, host)
        raise TlsError(f"{name} changes while it is looked at; see what else changes it, and run this again then")

    async def _verified_result(self, change: Change, host: HostState) -> PortResult:
        """Return the result of a change. Raises TlsError if the host does not have the new state."""
        name, accesses, spec = change.firewall.name, change.accesses, change.spec

        def verified_firewall(state: HostState) -> Firewall:
            firewall = named_firewall(state, name, accesses, spec["zone"])
            verify_change(firewall, accesses, spec["state"])
            return firewall

        firewall = await plan_with(verified_firewall, host, self._run_queries)
        warnings = list(dict.fromkeys(change.firewall.warnings + firewall.warnings))
        return change.result(firewall.rule_lines(accesses), warnings, check_mode=False, firewall_after=firewall)

    def _host_state(self, results: Results) -> HostState:
        def addresses() -> list[str]:
            host = self._task_vars.get("inventory_hostname", "")
            return ip_addresses(str(variables_of_task(self._task_vars).get("ansible_host") or host))

        return HostState(results, addresses)

    async def _run_queries(self, query_sets: list[QuerySet]) -> Results:
        result = await self._run_commands({"query_sets": [one.to_arguments() for one in query_sets]})
        return result["host_state"]

    async def _run_commands(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        return await self.run_module_or_raise("firewall_commands", arguments, self._task_vars)


# not a parser: the name is the inventory's
def ip_addresses(name: str) -> list[str]:
    """Return the IP addresses of a name, or none if it has none here: the connection may be none over IP."""
    try:
        results = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM) if name else []
    except (OSError, ValueError):
        return []
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_family, address in results))


def _change_arguments(change: Change, host: HostState) -> dict[str, t.Any]:
    """Return the arguments of firewall_commands that run a change and repeat all queries after it."""
    return {
        "preconditions": [
            [list(map(to_wire, query)), host.results[query]] for query in change.firewall.preconditions(change.commands)
        ],
        "commands": [command.to_arguments() for command in change.commands],
        "query_sets": [QuerySet((), list(host.results)).to_arguments()],
    }
