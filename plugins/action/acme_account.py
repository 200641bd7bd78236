# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.issuer import Acme
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer


class ActionModule(TlsAction):
    """Return the URLs of the accounts of an issuer, or give them another key."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "issuer": {"type": "str", "required": True},
        "issuers": {"type": "dict", "required": True, "no_log": True},
        "change_key": {"type": "bool", "default": False},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        name = arguments["issuer"]
        issuer = open_issuer(name, arguments["issuers"])
        if not isinstance(issuer, Acme):
            raise TlsError(f"{name} is no issuer of type acme, and has no account; name one that is")
        if self._task.check_mode:
            sentence = f"would change the key of the accounts of {name}" if arguments["change_key"] else "would look"
            return {"changed": arguments["change_key"], "msg": sentence}
        if arguments["change_key"]:
            issuer.change_key()
        advice = (
            "; run evergreen.tls.deploy, so that hosts answer challenges with it" if arguments["change_key"] else ""
        )
        return {
            "changed": arguments["change_key"],
            "thumbprint": issuer.thumbprint(),
            "accounts": issuer.accounts(),
            "msg": f"the thumbprint of the key of {name} is {issuer.thumbprint()}{advice}",
        }
