# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Handshakes over QUIC (RFC 9000, RFC 9001): what a server presents to clients of HTTP/3.

The library aioquic speaks QUIC. The controller needs it for this proof alone, and without it HTTP/3 is not proved.
"""

from __future__ import annotations

import socket
import ssl
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

if t.TYPE_CHECKING:
    from aioquic.quic.connection import QuicConnection
    from cryptography import x509

QUIC_TIMEOUT_S = 3.0  # for name resolution and handshake together
ALPN = "h3"  # RFC 9114, section 3.1
MAX_DATAGRAM_BYTES = 65_536
CRYPTO_ERROR = 0x100  # RFC 9001, section 4.8: the alert of TLS is added to it
UNRECOGNIZED_NAME, NO_APPLICATION_PROTOCOL = 112, 120  # RFC 8446, section 6
MISSING_LIBRARY = (
    "HTTP/3 was not proved by a handshake, since the Python library aioquic is missing on the controller; to have it proved, "
    f"{install_command('aioquic')}"
)


def has_quic_library() -> bool:
    """Say whether this controller can make handshakes over QUIC."""
    try:
        import aioquic.quic.connection  # noqa: F401
    except ImportError:
        return False
    return True


def quic_handshake(address: str, port: int, domain: str, timeout: float = QUIC_TIMEOUT_S) -> list[x509.Certificate]:
    """Return the chain that a server presents over QUIC, leaf first. It has proved that it has the key of the leaf.

    address: a name or IP address. domain: the name to ask for. Whether clients trust the chain is for the caller to say.
    Raises TlsError if there is no handshake; its detail C(failure) is C(no handshake), or C(nothing) where no answer came.
    """
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    name = probe_name(domain)
    where = f"{name} at {address} port {port} by HTTP/3"
    deadline = time.monotonic() + timeout
    configuration = QuicConfiguration(alpn_protocols=[ALPN], server_name=name, verify_mode=ssl.CERT_NONE)
    connection = QuicConnection(configuration=configuration)
    try:
        family, *_kind, peer = run_with_timeout(timeout, lambda: _resolve(address, port))
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect(peer)
            connection.connect(peer, time.monotonic())
            try:
                _exchange_datagrams(connection, datagrams, peer, deadline, where)
                return _presented_chain(connection, where)
            finally:
                connection.close()
                _send(connection, datagrams)
    except TimeoutError as error:
        raise TlsError(
            f"{where}: no answer by UDP within {timeout:g} seconds; open UDP port {port} on every firewall on the way",
            failure="nothing",
        ) from error
    except ConnectionRefusedError as error:
        raise TlsError(
            f"{where}: nothing listens there by UDP, or a firewall refuses it; give the site http3, and open UDP port {port}",
            failure="nothing",
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise TlsError(f"{where}: {why}; see that the server can be reached by UDP", failure="nothing") from error


# not a parser: it resolves names of the inventory
def _resolve(address: str, port: int) -> tuple[t.Any, ...]:
    """Return family, type, protocol, canonical name and socket address of the first IP address of a name."""
    return socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]


# not a parser: aioquic takes the datagrams apart
def _exchange_datagrams(
    connection: QuicConnection, datagrams: socket.socket, peer: t.Any, deadline: float, where: str
) -> None:
    """Send and receive datagrams until the handshake is complete.

    Raises TlsError if the server ends the connection, and TimeoutError after *deadline*.
    """
    from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted

    while True:
        while event := connection.next_event():
            if isinstance(event, HandshakeCompleted):
                return
            if isinstance(event, ConnectionTerminated):
                raise TlsError(f"{where}: {_explain(event.error_code, event.reason_phrase)}", failure="no handshake")
        _send(connection, datagrams)
        now = time.monotonic()
        if now >= deadline:
            raise TimeoutError
        timer = connection.get_timer()
        datagrams.settimeout(max(min(deadline, timer or deadline) - now, 0.001))  # a timeout of 0 would mean none
        try:
            datagram = datagrams.recv(MAX_DATAGRAM_BYTES)
        except TimeoutError:
            connection.handle_timer(time.monotonic())
        else:
            connection.receive_datagram(datagram, peer, time.monotonic())


def _send(connection: QuicConnection, datagrams: socket.socket) -> None:
    for datagram, _address in connection.datagrams_to_send(time.monotonic()):
        datagrams.send(datagram)


def _presented_chain(connection: QuicConnection, where: str) -> list[x509.Certificate]:
    """Return the certificates that the server sent. aioquic has them in attributes that are not public."""
    leaf = getattr(connection.tls, "_peer_certificate", None)
    chain = getattr(connection.tls, "_peer_certificate_chain", None)
    if leaf is None or chain is None:
        raise TlsError(
            f"{where}: this version of aioquic does not show the certificate; {install_command('aioquic')}",
            failure="no handshake",
        )
    return [leaf, *chain]


# not a parser: it shortens a phrase for people
def _explain(error_code: int, reason: str) -> str:
    """Return why a connection ended, with what to do."""
    if error_code == CRYPTO_ERROR + UNRECOGNIZED_NAME:
        return "the server answers to no such name there; give the site of that name http3 in nginx_sites"
    if error_code == CRYPTO_ERROR + NO_APPLICATION_PROTOCOL:
        return "the server does not speak HTTP/3 for that name; give the site of that name http3 in nginx_sites"
    phrase = f", {shorten(reason, 100)}" if reason else ""
    return f"the handshake failed (error {error_code:#x}{phrase}); see the error log of the server"
