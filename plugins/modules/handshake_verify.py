#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import (
    Module,
    require_cryptography,
    run_module,
)
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._tls.verify import (
    VALIDITY_SPEC,
    Verification,
    verify_request,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "request": REQUEST_SPEC,
            "issuers": {"type": "dict", "default": {}},
            "address": {"type": "str"},
            "fingerprint": {"type": "str"},
            "validity": {"type": "dict", "options": VALIDITY_SPEC},
            "roots": {"type": "str"},
            "timeout": {"type": "float", "default": 10},
            "times": {"type": "int", "default": 1},
            "proxy_protocol": {"type": "bool", "default": False},
            "tls_versions": {"type": "list", "elements": "str", "choices": ["TLSv1.2", "TLSv1.3"]},
            "http3_names": {"type": "list", "elements": "str", "default": []},
            "canonical_names": {"type": "dict", "default": {}},
            "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


def decide(module: Module) -> Verification:
    """Verify the certificate that the server of a request presents to this host."""
    require_cryptography()
    request = module.params["request"]
    endpoints = [(module.params["address"] or "127.0.0.1", request["port"])]
    return verify_request(request, endpoints, module.params, "host", module.check_mode)


if __name__ == "__main__":
    main()
