# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTP request to a host, as CAs send it for http-01 (RFC 8555, section 8.3), and its response."""

from __future__ import annotations

import contextlib
import errno
import http.client
import socket
import ssl
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._metadata_addresses import is_metadata_address
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

PORTS = {"http": 80, "https": 443}  # CAs use no others
MAX_RESPONSE_BYTES = 4096  # read of a body, so that an error can tell what is wrong with it
MAX_KEY_AUTHORIZATION_BYTES = 127  # Boulder (va/http.go) refuses bodies of 128 bytes; a correct one has about 90
MAX_SERVER_CHARACTERS = 40  # of the header Server, in an error
MAX_BODY_CHARACTERS = 60  # of the body, in an error
MAX_HOPS_CHARACTERS = 120  # of the redirects, in an error

# Firewalls that refuse CAs by user agent look for such words. The second one is for the proof that nothing else is refused.
CA_USER_AGENT = (
    "Mozilla/5.0 (compatible; evergreen.tls, asking like a Let's Encrypt validation server; "
    "+https://github.com/evergreen/evergreen.tls)"
)
PLAIN_USER_AGENT = "evergreen.tls"


class HttpResponse(t.NamedTuple):
    """The response of a host."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    hops: tuple[str, ...] = ()  # the URLs of the redirects that led to it, without their path

    # not a parser: it only passes on foreign input
    def serves(self, content: str) -> bool:
        """Say whether a CA would accept this as the key authorization (RFC 8555, section 8.3)."""
        return self.status == 200 and self.body.rstrip() == content.encode() and self._is_short()

    # not a parser: it only passes on foreign input
    def form_error(self, content: str) -> str | None:
        """Return why CAs refuse a body that holds the key authorization; None for another body or status."""
        if self.status != 200 or self.serves(content) or content.encode() not in self.body:
            return None
        if not self._is_short():
            length = f"{len(self.body)} bytes" if len(self.body) < MAX_RESPONSE_BYTES else "thousands of bytes"
            return f"its body has {length}, and CAs refuse more than {MAX_KEY_AUTHORIZATION_BYTES}"
        if self.body.strip() == content.encode():
            return "blanks or line breaks stand before the key authorization, and CAs ignore only those behind it"
        return "other text stands beside the key authorization"

    def _is_short(self) -> bool:
        return len(self.body) <= MAX_KEY_AUTHORIZATION_BYTES

    # not a parser: it accepts any response of http.client
    def __str__(self) -> str:
        server = printable(self.headers.get("Server") or "", MAX_SERVER_CHARACTERS)
        status = f"{self.status} {http.client.responses.get(self.status, '')}".strip()
        text = f"{status} from {server}" if server else status
        if self.hops:
            text += f" after redirects to {shorten(', '.join(self.hops), MAX_HOPS_CHARACTERS)}"
        start = printable(self.body[: 4 * MAX_BODY_CHARACTERS].decode("utf-8", "replace"), MAX_BODY_CHARACTERS)
        return f"{text}, beginning with {start!r}" if start else text


# not a parser: it accepts any text
def printable(text: str, maximum: int) -> str:
    """Return the first printable characters of a text in one line, *maximum* at most."""
    spaced = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(spaced.split())[:maximum].strip()


# not a parser: http.client takes the response apart
def get(
    scheme: str,
    address: str,
    name: str,
    path: str,
    timeout: float,
    user_agent: str = CA_USER_AGENT,
    port: int | None = None,
    max_bytes: int = MAX_RESPONSE_BYTES,
) -> HttpResponse:
    """Return a response. Raises TimeoutError where it is not whole in time, however slowly its bytes come.

    timeout: in seconds. port: by default the one of the scheme. max_bytes: of the body, the rest is left out.
    Raises OSError or http.client.HTTPException for what is no response.
    """
    _check_address(address)
    connection = http.client.HTTPConnection(address, PORTS[scheme] if port is None else port, timeout=timeout)
    try:
        return run_with_timeout(timeout, lambda: _exchange(connection, scheme, name, path, user_agent, max_bytes))
    finally:
        if connection.sock is not None:
            with contextlib.suppress(OSError):  # ends a read in another thread
                connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()


def speaks_tls(address: str, name: str, timeout: float) -> bool:
    """Say whether a TLS handshake succeeds on the port of plain HTTP. timeout: in seconds."""
    deadline = time.monotonic() + timeout
    try:
        _check_address(address)
        with socket.create_connection((address, PORTS["http"]), timeout=timeout) as connection:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            with _wrapped(connection, name):
                return True
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return False


def bracketed(name: str) -> str:
    """Return a name or an address as it stands in a URL."""
    return f"[{name}]" if ":" in name else name


def _check_address(address: str) -> None:
    """Raise OSError for an address that no name may have this controller ask."""
    if is_ip_address(address) and is_metadata_address(address):
        raise OSError(errno.EACCES, "the metadata service of a cloud, which is never asked")


def _wrapped(connection: socket.socket, name: str) -> ssl.SSLSocket:
    """Return a TLS connection. The certificate is not checked, as CAs do not: it may be the one to be replaced."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # CAs refuse older ones
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=None if is_ip_address(name) else name)


def _exchange(
    connection: http.client.HTTPConnection, scheme: str, name: str, path: str, user_agent: str, max_bytes: int
) -> HttpResponse:
    """Return the response to a GET on a connection that is not open yet."""
    connection.sock = socket.create_connection((connection.host, connection.port), timeout=connection.timeout)
    if scheme == "https":
        connection.sock = _wrapped(connection.sock, name)
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for header, value in (
        ("Host", bracketed(name)),
        ("User-Agent", user_agent),
        ("Accept", "*/*"),
        ("Connection", "close"),
    ):
        connection.putheader(header, value)
    connection.endheaders()
    response = connection.getresponse()
    return HttpResponse(response.status, response.headers, response.read(max_bytes))
