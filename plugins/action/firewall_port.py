# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._wire import to_wire
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.change import (
    no_firewall_result,
    plan_change,
    verify_change,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import detect_firewall, initial_queries
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import Look, Transcript, think
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.registry import BACKENDS

ATTEMPTS = 3  # at a change between two looks of somebody else


class ActionModule(TlsAction):
    """Look at the host, think here, and go there once more where something has to be done; what was done is proved."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "ports": {"type": "list", "elements": "int", "required": True},
        "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
        "sources": {"type": "list", "elements": "str", "default": []},
        "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
        "backend": {"type": "str", "choices": ["auto", *BACKENDS, "none"], "default": "auto"},
        "zone": {"type": "str"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        parse_port_accesses(arguments["ports"], arguments["protocol"], arguments["sources"])
        if arguments["backend"] == "none":
            return no_firewall_result(arguments)
        self._task_vars = task_vars
        return await self._settle(arguments)

    async def _settle(self, wanted: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result, once the host is as it is wanted, or in check mode, how it would be."""
        transcript = Transcript(await self._ask(initial_queries(wanted["backend"])))
        for _attempt in range(ATTEMPTS):
            change = await think(lambda host: plan_change(host, wanted), transcript, self._ask)
            if change is None:
                return no_firewall_result(wanted)
            if not change.steps or self._task.check_mode:
                return change.result(change.expected(), change.firewall.warnings, self._task.check_mode)
            told = await self._tell(_plan(change, transcript))
            transcript = Transcript(told["host_state"])
            if told["changed"]:
                return await self._proved(change, transcript)
        raise TlsError(
            f"{change.firewall.name} changes while it is looked at; see what else changes it, and run this again then"
        )

    async def _proved(self, change, transcript):
        """Return the result, once what was done can be read back."""
        name, accesses, wanted = change.firewall.name, change.accesses, change.wanted
        firewall = await think(
            lambda host: detect_firewall(host, name, accesses, wanted["zone"]), transcript, self._ask
        )
        verify_change(firewall, accesses, wanted["state"])
        warnings = list(dict.fromkeys(change.firewall.warnings + firewall.warnings))
        return change.result(firewall.lines(accesses), warnings, False)

    async def _ask(self, looks: list[Look]) -> t.Any:
        result = await self._tell({"query_sets": [look.to_arguments() for look in looks]})
        return result["host_state"]

    async def _tell(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        return await self.run_module_or_raise("firewall_commands", arguments, self._task_vars)


def _plan(change, transcript):
    """Return what the host is to do as long as it is what it was, and what to answer then."""
    return {
        "preconditions": [
            [list(map(to_wire, question)), transcript.answers[question]]
            for question in change.firewall.preconditions(change.steps)
        ],
        "commands": [step.to_arguments() for step in change.steps],
        "query_sets": [Look((), list(transcript.answers)).to_arguments()],
    }
