# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts are visited over HTTP as a CA would: each address of a domain, and wherever that leads."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    RESOLVERS,
    NameServers,
    side_by_side,
)

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

    # not a parser: it only passes on foreign input
    def shows(self, content: str) -> bool:
        """Say whether a CA would read this there (RFC 8555, section 8.3)."""
        return self.status == 200 and self.body.strip() == content.encode()

    def __str__(self) -> str:
        server = self.headers.get("Server")
        status = f"{self.status} {http.client.responses.get(self.status, '')}".strip()
        return f"{status} from {server[:40]}" if server else status


class Question(t.NamedTuple):
    """What is asked of the hosts behind a domain, and what is thought of their answers."""

    domain: str
    token: str
    is_right: t.Callable[[Seen], bool]
    refusal: t.Callable[[str, Seen], str]  # where that was, and what is not right


class Visits:
    """The visits of a solver, which leaves them out where it is told not to check."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **RESOLVERS,
        "check": {"type": "bool", "default": True},
        "timeout": {"type": "str", "default": "10s"},
    }

    def __init__(self, resolvers: list[str], check: bool, timeout: str) -> None:
        self.name_servers = NameServers(resolvers)
        self.check = check
        self.timeout = duration(timeout).total_seconds()

    def make_sure(self, questions: list[Question]) -> None:
        """Make sure that each host behind each domain gives a right answer. Raises TlsError with a sentence for each that does not."""
        complaints = [said for said in side_by_side(self._complaint, questions) if said] if self.check else []
        if complaints:
            raise TlsError(" · ".join(complaints))

    def _complaint(self, question: Question) -> str | None:
        """Return what would keep a CA from believing that a domain is ours."""
        domain = question.domain
        try:
            found = [domain] if is_address(domain) else self.name_servers.addresses(domain)
        except TlsError as error:
            return str(error)
        out_of_reach = []
        for address in found:
            try:
                self._visit(question, address)
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

    def _visit(self, question: Question, address: str) -> None:
        """Ask a host what a CA would ask. Raises TlsError where it gives no right answer."""
        domain, path = question.domain, f"/.well-known/acme-challenge/{question.token}"
        answer = self._get("http", address, domain, path)
        here, url = (address, domain), f"http://{_bracketed(domain)}{path}"
        for _redirect in range(MOST_REDIRECTS):
            if answer.status not in REDIRECTS or question.is_right(answer):
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
        if question.is_right(answer):
            return
        if answer.status in REDIRECTS:
            raise TlsError(f"{_at(domain, address)} redirects in a circle; correct what answers there on port 80")
        if here[1] != domain:
            raise TlsError(_gone_astray(domain, address, url))
        raise TlsError(question.refusal(_at(domain, address), answer))

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


# not a parser: it accepts any text, or raises TlsError
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
