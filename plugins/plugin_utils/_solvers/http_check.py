# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask hosts over HTTP what a CA will ask: each address of a domain, and redirects (RFC 8555, 8.3)."""

from __future__ import annotations

import contextlib
import errno
import http.client
import socket
import ssl
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import RESOLVERS, DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads, raise_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

PORTS = {"http": 80, "https": 443}  # CAs use no others
MAX_REDIRECTS = 10
DOMAIN_TIMEOUT_S = 60.0  # for all addresses of a domain, and their redirects
MAX_RESPONSE_BYTES = 4096  # a correct response has about a hundred
MAX_SERVER_CHARACTERS = 40  # of the header Server, in an error
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
UNREACHABLE_ERRNOS = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # the controller has no IPv6, say
CHECK_FALSE = "set check: false in the solver where the controller does not see what the CA sees"


class HttpResponse(t.NamedTuple):
    """The response of a host."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    # not a parser: it only passes on foreign input
    def serves(self, content: str) -> bool:
        """Say whether a CA would accept this as the key authorization (RFC 8555, section 8.3)."""
        return self.status == 200 and self.body.strip() == content.encode()

    def __str__(self) -> str:
        server = self.headers.get("Server")
        status = f"{self.status} {http.client.responses.get(self.status, '')}".strip()
        return f"{status} from {server[:MAX_SERVER_CHARACTERS]}" if server else status


class HttpCheck(t.NamedTuple):
    """What to ask the hosts behind a domain, and which response is expected."""

    domain: str
    token: str
    is_expected: t.Callable[[HttpResponse], bool]
    refusal: t.Callable[[str, HttpResponse], str]  # (host, response) -> sentence


class HttpChecker:
    """The checks of one solver. With the setting C(check) false there are none."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **RESOLVERS,
        "check": {"type": "bool", "default": True},
        "timeout": {"type": "str", "default": "10s"},
    }

    def __init__(self, resolvers: list[str], check: bool, timeout: str) -> None:
        self.dns = DnsClient(resolvers)
        self.is_enabled = check
        self.timeout = parse_duration(timeout).total_seconds()

    def run(self, checks: list[HttpCheck]) -> None:
        """Run all checks. Raises TlsError with a sentence for each that fails."""
        if self.is_enabled:
            raise_errors(map_in_threads(self._error, checks))

    def _error(self, check: HttpCheck) -> str | None:
        """Return what would keep a CA from validating a domain, or None."""
        domain = check.domain
        try:
            addresses = [domain] if is_ip_address(domain) else self.dns.addresses(domain)
        except TlsError as error:
            return str(error)
        unreachable, deadline = [], time.monotonic() + max(DOMAIN_TIMEOUT_S, self.timeout)
        for address in addresses:
            try:
                self._check_host(check, address, deadline)
            except OSError as error:
                sentence = (
                    f"port {PORTS['http']} of {_host(domain, address)} cannot be reached ({_why(error)}); open it to the world and see "
                    f"that nginx runs there, or {CHECK_FALSE}"
                )
                if error.errno not in UNREACHABLE_ERRNOS:
                    return sentence
                unreachable.append(sentence)
            except http.client.HTTPException:
                return (
                    f"port {PORTS['http']} of {_host(domain, address)} does not speak HTTP; let nginx answer there, or correct the DNS "
                    "record"
                )
            except TlsError as error:
                return str(error)
        return unreachable[0] if len(unreachable) == len(addresses) else None

    def _check_host(self, check: HttpCheck, address: str, deadline: float) -> None:
        """Ask a host, and follow its redirects. Raises TlsError if the last response is not the expected one.

        deadline: by time.monotonic(), after which TimeoutError is raised.
        """
        domain, path = check.domain, f"/.well-known/acme-challenge/{check.token}"
        response = self._get("http", address, domain, path, deadline)
        here, url = (address, domain), f"http://{_bracketed(domain)}{path}"
        for _redirect in range(MAX_REDIRECTS):
            if response.status not in REDIRECT_STATUSES or check.is_expected(response):
                break
            url, scheme, name, target_path = _redirect_target(domain, url, response.headers.get("Location", ""))
            if (
                target_path != path
            ):  # no host would respond there; and no host shall choose what the controller requests
                raise TlsError(_bad_redirect(domain, address, url))
            try:
                if name != here[1]:
                    here = (name if is_ip_address(name) else self.dns.addresses(name)[0], name)
                response = self._get(scheme, *here, path, deadline)
            except (OSError, http.client.HTTPException, TlsError) as error:
                why = _why(error) if isinstance(error, OSError) else ""
                raise TlsError(_bad_redirect(domain, address, url, why)) from error
        if check.is_expected(response):
            return
        if response.status in REDIRECT_STATUSES:
            raise TlsError(f"{_host(domain, address)} redirects in a circle; correct what answers there on port 80")
        if here[1] != domain:
            raise TlsError(_bad_redirect(domain, address, url))
        raise TlsError(check.refusal(_host(domain, address), response))

    def _get(self, scheme: str, address: str, name: str, path: str, deadline: float) -> HttpResponse:
        """Return a response. Raises TimeoutError where it is not whole in time, however slowly its bytes come."""
        timeout = max(0.001, min(self.timeout, deadline - time.monotonic()))
        connection = http.client.HTTPConnection(address, PORTS[scheme], timeout=timeout)
        try:
            return run_with_timeout(timeout, lambda: _exchange(connection, scheme, name, path))
        finally:
            if connection.sock is not None:
                with contextlib.suppress(OSError):  # ends a read in another thread
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()


def _exchange(connection: http.client.HTTPConnection, scheme: str, name: str, path: str) -> HttpResponse:
    """Return the response to a GET on a connection that is not open yet."""
    connection.sock = socket.create_connection((connection.host, connection.port), timeout=connection.timeout)
    if scheme == "https":  # without checking the certificate, as CAs do: it may be the one to be replaced
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection.sock = context.wrap_socket(connection.sock, server_hostname=None if is_ip_address(name) else name)
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for header, value in (
        ("Host", _bracketed(name)),
        ("User-Agent", "evergreen.tls"),
        ("Connection", "close"),
    ):
        connection.putheader(header, value)
    connection.endheaders()
    response = connection.getresponse()
    return HttpResponse(response.status, response.headers, response.read(MAX_RESPONSE_BYTES))


def _redirect_target(domain: str, url: str, location: str) -> tuple[str, str, str, str]:
    """Return the URL of a redirect with its scheme, name and path.

    Raises TlsError if CAs do not follow it.
    """
    try:
        target = urllib.parse.urljoin(url, location)
        parts = urllib.parse.urlsplit(target)
        is_followed = parts.scheme in PORTS and parts.hostname and parts.port in (None, PORTS[parts.scheme])
    except ValueError:
        is_followed = False
    if not is_followed:
        raise TlsError(
            f"{domain} redirects to {shorten(repr(location))}, and CAs follow to ports 80 and 443 only; correct the redirect, or let it leave out "
            "/.well-known/acme-challenge/"
        )
    return target, parts.scheme, str(parts.hostname), parts.path


# not a parser: it accepts any text, or raises TlsError
def _bad_redirect(domain: str, address: str, url: str, why: str = "") -> str:
    return (
        f"{_host(domain, address)} redirects to {shorten(url.partition('/.well-known')[0])}, and no host of ours answers there"
        f"{f' ({why})' if why else ''}; let the redirect leave out /.well-known/acme-challenge/"
    )


def _host(domain: str, address: str) -> str:
    return domain if domain == address else f"{domain} at {address}"


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
