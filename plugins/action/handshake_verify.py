# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.proofs import prove_all
from ansible_collections.evergreen.tls.plugins.module_utils.requests import REQUEST
from ansible_collections.evergreen.tls.plugins.plugin_utils.actions import TlsAction, places
from ansible_collections.evergreen.tls.plugins.plugin_utils.completion import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils.issuers import open_issuer


class ActionModule(TlsAction):
    """Look from the controller, or have the host look at itself."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST,
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "address": {"type": "str"},
        "fingerprint": {"type": "str"},
        "roots": {"type": "str"},
        "timeout": {"type": "float", "default": 10},
        "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    }

    def decide(self, arguments, task_vars):
        request = complete_request(arguments["request"])
        roots = open_issuer(request["issuer"], arguments.pop("issuers")).roots()
        arguments["request"] = request
        arguments["roots"] = arguments["roots"] or (roots.decode() if roots else None)
        if arguments["verify_from"] == "host":
            return self._execute_module("evergreen.tls.handshake_verify", module_args=arguments, task_vars=task_vars)
        address = arguments["address"]
        seen_at = [(address, request["port"])] if address else places(task_vars, request["port"])
        return prove_all(request, seen_at, arguments, "controller", self._task.check_mode)
