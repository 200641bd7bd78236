# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that a server sends an OCSP response (a staple) where its certificate asks clients to insist on one (RFC 7633)."""

from __future__ import annotations

import select
import socket
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import install_command
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import (
    Observation,
    Served,
    seconds_left,
)

try:
    from cryptography import x509
    from cryptography.x509 import ocsp
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

try:
    from OpenSSL import SSL
except ImportError:  # only needed for a certificate that asks for a staple
    SSL = None  # type: ignore[assignment]  # a module that is missing

MAX_TRIES = 2  # nginx sends none in its first handshake, and fetches one
PAUSE_S = 0.5  # between them
SOURCE = "RFC 7633, section 4; RFC 6066, section 8"


def check_staples(served: Served) -> list[Finding]:
    """Return a finding for each address that presents a certificate with must-staple."""
    return [_judge(served, one) for one in served.observations if one.chain and must_staple(one.chain[0])]


# not a parser: the library reads the extension, and its errors are caught
def must_staple(leaf: x509.Certificate) -> bool:
    """Say whether clients are to insist on a staple."""
    try:
        features = leaf.extensions.get_extension_for_class(x509.TLSFeature).value
        return x509.TLSFeatureType.status_request in features
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return False


def _judge(served: Served, one: Observation) -> Finding:
    if SSL is None:
        sentence = f"whether {one.place} sends an OCSP response is not known; {install_command('pyopenssl')}"
        return Finding("unknown", "served.staple", sentence, (), SOURCE)
    try:
        staple = b""
        for number in range(MAX_TRIES):
            time.sleep(PAUSE_S if number else 0)
            staple = fetch_staple(one.address, one.port, served.name, seconds_left(served.subject.deadline))
            if staple:
                break
        why = staple_error(staple, one.chain[0]) if staple else "sends no OCSP response"
    except (OSError, SSL.Error, TlsError) as error:
        sentence = (
            f"whether {one.place} sends an OCSP response is not known: {error or type(error).__name__}; try again"
        )
        return Finding("unknown", "served.staple", sentence, (), SOURCE)
    if why:
        sentence = (
            f"{one.place} {why}, and the certificate of {served.name} has clients insist on one (must-staple); set ssl_stapling on in "
            "nginx and let it reach the CA's OCSP server, or order the certificate without must-staple"
        )
        return Finding("blocks", "served.staple", sentence, (f"{len(staple)} bytes",), SOURCE)
    return Finding("fine", "served.staple", f"{one.place} sends an OCSP response for {served.name}", (), SOURCE)


# not a parser: it only passes on what the library has taken apart
def fetch_staple(address: str, port: int, name: str, seconds: float) -> bytes:
    """Return the OCSP response that a server sends in the handshake, empty for none. Raises OSError or SSL.Error without one."""
    staples: list[bytes] = []

    def keep(_connection: t.Any, staple: bytes, _data: t.Any) -> bool:
        staples.append(staple)
        return True

    deadline = time.monotonic() + seconds
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_ocsp_client_callback(keep)
    with socket.create_connection((address, port), timeout=seconds) as plain:
        plain.setblocking(False)
        connection = SSL.Connection(context, plain)
        connection.set_tlsext_host_name(name.encode())
        connection.request_ocsp()
        connection.set_connect_state()
        while True:
            try:
                connection.do_handshake()
                return staples[0] if staples else b""
            except (SSL.WantReadError, SSL.WantWriteError) as error:
                left = deadline - time.monotonic()
                waiting = ([plain], []) if isinstance(error, SSL.WantReadError) else ([], [plain])
                if left <= 0 or not any(select.select(*waiting, [], left)):
                    raise TimeoutError(f"no handshake within {seconds:.0f} seconds") from error


def staple_error(staple: bytes, leaf: x509.Certificate) -> str | None:
    """Return the end of a sentence about an OCSP response that clients refuse, None for a good one (RFC 6960, section 3.2).

    The signature is not checked.
    """
    try:
        response = ocsp.load_der_ocsp_response(staple)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return f"sends an OCSP response with the status {response.response_status.name.lower()}"
        if response.serial_number != leaf.serial_number:
            return "sends the OCSP response of another certificate"
        if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
            return f"sends an OCSP response that says {response.certificate_status.name.lower()}"
        end = response.next_update_utc
    except (ValueError, TypeError):
        return "sends an OCSP response that cannot be read"
    if end is not None and end <= utc_now():
        return f"sends an OCSP response that ended on {format_date(end)}"
    return None
