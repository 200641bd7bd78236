# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of the action plugins: they check their arguments, run modules and other actions, and return one result."""

from __future__ import annotations

import contextlib
import functools
import types
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ValidationResult
from ansible.plugins.action import ActionBase

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import require_cryptography
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import ActionCall, Batch, ModuleCall
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.connection_errors import why_silent
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.host_limits import (
    CLEANUP_TIMEOUT_S,
    HostLimitError,
    host_timeout_s,
    limited_host_call,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.host_text import sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.module_results import validated_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.remote_server import is_local
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.fact_check import (
    check_facts,
    options_from_inventory,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import (
    variables_of_host,
    variables_of_task,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors, validate_arguments
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.words import check_site_words
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import with_defaults
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.cloud_account import with_solver_accounts
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_value

INTERPRETER_FACTS = (
    "discovered_interpreter_"  # what the names of the facts begin with that Ansible itself finds on a host
)


class TlsAction(ActionBase):
    """An action that returns what decide() returns, or fails with the sentence that it raises.

    decide() is a coroutine: whatever touches the host, or waits for a CA, is awaited (see batching).
    """

    _supports_check_mode = True
    ARGUMENTS: t.ClassVar[dict[str, t.Any]]
    # The variables of the playbooks of this collection from which options come, by option.
    VARIABLES: t.ClassVar[dict[str, str]] = {}
    _variable_names: t.Mapping[str, str] = types.MappingProxyType(
        {}
    )  # of those of VARIABLES that this run has, by option
    is_last = False  # whether its calls to the host come after those of all other workers of the batch

    def __init__(self, *arguments: t.Any, **more: t.Any) -> None:
        super().__init__(*arguments, **more)
        self._interpreter_facts: dict[str, t.Any] = {}

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the result of the task. No text in it has control characters: this is where all texts of others leave the collection."""
        try:
            (result,) = Batch().run([self.work(task_vars or {})])
        except AnsibleConnectionFailure as error:  # in the words of the host, and of what connects to it
            raise AnsibleConnectionFailure(sentence(str(error), MAX_TEXT_CHARACTERS)) from None
        return escape_value(result)

    async def work(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of the task, in a batch that others may share."""
        super().run(None, task_vars)
        result = await self._decided(task_vars)
        return {**result, "ansible_facts": self._interpreter_facts} if self._interpreter_facts else result

    async def _decided(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        try:
            require_cryptography()
            self._check_facts(task_vars)
            names = self.VARIABLES.items()
            self._variable_names = {
                option: name for option, name in names if option in self._task.args and name in task_vars
            }
            return await self.decide(with_cloud_accounts(self._arguments(), task_vars), task_vars)
        except TlsError as error:
            return {
                "failed": True,
                "msg": str(error),
                **error.details,
            }
        except AnsibleError:  # of which Ansible makes a result, or an unreachable host
            raise
        except BaseException as error:
            return {"failed": True, "msg": failure_sentence(error)}

    def _check_facts(self, task_vars: dict[str, t.Any]) -> None:
        """Raise TlsError if facts of the host would decide in place of the inventory."""
        check_facts(task_vars, task_vars.get("inventory_hostname", ""))

    # not a parser: it only passes on foreign input
    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do the work."""
        raise NotImplementedError

    async def run_module_or_raise(
        self, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return the result of a module of the collection on the host. Raises TlsError where it failed."""
        result = await self.run_module(module, arguments, task_vars)
        if result.get("failed"):
            raise TlsError(result.pop("msg"), **result)
        return result

    async def run_module(
        self, module: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any], is_last: bool = False
    ) -> dict[str, t.Any]:
        """Return the result of a module of the collection on the host, whether it failed or not.

        is_last: whether the call comes after those of all other workers of the batch, as with the attribute of that name.
        """
        if isinstance(arguments.get("request"), dict):  # Ansible writes all of it into the journal of the host
            arguments = {**arguments, "request": without_secrets(arguments["request"])}
        execute = functools.partial(self._execute, task_vars)
        result = await ModuleCall(module, arguments, execute, _has_secret(arguments), is_last or self.is_last)
        if "module_stdout" in result:  # it is not JSON
            return {"failed": True, "msg": why_silent(module, result, is_local(self._connection))}
        return validated_result(module, result)

    def _execute(self, task_vars: dict[str, t.Any], module: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of a module as the host returns it."""
        with self._limited(task_vars, module):
            try:
                result = self._execute_module(f"evergreen.tls.{module}", module_args=arguments, task_vars=task_vars)
            except RecursionError as error:
                raise TlsError(f"the host answers {module} without end; look at what it is doing") from error
            except AnsibleConnectionFailure:
                raise
            except AnsibleError as error:
                raise TlsError(
                    f"Ansible cannot run {module} on the host: {sentence(str(error))}; look at what it is doing"
                ) from error
        return self._without_facts(result)

    @contextlib.contextmanager
    def _limited(self, task_vars: dict[str, t.Any], call: str) -> t.Iterator[None]:
        """Limit the time and the memory of a call to the host. After a call that was ended, nothing is cleared away there."""
        try:
            with limited_host_call(host_timeout_s(task_vars, self._render), call):
                yield
        except HostLimitError:
            self._connection._shell.tmpdir = None
            raise

    def _render(self, template: str) -> t.Any:
        return self._templar.template(template)

    def cleanup(self, force: bool = False) -> None:
        """Remove the temporary folder of Ansible on the host, which must not take long."""
        with (
            contextlib.suppress(HostLimitError),
            limited_host_call(CLEANUP_TIMEOUT_S, "the removal of temporary files"),
        ):
            super().cleanup(force)

    def _without_facts(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return a result without its facts; keep the one that Ansible itself found on the host: its Python.

        That goes into the result of the task: without it there, the next task would search again. Nothing else may. Facts take
        the place of what the inventory says, and a host that was taken over would say which certificates it has to get.
        """
        facts = result.pop("ansible_facts", None)
        if isinstance(facts, dict):
            self._interpreter_facts.update(
                {name: facts[name] for name in facts if str(name).startswith(INTERPRETER_FACTS)}
            )
        return result

    async def run_action(
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
            action.is_last = is_last
            return self._without_facts(await action.work(task_vars))

        def run() -> dict[str, t.Any]:
            with self._limited(task_vars, name):
                return t.cast("dict[str, t.Any]", action.run(task_vars=task_vars))

        return self._without_facts(await ActionCall(name, arguments, run))

    async def package_error(self, package: str, task_vars: dict[str, t.Any]) -> str | None:
        """Install a package on the host. Return why it cannot be installed, in the words of its package manager, or None."""
        arguments = {"name": package, "state": "present", "update_cache": True}
        installed = await self.run_action("ansible.builtin.package", arguments, task_vars)
        words = str(installed.get("msg") or "no reason given")
        return sentence(words, MAX_TEXT_CHARACTERS) if installed.get("failed") else None

    def _arguments(self) -> dict[str, t.Any]:
        """Return the arguments of the task. Raises TlsError if they are not as ARGUMENTS says."""
        return self._checked(self._task.args)

    def _checked(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        issuers = arguments.get("issuers")
        if issuers is not None and "request" in arguments:
            arguments = {**arguments, "request": with_defaults(arguments["request"], issuers)}
        if issuers is not None and isinstance(arguments.get("requests"), list):
            arguments = {**arguments, "requests": [with_defaults(one, issuers) for one in arguments["requests"]]}
        check_site_words(arguments.get("sites"))
        shared = {"issuers": issuers} if isinstance(issuers, dict) else {}  # which would be copied for each step
        checked = validate_arguments(
            ArgumentSpecValidator(self.ARGUMENTS), {**arguments, **{name: {} for name in shared}}
        )
        if checked.error_messages:
            raise TlsError(self._spec_sentence(checked, arguments))
        return {**checked.validated_parameters, **shared}

    def _spec_sentence(self, checked: ValidationResult, arguments: t.Mapping[str, t.Any]) -> str:
        """Return what is wrong with the arguments of the task, and where to correct it.

        An option that comes from a variable of a playbook is named as people write it.
        """
        names = {option: name for option, name in self._variable_names.items() if option in arguments}
        renamed = validate_arguments(
            ArgumentSpecValidator({name: self.ARGUMENTS[option] for option, name in names.items()}),
            {name: arguments[option] for option, name in names.items()},
        )
        if renamed.error_messages:
            return f"{spec_errors(renamed)}; correct it in the inventory or behind -e"
        request = self._task.args.get("request")
        name = request.get("name") if isinstance(request, dict) else None
        about = f"certificate request {name}" if name else self._task.action
        return f"{about}: {spec_errors(checked)}; correct the inventory"


class FleetAction(TlsAction):
    """An action that runs once for all hosts of a play: facts of one host must not end it for the others."""

    BYPASS_HOST_LOOP = True

    def _check_facts(self, task_vars: dict[str, t.Any]) -> None:
        """Take the options, which are read from the variables of the first host, from another where its facts would say them."""
        host, hosts = task_vars.get("inventory_hostname"), task_vars.get("ansible_play_hosts_all", ())
        others = [other for other in hosts if other != host]
        self._task.args = options_from_inventory(
            self._task.args,
            self.VARIABLES,
            task_vars,
            others,
            lambda other: variables_of_host(task_vars["hostvars"], other),
        )


class HostAction(TlsAction):
    """An action that completes its request, and leaves the rest to the module of its name."""

    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {  # the module checks the others
        "request": REQUEST_SPEC,
        "issuers": {"type": "dict", "default": {}, "no_log": True},
    }

    # not a parser: it only passes on foreign input
    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the result of the module."""
        request = complete_request(arguments["request"])
        arguments = {**self._task.args, "request": request, **self.secrets(request)}
        arguments.pop("issuers", None)
        result = await self.run_module(self._task.action.rpartition(".")[2], arguments, task_vars)
        if result.get("missing") and self._task.check_mode:
            return {"changed": True, "msg": f"the package {result['missing']} would be installed first"}
        return result

    def secrets(self, request: Request) -> dict[str, t.Any]:
        """Return the secrets of a request that the module needs, as options of their own: requests travel without them."""
        return {}

    def _arguments(self) -> dict[str, t.Any]:
        """Return the arguments that are checked here: the module has others."""
        return self._checked({name: value for name, value in self._task.args.items() if name in self.ARGUMENTS})


def with_cloud_accounts(arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the arguments of a task whose issuers have solvers with the settings of their accounts."""
    if not isinstance(arguments.get("issuers"), dict):
        return arguments
    issuers = with_solver_accounts(arguments["issuers"], lambda: cloud_accounts(task_vars))
    return {**arguments, "issuers": issuers}


def cloud_accounts(task_vars: dict[str, t.Any]) -> t.Any:
    """Return the variable C(cloud_accounts) of the host of a task, unchecked, with its templates resolved."""
    return variables_of_task(task_vars).get("cloud_accounts", {})


def without_secrets(request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a request without the passphrase of its key, the passwords of its exports, and how users log in to its appliance.

    What a CA wants to see is left out, too: hosts have no use for it.
    """
    exports = [{**export, "password": None} for export in request.get("exports") or []]
    hidden = {"key_passphrase": None, "exports": exports, "appliance": None, "validation": None}
    return {**request, **{option: value for option, value in hidden.items() if request.get(option)}}


def _has_secret(arguments: dict[str, t.Any]) -> bool:
    """Say whether arguments hold a secret. Hosts log the arguments of a batch, as they are options of host_batch without no_log."""
    return bool(arguments.get("passphrase") or (arguments.get("request") or {}).get("challenge_password"))
