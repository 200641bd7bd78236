# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils.actions import OBTAINING, ChainAction, passed_on, share
from ansible_collections.evergreen.tls.plugins.plugin_utils.completion import check_distinct
from ansible_collections.evergreen.tls.plugins.plugin_utils.issuers import ISSUERS, open_issuer


class ActionModule(ChainAction):
    """Walk each request of a host through certificate_request, certificate_issue and certificate_install, as far as it is due."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = OBTAINING

    def decide(self, arguments, task_vars):
        check_distinct(arguments["requests"])
        withdrawn = self._withdrawn(arguments, task_vars.get("inventory_hostname", ""))
        return self.each(
            [*arguments["requests"], *withdrawn],
            lambda request: self._obtain(request, arguments, task_vars),
            at_once=share(arguments, task_vars),
        )

    def _withdrawn(self, arguments, host):
        """Return the requests that wait for people and that the inventory has no longer, to be taken back."""
        known = {request["name"]: request["issuer"] for request in arguments["requests"]}
        requests = []
        for name, settings in arguments["issuers"].items():
            if isinstance(settings, dict) and hasattr(ISSUERS.get(str(settings.get("type"))), "waiting_names"):
                gone = []
                with contextlib.suppress(TlsError, OSError):  # which the requests that need this issuer will tell
                    names = open_issuer(name, arguments["issuers"]).waiting_names(host)
                    gone = [one for one in names if known.get(one) != name]
                requests += [
                    {"name": one, "domains": ["withdrawn.invalid"], "issuer": name, "withdraw": True} for one in gone
                ]
        return requests

    def _obtain(self, request, arguments, task_vars):
        place = {"request": request, "directory": arguments["directory"]}
        issuers = {"issuers": arguments["issuers"]}
        if request.get("withdraw"):
            bare = {word: value for word, value in request.items() if word != "withdraw"}
            return _result(
                [self.step("certificate_request", {**place, **issuers, "request": bare, "withdraw": True}, task_vars)],
                "",
            )
        asked = self.step("certificate_request", {**place, **issuers, "force": arguments["force"]}, task_vars)
        if asked.get("failed") or not (asked.get("due") or "ready" in asked):
            return _result([asked], "it is not due")
        steps, issued = [asked], {}
        if "ready" not in asked:
            csr = {word: asked.get(word) for word in ("csr", "in_use", "valid", "reason", "since")}
            issued = self.step("certificate_issue", {"request": request, **issuers, **csr}, task_vars)
            steps.append(issued)
        if issued.get("waiting"):
            return _result(steps, "it waits", issued["waiting"])
        if not issued.get("failed"):
            answer = {"chain": issued.get("chain"), "roots": issued.get("roots")}
            steps.append(self.step("certificate_install", {**place, **answer}, task_vars))
        return _result(steps, "it is due")


def _result(steps, otherwise, waiting=None):
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
    return {**{key: value for key, value in result.items() if value is not None}, **passed_on(steps)}
