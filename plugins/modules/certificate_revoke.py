#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_revoke
short_description: Have a certificate revoked by its issuer, on the controller
version_added: 0.1.0
description:
  - Puts a certificate on the revocation list of the issuer that issued it. Runs on the controller; nothing is sent to the host.
  - "With C(type=local_ca), the list is C(crl.pem) in the folder of the CA. With C(type=acme), the CA is asked by the account that
    ordered the certificate, from the controller that did."
  - What a server presents does not change. Have a new certificate issued and proved first.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request.issuers
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  issuer:
    description: The name of the issuer, a key of O(issuers).
    type: str
    default: local
  serial_number:
    description: The serial number of the certificate in hexadecimal digits, as M(evergreen.tls.certificate_info) and openssl show it.
    type: str
    required: true
  reason:
    description: Why it is revoked (RFC 5280, section 5.3.1).
    type: str
    choices: [affiliation_changed, cessation_of_operation, key_compromise, superseded, unspecified]
    default: unspecified
seealso:
  - module: evergreen.tls.certificate_info
"""

EXAMPLES = r"""
- name: Revoke a certificate whose key was stolen
  evergreen.tls.certificate_revoke:
    issuer: corporate
    issuers: "{{ certificate_issuers }}"
    serial_number: 6e:5b:0c:11:a0
    reason: key_compromise
  delegate_to: localhost
"""

RETURN = r"""
msg:
  description: What was done, in a sentence.
  returned: success
  type: str
  sample: 6e5b0c11a0 is revoked
"""
