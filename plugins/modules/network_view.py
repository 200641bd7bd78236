#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import secrets
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import Module, ModuleResult, run_module
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_question import (
    parse_resolver,
    system_resolvers,
)
from ansible_collections.evergreen.tls.plugins.module_utils._network.name_view import NameView, look_at_names

MAX_NAMES = 20_000
MAX_TIMEOUT_S = 600.0
TOKEN_BYTES = 32
NAME = re.compile(r"(\*\.)?[A-Za-z0-9._:-]{1,253}")


class Result(ModuleResult, total=False):
    """What the module returns."""

    names: list[NameView]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "resolvers": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 20},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


# not a parser: the options are the controller's
def decide(module: Module) -> Result:
    """Look at names from this host. Nothing is changed."""
    names, timeout = list(dict.fromkeys(module.params["names"])), module.params["timeout"]
    malformed = [name for name in names if not NAME.fullmatch(name)]
    if malformed or len(names) > MAX_NAMES:
        what = repr(malformed[0])[:80] if malformed else f"{len(names)} entries"
        raise TlsError(f"names has {what}; write at most {MAX_NAMES} domains or addresses")
    if not 0 < timeout <= MAX_TIMEOUT_S:
        raise TlsError(f"timeout is {timeout}; write seconds up to {MAX_TIMEOUT_S:.0f}")
    resolvers = [parse_resolver(text) for text in module.params["resolvers"]] or system_resolvers()
    views = look_at_names(names, secrets.token_urlsafe(TOKEN_BYTES), resolvers, time.monotonic() + timeout)
    return {"changed": False, "names": views, "msg": f"{len(names)} names were looked at"}


if __name__ == "__main__":
    main()
