# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.certificate_info import describe_installed


class ActionModule(TlsAction):
    """Read the certificates of a host there, and describe them on the controller."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "name": {"type": "str"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        result = await self.run_module_or_raise("certificate_info", self._task.args, task_vars)
        return {**describe_installed(result)}
