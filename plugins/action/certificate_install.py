# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
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
        before = utc_now()
        result = await super().decide(arguments, task_vars)
        host_time = result.pop("now", None)
        if not host_time:
            return result
        message = clock_skew.skew_message(clock_skew.measured_skew(before, host_time, utc_now()))
        return {**result, "msg": f"{result['msg']}. Note: {message}"} if message else result
