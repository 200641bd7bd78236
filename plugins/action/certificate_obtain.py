# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Barrier, Worker
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    OBTAIN_ARGUMENTS,
    SHOWN_BY_ANSIBLE,
    PerRequestAction,
    diffs_and_warnings,
    orders_at_once,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request import (
    check_distinct_requests,
    has_encrypted_key,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import PendingIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_hosts import hosts_answer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import ISSUERS, open_issuer


class ActionModule(PerRequestAction):
    """Walk each request of a host through certificate_request, certificate_issue and certificate_install, as far as it is due.

    Where it is told what the firewall and nginx are to be like, the host is made ready for that in the same trips.
    """

    STEPS = ("certificate_request", "certificate_issue", "certificate_install", "firewall_port", "nginx_sites")
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        **OBTAIN_ARGUMENTS,
        "firewall": {"type": "dict"},
        "nginx": {"type": "dict"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        check_distinct_requests(arguments["requests"])
        withdrawn = self._withdrawn(arguments, task_vars.get("inventory_hostname", ""))
        self._parts: dict[str, dict[str, t.Any]] = {}
        before, after = self._beside(arguments, task_vars)
        result = self.run_requests(
            [*arguments["requests"], *withdrawn],
            lambda request: self._obtain(request, arguments, task_vars),
            at_once=orders_at_once(arguments, task_vars),
            before=before,
            after=after,
        )
        return with_parts(result, self._parts) if before or after else result

    def _beside(
        self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> tuple[list[Worker[None]], list[Worker[None]]]:
        """Return what is done on the host beside its requests: what they wait for, and what has to see all certificates installed."""
        firewall, nginx = arguments["firewall"], arguments["nginx"]
        before = [self._prepare("firewall", "firewall_port", firewall, task_vars)] if firewall else []
        requests, issuers = arguments["requests"], arguments["issuers"]
        is_asked = any(hosts_answer(request, issuers) or has_encrypted_key(request) for request in requests)
        if nginx and is_asked and not self._task.check_mode:  # challenges, or for passphrases
            before.append(self._prepare("answers", "nginx_sites", nginx, task_vars))
        return before, [self._finish(nginx, task_vars)] if nginx else []

    async def _prepare(self, part: str, name: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> None:
        """Make a part of the host ready, and let the requests go on."""
        # This holds where the host is lost meanwhile.
        self._parts[part] = {"failed": True, "msg": f"{name} is not done"}
        self._parts[part] = await self.run_step(name, arguments, task_vars)
        await Barrier()

    async def _finish(self, nginx: dict[str, t.Any], task_vars: dict[str, t.Any]) -> None:
        """Configure nginx for the certificates that there are then, in the trip by which they are installed."""
        await Barrier()
        if not self._obstacle():
            self._parts["nginx"] = await self.run_action("evergreen.tls.nginx_sites", nginx, task_vars, is_last=True)

    def _obstacle(self) -> str | None:
        """Return why the host is not ready for any certificate, or nothing."""
        return next((part.get("msg") or "it is not ready" for part in self._parts.values() if part.get("failed")), None)

    def _withdrawn(self, arguments: dict[str, t.Any], host: str) -> list[dict[str, t.Any]]:
        """Return the requests that wait for people and that the inventory has no longer, to be taken back."""
        known = {request["name"]: request["issuer"] for request in arguments["requests"]}
        requests = []
        for name, settings in arguments["issuers"].items():
            if isinstance(settings, dict) and hasattr(ISSUERS.get(str(settings.get("type"))), "pending_names"):
                gone = []
                with contextlib.suppress(TlsError, OSError):  # which the requests that need this issuer will tell
                    issuer = open_issuer(name, arguments["issuers"])
                    names = issuer.pending_names(host) if isinstance(issuer, PendingIssuer) else []
                    gone = [one for one in names if known.get(one) != name]
                requests += [
                    {"name": one, "domains": ["withdrawn.invalid"], "issuer": name, "withdraw": True} for one in gone
                ]
        return requests

    async def _obtain(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        place = {"request": request, "directory": arguments["directory"]}
        issuers = {"issuers": arguments["issuers"]}
        if request.get("withdraw"):
            bare = {word: value for word, value in request.items() if word != "withdraw"}
            return _result(
                [
                    await self.run_step(
                        "certificate_request", {**place, **issuers, "request": bare, "withdraw": True}, task_vars
                    )
                ],
                "",
            )
        asked = await self.run_step("certificate_request", {**place, **issuers, "force": arguments["force"]}, task_vars)
        if asked.get("failed") or not (asked.get("due") or "ready" in asked):
            return _result([asked], "it is not due")
        steps, issued = [asked], {}
        await Barrier()
        obstacle = self._obstacle()
        if obstacle:
            return _result([asked, {"failed": True, "msg": obstacle}], "it is due")
        if "ready" not in asked:
            csr = {word: asked.get(word) for word in ("csr", "in_use", "valid", "reason", "since")}
            issued = await self.run_step("certificate_issue", {"request": request, **issuers, **csr}, task_vars)
            steps.append(issued)
        if issued.get("waiting"):
            return _result(steps, "it waits", issued["waiting"])
        if not issued.get("failed"):
            answer = {"chain": issued.get("chain"), "roots": issued.get("roots")}
            steps.append(await self.run_step("certificate_install", {**place, **answer}, task_vars))
        return _result(steps, "it is due")


def with_parts(result: dict[str, t.Any], parts: dict[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return the result for all requests of a host, with what was done beside them."""
    done = list(parts.values())
    told = {"firewall": parts.get("firewall"), "nginx": parts.get("nginx") or parts.get("answers")}
    told = {part: found for part, found in told.items() if found}
    is_ready = not any(part.get("failed") for part in done)
    # Where the host was not ready, the requests have nothing else to say.
    speaking = [*done, result] if "nginx" in parts or is_ready else done
    failed = [one for one in speaking if one.get("failed")]
    said = failed or [one for one in speaking if one.get("changed") or one is result]
    shown = {
        "diff": [*diffs_and_warnings(done)["diff"], *result.get("diff", [])],
        "warnings": [*diffs_and_warnings(list(told.values()))["warnings"], *result.get("warnings", [])],
    }
    return {
        **result,
        "changed": any(one.get("changed") for one in [*done, result]),
        "failed": result["failed"] or not is_ready,
        "msg": " · ".join(one["msg"] for one in said if one.get("msg")),
        "ready": is_ready,
        **{part: {word: found[word] for word in found if word not in SHOWN_BY_ANSIBLE} for part, found in told.items()},
        **{key: found for key, found in shown.items() if found},
    }


def _result(steps: list[dict[str, t.Any]], otherwise: str, waiting: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    """Return what became of a request in the steps that were taken for it; *waiting* is what its issuer says of that."""
    asked, last = steps[0], steps[-1]
    said = [last] if last.get("failed") or waiting else steps
    certificate = last.get("certificate")
    result = {
        "changed": any(step.get("changed") for step in steps),
        "failed": bool(last.get("failed")),
        "msg": ", ".join(step["msg"] for step in said if "msg" in step) or otherwise,
        "due": asked.get("due", False),
        "reason": asked.get("reason"),
        "certificate": certificate,
        "waiting": waiting,
        "fingerprint": certificate.get("fingerprint")
        if certificate
        else asked.get("fingerprint") or asked.get("in_use"),
    }
    return {**{key: value for key, value in result.items() if value is not None}, **diffs_and_warnings(steps)}
