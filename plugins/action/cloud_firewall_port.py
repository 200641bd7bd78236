# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction, cloud_accounts
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.change import CloudPortSpec, set_ports
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.registry import open_firewall


class ActionModule(TlsAction):
    """Judge the rules of a firewall of a cloud on the controller, and change them by its API. The host is not logged in to."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "account": {"type": "str"},
        "accounts": {"type": "dict", "no_log": True},
        "security_group": {"type": "str"},
        "instance": {"type": "str"},
        "region": {"type": "str"},
        "ports": {"type": "list", "elements": "str", "required": True},
        "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
        "sources": {"type": "list", "elements": "str", "default": []},
        "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        accounts = cloud_accounts(task_vars) if arguments["accounts"] is None else arguments["accounts"]
        firewall = open_firewall(arguments, accounts)
        return t.cast("dict[str, t.Any]", set_ports(firewall, t.cast(CloudPortSpec, arguments), self._task.check_mode))
