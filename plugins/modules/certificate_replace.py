#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_replace
short_description: Replace certificates of a host, prove that, and have the old ones revoked
version_added: 0.1.0
description:
  - Has a new certificate with a new key issued and installed for each request, as M(evergreen.tls.certificate_obtain) does, sees that clients
    get it at every address, as M(evergreen.tls.certificate_serve) does, and only then has the one before revoked.
  - Where the new one cannot be had or proved, the one before goes on serving and is not revoked, unless O(even_if_served) says so.
  - What is revoked, and by which issuer, is what the records of the controller have for the host and the request, whatever the host shows. A host
    that shows something else is warned about.
  - A certificate that the cloud makes (C(cloud.hosted)) is replaced by another one of the cloud in the same way. The cloud revokes the one
    before, where no resource presents it any more.
  - What is to be revoked is written down first. A run that was killed is finished by the next one, and revokes nothing else.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request.requests
  - evergreen.tls.request.directory
  - evergreen.tls.request.issuers
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: none
    details:
      - Each time the certificate that is in use by then is replaced and revoked.
options:
  names:
    description: The names of the requests among O(requests) that are meant; V(all) for all of them.
    type: list
    elements: str
    required: true
  reason:
    description: Why the certificates are revoked (RFC 5280, section 5.3.1).
    type: str
    choices: [affiliation_changed, cessation_of_operation, key_compromise, superseded, unspecified]
    default: superseded
  even_if_served:
    description: Whether a certificate is revoked although clients may get it still, since it could not be replaced.
    type: bool
    default: false
  records:
    description: The folder on the controller in which it is written down what is to be revoked, until that is done.
    type: path
    default: ~/.evergreen/revocations
  timeout:
    description: For how many seconds a handshake that fails is tried again; for clouds and appliances six times as long.
    type: float
    default: 10
  verify_from:
    description: From where the proof by handshake is made; V(host) where the controller cannot reach the port.
    type: str
    choices: [controller, host]
    default: controller
seealso:
  - module: evergreen.tls.certificate_revoke
  - module: evergreen.tls.certificate_obtain
  - module: evergreen.tls.certificate_serve
"""

EXAMPLES = r"""
- name: Replace and revoke a certificate whose key was stolen
  evergreen.tls.certificate_replace:
    requests: "{{ certificate_requests }}"
    issuers: "{{ certificate_issuers }}"
    names: [www.example.org]
    reason: key_compromise
"""

RETURN = r"""
msg:
  description: What was done, in a sentence.
  returned: always
  type: str
  sample: "www.example.org: 6e5b0c11a0 is revoked (of web1, by corporate)"
certificates:
  description: What became of each request.
  returned: when the requests make sense
  type: list
  elements: dict
  contains:
    name:
      description: The name of the request.
      type: str
      returned: always
    changed:
      description: Whether anything was replaced or revoked.
      type: bool
      returned: always
    failed:
      description: Whether the certificate is not revoked and should be.
      type: bool
      returned: always
    msg:
      description: What was done, or why it could not be done and what to do.
      type: str
      returned: always
    serial_number:
      description: The serial number of the newest certificate that was to be revoked.
      type: str
      returned: when it was replaced, or revoked all the same
    revoked:
      description: What is revoked.
      type: list
      elements: dict
      returned: when it was replaced, or revoked all the same
      contains:
        serial_number:
          description: The serial number, in hexadecimal digits.
          type: str
        issuer:
          description: The name of the issuer that revoked it.
          type: str
        certificate:
          description: The identifier of a certificate that the cloud made, in the place of serial number and issuer.
          type: str
        host:
          description: The host that it was issued to.
          type: str
  sample:
    - name: www.example.org
      changed: true
      failed: false
      msg: 6e5b0c11a0 is revoked (of web1, by corporate)
      serial_number: 6e5b0c11a0
      revoked:
        - serial_number: 6e5b0c11a0
          issuer: corporate
          host: web1
"""
