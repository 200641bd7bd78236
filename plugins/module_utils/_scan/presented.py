# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host itself presents with TLS: one handshake for each port and name, and where a server has keys of several types, one for each."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import ListeningSocket

TIMEOUT_S = 2.0  # on this host itself
MAX_HANDSHAKES = 2000
THREADS = 16
ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}
CIPHERS = ("", "aRSA", "aECDSA")  # as the server chooses; and with TLS 1.2, keys of one type
Port = tuple[str, int]  # address and port


def look_at(ports: t.Mapping[Port, t.Iterable[str]]) -> dict[Port, set[str]]:
    """Return the SHA-256 fingerprints of what is presented, by port. names: those to ask for; an empty one is none."""
    asked_for = [(port, name, ciphers) for port, names in ports.items() for name in names for ciphers in CIPHERS]
    presented: dict[Port, set[str]] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(lambda one: (one[0], _fingerprint(*one)), asked_for[:MAX_HANDSHAKES])
        for port, fingerprint in results:
            if fingerprint:
                presented.setdefault(port, set()).add(fingerprint)
    return presented


def local_ports(sockets: t.Iterable[ListeningSocket]) -> list[Port]:
    """Return address and port at which each listening socket is reached from this host itself."""
    return list(dict.fromkeys((ADDRESSES.get(one.address, one.address), one.port) for one in sockets))


def _fingerprint(port: Port, name: str, ciphers: str) -> str:
    """Return the fingerprint of the certificate that is presented, or an empty text."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError, ValueError):
        if ciphers:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        server_name = name if name and not is_ip_address(name) and "*" not in name else None
        with socket.create_connection(port, timeout=TIMEOUT_S) as connection:
            with context.wrap_socket(connection, server_hostname=server_name) as tls:
                return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
    return ""
