#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import run_module
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.challenge_requests import OPTIONS, decide


def main() -> None:
    run_module(AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True), decide)


if __name__ == "__main__":
    main()
