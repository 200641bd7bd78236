# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions import clock_skew as clocks
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import HostAction


class ActionModule(HostAction):
    """Complete the request, have the host install the certificate, and say where it refuses that by a clock of its own."""

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        before = utc_now()
        result = await super().decide(arguments, task_vars)
        told = result.pop("now", None)
        sentence = clocks.disagreement(clocks.difference(before, told, utc_now())) if told else None
        return {**result, "msg": f"{result['msg']}. Note: {sentence}"} if sentence else result
