# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction, cloud_accounts
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import find_account
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.inventories import LISTERS


class ActionModule(TlsAction):
    """List the certificates of a cloud account on the controller. Nothing is changed."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "account": {"type": "str"},
        "accounts": {"type": "dict", "no_log": True},
        "bindings": {"type": "bool", "default": True},
        "expires_within": {"type": "int"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        accounts = cloud_accounts(task_vars) if arguments["accounts"] is None else arguments["accounts"]
        account = find_account(arguments["account"], accounts, LISTERS)
        certificates = LISTERS[account.type](account, utc_now(), arguments["bindings"])
        days = arguments["expires_within"]
        if days is not None:
            certificates = [
                one
                for one in certificates
                if one["status"] == "issued" and one["days_left"] is not None and one["days_left"] < days
            ]
        shown = f"{len(certificates)} certificate{'' if len(certificates) == 1 else 's'}"
        verb = "expires" if len(certificates) == 1 else "expire"
        within = f" that {verb} within {days} days" if days is not None else ""
        return {"changed": False, "certificates": certificates, "msg": f"account {account.name} has {shown}{within}"}
