# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action plugins have in common: arguments in, a result or a sentence out."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils.names import normal_names
from ansible_collections.evergreen.tls.plugins.module_utils.targets import require_cryptography
from ansible_collections.evergreen.tls.plugins.plugin_utils.addresses import addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils.issuers import complaints


class TlsAction(ActionBase):
    """An action that answers with what decide() returns, or fails with the sentence that it raises."""

    _supports_check_mode = True
    ARGUMENTS: t.ClassVar[dict[str, t.Any]]

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        try:
            require_cryptography()
            return self.decide(self._arguments(), task_vars or {})
        except TlsError as error:
            return {"failed": True, "msg": str(error), **error.details}
        except OSError as error:
            return {"failed": True, "msg": str(system_error(error))}

    def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do the work."""
        raise NotImplementedError

    def _arguments(self) -> dict[str, t.Any]:
        """Return the arguments of the task, once they are what ARGUMENTS says."""
        checked = ArgumentSpecValidator(self.ARGUMENTS).validate(self._task.args)
        if checked.error_messages:
            request = self._task.args.get("request")
            name = request.get("name") if isinstance(request, dict) else None
            about = f"certificate request {name}" if name else self._task.action
            raise TlsError(f"{about}: {complaints(checked)}; correct the inventory")
        return checked.validated_parameters


class HostAction(ActionBase):
    """An action that leaves the work to the module of its name, for a request whose names are encoded: hosts need no idna library."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        arguments = {**self._task.args, "request": _encoded(self._task.args.get("request"))}
        settled = self.settled(arguments, task_vars)
        if settled:
            return settled
        result = self._execute_module(module_args=arguments, task_vars=task_vars)
        if result.get("missing") and self._task.check_mode:
            return {"changed": True, "msg": f"the package {result['missing']} would be installed first"}
        return result

    def settled(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any] | None:
        """Return the result where it is clear without asking the host, else None."""
        return None


def places(task_vars: dict[str, t.Any], port: int) -> list[tuple[str, int]]:
    """Return the addresses and ports at which clients reach the host of a task."""
    host = task_vars["inventory_hostname"]
    variables = task_vars.get("hostvars", {}).get(host) or task_vars  # where templates are resolved
    return addresses(variables, host, port)


def _encoded(request: t.Any) -> t.Any:
    """Return a request with its names in their normal form, or as it is where the module will say what is wrong with it."""
    try:
        return {**request, "domains": normal_names(request["domains"])}
    except (TlsError, KeyError, TypeError):
        return request
