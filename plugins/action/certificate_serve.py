# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils.requests import REQUEST
from ansible_collections.evergreen.tls.plugins.plugin_utils.actions import ChainAction, passed_on
from ansible_collections.evergreen.tls.plugins.plugin_utils.domains import normal_names


class ActionModule(ChainAction):
    """Have each installed certificate of a host served, see it as a client does, and go back where that fails."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "requests": {**REQUEST, "type": "list", "elements": "dict"},
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "fingerprints": {"type": "dict", "default": {}},
        "waiting": {"type": "dict", "default": {}},
        "loaded": {"type": "list", "elements": "str", "default": []},
        "started": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 10},
        "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    }

    def decide(self, arguments, task_vars):
        return self.each(arguments["requests"], lambda request: self._serve(request, arguments, task_vars))

    def _serve(self, request, arguments, task_vars):
        waiting = arguments["waiting"].get(request["name"])
        if waiting is not None:  # what is in use meanwhile need not be for all names
            covered = [name for name in normal_names(request["domains"]) if name in waiting["names"]]
            if not covered:
                return {"msg": "what is in use meanwhile is for other names"}
            request = {**request, "domains": covered}

        def verify(fingerprint, timeout):
            asked = {"fingerprint": fingerprint, "timeout": timeout, "verify_from": arguments["verify_from"]}
            asked = {"request": request, "issuers": arguments["issuers"], **asked}
            return self.step("handshake_verify", asked, task_vars)

        known = arguments["fingerprints"].get(request["name"])
        if known and arguments["verify_from"] == "controller":
            seen = verify(known, 0)
            if not seen.get("failed") and not seen["problems"]:
                return {"msg": seen["msg"], **passed_on([seen])}
        place = {"request": request, "directory": arguments["directory"]}
        presented = self.step("nginx_reload", {**place, "started": arguments["started"]}, task_vars)
        steps = [presented]
        if not presented.get("failed") and waiting is None:
            steps.append(verify(presented.get("fingerprint"), arguments["timeout"]))
        result = {"changed": bool(presented.get("changed")), "msg": steps[-1]["msg"]}
        if presented.get("reason"):
            result["reason"] = presented["reason"]
        if not steps[-1].get("failed"):
            return {**result, **passed_on(steps)}
        if presented.get("changed") or presented.get("fresh") or request["name"] in arguments["loaded"]:
            returned, sentence = self._go_back(place, task_vars)
            steps += returned
            result["msg"] = f"{result['msg']}. {sentence}"
            if "put_back" in returned[0]:
                result["put_back"] = returned[0]["put_back"]
        result["changed"] = any(step.get("changed") for step in steps)
        return {**result, "failed": True, **passed_on(steps)}

    def _go_back(self, place, task_vars):
        """Have the version before served again; return the steps, and what they came to in a sentence."""
        back = self.step("certificate_install", {**place, "state": "previous"}, task_vars)
        if "put_back" not in back:
            return [back], back["msg"]
        again = self.step("nginx_reload", place, task_vars)
        if again.get("failed"):
            return [back, again], f"{back['msg']}, but it is not presented: {again['msg']}"
        return [back, again], f"{back['msg']}, and nginx presents it"
