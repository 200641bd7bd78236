# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.chains import describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.portraits import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils.requests import REQUEST
from ansible_collections.evergreen.tls.plugins.plugin_utils.actions import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils.completion import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils.issuance import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils.issuers import open_issuer


class ActionModule(TlsAction):
    """Have a signing request signed, believing neither the host nor the CA."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST,
        "csr": {"type": "str"},
        "in_use": {"type": "str"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
    }

    def decide(self, arguments, task_vars):
        wanted = complete_request(arguments["request"])
        issuer = open_issuer(wanted["issuer"], arguments["issuers"])
        what = f"the certificate of {wanted['name']}"
        if self._task.check_mode:
            sentence = f"would have {what} issued by {wanted['issuer']}"
            return {"changed": True, "msg": sentence, "diff": {"before": "", "after": f"{sentence}\n"}}
        if not arguments["csr"]:
            raise TlsError(f"there is no signing request for {what}; pass the csr that certificate_request returned")
        host = task_vars.get("inventory_hostname", "")
        csr = arguments["csr"].encode(errors="replace")  # of a host, and so it may hold halves of characters
        issued = issue_once(issuer, wanted, csr, host, arguments["in_use"])
        return {
            "changed": True,
            "chain": to_pem(issued.chain).decode(),
            "roots": issued.roots.decode() if issued.roots else None,
            "certificate": describe_chain(issued.chain),
            "warnings": issued.warnings,
            "msg": f"{wanted['issuer']} issued {what}{'' if issued.is_new else ' in an earlier run'}",
        }
