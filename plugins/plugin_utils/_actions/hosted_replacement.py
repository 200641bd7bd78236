# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The replacement of a certificate that a cloud makes and keeps, and the revocation of the one before.

The records of the controller have its identifier from before the first change until it is revoked: a run that was killed is finished by the
next one, and revokes nothing else.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import diffs_and_warnings
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords

Result = dict[str, t.Any]
Step = t.Callable[[str, dict[str, t.Any]], t.Awaitable[Result]]  # runs an action of the collection


class HostedReplacement:
    """The replacement for one request, with the arguments of certificate_replace."""

    def __init__(
        self, step: Step, request: dict[str, t.Any], arguments: dict[str, t.Any], records: JsonRecords, record: str
    ) -> None:
        """Take the name of the record in which the identifier is kept until the certificate is revoked."""
        self.step, self.request, self.arguments = step, request, arguments
        self.records, self.record = records, record
        self.steps: list[Result] = []

    async def run(self, host: str, is_check: bool) -> Result:
        """Return the result for the request. A certificate that no resource presents is revoked at once."""
        begun = self.records.read(self.record, texts=["certificate"]).get("certificate")
        if begun and not is_check:
            return await self._replace_and_revoke(begun, host)
        revocation = await self._revoke(begun)
        if not revocation.get("bound_to"):
            return self._result(revocation, host, is_check)
        certificate = revocation["hosted"]
        if is_check:
            sentence = (
                f"would have another certificate issued in place of {certificate}, prove that, and have it revoked"
            )
            return {"changed": True, "msg": sentence}
        self.records.write(self.record, {"certificate": certificate})
        return await self._replace_and_revoke(certificate, host)

    async def _replace_and_revoke(self, certificate: str, host: str) -> Result:
        problem = await self._replace(certificate)
        if problem:
            return {
                "failed": True,
                "changed": any(step.get("changed") for step in self.steps),
                "msg": f"{certificate} is not revoked, since clients may get it still: {problem}. Put that right and run this again",
                **diffs_and_warnings(self.steps),
            }
        return self._result(await self._revoke(certificate), host)

    async def _revoke(self, certificate: str | None) -> Result:
        """Return the result of having a certificate revoked; without an identifier, the newest one."""
        named = {"certificate": certificate} if certificate else {}
        revocation = {"state": "revoked", "reason": self.arguments["reason"], **named}
        return await self.step("certificate_host", {**self._common(), **revocation})

    async def _replace(self, certificate: str) -> str | None:
        """Have another certificate issued and served. Return why that is not done, None if it is."""
        hosted = await self.step("certificate_host", self._common())
        if hosted.get("hosted") == certificate and not hosted.get("waiting"):
            hosted = await self.step("certificate_host", {**self._common(), "force": True})
        self.steps.append(hosted)
        if hosted.get("failed"):
            return str(hosted["msg"])
        if hosted.get("waiting"):
            return f"the new certificate is pending ({hosted['waiting'].get('for')})"
        names = ("directory", "issuers", "timeout", "verify_from")
        serving = {"requests": [self.request], **{name: self.arguments[name] for name in names}}
        served = await self.step("certificate_serve", serving)
        self.steps.append(served)
        is_waiting = any(one.get("waiting") for one in served.get("certificates") or [])
        return str(served["msg"]) if served.get("failed") or is_waiting else None

    def _common(self) -> dict[str, t.Any]:
        return {"request": self.request, "issuers": self.arguments["issuers"]}

    def _result(self, revocation: Result, host: str, is_check: bool = False) -> Result:
        """Return the result, and forget what is done."""
        steps = [*self.steps, revocation]
        result = {
            "changed": any(step.get("changed") for step in steps),
            "failed": bool(revocation.get("failed")),
            "msg": revocation["msg"],
            **diffs_and_warnings(steps),
        }
        if result["failed"] or is_check:
            return result
        self.records.remove(self.record)
        revoked = {"certificate": revocation.get("hosted"), "host": host}
        return {**result, "revoked": [revoked]} if revocation.get("changed") else result
