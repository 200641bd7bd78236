# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    OBTAIN_ARGUMENTS,
    SHOWN_BY_ANSIBLE,
    PerRequestAction,
    diffs_and_warnings,
    orders_at_once,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request import (
    check_distinct_requests,
    complete_request,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer, ChallengeFiles
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_hosts import hosts_respond
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import begin_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    check_request_for_issuer,
    open_issuer,
)


class ActionModule(PerRequestAction):
    """Walk each request whose hosts show files through certificate_request, and begin its order if it is due."""

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
        places = [place for certificate in certificates for place in certificate.get("places", [])]
        return {
            "changed": result["changed"],
            "places": _merged_places(places),
            "msg": " · ".join(f"{one['name']}: {one['msg']}" for one in certificates) or "no certificate needs files",
            **{key: result[key] for key in SHOWN_BY_ANSIBLE if key in result},
        }

    async def _begin(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return what became of the order of a request. What fails here, fails again for whoever obtains the certificate, and is told there."""
        place = {"request": request, "directory": arguments["directory"], "issuers": arguments["issuers"]}
        asked = await self.run_step("certificate_request", {**place, "force": arguments["force"]}, task_vars)
        result = {"changed": bool(asked.get("changed")), **diffs_and_warnings([asked])}
        if asked.get("failed") or not asked.get("due") or "ready" in asked:
            return {**result, "msg": asked.get("msg", "it is not due")}
        try:
            places = await self._begun(request, arguments["issuers"], asked, task_vars.get("inventory_hostname", ""))
        except (TlsError, OSError) as error:
            return {**result, "msg": str(error)}
        files = ", ".join(f"{one['host']} has to show {len(one['files'])} files" for one in places)
        return {**result, "msg": files or "there is nothing to show", "places": places}

    # not a parser: it only passes on foreign input
    async def _begun(
        self, request: dict[str, t.Any], issuers: dict[str, t.Any], asked: dict[str, t.Any], host: str
    ) -> list[ChallengeFiles]:
        wanted = complete_request(request)
        check_request_for_issuer(wanted, issuers)
        csr = (asked.get("csr") or "").encode(errors="replace")  # of a host, and so it may hold halves of characters
        issuer = open_issuer(wanted["issuer"], issuers)
        if not isinstance(issuer, AcmeIssuer):
            return []
        return await Background(lambda: begin_once(issuer, wanted, csr, host, asked.get("in_use")))


def _merged_places(places: list[ChallengeFiles]) -> list[ChallengeFiles]:
    """Return places with the files of all requests that have them there."""
    files: dict[tuple[str, str], dict[str, str]] = {}
    for place in places:
        files.setdefault((place["host"], place["path"]), {}).update(place["files"])
    return [{"host": host, "path": path, "files": found} for (host, path), found in files.items()]
