# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action plugins have in common: arguments in, a result or a sentence out."""

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import require_cryptography
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Alone, Company
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.connection_errors import why_silent
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.module_results import validated_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors, validate_arguments
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import with_defaults
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

FOUND_BY_ANSIBLE = "discovered_interpreter_"
# The modules whose work host_batch does, in the order in which they are done in one trip: each may need what was done before it.
ERRANDS = ("firewall_commands", "nginx_sites", "certificate_request", "certificate_install", "nginx_reload")


class Errand(t.NamedTuple):
    """What a walk wants done on the host; one that is the last comes after all others."""

    module: str
    arguments: dict[str, t.Any]
    is_last: bool = False

    @property
    def place(self) -> tuple[bool, int]:
        """Return what errands of one trip are sorted by."""
        return self.is_last, ERRANDS.index(self.module)


class TlsAction(ActionBase):
    """An action that answers with what decide() returns, or fails with the sentence that it raises."""

    _supports_check_mode = True
    ARGUMENTS: t.ClassVar[dict[str, t.Any]]
    company: Company | None = None  # of the requests that are walked beside the one that this is done for
    is_last = False  # whether what this wants of the host comes after all that those want

    def __init__(self, *arguments: t.Any, **more: t.Any) -> None:
        super().__init__(*arguments, **more)
        self._found: dict[str, t.Any] = {}

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        result = self._decided(task_vars or {})
        return {**result, "ansible_facts": self._found} if self._found else result

    def _decided(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        try:
            require_cryptography()
            return self.decide(self._arguments(), task_vars)
        except TlsError as error:
            return {
                "failed": True,
                "msg": escape_control_characters(str(error), keep_line_breaks=True),
                **error.details,
            }
        except OSError as error:
            return {"failed": True, "msg": str(system_error(error))}

    # not a parser: it only passes on foreign input
    def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do the work."""
        raise NotImplementedError

    def visit(self, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return what a module of the collection says on the host. Raises TlsError where it failed."""
        result = self.ask(module, arguments, task_vars)
        if result.get("failed"):
            raise TlsError(result.pop("msg"), **result)
        return result

    def ask(self, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return what a module of the collection says on the host, whether it failed or not."""
        if isinstance(arguments.get("request"), dict):  # of which Ansible writes the whole into the journal of the host
            arguments = {**arguments, "request": without_secrets(arguments["request"])}
        if self.company is None or module not in ERRANDS or _has_secret(arguments):
            return self._alone(module, arguments, task_vars)
        errand = Errand(module, arguments, self.is_last)
        return self.company.ask(Errand, errand, lambda errands: self._together(errands, task_vars), self.is_last)

    def _alone(self, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the answer to one question, which goes to the host by itself."""
        if self.company is None:
            return self._understood(module, self._said(module, arguments, task_vars))
        said = self.company.ask(Alone(), None, lambda _one: [self._said(module, arguments, task_vars)])
        return self._understood(module, said)

    def _together(self, errands: list[Errand], task_vars: dict[str, t.Any]) -> list[dict[str, t.Any] | TlsError]:
        """Return the answers to several errands, for which the host is visited once."""
        if self.company is not None and self.company.lost is not None:
            raise self.company.lost
        order = sorted(range(len(errands)), key=lambda number: errands[number].place)
        answers = self._answers([errands[number] for number in order], task_vars)
        understood: dict[int, dict[str, t.Any] | TlsError] = {}
        for number, answer in zip(order, answers):
            try:
                understood[number] = self._understood(errands[number].module, answer)
            except TlsError as error:
                understood[number] = error
        return [understood[number] for number in range(len(errands))]

    def _answers(self, errands: list[Errand], task_vars: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        """Return what the host says to each errand; where it does not answer all of them, each goes alone."""
        if len(errands) > 1:
            wanted = [{"module": errand.module, "arguments": errand.arguments} for errand in errands]
            answers = self._said("host_batch", {"calls": wanted}, task_vars).get("results")
            is_whole = isinstance(answers, list) and len(answers) == len(errands)
            if is_whole and all(isinstance(one, dict) for one in answers):
                return answers
        return [self._said(errand.module, errand.arguments, task_vars) for errand in errands]

    def _said(self, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return what a module says on the host, as it says it."""
        try:
            said = self._execute_module(f"evergreen.tls.{module}", module_args=arguments, task_vars=task_vars)
        except RecursionError as error:
            raise TlsError(f"the host answers {module} without end; look at what it is doing") from error
        except AnsibleConnectionFailure as error:
            if self.company is not None:
                self.company.lost = error
            raise
        return self._remember(said)

    def _understood(self, module: str, said: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return an answer, once it has the form that it has to have."""
        if "module_stdout" in said:  # in which Ansible found no answer
            return {"failed": True, "msg": why_silent(module, said)}
        return validated_result(module, said)

    def _remember(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """Take the facts out of a result, and keep what Ansible itself found on the host: its Python.

        That goes into the result of the task: without it there, the next task would search again. Nothing else may. Facts take
        the place of what the inventory says, and a host that was taken over would say which certificates it has to get.
        """
        facts = result.pop("ansible_facts", None)
        if isinstance(facts, dict):
            self._found.update({name: facts[name] for name in facts if str(name).startswith(FOUND_BY_ANSIBLE)})
        return result

    def perform(
        self, name: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any], is_last: bool = False
    ) -> dict[str, t.Any]:
        """Return the result of another action, which is done within this task."""
        task = self._task.copy()
        task.action, task.args = name, arguments
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        if isinstance(action, TlsAction):
            action.company, action.is_last = self.company, is_last
        elif self.company is not None:  # it touches the host; and what others want as well is done once
            key = (name, repr(arguments))
            return self.company.ask(
                key, None, lambda same: [self._remember(action.run(task_vars=task_vars))] * len(same)
            )
        return self._remember(action.run(task_vars=task_vars))

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Let the requests that are walked beside this one go on, while a CA is waited for."""
        return self.company.aside() if self.company is not None else contextlib.nullcontext()

    def _arguments(self) -> dict[str, t.Any]:
        """Return the arguments of the task, once they are what ARGUMENTS says."""
        return self._checked(self._task.args)

    def _checked(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        issuers = arguments.get("issuers")
        if issuers is not None and "request" in arguments:
            arguments = {**arguments, "request": with_defaults(arguments["request"], issuers)}
        if issuers is not None and isinstance(arguments.get("requests"), list):
            arguments = {**arguments, "requests": [with_defaults(one, issuers) for one in arguments["requests"]]}
        shared = {"issuers": issuers} if isinstance(issuers, dict) else {}  # which would be copied for each step
        checked = validate_arguments(
            ArgumentSpecValidator(self.ARGUMENTS), {**arguments, **{name: {} for name in shared}}
        )
        if checked.error_messages:
            request = self._task.args.get("request")
            name = request.get("name") if isinstance(request, dict) else None
            about = f"certificate request {name}" if name else self._task.action
            raise TlsError(f"{about}: {spec_errors(checked)}; correct the inventory")
        return {**checked.validated_parameters, **shared}


class HostAction(TlsAction):
    """An action that leaves the work to the module of its name, for a request that is complete."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {  # the module checks the others
        "request": REQUEST,
        "issuers": {"type": "dict", "default": {}, "no_log": True},
    }

    # not a parser: it only passes on foreign input
    def decide(self, arguments, task_vars):
        request = complete_request(arguments["request"])
        arguments = {**self._task.args, "request": request, **self.secrets(request)}
        arguments.pop("issuers", None)
        result = self.ask(self._task.action.rpartition(".")[2], arguments, task_vars)
        if result.get("missing") and self._task.check_mode:
            return {"changed": True, "msg": f"the package {result['missing']} would be installed first"}
        return result

    def secrets(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return what the module needs of the secrets in a request, as options of its own."""
        return {}

    def _arguments(self):
        return self._checked({name: value for name, value in self._task.args.items() if name in self.ARGUMENTS})


def without_secrets(request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a request without the passphrase of its key and the passwords of its exports."""
    exports = [{**export, "password": None} for export in request.get("exports") or []]
    hidden = {"key_passphrase": None, "exports": exports}
    return {**request, **{option: value for option, value in hidden.items() if request.get(option)}}


def _has_secret(arguments: dict[str, t.Any]) -> bool:
    """Say whether arguments hold what no log may show: hosts log the others whole."""
    return bool(arguments.get("passphrase") or (arguments.get("request") or {}).get("challenge_password"))


def endpoints(task_vars: dict[str, t.Any], port: int) -> list[tuple[str, int]]:
    """Return the addresses and ports at which clients reach the host of a task."""
    host = task_vars["inventory_hostname"]
    variables = task_vars.get("hostvars", {}).get(host) or task_vars  # where templates are resolved
    return host_addresses(variables, host, port)
