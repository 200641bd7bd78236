# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of roots on the controller: those that an issuer names, and the store of the system."""

from __future__ import annotations

import functools
import os
import ssl
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_bundle, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file

if t.TYPE_CHECKING:
    from cryptography import x509

MAX_SYSTEM_ROOTS = 1000
STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def read_roots(path: str | None) -> bytes | None:
    """Return the roots in a file of the controller, in PEM; None without a path.

    Raises TlsError when the file is missing or malformed.
    """
    if not path:
        return None
    pem = read_file(path)
    if pem is None:
        raise TlsError(f"roots: {path} does not exist; correct the path, or leave it out for a CA that systems trust")
    try:
        parse_chain(pem)
    except TlsError as error:
        raise TlsError(f"roots: {path}: {error}") from error
    return pem


def system_roots() -> list[x509.Certificate]:
    """Return the roots that programs on this machine trust, without those that cannot be read; none when there is no file of them."""
    for path in (ssl.get_default_verify_paths().cafile, *STORES):
        pem = read_file(path) if path and os.path.isfile(path) else None
        roots = _parsed(pem) if pem else ()
        if roots:
            return list(roots)
    return []


@functools.lru_cache(maxsize=4)
def _parsed(pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(parse_bundle(pem, MAX_SYSTEM_ROOTS)[0])
    except TlsError:
        return ()
