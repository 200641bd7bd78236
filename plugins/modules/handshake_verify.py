#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: handshake_verify
short_description: Prove with a handshake what clients see
version_added: 0.1.0
description:
  - Connects as a client does, asks for each of the domains, and makes sure that the chain verifies strictly against the roots of
    the issuer, that the certificate covers the name and is valid, and that it is the very certificate that is installed.
  - Runs on the controller, and so from outside; the host is not logged in to. Where the controller cannot reach the port,
    O(verify_from=host) asks from the host itself, and says so in RV(verified_from).
  - Wildcards are proved with a name that they cover. Nothing is changed.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request
  - evergreen.tls.request.issuers
attributes:
  check_mode:
    support: full
    details:
      - Looks, but does not fail for what is not served yet; RV(problems) says what it saw.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  address:
    description:
      - The address or name to connect to.
      - By default the C(certificate_endpoint) of the host, or its C(ansible_host), or its name; V(127.0.0.1) with O(verify_from=host).
    type: str
  fingerprint:
    description: The SHA-256 fingerprint of the certificate that has to be presented, as M(evergreen.tls.nginx_reload) returns it.
    type: str
  roots:
    description:
      - The roots to trust in PEM. Filled in from O(issuers) where the issuer knows them; by default those of the system.
    type: str
  timeout:
    description: For how many seconds a handshake that fails is tried again.
    type: float
    default: 10
  verify_from:
    description: From where to look.
    type: str
    choices: [controller, host]
    default: controller
seealso:
  - module: evergreen.tls.nginx_reload
"""

EXAMPLES = r"""
- name: See the site as a client does
  evergreen.tls.handshake_verify:
    request:
      name: www.example.org
      domains: [www.example.org, example.org]
"""

RETURN = r"""
handshakes:
  description: What was seen, for each domain that was proved.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name that was asked for.
      type: str
    address:
      description: The address that was connected to.
      type: str
    port:
      description: The port that was connected to.
      type: int
    protocol:
      description: The version of TLS.
      type: str
      sample: TLSv1.3
    certificate:
      description: The certificate that was presented, as M(evergreen.tls.certificate_info) describes it.
      type: dict
problems:
  description: Why a domain is not proved, in a sentence each.
  returned: always
  type: list
  elements: str
verified_from:
  description: From where the handshakes were made.
  returned: always
  type: str
  sample: controller
msg:
  description: What was seen, in a sentence.
  returned: always
  type: str
  sample: www.example.org, example.org proved from the controller
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils.proofs import prove_all
from ansible_collections.evergreen.tls.plugins.module_utils.requests import REQUEST, complete_request
from ansible_collections.evergreen.tls.plugins.module_utils.targets import answer, require_cryptography


def main():
    module = AnsibleModule(
        argument_spec={
            "request": REQUEST,
            "issuers": {"type": "dict", "default": {}},
            "address": {"type": "str"},
            "fingerprint": {"type": "str"},
            "roots": {"type": "str"},
            "timeout": {"type": "float", "default": 10},
            "verify_from": {"type": "str", "choices": ["controller", "host"], "default": "controller"},
        },
        supports_check_mode=True,
    )
    answer(module, decide)


def decide(module):
    require_cryptography()
    request = complete_request(module.params["request"])
    places = [(module.params["address"] or "127.0.0.1", request["port"])]
    return prove_all(request, places, module.params, "host", module.check_mode)


if __name__ == "__main__":
    main()
