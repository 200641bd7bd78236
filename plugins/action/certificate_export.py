# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils import _pending_notifications as pending_notifications
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import HostAction


class ActionModule(HostAction):
    """Complete the request, and have the host write its exports and notify the programs that read the certificate."""

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        host, request = task_vars.get("inventory_hostname", ""), arguments["request"]
        token = pending_notifications.pending_token(host, request["name"])
        result = await super().decide(arguments, task_vars)
        if token and self._is_all_done(result):
            try:
                pending_notifications.remove_pending(host, request["name"], token)
            except OSError as error:
                why = f"{error.filename or 'the record'}: {error.strerror}; remove it, or the next run logs in for nothing"
                return {**result, "warnings": [*result.get("warnings", []), why]}
        return result

    def secrets(self, request: Request) -> dict[str, t.Any]:
        return {
            "passwords": {export["path"]: export["password"] for export in request["exports"] if export["password"]}
        }

    def _is_all_done(self, result: dict[str, t.Any]) -> bool:
        """Return whether all exports are written, and all programs have read what is in use."""
        return not (result.get("failed") or self._task.check_mode or self._task.args.get("part", "all") != "all")
