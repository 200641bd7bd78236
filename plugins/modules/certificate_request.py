#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: Find out whether a certificate is due, and ask for it with a new key
version_added: 0.1.0
description:
  - Says whether a certificate on this host is due, and why. If it is, a private key is made on the host and kept there, and
    a signing request that proves possession of it is returned, for M(evergreen.tls.certificate_issue).
  - A certificate is due when there is none, when it cannot be read, when it does not belong to its key, when names, type of
    key or issuer have changed, when its chain is broken or leads to another root than the issuer's, when its renewal window
    is open, or when O(force) says so.
  - A key and a request that are waiting already are used again as long as they fit.
  - Names are checked and normalised on the controller. If Python's cryptography is missing on the host, its package is
    installed.
author:
  - Evergreen contributors (@evergreen)
extends_documentation_fragment:
  - evergreen.tls.attributes
  - evergreen.tls.request
  - evergreen.tls.request.directory
  - evergreen.tls.request.issuers
attributes:
  check_mode:
    support: full
    details:
      - Says whether the certificate is due and why; makes no key, and so returns no RV(csr).
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  force:
    description: Whether the certificate is due whatever its state is.
    type: bool
    default: false
  roots:
    description:
      - The roots of the issuer in PEM, to which the chain has to lead. Filled in from O(issuers) where the issuer knows them.
    type: str
  host:
    description: Whose certificate it is; spreads renewals over time. Filled in with the name of the host in the inventory.
    type: str
    default: ""
seealso:
  - module: evergreen.tls.certificate_issue
  - module: evergreen.tls.certificate_install
"""

EXAMPLES = r"""
- name: Ask for a certificate when one is due
  evergreen.tls.certificate_request:
    request:
      name: www.example.org
      domains: [www.example.org, example.org]
  register: requested

- name: Have it issued by a private CA on the controller
  evergreen.tls.certificate_issue:
    request:
      name: www.example.org
      domains: [www.example.org, example.org]
    csr: "{{ requested.csr }}"
  register: issued
  when: requested.csr is defined
"""

RETURN = r"""
due:
  description: Whether the certificate has to be renewed.
  returned: success
  type: bool
  sample: true
reason:
  description: Why it is due.
  returned: when it is due
  type: str
  sample: it expires on 2026-12-04 10:00:00 UTC, and 32% of its lifetime is left
csr:
  description: The signing request in PEM. The key that it belongs to never leaves the host.
  returned: when the certificate is due and has to be issued
  type: str
  sample: "-----BEGIN CERTIFICATE REQUEST-----\\n..."
fingerprint:
  description: The SHA-256 fingerprint of the certificate that is in use.
  returned: when it is not due
  type: str
  sample: 6b5c1f0e...
ready:
  description:
    - The version with which M(evergreen.tls.certificate_install) has work to do without a chain; nothing has to be issued.
    - It is what an earlier run left complete but not in use, or the current version if its links, or owner, group or mode of its key
      are not what the request says, or if a run that was killed left something to clear away.
  returned: when there is such a version
  type: str
  sample: v0004
"""

import datetime

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils.chains import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.keys import (
    describe_key,
    load_key,
    load_request,
    make_key,
    make_request,
    public_bytes,
    requested_names,
    subject_name,
    wanted_kind,
)
from ansible_collections.evergreen.tls.plugins.module_utils.portraits import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils.requests import REQUEST, complete_request
from ansible_collections.evergreen.tls.plugins.module_utils.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils.targets import answer, require_cryptography


def main():
    module = AnsibleModule(
        argument_spec={
            "request": REQUEST,
            "directory": {"type": "path", "default": "/etc/evergreen"},
            "issuers": {"type": "dict", "default": {}},
            "roots": {"type": "str"},
            "force": {"type": "bool", "default": False},
            "host": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    answer(module, decide)


def decide(module):
    require_cryptography()
    wanted = {**complete_request(module.params["request"]), "host": module.params["host"]}
    roots = parse_chain(module.params["roots"].encode()) if module.params["roots"] else None
    store = Store(module.params["directory"], wanted["name"])
    now = datetime.datetime.now(datetime.timezone.utc)

    if not module.check_mode:
        store.put_back()
    reason = why_due(store, wanted, now, roots, module.params["force"])
    if reason is None:
        return not_due(store, wanted)
    diff = {"before": "", "after": f"due: {reason}\n"}
    if module.check_mode:
        return {"changed": True, "due": True, "reason": reason, "diff": diff}
    with store.lock():
        reason = why_due(store, wanted, now, roots, module.params["force"])
        if reason is None:  # another run was faster
            return not_due(store, wanted)
        store.sweep(wanted)
        ready = None if module.params["force"] else store.ready(wanted, now, roots)
        if ready is not None:
            return {"changed": False, "due": True, "reason": reason, "ready": ready}
        csr = waiting_request(store, wanted)
        if csr is not None:
            return {"changed": False, "due": True, "reason": reason, "csr": csr.decode()}
        csr = new_request(store, wanted)
    return {"changed": True, "due": True, "reason": reason, "csr": csr.decode(), "diff": diff}


def why_due(store, wanted, now, roots, force):
    """Say why the certificate is due, or return None while it is not."""
    current = store.current()
    if current is not None and not force:
        store.check_private(current, wanted)
    reason = store.why_renew(current, wanted, now, roots)
    return "it is forced" if force and current is not None else reason


def not_due(store, wanted):
    """Say what is in use, and whether it has to be put right."""
    current = store.current()
    leaf = parse_chain(store.file(current, "fullchain.pem"))[0]
    unsettled = {"ready": current} if store.unsettled(current, wanted) else {}
    return {"changed": False, "due": False, "fingerprint": fingerprint(leaf), **unsettled}


def waiting_request(store, wanted):
    """Return the signing request that is waiting already, or None if there is none that fits."""
    key, csr = store.file("next", "privkey.pem"), store.file("next", "request.csr")
    if not key or not csr or store.file("next", "issuer") != wanted["issuer"].encode():
        return None
    try:
        store.check_private("next", wanted)
        public_key, request = load_key(key).public_key(), load_request(csr)
        fits = (
            public_bytes(public_key) == public_bytes(request.public_key())
            and describe_key(public_key) == wanted_kind(wanted)
            and requested_names(request) == set(wanted["domains"])
            and request.subject == subject_name(wanted["domains"], wanted)
        )
    except TlsError:
        return None
    return csr if fits else None


def new_request(store, wanted):
    """Make a key, or take the present one if it is to be kept, and return the signing request that waits beside it."""
    key = kept_key(store, wanted) or make_key(wanted)
    csr = make_request(load_key(key), wanted["domains"], wanted)
    store.prepare({"privkey.pem": key, "request.csr": csr, "issuer": wanted["issuer"].encode()}, wanted)
    return csr


def kept_key(store, wanted):
    """Return the present key if it is to be kept, and nobody else could read it, and it is of the kind that is wanted."""
    current = store.current()
    key = store.file(current, "privkey.pem") if wanted["reuse_key"] and current else None
    if key is None:
        return None
    try:
        store.check_private(current, wanted)
        fits = describe_key(load_key(key).public_key()) == wanted_kind(wanted)
    except TlsError:
        return None
    return key if fits else None


if __name__ == "__main__":
    main()
