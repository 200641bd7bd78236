# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of actions that work on each certificate request of a host, and the merging of what became of them."""

from __future__ import annotations

import types
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.loader import action_loader

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batch_size import MAX_REQUESTS
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Batch, Worker
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.connection_errors import why_lost
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.host_limits import HostLimitError
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors, validate_arguments
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import with_defaults

SHOWN_BY_ANSIBLE = ("diff", "warnings")  # what Ansible shows of a result, and so stands at its top
OBTAIN_ARGUMENTS: dict[str, t.Any] = {  # the arguments of whoever obtains the certificates of a host
    "requests": {**REQUEST_SPEC, "type": "list", "elements": "dict"},
    "directory": {"type": "path", "default": "/etc/evergreen"},
    "issuers": {"type": "dict", "default": {}, "no_log": True},
    "force": {"type": "bool", "default": False},
}


class PerRequestAction(TlsAction):
    """An action that takes each request of a host through other actions, and returns the results of all requests as one."""

    STEPS: t.ClassVar[tuple[str, ...]] = ()  # the actions of the collection that requests are taken through
    invalid: t.Mapping[str, str] = types.MappingProxyType({})  # why requests cannot be worked on, by name

    def __init_subclass__(cls, **more: t.Any) -> None:
        """Load the steps. Ansible loads an action once before it forks for each host, and what others it needs in each fork."""
        super().__init_subclass__(**more)
        for step in cls.STEPS:
            action_loader.get(f"evergreen.tls.{step}", class_only=True)

    def _checked(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the checked arguments, without the requests that do not fit the spec: each of them is a finding of its own.

        Raises TlsError where no request is left, or something else is wrong.
        """
        self.invalid = {}
        try:
            return super()._checked(arguments)
        except TlsError:
            requests = arguments.get("requests")
            named = requests if isinstance(requests, list) and all(_is_named(one) for one in requests) else []
            self.invalid = self._invalid_requests(named, arguments.get("issuers"))
            valid = [request for request in named if request["name"] not in self.invalid]
            if not (valid and self.invalid):
                self.invalid = {}
                raise
        return super()._checked({**arguments, "requests": valid})

    def _invalid_requests(self, requests: list[dict[str, t.Any]], issuers: t.Any) -> dict[str, str]:
        """Return why requests do not fit the spec, by name."""
        spec = {name: kind for name, kind in self.ARGUMENTS.items() if name == "requests"}
        invalid = {}
        for request in requests:
            try:
                filled = with_defaults(request, issuers)
                errors = spec_errors(validate_arguments(ArgumentSpecValidator(spec), {"requests": [filled]}))
            except TlsError as error:
                errors = str(error).removeprefix(f"certificate request {request['name']}: ")
            if errors:
                invalid[request["name"]] = f"{errors}; correct the inventory"
        return invalid

    def run_requests(
        self,
        requests: list[dict[str, t.Any]],
        work: t.Callable[[dict[str, t.Any]], t.Coroutine[t.Any, t.Any, dict[str, t.Any]]],
        at_once: int = 0,
        before: t.Sequence[Worker[None]] = (),
        after: t.Sequence[Worker[None]] = (),
    ) -> dict[str, t.Any]:
        """Return the results of *work* for each request, as one.

        With *at_once*, requests share a batch, and so many of them may be with a CA at a time; else each has a batch of its own.
        Other workers share the batch of the first requests (*before*), and of the last (*after*).
        One request that fails keeps none of the others back, but a host that cannot be reached is tried once only.
        """
        self._lost: str | None = None
        certificates: list[dict[str, t.Any]] = []
        size = MAX_REQUESTS if at_once else 1
        groups = [requests[start : start + size] for start in range(0, len(requests), size)] or [[]]
        for group in groups:
            workers: list[Worker[dict[str, t.Any] | None]] = [
                *(before if group is groups[0] else ()),
                *(self._run_request(request, work) for request in group),
                *(after if group is groups[-1] else ()),
            ]
            certificates += [result for result in Batch(at_once).run(workers) if result is not None]
        findings = [
            {"name": name, "changed": False, "failed": True, "msg": message} for name, message in self.invalid.items()
        ]
        return merged_results([*certificates, *findings])

    async def _run_request(
        self,
        request: dict[str, t.Any],
        work: t.Callable[[dict[str, t.Any]], t.Coroutine[t.Any, t.Any, dict[str, t.Any]]],
    ) -> dict[str, t.Any]:
        """Return the result for one request."""
        result = {"name": request["name"], "changed": False, "failed": False}
        if self._lost is None:
            try:
                return {**result, **await work(request)}
            except AnsibleConnectionFailure as error:
                self._lost = str(error) if isinstance(error, HostLimitError) else why_lost(str(error))
            except BaseException as error:
                return {**result, "failed": True, "msg": failure_sentence(error)}
        return {**result, "failed": True, "msg": self._lost}

    async def run_step(self, name: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of another action of the collection."""
        return await self.run_action(f"evergreen.tls.{name}", arguments, task_vars)


def _is_named(request: t.Any) -> bool:
    return isinstance(request, dict) and isinstance(request.get("name"), str)


def merged_results(results: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return the results for all requests of a host as one. If one failed, the message names only those that failed.

    results: with the keys name, changed, failed and msg, those that are returned, and diff and warnings, which are lists.
    """
    named = [result for result in results if result["failed"]] or results
    shown = {key: [item for result in results for item in result.get(key, [])] for key in SHOWN_BY_ANSIBLE}
    return {
        "changed": any(result["changed"] for result in results),
        "failed": any(result["failed"] for result in results),
        "msg": " · ".join(f"{result['name']}: {result['msg']}" for result in named),
        "certificates": [without_shown(result) for result in results],
        **{key: items for key, items in shown.items() if items},
    }


def without_shown(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a result without what Ansible shows, which is merged into the result of the task."""
    return {key: value for key, value in result.items() if key not in SHOWN_BY_ANSIBLE}


def diffs_and_warnings(steps: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return the diffs and warnings of the steps that were taken for a certificate, as lists."""
    diffs = [step["diff"] for step in steps if "diff" in step]
    return {"diff": diffs, "warnings": [warning for step in steps for warning in step.get("warnings", [])]}
