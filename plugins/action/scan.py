# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._scan.requests_file import requests_text, write_requests
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

display = Display()


class ActionModule(TlsAction):
    """Read what servers of a host are configured with, and write it as requests on the controller."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "scan_directory": {"type": "path", "default": "scan"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        host = str(task_vars.get("inventory_hostname", ""))
        result = await self.run_module_or_raise("tls_inventory", {"directory": arguments["directory"]}, task_vars)
        certificates = result["certificates"]
        text = requests_text(host, certificates)
        path, changed = write_requests(arguments["scan_directory"], host, text, self._task.check_mode)
        lines = [_summary(one) for one in certificates]
        msg = "\n".join([f"{host} has {len(certificates)} places with certificates; see {path}", *lines])
        display.display(escape_control_characters(msg, keep_line_breaks=True))
        problems = [f"{host}: {one}" for one in result["problems"]]
        return {"changed": changed, "path": path, "certificates": certificates, "warnings": problems, "msg": msg}


def _summary(one: dict[str, t.Any]) -> str:
    """Return one line about a place."""
    state = "managed" if one["managed"] else "not to adopt" if one["refusal"] else "to adopt"
    served = "served" if one["served"] else "not served"
    until = (one.get("not_after") or "")[:10]
    return "  ".join(part for part in (one["place"], one["server"], state, served, until, one["certificate"]) if part)
