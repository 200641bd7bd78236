# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.handshakes import handshake
from ansible_collections.evergreen.tls.plugins.module_utils.portraits import fingerprint
from ansible_collections.evergreen.tls.plugins.plugin_utils.actions import HostAction, places


class ActionModule(HostAction):
    """Encode the names of the request, and have the host look and reload, unless a look from here shows that all is well."""

    def settled(self, arguments, task_vars):
        """Return the result where every domain is seen to present the certificate that the caller knows to be installed."""
        request, expected = arguments["request"], arguments.get("fingerprint")
        if not expected or not isinstance(request, dict) or not request.get("domains"):
            return None
        try:
            seen_at = places(task_vars, int(request.get("port", 443)))
            for address, port in seen_at:
                for domain in request["domains"]:
                    chain, _protocol = handshake(address, port, domain)
                    if fingerprint(chain[0]) != expected:
                        return None
        except (TlsError, AttributeError, KeyError, TypeError, ValueError):
            return None  # the module looks closer, and says what is wrong
        return {
            "changed": False,
            "fingerprint": expected,
            "addresses": [address for address, _port in seen_at],
            "msg": f"nginx presents the installed certificate of {request['name']}, as the controller sees it",
        }
