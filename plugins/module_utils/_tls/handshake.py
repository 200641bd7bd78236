# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Handshakes: what a server presents to a client, and whether the client can trust it.

Each handshake is a new connection without session resumption, so it shows what any other client would get.
"""

from __future__ import annotations

import _ssl
import functools
import queue
import socket
import ssl
import threading
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import parse_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address, probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

if t.TYPE_CHECKING:
    from cryptography import x509

HANDSHAKE_TIMEOUT_S = 5.0  # where the caller names no timeout
CONTEXT_LOCK = threading.Lock()  # without it, all threads would build the first context


def handshake(
    address: str,
    port: int,
    domain: str,
    roots: str | None = None,
    verify: bool = False,
    timeout: float | None = None,
    proxy_protocol: bool = False,
    version: ssl.TLSVersion | None = None,
    application_protocols: tuple[str, ...] = (),
    observe: t.Callable[[ssl.SSLSocket], object] | None = None,
) -> tuple[list[x509.Certificate], str | None]:
    """Return the chain that a server presents, leaf first, and the version of TLS.

    address: a name or IP address to connect to. domain: the name to ask for (SNI, RFC 6066, section 3).
    timeout: seconds for name resolution, connection and handshake together; by default HANDSHAKE_TIMEOUT_S.
    proxy_protocol: begin with a header of the PROXY protocol, as a load balancer does.
    version: offer this version of TLS alone. application_protocols: offer these (ALPN, RFC 7301).
    observe: is called with the connection after the handshake.
    verify: the chain has to verify against *roots* (PEM; by default the system's) as OpenSSL does by default, and to cover the domain.
    Raises TlsError if there is no handshake; its detail C(failure) is C(untrusted), C(no handshake), C(nothing) or C(garbage).
    On Python 3.9 the chain is the leaf alone.
    """
    name = probe_name(domain)
    where = f"{name} at {address} port {port}"
    is_connected = False
    timeout = HANDSHAKE_TIMEOUT_S if timeout is None else timeout
    try:
        context, deadline = _context(roots, verify, version, application_protocols), time.monotonic() + timeout
        with _connect(address, port, deadline, timeout) as connection:
            is_connected = True
            connection.settimeout(_seconds_left(deadline))  # for the whole handshake, however slowly its bytes come
            if proxy_protocol:
                connection.sendall(_proxy_header(connection))
            with context.wrap_socket(connection, server_hostname=_server_name(name, verify)) as tls:
                if observe:
                    observe(tls)
                return [parse_certificate(der) for der in _presented_ders(tls)], tls.version()
    except ssl.SSLCertVerificationError as error:
        raise TlsError(f"{where}: {_explain_distrust(error, name)}", failure="untrusted") from error
    except ssl.SSLError as error:
        raise TlsError(f"{where}: {_explain_failure(error)}", failure="no handshake") from error
    except ConnectionRefusedError as error:
        raise TlsError(
            f"{where}: nothing listens there; start nginx with a site on that port", failure="nothing"
        ) from error
    except (TimeoutError, socket.timeout) as error:
        remedy = (
            f"what listens there has not finished a handshake within {timeout:.0f} seconds; see which program it is, and its load"
            if is_connected
            else f"no answer within {timeout:.0f} seconds; open the port on every firewall on the way"
        )
        raise TlsError(f"{where}: {remedy}", failure="nothing") from error
    except (socket.gaierror, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise TlsError(
            f"{where}: the address cannot be resolved ({why}); correct ansible_host", failure="nothing"
        ) from error
    except OSError as error:
        raise TlsError(
            f"{where}: {error.strerror or error}; see that the server runs and can be reached", failure="nothing"
        ) from error
    except TlsError as error:
        raise TlsError(
            f"{where}: the certificate that is presented cannot be read; replace it", failure="garbage"
        ) from error


# not a parser: it reads the addresses of a connection
def _proxy_header(connection: socket.socket) -> bytes:
    """Return a header of the PROXY protocol, version 1 (haproxy.org/download/1.8/doc/proxy-protocol.txt, section 2.1)."""
    source, destination = connection.getsockname(), connection.getpeername()
    family = "TCP6" if connection.family == socket.AF_INET6 else "TCP4"
    addresses = f"{source[0].partition('%')[0]} {destination[0].partition('%')[0]}"
    return f"PROXY {family} {addresses} {source[1]} {destination[1]}\r\n".encode()


def _connect(address: str, port: int, deadline: float, timeout: float) -> socket.socket:
    """Return a connection to the first IP address that accepts one.

    Each address has its share of the time that is left.
    """
    ip_addresses = _resolve(address, deadline, timeout)
    while True:
        ip_address = ip_addresses.pop(0)
        try:
            return socket.create_connection(
                (ip_address, port), timeout=_seconds_left(deadline) / (len(ip_addresses) + 1)
            )
        except OSError:
            if not ip_addresses:
                raise


def _resolve(address: str, deadline: float, timeout: float) -> list[str]:
    """Return the IP addresses of a name within the time that is left. getaddrinfo() may take longer."""
    if is_ip_address(address):
        return [address]
    results: queue.SimpleQueue[t.Any] = queue.SimpleQueue()
    threading.Thread(target=_resolve_into, args=(address, results), daemon=True).start()
    try:
        result = results.get(timeout=_seconds_left(deadline))
    except queue.Empty:
        raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {timeout:.0f} seconds") from None
    if isinstance(result, Exception):
        raise result
    return [socket_address[0] for *_family, socket_address in result]


def _resolve_into(name: str, results: queue.SimpleQueue[t.Any]) -> None:
    try:
        results.put(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except (OSError, ValueError) as error:
        results.put(error)


def _seconds_left(deadline: float) -> float:
    """Return the seconds until *deadline*, and a little at least: a timeout of 0 would mean none."""
    return max(deadline - time.monotonic(), 0.001)


def _presented_ders(tls: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates that the server sent, in DER, the leaf first."""
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return tls.get_unverified_chain()
    try:
        chain = t.cast(t.Any, tls)._sslobj.get_unverified_chain()
        return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in chain]
    except AttributeError:  # before Python 3.10
        return [t.cast(bytes, tls.getpeercert(binary_form=True))]


def _context(
    roots: str | None,
    verify: bool,
    version: ssl.TLSVersion | None = None,
    application_protocols: tuple[str, ...] = (),
) -> ssl.SSLContext:
    with CONTEXT_LOCK:
        system_paths = ssl.get_default_verify_paths() if verify and not roots else None
        return _cached_context(roots, verify, system_paths, version, application_protocols)


@functools.lru_cache(maxsize=16)
def _cached_context(
    roots: str | None,
    verify: bool,
    _system_paths: ssl.DefaultVerifyPaths | None,
    version: ssl.TLSVersion | None,
    application_protocols: tuple[str, ...],
) -> ssl.SSLContext:
    """Return the context that connections share: loading roots takes longer than many handshakes."""
    context = _verifying_context(roots) if verify else _unverified_context()
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if application_protocols:
        context.set_alpn_protocols(list(application_protocols))
    return context


def _unverified_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _verifying_context(roots: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=roots) if roots else ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 sets it, and OpenSSL, curl and browsers do not
    context.verify_flags |= getattr(
        ssl, "VERIFY_X509_PARTIAL_CHAIN", 0
    )  # an intermediate among the roots is enough, as for curl
    context.hostname_checks_common_name = False  # as no browser does
    return context


def _server_name(name: str, verify: bool) -> str | None:
    """Return the name to ask for. IP addresses are not sent (RFC 6066), but checked."""
    return None if is_ip_address(name) and not verify else name


def _explain_distrust(error: ssl.SSLCertVerificationError, name: str) -> str:
    what = error.verify_message or str(error)
    if error.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"the certificate is for other names ({what.rstrip('.')}); see which server block answers to {name}"
    if error.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return "the certificate or its chain has expired; renew it and have it served"
    return f"clients cannot trust the certificate ({what}); see that the server sends fullchain.pem, not cert.pem, and the root is the issuer's"


def _explain_failure(error: ssl.SSLError) -> str:
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "the server closed the connection in the middle of the handshake; see its error log"
    reasons: dict[t.Any, str] = {
        "TLSV1_UNRECOGNIZED_NAME": "the server answers to no such name; see that nginx_sites has a site for it, and run evergreen.tls.deploy",
        "WRONG_VERSION_NUMBER": "what answers does not speak TLS; see which program or server block listens there",
        "RECORD_LAYER_FAILURE": "what answers does not speak TLS; see which program or server block listens there",
        "HTTP_REQUEST": "what answers speaks plain HTTP; see which server block listens there",
    }
    fallback = f"the handshake failed ({error.reason or error}); see the error log of the server"
    return reasons.get(error.reason, fallback)
