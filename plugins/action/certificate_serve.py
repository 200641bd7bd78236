# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    PerRequestAction,
    diffs_and_warnings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request import complete_request


class ActionModule(PerRequestAction):
    """Have each installed certificate of a host served, see it as a client does, and go back where that fails."""

    STEPS = ("certificate_export", "certificate_install", "handshake_verify", "nginx_reload")
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "requests": {**REQUEST_SPEC, "type": "list", "elements": "dict"},
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "obtained": {"type": "dict", "default": {}},
        "started": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 10},
        "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        async def step(name: str, asked: dict[str, t.Any]) -> dict[str, t.Any]:
            return await self.run_step(name, asked, task_vars)

        obtained = Obtained(arguments["obtained"])

        async def prove(request: dict[str, t.Any]) -> dict[str, t.Any]:
            waiting = obtained.pending(request["name"])
            if waiting is None:
                return await Service(request, arguments, step, obtained).prove()
            # What is in use meanwhile need be neither for all names nor from the issuer that is wanted.
            return await Service(covered(request, waiting), arguments, step, obtained, waits=True).prove()

        requests = [request for request in arguments["requests"] if not obtained.is_missing(request["name"])]
        return self.run_requests(requests, prove, at_once=1)


RESTARTED = 60  # seconds that a server in Java may need until it listens again


class Obtained:
    """What certificate_obtain returned for the requests of the host; nothing of it needs to be there."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        self._certificates = {one["name"]: one for one in result.get("certificates") or []}
        self._nginx = result.get("nginx") or {}

    def is_missing(self, name: str) -> bool:
        """Say whether there is no certificate to serve: it could not be obtained, or is pending and none is in use."""
        certificate = self._certificates.get(name, {})
        is_pending_first = "waiting" in certificate and "fingerprint" not in certificate
        return bool(certificate.get("failed")) or is_pending_first

    def pending(self, name: str) -> dict[str, t.Any] | None:
        """Return what certificate_obtain returned as C(waiting) for a request that is pending, else None."""
        return self._certificates.get(name, {}).get("waiting")

    def fingerprint(self, name: str) -> str | None:
        """Return the SHA-256 fingerprint of the installed certificate; nginx_sites read it last."""
        return (self._nginx.get("fingerprints") or {}).get(name) or self._certificates.get(name, {}).get("fingerprint")

    def is_loaded(self, name: str) -> bool:
        """Say whether nginx has loaded the certificate in this run already."""
        return name in (self._nginx.get("loaded") or [])


class Service:
    """One installed certificate, until clients are seen to get it, or the version before."""

    def __init__(
        self,
        request: dict[str, t.Any],
        arguments: dict[str, t.Any],
        step: t.Callable[[str, dict[str, t.Any]], t.Awaitable[dict[str, t.Any]]],
        obtained: Obtained,
        waits: bool = False,
    ) -> None:
        self.request, self.arguments, self.step, self.waits = request, arguments, step, waits
        self.obtained = obtained
        self.steps: list[dict[str, t.Any]] = []  # that were taken, for what Ansible shows of them

    async def prove(self) -> dict[str, t.Any]:
        """Have the installed version served; return what came of it."""
        known = self.obtained.fingerprint(self.request["name"])
        # First of all: a run that is killed leaves to be seen from outside that there is something to do.
        exported = await self._export(self.request)
        is_quiet = not (exported.get("changed") or exported.get("failed"))
        if known and self.arguments["verify_from"] == "controller" and is_quiet:
            seen = await self._look(self.request, known, 0)
            if not seen.get("failed") and not seen["problems"]:
                return {"msg": seen["msg"], **diffs_and_warnings([*self.steps, seen])}
        presented = await self._present(self.request, exported, started=self.arguments["started"])
        proof = presented if presented.get("failed") or self.waits else await self._seen(self.request, presented)
        result = {"msg": proof["msg"], "failed": bool(proof.get("failed"))}
        if exported.get("failed") and presented is not exported:
            result["msg"] = f"{exported['msg']}. {result['msg']}"
        if presented.get("reason"):
            result["reason"] = presented["reason"]
        is_reloaded = presented.get("changed") and presented is not exported
        is_new = is_reloaded or presented.get("fresh") or exported.get("fresh")
        is_new = is_new or self.obtained.is_loaded(self.request["name"])
        # What was served already may never have been proved: a run may have been killed right after its reload.
        if result["failed"] and (is_new or proof.get("answered")):
            sentence, put_back = await self._go_back(is_new)
            result["msg"] = f"{result['msg']}. {sentence}"
            result.update({"put_back": put_back} if put_back else {})
        result["failed"] = result["failed"] or bool(exported.get("failed"))
        if exported.get("changed") and not exported.get("failed"):
            result["exported"] = exported["msg"]
        return {**result, "changed": any(step.get("changed") for step in self.steps), **diffs_and_warnings(self.steps)}

    async def _go_back(self, is_new: bool) -> tuple[str, str | None]:
        """Have the version before served again; return what came of it in a sentence, and the version that is in use for it.

        Where that proves nothing, and what failed is not new in this run, it was not the cause, and is put in use again.
        """
        back = await self._install(state="previous")
        if "put_back" not in back:
            return back["msg"], None
        request = covered(self.request, back.get("certificate") or {})
        presented = await self._present(request, await self._export(request))
        proof = presented if presented.get("failed") else await self._seen(request, presented)
        if not proof.get("failed"):
            return f"{back['msg']}: {proof['msg']}", back["put_back"]
        if is_new:
            who = "nginx" if request["served_by"] == "nginx" else "the host"
            how = (
                f"but {who} does not present it"
                if proof is presented
                else f"and {who} presents it, but it is not proved"
            )
            return f"{back['msg']}, {how}: {proof['msg']}", back["put_back"]
        forth = await self._install()
        again = forth if forth.get("failed") else await self._present(self.request, await self._export(self.request))
        version = f"{back['put_back']} of {self.request['name']}"
        sentences = [f"{version}, the version before, is not proved either: {proof['msg']}", forth["msg"]]
        if again.get("failed") and again is not forth:
            sentences.append(again["msg"])
        return ". ".join(sentences), back["put_back"] if forth.get("failed") else None

    async def _look(self, request: dict[str, t.Any], fingerprint: str | None, timeout: float) -> dict[str, t.Any]:
        """Return what a client sees."""
        asked = {"fingerprint": fingerprint, "timeout": timeout, "verify_from": self.arguments["verify_from"]}
        return await self.step("handshake_verify", {"request": request, "issuers": self.arguments["issuers"], **asked})

    async def _seen(self, request: dict[str, t.Any], presented: dict[str, t.Any]) -> dict[str, t.Any]:
        timeout = self.arguments["timeout"]
        if any(step.get("units") for step in self.steps):
            timeout = max(timeout, RESTARTED)
        return self._taken(await self._look(request, presented.get("fingerprint"), timeout))

    async def _export(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Have the exports follow what is in use; return what came of that, or nothing where there are none."""
        if not request["exports"] and request["served_by"] == "nginx":
            return {}
        return self._taken(await self.step("certificate_export", self._place(request)))

    async def _present(self, request: dict[str, t.Any], exported: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
        """Have what is in use presented; where programs other than nginx do so, this is what came of the exports."""
        if request["served_by"] != "nginx" or (exported.get("failed") and exported.get("fresh")):
            return exported
        return self._taken(await self.step("nginx_reload", {**self._place(request), **more}))

    async def _install(self, **more: t.Any) -> dict[str, t.Any]:
        return self._taken(await self.step("certificate_install", {**self._place(self.request), **more}))

    def _place(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        return {"request": request, "directory": self.arguments["directory"]}

    def _taken(self, step: dict[str, t.Any]) -> dict[str, t.Any]:
        step = {"msg": "", **step}  # a host that was taken over may say nothing
        self.steps.append(step)
        return step


def covered(request: dict[str, t.Any], certificate: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a request for no more than a version covers, which may be from before a domain was added."""
    names = certificate.get("names")
    names = names if isinstance(names, list) else []
    domains = [domain for domain in complete_request(request)["domains"] if domain in names]
    return {**request, "domains": domains or [name for name in names if isinstance(name, str)]}
