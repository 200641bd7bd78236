# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Handshakes: what a server presents to a client, and whether the client may believe it.

Each look is a new connection without session resumption: what is seen is what any other client would see.
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

HANDSHAKE_TIMEOUT_S = 5.0  # seconds for one look: finding the address, connecting, and the handshake
BUILDING = threading.Lock()  # of contexts; without it, all threads would build the first one


def handshake(
    address: str, port: int, domain: str, roots: str | None = None, trust: bool = False
) -> tuple[list, str | None]:
    """Return the chain that is presented to a client who asks *address* and *port* for *domain* (SNI, RFC 6066, section 3).

    The second value is the version of TLS. With *trust*, the chain has to verify strictly against *roots* (PEM; by default
    the system's) and to cover the name. Raises TlsError with the reason when there is no handshake. On Python 3.9 the
    chain is the leaf alone.
    """
    name = probe_name(domain)
    where = f"{name} at {address} port {port}"
    connected = False
    try:
        context, deadline = _context(roots, trust), time.monotonic() + HANDSHAKE_TIMEOUT_S
        with _connection(address, port, deadline) as connection:
            connected = True
            connection.settimeout(_left(deadline))  # for the handshake as a whole, however slowly its bytes come
            with context.wrap_socket(connection, server_hostname=_server_name(name, trust)) as tls:
                return [parse_certificate(der) for der in _presented(tls)], tls.version()
    except ssl.SSLCertVerificationError as error:
        raise TlsError(f"{where}: {_untrusted(error, name)}", seen="untrusted") from error
    except ssl.SSLError as error:
        raise TlsError(f"{where}: {_broken(error)}", seen="no handshake") from error
    except ConnectionRefusedError as error:
        raise TlsError(
            f"{where}: nothing listens there; start nginx with a site on that port", seen="nothing"
        ) from error
    except (TimeoutError, socket.timeout) as error:
        remedy = (
            f"what listens there has not finished a handshake within {HANDSHAKE_TIMEOUT_S:.0f} seconds; see which program it is, and its load"
            if connected
            else f"no answer within {HANDSHAKE_TIMEOUT_S:.0f} seconds; open the port on every firewall on the way"
        )
        raise TlsError(f"{where}: {remedy}", seen="nothing") from error
    except (socket.gaierror, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise TlsError(
            f"{where}: the address cannot be resolved ({why}); correct ansible_host", seen="nothing"
        ) from error
    except OSError as error:
        raise TlsError(
            f"{where}: {error.strerror or error}; see that the server runs and can be reached", seen="nothing"
        ) from error
    except TlsError as error:
        raise TlsError(
            f"{where}: the certificate that is presented cannot be read; replace it", seen="garbage"
        ) from error


def _connection(address: str, port: int, deadline: float) -> socket.socket:
    """Return a connection to the first place that answers; each has its share of the time that is left."""
    places = _places(address, deadline)
    while True:
        place = places.pop(0)
        try:
            return socket.create_connection((place, port), timeout=_left(deadline) / (len(places) + 1))
        except OSError:
            if not places:
                raise


def _places(address: str, deadline: float) -> list[str]:
    """Return the addresses that a name stands for, within the time that is left: getaddrinfo() itself may take longer."""
    if is_ip_address(address):
        return [address]
    answers: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(address, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=_left(deadline))
    except queue.Empty:
        raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {HANDSHAKE_TIMEOUT_S:.0f} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return [place[0] for *_kind, place in answer]


def _ask(name: str, answers: queue.SimpleQueue) -> None:
    try:
        answers.put(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except (OSError, ValueError) as error:
        answers.put(error)


def _left(deadline: float) -> float:
    """Return how many seconds are left, of which none would mean for ever."""
    return max(deadline - time.monotonic(), 0.001)


def _presented(tls: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates that the server sent, in DER, the leaf first."""
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return tls.get_unverified_chain()
    try:
        return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in tls._sslobj.get_unverified_chain()]
    except AttributeError:  # before Python 3.10
        return [tls.getpeercert(binary_form=True)]


def _context(roots: str | None, trust: bool) -> ssl.SSLContext:
    with BUILDING:
        return _built_context(roots, trust, ssl.get_default_verify_paths() if trust and not roots else None)


@functools.lru_cache(maxsize=16)
def _built_context(roots: str | None, trust: bool, _of_system: tuple | None) -> ssl.SSLContext:
    """Return what connections share. The system's roots alone take longer to load than many handshakes."""
    if not trust:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context(cadata=roots) if roots else ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False  # as no browser does
    return context


def _server_name(name: str, trust: bool) -> str | None:
    """Return the name to ask for. Addresses are not sent (RFC 6066), but have to match where the name is checked."""
    return None if is_ip_address(name) and not trust else name


def _untrusted(error: ssl.SSLCertVerificationError, name: str) -> str:
    what = error.verify_message or str(error)
    if error.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"the certificate is for other names ({what.rstrip('.')}); see which server block answers to {name}"
    if error.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return "the certificate or its chain has expired; renew it and have it served"
    return f"clients cannot trust the certificate ({what}); see that the chain is complete and the root is the issuer's"


def _broken(error: ssl.SSLError) -> str:
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "the server closed the connection in the middle of the handshake; see its error log"
    reasons: dict[t.Any, str] = {
        "TLSV1_UNRECOGNIZED_NAME": "the server answers to no such name; add a site for it to nginx_sites",
        "WRONG_VERSION_NUMBER": "what answers does not speak TLS; see which program or server block listens there",
        "RECORD_LAYER_FAILURE": "what answers does not speak TLS; see which program or server block listens there",
        "HTTP_REQUEST": "what answers speaks plain HTTP; see which server block listens there",
    }
    fallback = f"the handshake failed ({error.reason or error}); see the error log of the server"
    return reasons.get(error.reason, fallback)
