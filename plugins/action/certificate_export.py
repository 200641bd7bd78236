# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import HostAction


class ActionModule(HostAction):
    """Complete the request, and have the host write its exports."""

    def secrets(self, request: Request) -> dict[str, t.Any]:
        return {
            "passwords": {export["path"]: export["password"] for export in request["exports"] if export["password"]}
        }
