#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    ModuleResult,
    require_cryptography,
    run_module,
)
from ansible_collections.evergreen.tls.plugins.module_utils._scan.configured import configured_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.held import Held, read_place
from ansible_collections.evergreen.tls.plugins.module_utils._scan.presented import local_ports, look_at
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import listening_sockets


class Result(ModuleResult, total=False):
    """What the module returns."""

    certificates: list[Held]
    problems: list[str]


def main() -> None:
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "default": "/etc/evergreen"}}, supports_check_mode=True
    )
    run_module(module, decide)


# not a parser: the configurations that it reads have parsers of their own
def decide(module: Module) -> Result:
    """Read what servers of this host are configured with, and see what they present. Nothing is changed."""
    require_cryptography()
    configured = configured_places(module)
    certificates = [read_place(place, module.params["directory"]) for place in configured.places]
    names: dict[int, set[str]] = {}
    for one in certificates:
        for port in one["ports"]:
            names.setdefault(port, {""}).update([*one["names"], *one.get("domains", [])])
    ports = [port for port in local_ports(listening_sockets()) if port[1] in names]
    presented = look_at({port: sorted(names[port[1]]) for port in ports})
    for one in certificates:
        seen = set().union(*(prints for port, prints in presented.items() if port[1] in one["ports"]))
        one["served"] = one.get("fingerprint", "").replace(":", "").lower() in seen
    return {
        "changed": False,
        "certificates": certificates,
        "problems": configured.problems,
        "msg": f"{len(certificates)} places of certificates",
    }


if __name__ == "__main__":
    main()
