#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

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
from ansible_collections.evergreen.tls.plugins.module_utils.requests import REQUEST
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
            "renewals": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    answer(module, decide)


def decide(module):
    require_cryptography()
    now = datetime.datetime.now(datetime.timezone.utc)
    return {**ask(module, now), "now": now.isoformat()}


def ask(module, now):
    """Say whether the certificate is due, and what is ready or has to be signed."""
    wanted = {**module.params["request"], "host": module.params["host"], "renewals": module.params["renewals"]}
    roots = parse_chain(module.params["roots"].encode()) if module.params["roots"] else None
    store = Store(module.params["directory"], wanted["name"])

    store.check_folders()
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
        due = {"due": True, "reason": reason, "in_use": in_use(store)}
        csr = waiting_request(store, wanted)
        if csr is not None:
            return {"changed": False, **due, "csr": csr.decode()}
        csr = new_request(store, wanted)
    return {"changed": True, **due, "csr": csr.decode(), "diff": diff}


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
    unsettled = {"ready": current} if store.unsettled(current, wanted) else {}
    return {"changed": False, "due": False, "fingerprint": in_use(store), **unsettled}


def in_use(store):
    """Return the fingerprint of the certificate that is in use, or None where there is none that can be read."""
    current = store.current()
    try:
        return fingerprint(parse_chain(store.file(current, "fullchain.pem") or b"")[0]) if current else None
    except TlsError:
        return None


def waiting_request(store, wanted):
    """Return the signing request that is waiting already, or None if there is none that fits."""
    key, csr = store.file("next", "privkey.pem"), store.file("next", "request.csr")
    if not key or not csr or store.file("next", "issuer") != wanted["issuer"].encode():
        return None
    try:
        store.check_private("next", wanted)
        public_key, request = load_key(key).public_key(), load_request(csr)
        fits = (
            csr.isascii()
            and public_bytes(public_key) == public_bytes(request.public_key())
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
