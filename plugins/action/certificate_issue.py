# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import (
    PLAIN,
    Pending,
    pending_message,
    pending_result,
)

# So that not each fork has to load what ACME needs:
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import orders as acme_orders  # noqa: F401, pylint: disable=unused-import
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer, IssueRequest, PendingIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    check_request_for_issuer,
    open_issuer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import registry as solvers  # noqa: F401, pylint: disable=unused-import


class ActionModule(TlsAction):
    """Have a signing request signed, believing neither the host nor the CA."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST,
        "csr": {"type": "str"},
        "in_use": {"type": "str"},
        "valid": {"type": "dict"},
        "reason": {"type": "str"},
        "since": {"type": "str"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
    }

    # not a parser: it only passes on foreign input
    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        wanted = complete_request(arguments["request"])
        check_request_for_issuer(wanted, arguments["issuers"])
        issuer = open_issuer(wanted["issuer"], arguments["issuers"])
        what, host = f"the certificate of {wanted['name']}", task_vars.get("inventory_hostname", "")
        csr = (arguments["csr"] or "").encode(errors="replace")  # of a host, and so it may hold halves of characters
        told = {word: arguments[word] for word in ("valid", "reason", "since")}
        if self._task.check_mode:
            request = t.cast(IssueRequest, {**wanted, **told})
            waiting = issuer.find_pending(request, csr, host) if csr and isinstance(issuer, PendingIssuer) else None
            if waiting is not None:
                return self._waits(waiting, issuer, arguments)
            would = f"would have {what} issued by {wanted['issuer']}"
            return {"changed": True, "msg": would, "diff": {"before": "", "after": f"{would}\n"}}
        if not arguments["csr"]:
            raise TlsError(f"there is no signing request for {what}; pass the csr that certificate_request returned")
        # Issuers that say so have all that they share with other runs under locks, and so with other requests of this one.
        issue = functools.partial(issue_once, issuer, wanted, csr, host, arguments["in_use"], told)
        issued = await Background(issue) if isinstance(issuer, AcmeIssuer) else issue()
        if isinstance(issued, Pending):
            return self._waits(issued, issuer, arguments)
        return {
            "changed": True,
            "chain": to_pem(issued.chain).decode(),
            "roots": issued.roots.decode() if issued.roots else None,
            "certificate": describe_chain(issued.chain),
            "warnings": issued.warnings,
            "msg": f"{wanted['issuer']} issued {what}{'' if issued.is_new else ' in an earlier run'}",
        }

    def _waits(self, waiting, issuer, arguments):
        """Return what there is instead of a chain, while somebody has to act."""
        about, now = (waiting, arguments["valid"]), utc_now()
        said, told = pending_message(*about, now), pending_result(*about, now)
        # Where nobody sums up, as in a deployment, it is to be seen once all the same, and again when it becomes urgent.
        reminder = [said] if waiting.changed or told["urgency"] != PLAIN else []
        warnings = [*reminder, *issuer.remarks]
        return {
            "changed": waiting.changed,
            "waiting": told,
            "msg": said,
            **({"warnings": warnings} if warnings else {}),
        }
