# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    PerRequestAction,
    diffs_and_warnings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import check_distinct_requests
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import absolute_folder
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

ALL = "all"


class ActionModule(PerRequestAction):
    """Replace certificates of a host, verify that clients get the new ones, and only then have the old ones revoked."""

    STEPS = ("certificate_info", "certificate_obtain", "certificate_revoke", "certificate_serve")
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "requests": {**REQUEST_SPEC, "type": "list", "elements": "dict"},
        "names": {"type": "list", "elements": "str", "required": True},
        "reason": {"type": "str", "choices": sorted(REVOCATION_REASONS), "default": "superseded"},
        "even_if_served": {"type": "bool", "default": False},
        "directory": {"type": "path", "default": "/etc/evergreen"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "records": {"type": "path", "default": "~/.evergreen/revocations"},
        "timeout": {"type": "float", "default": 10},
        "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        check_distinct_requests(arguments["requests"])
        names = arguments["names"]
        chosen = [request for request in arguments["requests"] if names == [ALL] or request["name"] in names]
        if not chosen:
            return {"changed": False, "msg": f"this host has no request {' or '.join(names)}", "certificates": []}
        return self.run_requests(chosen, lambda request: self._replace_and_revoke(request, arguments, task_vars))

    async def _replace_and_revoke(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return the result for one request."""
        host = task_vars.get("inventory_hostname", "")
        records, record = (
            JsonRecords(absolute_folder("records", arguments["records"])),
            file_name(host, request["name"]),
        )
        store = {"directory": arguments["directory"], "name": request["name"]}
        info = await self.run_step("certificate_info", store, task_vars)
        if info.get("failed"):
            return {"failed": True, "msg": info["msg"]}
        installed: dict[str, t.Any] = next(iter(info["certificates"]), {})
        # A revocation that an earlier run began comes first: the certificate that is in use now may be the new one.
        pending = _still_valid(records.read(record)) or _revocation_record(installed, request)
        if not pending:
            return {"msg": "there is no certificate on this host to be revoked"}
        old = pending["serial_number"]
        if self._task.check_mode:
            return {"changed": True, "msg": f"would replace {old}, prove that, and have {pending['issuer']} revoke it"}
        records.write(record, pending)
        steps = await self._replace(request, arguments, task_vars, _serial_number(installed) == old)
        problem = next((step["msg"] for step in steps if step.get("failed")), None)
        if problem and not arguments["even_if_served"]:
            return {
                "failed": True,
                "changed": any(step.get("changed") for step in steps),
                "msg": f"{old} is not revoked, since clients may get it still: {problem}. Put that right and run this again; "
                "or have it revoked all the same with even_if_served (revoke_served of the playbook)",
                **diffs_and_warnings(steps),
            }
        revocation = {"issuer": pending["issuer"], "serial_number": old, "reason": arguments["reason"]}
        steps.append(
            await self.run_step("certificate_revoke", {**revocation, "issuers": arguments["issuers"]}, task_vars)
        )
        if not steps[-1].get("failed"):
            records.remove(record)
        return {
            "changed": any(step.get("changed") for step in steps),
            "failed": bool(steps[-1].get("failed")),
            "serial_number": old,
            "msg": ", ".join([*([f"not replaced ({problem})"] if problem else []), steps[-1]["msg"]]),
            **diffs_and_warnings(steps),
        }

    async def _replace(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any], is_in_use: bool
    ) -> list[dict[str, t.Any]]:
        """Return the results of the steps that replace the certificate in use by one with a new key, and have it served."""
        common = {name: arguments[name] for name in ("directory", "issuers")}
        steps, obtained = [], {}
        if is_in_use:
            new_key = {"requests": [{**request, "reuse_key": False}], "force": True}
            steps.append(await self.run_step("certificate_obtain", {**new_key, **common}, task_vars))
            if steps[-1].get("failed"):
                return steps
            obtained = steps[-1]
        verification = {name: arguments[name] for name in ("timeout", "verify_from")}
        served = {"requests": [request], "obtained": obtained, **common, **verification}
        return [*steps, await self.run_step("certificate_serve", served, task_vars)]


def _revocation_record(installed: dict[str, t.Any], request: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """Return serial_number, not_after and issuer of the certificate in use, None if there is none."""
    certificate = installed.get("certificate")
    if not certificate:
        return None
    issuer = installed.get("issuer") or request["issuer"]
    return {name: certificate[name] for name in ("serial_number", "not_after")} | {"issuer": issuer}


def _serial_number(installed: dict[str, t.Any]) -> str | None:
    return (installed.get("certificate") or {}).get("serial_number")


def _still_valid(pending: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """Return the record of an earlier run, unless its certificate has expired by now."""
    end = parse_date(pending.get("not_after"))
    return pending if end and end > utc_now() else None
