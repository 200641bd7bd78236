# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batch_size import orders_at_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    OBTAIN_ARGUMENTS,
    SHOWN_BY_ANSIBLE,
    PerRequestAction,
    diffs_and_warnings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import (
    check_distinct_requests,
    complete_request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_hosts import hosts_respond
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import begin_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    check_request_for_issuer,
    open_issuer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import ChallengeFiles


class ActionModule(PerRequestAction):
    """Run certificate_request for each request with the solver webroot, and place its order if it is due."""

    STEPS = ("certificate_request",)
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = OBTAIN_ARGUMENTS

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        check_distinct_requests(arguments["requests"])
        requests = [one for one in arguments["requests"] if hosts_respond(one, arguments["issuers"], "webroot")]
        if self._task.check_mode:
            return {"changed": False, "places": [], "msg": "nothing is ordered in check mode"}
        result = self.run_requests(
            requests,
            lambda request: self._begin(request, arguments, task_vars),
            at_once=orders_at_once(arguments, task_vars),
        )
        certificates = result["certificates"]
        challenge_files = [files for certificate in certificates for files in certificate.get("places", [])]
        return {
            "changed": result["changed"],
            "places": _merged(challenge_files),
            "msg": " · ".join(f"{one['name']}: {one['msg']}" for one in certificates) or "no certificate needs files",
            **{key: result[key] for key in SHOWN_BY_ANSIBLE if key in result},
        }

    async def _begin(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Place the order of a request. A failure is not fatal here: certificate_obtain fails with it again."""
        names = ("directory", "issuers", "force")
        step_arguments = {"request": request, **{name: arguments[name] for name in names}}
        requested = await self.run_step("certificate_request", step_arguments, task_vars)
        result = {"changed": bool(requested.get("changed")), **diffs_and_warnings([requested])}
        if requested.get("failed") or not requested.get("due") or "ready" in requested:
            return {**result, "msg": requested.get("msg", "it is not due")}
        try:
            host = task_vars.get("inventory_hostname", "")
            challenge_files = await self._begin_order(request, arguments["issuers"], requested, host)
        except (TlsError, OSError) as error:
            return {**result, "msg": str(error)}
        counts = ", ".join(f"{one['host']} has to show {len(one['files'])} files" for one in challenge_files)
        return {**result, "msg": counts or "there is nothing to show", "places": challenge_files}

    # not a parser: it only passes on foreign input
    async def _begin_order(
        self, request: dict[str, t.Any], issuers: dict[str, t.Any], requested: dict[str, t.Any], host: str
    ) -> list[ChallengeFiles]:
        complete = complete_request(request)
        check_request_for_issuer(complete, issuers)
        csr = (requested.get("csr") or "").encode(errors="replace")  # of a host: it may hold lone surrogates
        issuer = open_issuer(complete["issuer"], issuers)
        if not isinstance(issuer, AcmeIssuer):
            return []
        return await Background(lambda: begin_once(issuer, complete, csr, host, requested.get("in_use")))


def _merged(challenge_files: list[ChallengeFiles]) -> list[ChallengeFiles]:
    """Return one item for each host, path and owner, with the files of all requests."""
    merged: dict[tuple[str, str, str | None], ChallengeFiles] = {}
    for one in challenge_files:
        place = merged.setdefault((one["host"], one["path"], one.get("owner")), {**one, "files": {}})
        place["files"].update(one["files"])
    return list(merged.values())
