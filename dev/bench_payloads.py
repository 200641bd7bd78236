# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bytes that Ansible sends to a host for a module, before its arguments; run this with the Python that Ansible has.

python dev/bench_payloads.py MODULE…        prints them by module, in JSON; modules that never travel are left out
"""

from __future__ import annotations

import json
import sys

from ansible import constants
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar


def main() -> None:
    """Print the size of each module."""
    init_plugin_loader()
    sizes = {name: payload(name) for name in sys.argv[1:]}
    print(json.dumps({name: size for name, size in sizes.items() if size is not None}))


def payload(name: str) -> int | None:
    """Return the size of a module with all that it imports, as it goes over the wire.

    What imports nothing is the documentation of an action plugin, and stays on the controller.
    """
    module = module_loader.find_plugin_with_context(name)
    if not module.resolved:
        sys.exit(f"Ansible finds no module {name}")
    built = modify_module(
        module_name=module.resolved_fqcn,
        module_path=module.plugin_resolved_path,
        module_args={},
        templar=Templar(loader=DataLoader()),
        task_vars={"ansible_python_interpreter": "/usr/bin/python3"},
        module_compression=constants.DEFAULT_MODULE_COMPRESSION,
    )
    return len(built.b_module_data) if built.module_style == "new" else None


if __name__ == "__main__":
    main()
