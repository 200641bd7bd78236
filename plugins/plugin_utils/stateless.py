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
from ansible_collections.evergreen.tls.plugins.plugin_utils.challenge_answers import HTTP, Answer, check_challenge
from ansible_collections.evergreen.tls.plugins.plugin_utils.durations import duration
from ansible_collections.evergreen.tls.plugins.plugin_utils.name_servers import RESOLVERS, NameServers, side_by_side

PORTS = {"http": 80, "https": 443}  # CAs ask no others
MOST_REDIRECTS = 10
LONGEST = 4096  # bytes of an answer; a right one has about a hundred
REDIRECTS = (301, 302, 303, 307, 308)
NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # there is no IPv6 here, say
ELSEWHERE = "set check: false in the solver where the controller does not see what the CA sees"


class Seen(t.NamedTuple):
    """What a host answered."""

    status: int
    headers: t.Any
    body: bytes


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
                    f"port {PORTS['http']} of {_at(domain, address)} cannot be reached ({_why(error)}); open it to the world and see "
                    f"that nginx runs there, or {ELSEWHERE}"
                )
                if error.errno not in NO_WAY:
                    return said
                out_of_reach.append(said)
            except http.client.HTTPException:
                return (
                    f"port {PORTS['http']} of {_at(domain, address)} does not speak HTTP; let nginx answer there, or correct the DNS "
                    "record"
                )
            except TlsError as error:
                return str(error)
        return out_of_reach[0] if len(out_of_reach) == len(found) else None

    def _visit(self, domain: str, address: str) -> None:
        """Ask a host what a CA would ask. Raises TlsError where it gives no right answer."""
        token = secrets.token_urlsafe(32)
        path = f"/.well-known/acme-challenge/{token}"
        answer = self._get("http", address, domain, path)
        here, url = (address, domain), f"http://{_bracketed(domain)}{path}"
        for _redirect in range(MOST_REDIRECTS):
            if answer.status not in REDIRECTS:
                break
            url, scheme, name, leads_to = _followed(domain, url, answer.headers.get("Location", ""))
            if leads_to != path:  # where no host of ours would answer; and no host shall choose what is asked from here
                raise TlsError(_gone_astray(domain, address, url))
            try:
                if name != here[1]:
                    here = (name if is_address(name) else self.name_servers.addresses(name)[0], name)
                answer = self._get(scheme, *here, path)
            except (OSError, http.client.HTTPException, TlsError) as error:
                why = _why(error) if isinstance(error, OSError) else ""
                raise TlsError(_gone_astray(domain, address, url, why)) from error
        if answer.status in REDIRECTS:
            raise TlsError(f"{_at(domain, address)} redirects in a circle; correct what answers there on port 80")
        if answer.status == 200 and answer.body.strip() == f"{token}.{self.thumbprint}".encode():
            return
        if here[1] != domain:
            raise TlsError(_gone_astray(domain, address, url))
        self._refuse(domain, address, answer, token)

    def _refuse(self, domain: str, address: str, answer: Seen, token: str) -> None:
        if answer.status == 200 and answer.body.startswith(f"{token}.".encode()):
            raise TlsError(
                f"{_at(domain, address)} answers for another ACME account, as if that host were of another fleet or its nginx had "
                "the location of an earlier key; run evergreen.tls.deploy on it, or correct the DNS record"
            )
        server = answer.headers.get("Server")
        seen = f"{answer.status} {http.client.responses.get(answer.status, '')}".strip()
        raise TlsError(
            f"{_at(domain, address)} does not answer challenges ({seen}{f' from {server[:40]}' if server else ''}): run "
            "evergreen.tls.deploy on the host whose address that is, or correct the DNS record; where nginx is configured by others, "
            f"have it answer /.well-known/acme-challenge/TOKEN with TOKEN.{self.thumbprint}"
        )

    def _get(self, scheme: str, address: str, name: str, path: str) -> Seen:
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
            for header, value in (
                ("Host", _bracketed(name)),
                ("User-Agent", "evergreen.tls"),
                ("Connection", "close"),
            ):
                connection.putheader(header, value)
            connection.endheaders()
            response = connection.getresponse()
            return Seen(response.status, response.headers, response.read(LONGEST))
        finally:
            connection.close()


def _followed(domain: str, url: str, location: str) -> tuple[str, str, str, str]:
    """Return the URL that a redirect leads to, and its scheme, name and path, if CAs follow it."""
    try:
        target = urllib.parse.urljoin(url, location)
        parts = urllib.parse.urlsplit(target)
        leads_on = parts.scheme in PORTS and parts.hostname and parts.port in (None, PORTS[parts.scheme])
    except ValueError:
        leads_on = False
    if not leads_on:
        raise TlsError(
            f"{domain} redirects to {location!r}, and CAs follow to ports 80 and 443 only; correct the redirect, or let it leave out "
            "/.well-known/acme-challenge/"
        )
    return target, parts.scheme, str(parts.hostname), parts.path


def _gone_astray(domain: str, address: str, url: str, why: str = "") -> str:
    return (
        f"{_at(domain, address)} redirects to {url.partition('/.well-known')[0]}, and no host of ours answers there"
        f"{f' ({why})' if why else ''}; let the redirect leave out /.well-known/acme-challenge/"
    )


def _at(domain: str, address: str) -> str:
    return domain if domain == address else f"{domain} at {address}"


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
