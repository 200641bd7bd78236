# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction


class ActionModule(TlsAction):
    """Have the host write or remove challenge files."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "path": {"type": "str", "default": "/var/www/html"},
        "files": {"type": "dict", "required": True},
        "owner": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return await self.run_module_or_raise("acme_challenge_files", arguments, task_vars)
