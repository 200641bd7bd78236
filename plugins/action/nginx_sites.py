# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import has_encrypted_key
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_task
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_sites
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_hosts import challenge_thumbprints


class ActionModule(TlsAction):
    """Check and complete the sites, and run the module on the host."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = OPTIONS

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        thumbprints: dict[str, str] = {}
        problems: list[str] = []  # of issuers: other requests of the host are served all the same
        if arguments["sites"]:
            requests, issuers = arguments["requests"], arguments["issuers"]
            has_others = len({str(request.get("issuer")) for request in requests}) > 1
            thumbprints = challenge_thumbprints(
                requests, issuers, self._task.check_mode, problems if has_others else None
            )
        encrypted = [request.get("name") for request in arguments["requests"] if has_encrypted_key(request)]
        sites = normal_sites(arguments, thumbprints, encrypted)
        others = {name: value for name, value in self._task.args.items() if name not in ("requests", "issuers")}
        ports = arguments["ports"] or proved_ports(arguments["requests"], task_vars)
        others |= {"ports": ports} if ports else {}
        result = await self.run_module("nginx_sites", {**others, "sites": sites}, task_vars)
        if result.get("missing") and arguments["install"]:
            error = await self.package_error("nginx", task_vars)
            if error:
                raise TlsError(f"nginx cannot be installed on this host: {error}; install it, and run this again")
            result = await self.run_module("nginx_sites", {**others, "sites": sites}, task_vars)
            result = {**result, "changed": True, "msg": f"installed nginx, {result.get('msg', '')}"}
        return {**result, "warnings": [*result.get("warnings", []), *problems]} if problems else result


# not a parser: the requests are the inventory's
def proved_ports(requests: list[dict[str, t.Any]], task_vars: dict[str, t.Any]) -> dict[str, int]:
    """Return the port at which each certificate that nginx serves is proved, by its name; none where clients reach a load balancer."""
    if variables_of_task(task_vars).get("certificate_endpoint"):
        return {}
    ports: dict[str, int] = {}
    for request in requests:
        port, name = str(request.get("port", REQUEST_SPEC["options"]["port"]["default"])), request.get("name")
        if isinstance(name, str) and port.isdigit() and request.get("served_by", "nginx") == "nginx":
            ports[name] = int(port)
    return ports
