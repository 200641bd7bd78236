#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import result_of, run_module, with_arguments

MODULES = ["certificate_install", "certificate_request", "firewall_commands", "nginx_reload", "nginx_sites"]


def main():
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


def decide(module):
    """Run one call after the other. If one fails, the others run all the same."""
    results = [result_of(module, lambda host, call=call: run_call(host, **call)) for call in module.params["calls"]]
    return {"changed": any(result.get("changed", False) for result in results), "results": results}


def run_call(host, module, arguments):
    """Return the result of a module with these arguments on this host."""
    options, work = work_of(module)
    return work(with_arguments(host, options, arguments))


def work_of(module):
    """Return the options of a module, and what it does. Only what a call needs is loaded: Python compiles all of it each time."""
    if module == "certificate_install":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.certificate_install import OPTIONS
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.certificate_install import (
            decide as work,
        )
    elif module == "certificate_request":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.certificate_request import OPTIONS
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.certificate_request import (
            decide as work,
        )
    elif module == "firewall_commands":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.firewall_commands import OPTIONS
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.firewall_commands import (
            decide as work,
        )
    elif module == "nginx_reload":
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.nginx_reload import OPTIONS
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.nginx_reload import decide as work
    else:
        from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.nginx_sites import decide as work
        from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS
    return OPTIONS, work


if __name__ == "__main__":
    main()
