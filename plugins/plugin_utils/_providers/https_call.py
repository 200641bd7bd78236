# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTPS request to the API of a provider: one deadline, a limit of size, checked certificates, proxies, no redirects.

No text of an error has anything of the body or the headers that were sent.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import ipaddress
import socket
import ssl
import time
import typing as t
import urllib.parse
import urllib.request

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 30.0  # without a byte
CALL_TIMEOUT_S = 90.0  # for a whole call
MAX_RESPONSE_BYTES = 8 * 1024 * 1024  # lists of a thousand certificates have about one million
CHUNK_BYTES = 64 * 1024
USER_AGENT = "evergreen.tls"


class CallFailed(TlsError):
    """A request that has no response.

    was_sent: whether the server may have read the request.
    """

    def __init__(self, sentence: str, was_sent: bool) -> None:
        super().__init__(sentence)
        self.was_sent = was_sent


class HttpResponse(t.NamedTuple):
    """A response. The names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Timeouts(t.NamedTuple):
    """Seconds for the parts of one request."""

    connect: float = CONNECT_TIMEOUT_S
    silence: float = SILENCE_TIMEOUT_S
    call: float = CALL_TIMEOUT_S


TIMEOUTS = Timeouts()


class Endpoint(t.NamedTuple):
    """Where an API is."""

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Return the host as the header Host has it: with the port, unless it is the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


# not a parser: it reads a URL of the inventory
def parse_endpoint(url: str) -> Endpoint:
    """Return the parts of a URL. Raises TlsError unless it is https; http is for the loopback network alone."""
    try:
        parts = urllib.parse.urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        host, port = "", None
    if not host or parts.scheme not in ("https", "http") or parts.username is not None:
        raise TlsError(f"endpoint {shorten(url)!r} is no URL; write https://HOST or https://HOST:PORT")
    if parts.scheme == "http" and not is_loopback(host):
        raise TlsError(
            f"endpoint {shorten(url)!r} would send credentials and keys without encryption; write https://, http:// is for the loopback "
            "network only"
        )
    is_tls = parts.scheme == "https"
    return Endpoint(is_tls, host, port or (443 if is_tls else 80), parts.path or "/")


# not a parser: it reads a host of the inventory
def is_loopback(host: str) -> bool:
    """Say whether a host of a URL is an address of the loopback network, or C(localhost)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.lru_cache(maxsize=16)
def trust(ca_file: str | None) -> ssl.SSLContext:
    """Return a TLS context with the roots of this machine, or those of *ca_file* alone. Raises TlsError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except FileNotFoundError as error:
        raise TlsError(f"ca_file {ca_file} does not exist; correct the account in cloud_accounts") from error
    except (OSError, ssl.SSLError) as error:
        raise TlsError(
            f"ca_file {ca_file} cannot be read as certificates in PEM; correct the account in cloud_accounts"
        ) from error


def send(
    method: str,
    endpoint: Endpoint,
    target: str,
    headers: dict[str, str],
    body: bytes,
    context: ssl.SSLContext | None,
    timeouts: Timeouts = TIMEOUTS,
) -> HttpResponse:
    """Send one request and return its response, whatever its status. Follows no redirect.

    target: path and query. Raises CallFailed.
    """
    connection = _connection(endpoint, context, timeouts)
    connection.set_debuglevel(0)  # http.client would print headers and body
    progress = _Progress()

    def call() -> HttpResponse:
        deadline = time.monotonic() + timeouts.call
        connection.connect()
        sock = connection.sock
        sock.settimeout(timeouts.silence)
        progress.was_sent = True
        connection.request(method, target, body, {"User-Agent": USER_AGENT, **headers})
        response = connection.getresponse()
        content = _read(response, deadline)
        return HttpResponse(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    where = f"{'https' if endpoint.is_tls else 'http'}://{endpoint.authority}"
    try:
        return run_with_timeout(timeouts.call, call)
    except _TooLarge as error:
        raise CallFailed(
            f"{where} sends more than {MAX_RESPONSE_BYTES} bytes; see whether a proxy answers in its place", True
        ) from error
    except TimeoutError as error:
        raise CallFailed(
            f"{where} does not answer in time ({timeouts.connect:g} s to connect, {timeouts.silence:g} s of silence, {timeouts.call:g} s in "
            "all); see whether it can be reached from the controller, or try again later",
            progress.was_sent,
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise CallFailed(
            f"the certificate of {where} is not trusted ({shorten(error.verify_message)}); set ca_file at the account if a proxy or a private "
            "CA signs it",
            False,
        ) from error
    except (OSError, http.client.HTTPException, *MALFORMED_INPUT_ERRORS) as error:
        why = shorten(getattr(error, "strerror", None) or _name_of(error))
        raise CallFailed(
            f"{where} cannot be reached, or its answer is cut off ({why}); see whether it can be reached from the controller, or try again later",
            progress.was_sent,
        ) from error
    finally:
        _abort(connection)


class _TooLarge(Exception):
    """The response is larger than MAX_RESPONSE_BYTES."""


class _Progress:
    """How far a request has come."""

    was_sent = False


def _connection(endpoint: Endpoint, context: ssl.SSLContext | None, timeouts: Timeouts) -> http.client.HTTPConnection:
    """Return a connection that is not open yet, through the proxy that the environment names."""
    proxy = None if is_loopback(endpoint.host) else _proxy(endpoint)
    host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (endpoint.host, endpoint.port)
    connection: http.client.HTTPConnection
    if endpoint.is_tls:
        connection = http.client.HTTPSConnection(host, port, timeout=timeouts.connect, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeouts.connect)
    if proxy and endpoint.is_tls:
        connection.set_tunnel(endpoint.host, endpoint.port, _proxy_headers(proxy))
    return connection


# not a parser: it reads a variable of the environment of the controller
def _proxy(endpoint: Endpoint) -> urllib.parse.SplitResult | None:
    """Return the URL of the proxy for an endpoint (HTTPS_PROXY, NO_PROXY), or None. Raises TlsError."""
    url = urllib.request.getproxies().get("https")
    if not endpoint.is_tls or not url or urllib.request.proxy_bypass(endpoint.host):
        return None
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme == "http" and parts.hostname and parts.port != 0:
            return parts
    raise TlsError("HTTPS_PROXY is no URL of an HTTP proxy; write http://HOST:PORT, or name the API in NO_PROXY")


# not a parser: it reads a variable of the environment of the controller
def _proxy_headers(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{urllib.parse.unquote(proxy.username)}:{urllib.parse.unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """Return the body. Raises _TooLarge, TimeoutError, or http.client.IncompleteRead where it is cut off."""
    content = bytearray()
    while True:
        chunk = response.read(CHUNK_BYTES)
        content += chunk
        if len(content) > MAX_RESPONSE_BYTES:
            raise _TooLarge
        if time.monotonic() > deadline:
            raise TimeoutError
        if not chunk:
            break
    if response.length:  # read() with a number of bytes does not say that some are missing
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(content)


def _name_of(error: BaseException) -> str:
    """Return the kind of an error without its text, which could quote what was received."""
    return "the connection was closed" if isinstance(error, EOFError) else type(error).__name__


def _abort(connection: http.client.HTTPConnection) -> None:
    """Close a connection, also one on which a thread still reads."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError, ValueError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
    with contextlib.suppress(OSError, ValueError):
        connection.close()
