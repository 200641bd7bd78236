# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver http: hosts answer http-01 without knowing of it.

What the CA wants to read is its token, which it says in the URL, and the thumbprint of the account's key, which is always
the same. So nginx_sites lays one location that answers whatever is asked, and any host behind a name may be asked. During
a renewal nothing is written to a host and nothing is loaded. What is left to do here is to look before an order is spent.
"""

from __future__ import annotations

import errno
import http.client
import secrets
import socket
import ssl
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.names import is_address
from ansible_collections.evergreen.tls.plugins.plugin_utils.answers import HTTP, Answer, check_challenge
from ansible_collections.evergreen.tls.plugins.plugin_utils.durations import duration
from ansible_collections.evergreen.tls.plugins.plugin_utils.name_servers import RESOLVERS, NameServers, side_by_side

PORTS = {"http": 80, "https": 443}  # CAs ask no others
MOST_REDIRECTS = 10
LONGEST = 4096  # bytes of an answer; a right one has about a hundred
NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # there is no IPv6 here, say
ELSEWHERE = "set check: false in the solver where the controller does not see what the CA sees"


class Stateless:
    """Have the hosts answer by themselves, and see beforehand that they do."""

    CHALLENGE = HTTP
    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **RESOLVERS,
        "check": {"type": "bool", "default": True},
        "timeout": {"type": "str", "default": "10s"},
    }

    def __init__(self, thumbprint: str, resolvers: list[str], check: bool, timeout: str) -> None:
        self.thumbprint = thumbprint
        self.name_servers = NameServers(resolvers)
        self.looks = check
        self.timeout = duration(timeout).total_seconds()

    def check(self, domains: list[str]) -> None:
        """Make sure that each host behind each domain would answer the CA."""
        check_challenge(HTTP, domains)
        if self.looks:
            complaints = [said for said in side_by_side(self._complaint, domains) if said]
            if complaints:
                raise TlsError(" · ".join(complaints))

    def present(self, answers: list[Answer]) -> None:
        """Do nothing: the answer is there, always."""

    def clean_up(self, answers: list[Answer]) -> None:
        """Do nothing: the next CA to ask gets the same answer."""

    def _complaint(self, domain: str) -> str | None:
        """Return what would keep a CA from believing that a domain is ours."""
        try:
            found = [domain] if is_address(domain) else self.name_servers.addresses(domain)
        except TlsError as error:
            return str(error)
        out_of_reach = []
        for address in found:
            try:
                self._visit(domain, address)
            except OSError as error:
                said = (
                    f"port {PORTS['http']} of {domain} cannot be reached at {address} ({_why(error)}); open it to the world and see "
                    f"that nginx runs there, or {ELSEWHERE}"
                )
                if error.errno not in NO_WAY:
                    return said
                out_of_reach.append(said)
            except http.client.HTTPException:
                return (
                    f"port {PORTS['http']} of {domain} at {address} does not speak HTTP; let nginx answer there, or correct the DNS "
                    "record"
                )
            except TlsError as error:
                return str(error)
        return out_of_reach[0] if len(out_of_reach) == len(found) else None

    def _visit(self, domain: str, address: str) -> None:
        """Ask a host what a CA would ask. Raises TlsError where it gives no right answer."""
        token = secrets.token_urlsafe(32)
        path = f"/.well-known/acme-challenge/{token}"
        asked, scheme, name = address, "http", domain
        came_by = ""
        for _redirect in range(MOST_REDIRECTS + 1):
            status, headers, body = self._get(scheme, asked, name, path)
            if status not in (301, 302, 303, 307, 308):
                break
            url = urllib.parse.urljoin(f"{scheme}://{_bracketed(name)}{path}", headers.get("Location", ""))
            scheme, left, path, came_by = self._next(domain, url)
            if left != name:
                name, asked = left, left if is_address(left) else self.name_servers.addresses(left)[0]
        else:
            raise TlsError(
                f"{domain} redirects in a circle at {address}; correct what answers there on port {PORTS['http']}"
            )
        if status == 200 and body.strip() == f"{token}.{self.thumbprint}".encode():
            return
        self._refuse(domain, address, came_by if name != domain else "", status, headers.get("Server"), body, token)

    def _next(self, domain: str, url: str) -> tuple[str, str, str, str]:
        """Return where a redirect leads to, if CAs follow it."""
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urllib.parse.urlsplit(""), None
        if parts.scheme not in PORTS or not parts.hostname or port not in (None, PORTS[parts.scheme]):
            raise TlsError(
                f"{domain} redirects to {url}, and CAs follow to ports 80 and 443 only; correct the redirect, or let it leave out "
                "/.well-known/acme-challenge/"
            )
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return parts.scheme, parts.hostname, urllib.parse.quote(path or "/", safe="/?&=%:@+,;~-._!$'()*"), url

    def _refuse(
        self, domain: str, address: str, came_by: str, status: int, server: str | None, body: bytes, token: str
    ) -> None:
        if came_by:
            raise TlsError(
                f"{domain} redirects to {came_by.partition('/.well-known')[0]} at {address}, and no host of ours answers there; let the "
                "redirect leave out /.well-known/acme-challenge/"
            )
        if body.startswith(f"{token}.".encode()):
            raise TlsError(
                f"{domain} answers for another ACME account at {address}, as if that host were of another fleet or its nginx had the "
                "location of an earlier key; run evergreen.tls.deploy on it, or correct the DNS record"
            )
        seen = f"{status} {http.client.responses.get(status, '')}".strip() + (f" from {server[:40]}" if server else "")
        raise TlsError(
            f"{domain} does not answer challenges at {address} ({seen}): run evergreen.tls.deploy on the host whose address that is, "
            "or correct the DNS record; where nginx is configured by others, have it answer "
            f"/.well-known/acme-challenge/TOKEN with TOKEN.{self.thumbprint}"
        )

    def _get(self, scheme: str, address: str, name: str, path: str) -> tuple[int, t.Any, bytes]:
        connection = http.client.HTTPConnection(address, timeout=self.timeout)
        connection.sock = socket.create_connection((address, PORTS[scheme]), timeout=self.timeout)
        try:
            if (
                scheme == "https"
            ):  # as CAs do, without looking at the certificate: it may be the one that has to be replaced
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection.sock = context.wrap_socket(
                    connection.sock, server_hostname=None if is_address(name) else name
                )
            connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            for header, value in (("Host", _bracketed(name)), ("User-Agent", "evergreen.tls"), ("Connection", "close")):
                connection.putheader(header, value)
            connection.endheaders()
            response = connection.getresponse()
            return response.status, response.headers, response.read(LONGEST)
        finally:
            connection.close()


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
