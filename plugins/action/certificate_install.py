# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.plugin_utils import _pending_notifications as pending_notifications
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import clock_skew
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import HostAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issued import revoked_certificates


class ActionModule(HostAction):
    """Complete the request, tell the host what is revoked, have it install the certificate, and say if it refuses that by a clock that is wrong."""

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if "revoked" not in self._task.args:
            request, host = arguments["request"], task_vars.get("inventory_hostname", "")
            revoked = revoked_certificates(host, request["name"], request["issuer"], arguments["issuers"])
            self._task.args = {**self._task.args, "revoked": revoked}
        warnings = self._record_pending(arguments["request"], task_vars.get("inventory_hostname", ""))
        before = utc_now()
        result = await super().decide(arguments, task_vars)
        if warnings:
            result["warnings"] = [*result.get("warnings", []), *warnings]
        host_time = result.pop("now", None)
        if not host_time:
            return result
        message = clock_skew.skew_message(clock_skew.measured_skew(before, host_time, utc_now()))
        return {**result, "msg": f"{result['msg']}. Note: {message}"} if message else result

    def _record_pending(self, request: dict[str, t.Any], host: str) -> list[str]:
        """Record that programs have another certificate to read before it is installed; return warnings."""
        is_removed = self._task.args.get("state") == "absent"
        if self._task.check_mode or is_removed or not pending_notifications.has_readers(request):
            return []
        try:
            pending_notifications.add_pending(host, request["name"])
        except OSError as error:
            sentence = (
                f"{error.filename or pending_notifications.FOLDER}: {error.strerror}; put that right. If this run dies before it notifies "
                f"the programs that read {request['name']}, only a later run that logs in to {host} does so"
            )
            return [sentence]
        return []
