# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The signing request in C(next) that waits for its certificate."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    csr_difference,
    load_csr,
    make_csr,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    describe_requested_key,
    load_key,
    make_key,
    public_bytes,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.key_encryption import (
    check_passphrase_file,
    key_files,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.revoked import is_compromised
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes


def matching_csr(store: Store, request: Request) -> bytes | None:
    """Return the signing request that waits, or None if there is none that fits the request and its key."""
    pem = store.file("next", "request.csr")
    if not pem or store.file("next", "issuer") != request["issuer"].encode():
        return None
    try:
        store.check_key_mode("next", request)
        public_key, csr = store.private_key("next").public_key(), load_csr(pem)
        fits = pem.isascii() and _is_for_key(csr, public_key, store, request) and csr_difference(csr, request) is None
    except TlsError:
        return None
    return pem if fits else None


def _is_for_key(
    csr: x509.CertificateSigningRequest, public_key: PublicKeyTypes, store: Store, request: Request
) -> bool:
    return (
        public_bytes(public_key) == public_bytes(csr.public_key())
        and describe_key(public_key) == describe_requested_key(request)
        and (request["reuse_key"] or not is_key_in_use(store, public_key))
        and not is_compromised(store, public_key, request.get("revoked"))
    )


def is_key_in_use(store: Store, public_key: PublicKeyTypes) -> bool:
    """Return whether a key is that of the version in use."""
    current = store.current()
    try:
        return current is not None and public_bytes(store.private_key(current).public_key()) == public_bytes(public_key)
    except TlsError:
        return False


# not a parser: it reads what the collection has made or checked
def prepare_csr(store: Store, request: Request) -> bytes:
    """Write a key and its signing request into C(next); return the signing request in PEM.

    The key is a new one, or that of the version in use if the request reuses it.
    """
    check_passphrase_file(store, request)
    key = reused_key(store, request) or load_key(make_key(request))
    csr = make_csr(key, request["domains"], request)
    files = {**key_files(key, request), "request.csr": csr, "issuer": request["issuer"].encode()}
    store.prepare_next(files, request)
    return csr


# not a parser: it only passes on foreign input
def reused_key(store: Store, request: Request) -> PrivateKeyTypes | None:
    """Return the key in use if the request reuses it, or None.

    A key of another kind, or one that others could read or that was compromised, is not reused.
    """
    current = store.current()
    if current is None or not request["reuse_key"] or store.why_exposed(current):
        return None
    try:
        store.check_key_mode(current, request)
        key = store.private_key(current)
    except TlsError:
        return None
    if is_compromised(store, key.public_key(), request.get("revoked")):
        return None
    return key if describe_key(key.public_key()) == describe_requested_key(request) else None
