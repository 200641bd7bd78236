#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_info
short_description: Tell what certificates are installed on a host
version_added: 0.1.0
description:
  - Reads the folder of certificates of a host, and tells for each what is in use, what came before, and what is waiting.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request.directory
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: The name of one request. By default all certificates of the folder are told of.
    type: str
"""

EXAMPLES = r"""
- name: Look at the certificates of the host
  evergreen.tls.certificate_info:
  register: found

- name: Show when they expire
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.certificate.not_after | default('nothing installed') }}"
  loop: "{{ found.certificates }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
certificates:
  description: The certificates of the host, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the request.
      type: str
      sample: www.example.org
    path:
      description: The folder of the certificate.
      type: str
      sample: /etc/evergreen/www.example.org
    version:
      description: The version in use; none if nothing is installed.
      type: str
      sample: v0003
    versions:
      description: All versions, the oldest first.
      type: list
      elements: str
      sample: [v0002, v0003]
    issuer:
      description: The name of the issuer in the inventory, when the certificate was requested.
      type: str
      sample: corporate
    waiting_since:
      description: Since when a request is waiting for its certificate, in UTC; none if there is none.
      type: str
      sample: "2026-11-21T10:00:00+00:00"
    days_left:
      description: How many days the certificate is valid for; negative once it has expired.
      type: float
      sample: 46.5
    problem:
      description: What is wrong with the installed certificate; none if it can be served.
      type: str
      sample: the certificate expired on 2026-11-20 10:00:00 UTC; have it issued again
    certificate:
      description: The certificate in use.
      type: dict
      contains:
        common_name:
          description: The common name of the subject, or the whole subject if it has none.
          type: str
        names:
          description: The DNS names and IP addresses that it covers.
          type: list
          elements: str
        issuer:
          description: The common name of the CA that signed it.
          type: str
        chain:
          description: The common names along the chain, the leaf's first.
          type: list
          elements: str
        key:
          description: The type of the key with its size or curve.
          type: str
        serial_number:
          description: The serial number in hexadecimal digits.
          type: str
        fingerprint:
          description: The SHA-256 fingerprint in hexadecimal digits.
          type: str
        not_before:
          description: The first moment of validity, in UTC.
          type: str
        not_after:
          description: The last moment of validity, in UTC.
          type: str
"""

import datetime
import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils.chains import (
    check_chain,
    describe_chain,
    not_after,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.keys import load_key
from ansible_collections.evergreen.tls.plugins.module_utils.names import REQUEST_NAME
from ansible_collections.evergreen.tls.plugins.module_utils.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils.targets import answer, require_cryptography


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/etc/evergreen"},
            "name": {"type": "str"},
        },
        supports_check_mode=True,
    )
    answer(module, decide)


def decide(module):
    require_cryptography()
    directory, name = module.params["directory"], module.params["name"]
    names = [name] if name else sorted(folders(directory))
    return {"changed": False, "certificates": [describe(Store(directory, name)) for name in names]}


def folders(directory):
    """Return the names of the certificates in a directory."""
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return []
    return [
        entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and REQUEST_NAME.fullmatch(entry.name)
    ]


def describe(store):
    """Return what is there of one certificate."""
    version = store.current()
    description = {
        "name": os.path.basename(store.path),
        "path": store.path,
        "version": version,
        "versions": store.versions(),
        "issuer": None,
        "waiting_since": waiting_since(store),
        "days_left": None,
        "problem": None,
        "certificate": None,
    }
    if version is None:
        return description
    issuer = store.file(version, "issuer")
    description["issuer"] = issuer.decode(errors="replace") if issuer else None
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        chain = parse_chain(store.file(version, "fullchain.pem") or b"")
        description["certificate"] = describe_chain(chain)
        description["days_left"] = round((not_after(chain[0]) - now).total_seconds() / 86400, 3)
        key = load_key(store.file(version, "privkey.pem") or b"", "its private key file")
        check_chain(chain, key.public_key(), description["certificate"]["names"], now)
    except TlsError as error:
        description["problem"] = str(error)
    return description


def waiting_since(store):
    """Return since when a request is waiting, in UTC."""
    try:
        changed = os.stat(os.path.join(store.next, "request.csr")).st_mtime
    except OSError:
        return None
    return datetime.datetime.fromtimestamp(changed, datetime.timezone.utc).isoformat()


if __name__ == "__main__":
    main()
