# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.requests import REQUEST
from ansible_collections.evergreen.tls.plugins.plugin_utils.actions import ChainAction, passed_on
from ansible_collections.evergreen.tls.plugins.plugin_utils.completion import check_distinct


class ActionModule(ChainAction):
    """Walk each request of a host through certificate_request, certificate_issue and certificate_install, as far as it is due."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "requests": {**REQUEST, "type": "list", "elements": "dict"},
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "force": {"type": "bool", "default": False},
    }

    def decide(self, arguments, task_vars):
        check_distinct(arguments["requests"])
        return self.each(arguments["requests"], lambda request: self._obtain(request, arguments, task_vars))

    def _obtain(self, request, arguments, task_vars):
        place = {"request": request, "directory": arguments["directory"]}
        issuers = {"issuers": arguments["issuers"]}
        asked = self.step("certificate_request", {**place, **issuers, "force": arguments["force"]}, task_vars)
        if asked.get("failed") or not (asked.get("due") or "ready" in asked):
            return _result([asked], "it is not due")
        steps, issued = [asked], {}
        if "ready" not in asked:
            csr = {"csr": asked.get("csr"), "in_use": asked.get("in_use")}
            issued = self.step("certificate_issue", {"request": request, **issuers, **csr}, task_vars)
            steps.append(issued)
        if not issued.get("failed"):
            answer = {"chain": issued.get("chain"), "roots": issued.get("roots")}
            steps.append(self.step("certificate_install", {**place, **answer}, task_vars))
        return _result(steps, "it is due")


def _result(steps, otherwise):
    """Return what became of a request in the steps that were taken for it."""
    asked, last = steps[0], steps[-1]
    said = [last] if last.get("failed") else steps
    certificate = last.get("certificate")
    result = {
        "changed": any(step.get("changed") for step in steps),
        "failed": bool(last.get("failed")),
        "msg": ", ".join(step["msg"] for step in said if "msg" in step) or otherwise,
        "due": asked.get("due", False),
        "reason": asked.get("reason"),
        "certificate": certificate,
        "fingerprint": certificate.get("fingerprint") if certificate else asked.get("fingerprint"),
    }
    return {**{key: value for key, value in result.items() if value is not None}, **passed_on(steps)}
