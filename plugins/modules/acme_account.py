#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_account
short_description: Tell what the accounts of an ACME issuer are, or give them another key
version_added: 0.1.0
description:
  - Returns the address of the account of an issuer of C(type=acme) at each of its directories, for CAA records and the persistent
    records of dns-persist-01. Accounts that are not there yet are made.
  - With O(change_key), gives all of them a new key. A change that was interrupted goes on where it stopped. Issuers with the same
    C(folder) have the same key; change it through the one that names all of their directories.
  - Runs on the controller; nothing is sent to hosts. Those that answer challenges by themselves have to be deployed after a change.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each change of the key makes another one.
options:
  issuer:
    description: The name of the issuer, a key of O(issuers).
    type: str
    required: true
  issuers:
    description: The issuers by name, as in C(certificate_issuers).
    type: dict
    required: true
  change_key:
    description: Whether the accounts are given another key.
    type: bool
    default: false
seealso:
  - module: evergreen.tls.certificate_issue
"""

EXAMPLES = r"""
- name: Show the account for CAA records
  evergreen.tls.acme_account:
    issuer: letsencrypt
    issuers: "{{ certificate_issuers }}"
  delegate_to: localhost
  run_once: true

- name: Change its key, since somebody who had it has left
  evergreen.tls.acme_account:
    issuer: letsencrypt
    issuers: "{{ certificate_issuers }}"
    change_key: true
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
msg:
  description: What was found or done, in a sentence.
  returned: success
  type: str
  sample: the thumbprint of the key of letsencrypt is LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ
thumbprint:
  description: The thumbprint of the key (RFC 7638).
  returned: success, but not in check mode
  type: str
  sample: LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ
accounts:
  description: The address of the account at each directory.
  returned: success, but not in check mode
  type: dict
  sample:
    https://acme-v02.api.letsencrypt.org/directory: https://acme-v02.api.letsencrypt.org/acme/acct/123456789
"""
