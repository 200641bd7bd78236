# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import functools
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batch_size import orders_at_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background, Barrier, Worker
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.per_request import (
    OBTAIN_ARGUMENTS,
    PerRequestAction,
    diffs_and_warnings,
    without_shown,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.tags import selected_tags
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import (
    check_distinct_requests,
    has_encrypted_key,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import variables_of_task
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import PendingIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_hosts import hosts_respond
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import MAKE_CA
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import ISSUERS, open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.deployed_names import (
    FOLDER,
    DeployedNames,
    requested_names,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.unused_certificates import (
    due_certificates,
    first_answer,
    merged_calls,
    parse_grace,
    removal_arguments,
    served_sentence,
    with_removal,
)

PARTS = ("firewall", "nginx", "certificates")  # the tags that honour_tags knows


class ActionModule(PerRequestAction):
    """Take each request of a host through certificate_request, certificate_issue and certificate_install, as far as it is due.

    With the options firewall and nginx, the host is made ready for the certificates in the same batches.
    """

    STEPS = (
        *("certificate_request", "certificate_issue", "certificate_install", "certificate_host"),
        *("firewall_port", "nginx_sites"),
    )
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        **OBTAIN_ARGUMENTS,
        "firewall": {"type": "dict"},
        "nginx": {"type": "dict"},
        "honour_tags": {"type": "bool", "default": False},
        "make_ca": {"type": "str", "choices": list(MAKE_CA), "default": "first"},
        "refused": {"type": "dict", "default": {}},
        "removal": {
            "type": "dict",
            "options": {
                "grace": {"type": "str", "default": "7d"},
                "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
            },
        },
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        check_distinct_requests(arguments["requests"])
        if arguments["honour_tags"]:
            parts = selected_tags(self._task, PARTS, task_vars)
            arguments = only_parts(arguments, parts)
            if not ("certificates" in parts or arguments["firewall"] or arguments["nginx"]):
                return {"changed": False, "skipped": True, "msg": "the tags of this run select nothing of this"}
        withdrawn = self._withdrawn_requests(arguments, task_vars.get("inventory_hostname", ""))
        self._parts: dict[
            str, dict[str, t.Any]
        ] = {}  # results of firewall_port ("firewall") and nginx_sites ("challenges", "rehearsal", "nginx")
        self._removal: dict[str, t.Any] = {}
        before, after = self._preparing(arguments, task_vars), self._finishing(arguments, task_vars)
        result = self.run_requests(
            [*arguments["requests"], *withdrawn],
            lambda request: self._obtain(request, arguments, task_vars),
            at_once=orders_at_once(arguments, task_vars),
            before=before,
            after=after,
        )
        result = with_parts(result, self._parts) if before or after else result
        return with_removal(result, self._removal) if self._removal else result

    def _preparing(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> list[Worker[None]]:
        """Return workers for what has to be done on the host before a CA is asked."""
        firewall, nginx = arguments["firewall"], arguments["nginx"]
        requests, issuers = arguments["requests"], arguments["issuers"]
        workers = [self._prepare("firewall", "firewall_port", firewall, task_vars)] if firewall else []
        # nginx is configured twice where it has to answer challenges, or to find passphrases when it loads the certificates.
        is_twice = any(hosts_respond(request, issuers) or has_encrypted_key(request) for request in requests)
        if nginx and is_twice and not self._task.check_mode:
            workers.append(self._prepare("challenges", "nginx_sites", nginx, task_vars))
        elif nginx and requests and not self._task.check_mode:
            # No certificate is bought for a host whose nginx could not have the sites.
            workers.append(self._prepare("rehearsal", "nginx_sites", {**nginx, "rehearse": True}, task_vars))
        return workers

    async def _prepare(self, part: str, name: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> None:
        """Make a part of the host ready, and let the requests go on."""
        # This stays if the host is lost meanwhile.
        self._parts[part] = {"failed": True, "msg": f"{name} is not done"}
        self._parts[part] = await self.run_step(name, arguments, task_vars)
        await Barrier()

    def _finishing(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> list[Worker[None]]:
        """Return workers for what has to see all certificates installed."""
        workers = [self._finish(arguments["nginx"], task_vars)] if arguments["nginx"] else []
        grace = parse_grace(arguments["removal"]["grace"]) if arguments["removal"] else None
        if grace is not None and self._is_whole_inventory(arguments["requests"], task_vars):
            workers.append(self._remove_unused(arguments, grace, task_vars))
        return workers

    def _is_whole_inventory(self, requests: list[dict[str, t.Any]], task_vars: dict[str, t.Any]) -> bool:
        """Return whether these are the requests that the inventory has for the host: a play may have others, and an undefined list has none."""
        names = {*(request["name"] for request in requests), *self.invalid}
        return requested_names(variables_of_task(task_vars).get("certificate_requests")) == names

    async def _remove_unused(self, arguments: dict[str, t.Any], grace: int, task_vars: dict[str, t.Any]) -> None:
        """List what the inventory no longer has, in the batch that configures nginx, and remove what no client gets any more."""
        await Barrier()
        if self._obstacle():
            return
        requests, host = arguments["requests"], str(task_vars.get("inventory_hostname", ""))
        call = {"directory": arguments["directory"], "host": host, "grace": grace}
        call |= removal_arguments(requests, self.invalid)
        calls = [await self.run_module("certificate_remove", call, task_vars, is_last=True)]
        requested = {*(request["name"] for request in requests), *self.invalid}
        due = due_certificates(calls[0], requested)
        await Barrier()  # at which nginx has no site with them any more
        if due and not self._task.check_mode and not self._obstacle():
            served: dict[str, str] = {}
            if arguments["removal"]["verify_from"] == "controller":
                addresses_at = functools.partial(host_addresses, variables_of_task(task_vars), host)
                answers = await Background(lambda: {one["name"]: first_answer(one, addresses_at) for one in due})
                served = {name: served_sentence(name, probe) for name, probe in answers.items() if probe}
            names = [one["name"] for one in due if one["name"] not in served]
            calls += (
                [await self.run_module("certificate_remove", {**call, "remove": names}, task_vars)] if names else []
            )
            for one in calls[-1].get("unused") or []:
                if one["name"] in served:
                    one.update(state="kept", sentence=served[one["name"]])
        self._removal = merged_calls(calls)
        self._record_names(host, requested)

    def _record_names(self, host: str, requested: set[str]) -> None:
        """Record on the controller which certificates the host has now, for survey and renew."""
        if self._task.check_mode or self._removal.get("failed"):
            return
        left = [one for one in self._removal.get("unused") or [] if one["state"] in ("waiting", "due", "kept")]
        try:
            records = DeployedNames(os.path.expanduser(FOLDER))
            records.record(host, requested, {one["name"]: one.get("remove_after") or "" for one in left})
        except (OSError, TlsError) as error:
            reason = error if isinstance(error, TlsError) else system_error(error)
            self._removal["warnings"].append(f"the survey will not list unused certificates of {host}: {reason}")

    async def _finish(self, nginx: dict[str, t.Any], task_vars: dict[str, t.Any]) -> None:
        """Configure nginx for all certificates of the host, in the batch that installs the last of them."""
        await Barrier()
        if not self._obstacle():
            self._parts["nginx"] = await self.run_action("evergreen.tls.nginx_sites", nginx, task_vars, is_last=True)

    def _obstacle(self) -> str | None:
        """Return why the host is not ready for any certificate, None if it is."""
        return next((part.get("msg") or "it is not ready" for part in self._parts.values() if part.get("failed")), None)

    def _withdrawn_requests(self, arguments: dict[str, t.Any], host: str) -> list[dict[str, t.Any]]:
        """Return the requests that are pending with an issuer and are no longer in the inventory."""
        issuer_of = {request["name"]: request["issuer"] for request in arguments["requests"]}
        requests = []
        for issuer_name, settings in arguments["issuers"].items():
            if isinstance(settings, dict) and hasattr(ISSUERS.get(str(settings.get("type"))), "pending_names"):
                names = []
                with contextlib.suppress(Exception):  # the requests that need this issuer fail with the reason
                    issuer = open_issuer(issuer_name, arguments["issuers"])
                    names = issuer.pending_names(host) if isinstance(issuer, PendingIssuer) else []
                requests += [
                    {"name": name, "domains": ["withdrawn.invalid"], "issuer": issuer_name, "withdraw": True}
                    for name in names
                    if name not in self.invalid and issuer_of.get(name) != issuer_name
                ]
        return requests

    async def _obtain(
        self, request: dict[str, t.Any], arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return the result for one request; see _result()."""
        issuers = {"issuers": arguments["issuers"]}
        store = {"request": request, "directory": arguments["directory"]}
        if request.get("withdraw"):
            bare = {option: value for option, value in request.items() if option != "withdraw"}
            withdrawal = {**store, **issuers, "request": bare, "withdraw": True}
            return _result([await self.run_step("certificate_request", withdrawal, task_vars)], "")
        if request["name"] in arguments["refused"]:
            return {"failed": True, "msg": str(arguments["refused"][request["name"]])}
        if is_hosted(request):
            hosting = {"request": request, **issuers, "force": arguments["force"]}
            hosted = await self.run_step("certificate_host", hosting, task_vars)
            return _result([hosted], "it is not due", hosted.get("waiting"))
        issuing = {**issuers, "make_ca": arguments["make_ca"]}
        requested = await self.run_step(
            "certificate_request", {**store, **issuing, "force": arguments["force"]}, task_vars
        )
        if requested.get("failed") or not (requested.get("due") or "ready" in requested):
            return _result([requested], "it is not due")
        await Barrier()
        obstacle = self._obstacle()
        if obstacle:
            return _result([requested, {"failed": True, "msg": obstacle}], "it is due")
        steps, issued = [requested], {}
        if "ready" not in requested:
            csr = {key: requested.get(key) for key in ("csr", "in_use", "valid", "reason", "since")}
            issued = await self.run_step("certificate_issue", {"request": request, **issuing, **csr}, task_vars)
            steps.append(issued)
        if issued.get("waiting"):
            return _result(steps, "it waits", issued["waiting"])
        if not issued.get("failed"):
            chain = {"chain": issued.get("chain"), "roots": issued.get("roots")}
            steps.append(await self.run_step("certificate_install", {**store, **issuers, **chain}, task_vars))
        return _result(steps, "it is due")


def only_parts(arguments: dict[str, t.Any], parts: set[str]) -> dict[str, t.Any]:
    """Return the arguments without those of other parts. Without issuers, no pending request is withdrawn."""
    selected = dict(arguments)
    for part in ("firewall", "nginx"):
        if part not in parts:
            selected[part] = None
    if "certificates" not in parts:
        selected["requests"], selected["issuers"], selected["removal"] = [], {}, None
    return selected


def with_parts(result: dict[str, t.Any], parts: dict[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return the merged result of all requests of a host, with the results of its parts (firewall, challenges, nginx)."""
    part_results = list(parts.values())
    returned = {"firewall": parts.get("firewall", {}), "nginx": parts.get("nginx") or parts.get("challenges", {})}
    returned = {part: part_result for part, part_result in returned.items() if part_result}
    is_ready = not any(part.get("failed") for part in part_results)
    # Where the host was not ready, the requests have nothing else to say.
    relevant = [*part_results, result] if "nginx" in parts or is_ready else part_results
    failed = [one for one in relevant if one.get("failed")]
    named = failed or [one for one in relevant if one.get("changed") or one is result]
    shown = {
        "diff": [*diffs_and_warnings(part_results)["diff"], *result.get("diff", [])],
        "warnings": [*diffs_and_warnings(list(returned.values()))["warnings"], *result.get("warnings", [])],
    }
    return {
        **result,
        "changed": any(one.get("changed") for one in [*part_results, result]),
        "failed": result["failed"] or not is_ready,
        "msg": " · ".join(one["msg"] for one in named if one.get("msg")),
        "ready": is_ready,
        **{part: without_shown(part_result) for part, part_result in returned.items()},
        **{key: items for key, items in shown.items() if items},
    }


def _result(
    steps: list[dict[str, t.Any]], default_message: str, pending: dict[str, t.Any] | None = None
) -> dict[str, t.Any]:
    """Return the result for a request from those of its steps; *pending* is what certificate_issue returned as C(waiting)."""
    requested, last = steps[0], steps[-1]
    named = [last] if last.get("failed") or pending else steps
    certificate = last.get("certificate")
    in_use = requested.get("fingerprint") or requested.get("in_use")
    result = {
        "changed": any(step.get("changed") for step in steps),
        "failed": bool(last.get("failed")),
        "msg": ", ".join(step["msg"] for step in named if "msg" in step) or default_message,
        "due": requested.get("due", False),
        "reason": requested.get("reason"),
        "certificate": certificate,
        "waiting": pending,
        "fingerprint": certificate.get("fingerprint") if certificate else in_use,
    }
    return {**{key: value for key, value in result.items() if value is not None}, **diffs_and_warnings(steps)}
