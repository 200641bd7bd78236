#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    Work,
    result_of,
    run_module,
    with_arguments,
)

MODULES = [
    "certificate_install",
    "certificate_remove",
    "certificate_request",
    "challenge_requests",
    "firewall_commands",
    "nginx_reload",
    "nginx_sites",
]


class Call(t.TypedDict):
    """A call of a module."""

    module: str
    arguments: dict[str, t.Any]


class Result(ModuleResult, total=False):
    """What the module returns."""

    results: list[dict[str, t.Any]]  # of each call, in their order


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "calls": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "module": {"type": "str", "choices": MODULES, "required": True},
                    "arguments": {"type": "dict", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


def decide(module: Module) -> Result:
    """Run one call after the other. If one fails, the others run all the same."""
    calls = t.cast("list[Call]", module.params["calls"])
    results = [result_of(module, functools.partial(run_call, call=call)) for call in calls]
    return {"changed": any(result.get("changed", False) for result in results), "results": results}


def run_call(module: Module, call: Call) -> t.Mapping[str, t.Any]:
    """Return the result of a call on this host."""
    options, work = load_backend(call["module"])
    return work(with_arguments(module, options, call["arguments"]))


def load_backend(name: str) -> tuple[dict[str, dict[str, t.Any]], Work]:
    """Return the options and the work of a module.

    Only what a call needs is imported: Python compiles all of it each time, as a module's payload has no cache.
    """
    if name == "certificate_install":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_install

        return certificate_install.OPTIONS, certificate_install.decide
    if name == "certificate_remove":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_remove

        return certificate_remove.OPTIONS, certificate_remove.decide
    if name == "certificate_request":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_request

        return certificate_request.OPTIONS, certificate_request.decide
    if name == "challenge_requests":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import challenge_requests

        return challenge_requests.OPTIONS, challenge_requests.decide
    if name == "firewall_commands":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import firewall_commands

        return firewall_commands.OPTIONS, firewall_commands.decide
    if name == "nginx_reload":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import nginx_reload

        return nginx_reload.OPTIONS, nginx_reload.decide
    from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import nginx_sites
    from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS

    return OPTIONS, nginx_sites.decide


if __name__ == "__main__":
    main()
