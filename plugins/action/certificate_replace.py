# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import KEY_COMPROMISE
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.hosted_replacement import HostedReplacement
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    PerRequestAction,
    diffs_and_warnings,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import check_distinct_requests
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.values import absolute_folder
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issued import (
    RecordedCertificate,
    recorded_certificates,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

ALL = "all"


class ActionModule(PerRequestAction):
    """Replace certificates of a host, verify that clients get the new ones, and only then have the old ones revoked."""

    STEPS = (
        *("certificate_info", "certificate_install", "certificate_obtain", "certificate_revoke", "certificate_serve"),
        "certificate_host",
    )
    VARIABLES: t.ClassVar[dict[str, str]] = {
        "reason": "revoke_reason",
        "even_if_served": "revoke_served",
        "records": "revoke_records",
    }
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
        names = [name.strip() for name in arguments["names"]]
        chosen = [request for request in arguments["requests"] if ALL in names or request["name"] in names]
        self.invalid = {name: why for name, why in self.invalid.items() if ALL in names or name in names}
        if not chosen and not self.invalid:
            return {"changed": False, "msg": f"this host has no request {' or '.join(names)}", "certificates": []}
        return self.run_requests(chosen, lambda request: self._replace_and_revoke(request, arguments, task_vars))

    async def _replace_and_revoke(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return the result for one request. The records of the controller say what is revoked, and the host does not."""
        host = task_vars.get("inventory_hostname", "")
        records = JsonRecords(absolute_folder("records", arguments["records"]))
        record = file_name(host, request["name"])
        if is_hosted(request):
            return await HostedReplacement(
                lambda name, step: self.run_step(name, step, task_vars), request, arguments, records, record
            ).run(host, self._task.check_mode)
        store = {"directory": arguments["directory"], "name": request["name"]}
        info = await self.run_step("certificate_info", store, task_vars)
        if info.get("failed") and not arguments["even_if_served"]:
            return {"failed": True, "msg": info["msg"]}
        shown = _serial_number(next(iter(info.get("certificates") or []), {}))
        recorded, problems = recorded_certificates(host, request["name"], request["issuer"], arguments["issuers"])
        begun = _texts(records.read(record).get("serial_numbers"))  # by an earlier run, which may have replaced them
        valid = [one for one in recorded if not one.revoked]
        pending = [one for one in valid if one.serial_number in begun]
        is_replaced = bool(pending) and shown in {one.serial_number for one in valid if one not in pending}
        pending = pending or valid
        if begun and {one.serial_number for one in recorded if one.revoked}.issuperset(begun):
            records.remove(record)
            return {"msg": f"{', '.join(begun)} was revoked by an earlier run"}
        if not pending:
            return _nothing_recorded(host, request, shown, recorded, problems)
        serials = ", ".join(one.serial_number for one in pending)
        cas = " and ".join(dict.fromkeys(one.issuer for one in pending))
        if self._task.check_mode:
            return {"changed": True, "msg": f"would replace {serials}, prove that, and have {cas} revoke it"}
        records.write(record, {"serial_numbers": [one.serial_number for one in pending]})
        steps = [info] if info.get("failed") else await self._replace(request, arguments, task_vars, not is_replaced)
        problem = next((step["msg"] for step in steps if step.get("failed")), None)
        if problem is None and _is_waiting(steps[-1]):
            problem = steps[-1]["msg"]
        if problem is None and not self._is_replaced(pending, request, arguments, host):
            problem = f"the records have no other certificate of {host} for {request['name']} that is valid"
        warnings = [*problems, *_other_certificate_warning(host, request["name"], shown, is_replaced, pending)]
        if problem and not arguments["even_if_served"]:
            return {
                "failed": True,
                "changed": any(step.get("changed") for step in steps),
                "msg": f"{serials} is not revoked, since clients may get it still: {problem}. Put that right and run this again; "
                "or have it revoked all the same with even_if_served (revoke_served of the playbook)",
                **diffs_and_warnings([*steps, {"warnings": warnings}]),
            }
        revocations = [await self._revoke(one, host, arguments, task_vars) for one in pending]
        is_failed = any(step.get("failed") for step in revocations)
        if not is_failed or self._is_all_marked(pending, request, arguments, host):
            records.remove(record)
        if arguments["reason"] == KEY_COMPROMISE and not problem:  # the host removes the keys of what is revoked by now
            issuers = {"issuers": arguments["issuers"]}
            own = {"request": request, "directory": arguments["directory"], **issuers}
            removal = await self.run_step("certificate_install", own, task_vars)
            is_failed = is_failed or bool(removal.get("failed"))
            steps.append(removal)
            revocations += [removal] if removal.get("failed") or removal.get("changed") else []
        messages = [*([f"not replaced ({problem})"] if problem else []), *(step["msg"] for step in revocations)]
        return {
            "changed": any(step.get("changed") for step in [*steps, *revocations]),
            "failed": is_failed,
            "serial_number": pending[-1].serial_number,
            "revoked": [step["revoked"] for step in revocations if "revoked" in step],
            "msg": ", ".join(messages),
            **diffs_and_warnings([*steps, *revocations, {"warnings": warnings}]),
        }

    def _is_replaced(
        self, pending: list[RecordedCertificate], request: dict[str, t.Any], arguments: dict[str, t.Any], host: str
    ) -> bool:
        """Say whether the records have a valid certificate that is not to be revoked: the one that clients get from now on."""
        recorded, _problems = recorded_certificates(host, request["name"], request["issuer"], arguments["issuers"])
        return any(not one.revoked and one not in pending for one in recorded)

    def _is_all_marked(
        self, pending: list[RecordedCertificate], request: dict[str, t.Any], arguments: dict[str, t.Any], host: str
    ) -> bool:
        """Say whether all of them are revoked, or marked so where people or a program have to do it."""
        recorded, _problems = recorded_certificates(host, request["name"], request["issuer"], arguments["issuers"])
        return {one.serial_number for one in recorded if one.revoked}.issuperset(one.serial_number for one in pending)

    async def _revoke(
        self, certificate: RecordedCertificate, host: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return the result of certificate_revoke for a certificate of the records."""
        named = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        revocation = {**named, "reason": arguments["reason"], "issuers": arguments["issuers"]}
        step = await self.run_step("certificate_revoke", revocation, task_vars)
        if step.get("failed"):
            return step
        return {
            **step,
            "msg": f"{step['msg']} (of {host}, by {certificate.issuer})",
            "revoked": {**named, "host": host},
        }

    async def _replace(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any], is_in_use: bool
    ) -> list[dict[str, t.Any]]:
        """Return the results of the steps that replace the certificate in use by one with a new key, and have it served."""
        common = {name: arguments[name] for name in ("directory", "issuers")}
        steps, obtained = [], {}
        if is_in_use:
            new_key = {"requests": [{**request, "reuse_key": False}], "force": True, "make_ca": "never"}
            steps.append(await self.run_step("certificate_obtain", {**new_key, **common}, task_vars))
            if steps[-1].get("failed"):
                return steps
            obtained = steps[-1]
            if sentence := _pending_sentence(obtained):
                return [*steps, {"failed": True, "msg": sentence}]
        verification = {name: arguments[name] for name in ("timeout", "verify_from")}
        served = {"requests": [request], "obtained": obtained, **common, **verification}
        return [*steps, await self.run_step("certificate_serve", served, task_vars)]


def _texts(value: t.Any) -> list[str]:
    """Return the texts in a list; none for anything else."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _pending_sentence(obtained: dict[str, t.Any]) -> str | None:
    """Return that the new certificate is pending, and what has to be done, from the result of certificate_obtain; None if it is not."""
    waiting = next((one["waiting"] for one in obtained.get("certificates") or [] if one.get("waiting")), None)
    return f"the new certificate is pending ({waiting.get('for')})" if waiting else None


def _is_waiting(step: dict[str, t.Any]) -> bool:
    """Return whether a service has not brought the new certificate into effect yet, so that clients get the one before."""
    return any(certificate.get("waiting") for certificate in step.get("certificates") or [])


def _serial_number(installed: dict[str, t.Any]) -> str | None:
    return (installed.get("certificate") or {}).get("serial_number")


def _nothing_recorded(
    host: str,
    request: dict[str, t.Any],
    shown: str | None,
    recorded: list[RecordedCertificate],
    problems: list[str],
) -> dict[str, t.Any]:
    """Return the result where the records have no certificate that can be revoked. It is a failure if there may be one all the same."""
    if problems:
        return {"failed": True, "msg": f"nothing is revoked, since records cannot be read: {'; '.join(problems)}"}
    if shown in {one.serial_number for one in recorded}:
        return {
            "failed": True,
            "msg": f"{shown} was revoked before, and {host} has it in use still; renew it with -e certificate_force=true",
        }
    if shown is None:
        return {"msg": "there is no certificate on this host to be revoked"}
    return {
        "failed": True,
        "msg": f"nothing is revoked: this controller has no record of a certificate that was issued to {host} for {request['name']}. The host "
        f"shows one with the serial number {shown}; if it is its own, have its CA revoke it (certificate_revoke, from the controller that "
        "ordered it), and have a new one made with -e certificate_force=true",
    }


def _other_certificate_warning(
    host: str, name: str, shown: str | None, is_replaced: bool, pending: list[RecordedCertificate]
) -> list[str]:
    """Return a warning where the host does not show a certificate of its own."""
    own = [one.serial_number for one in pending]
    if is_replaced or shown in own:
        return []
    issued = f"what was issued to it is {', '.join(own)}: that is revoked"
    return [f"{host} shows {shown or 'no certificate'} for {name}, and {issued}; look at what the host is doing"]
