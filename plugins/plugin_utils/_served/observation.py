# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at each address of a name: the certificate that it presents, and its responses over HTTP and HTTPS."""

from __future__ import annotations

import http.client
import ssl
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address, probe_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import HANDSHAKE_TIMEOUT_S, handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import ip_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.subject import ServedSubject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_check import UNREACHABLE_ERRNOS
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import (
    PLAIN_USER_AGENT,
    HttpResponse,
    get,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

if t.TYPE_CHECKING:
    from cryptography import x509

MAX_ADDRESSES = 20  # that are looked at
DNS_TIMEOUT_S = 10.0  # for the addresses of a name
APPLICATION_PROTOCOLS = ("h2", "http/1.1")  # as browsers offer them
PROBE_PATH = "/evergreen-probe?page=1"  # of which a redirect has to keep all


class Observation(t.NamedTuple):
    """What one address has shown."""

    address: str
    port: int
    is_in_inventory: bool = False
    chain: tuple[x509.Certificate, ...] = ()  # the leaf first; empty where there is no handshake
    version: str = ""  # of TLS
    application_protocol: str = ""  # the one that the server chose (ALPN, RFC 7301)
    error: str = ""  # why there is no handshake, or why clients do not trust the certificate
    is_unrouted: bool = False  # whether this machine has no route there
    is_late: bool = False  # whether the time for all checks was over before there was a handshake
    nameless_chain: tuple[x509.Certificate, ...] = ()  # for clients without SNI
    nameless_error: str = ""
    https: HttpResponse | None = None  # to a request for /
    http: HttpResponse | None = None  # to a request for PROBE_PATH

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 fingerprint of the certificate, empty where there is none."""
        return fingerprint(self.chain[0]) if self.chain else ""

    @property
    def place(self) -> str:
        """Return address and port as they stand in sentences."""
        return self.address if self.port == 443 else f"{self.address} port {self.port}"


class Served(t.NamedTuple):
    """A name, and what its addresses have shown."""

    subject: ServedSubject
    observations: tuple[Observation, ...]
    dns_error: str = ""  # why the addresses of the name are not known

    @property
    def name(self) -> str:
        """Return the name that servers are asked for."""
        return probe_name(self.subject.domain)

    def chains(self) -> list[tuple[x509.Certificate, ...]]:
        """Return each chain that is presented once, by its leaf."""
        return list({one.fingerprint: one.chain for one in reversed(self.observations) if one.chain}.values())

    def trusted_chains(self) -> list[tuple[x509.Certificate, ...]]:
        """Return the chains that clients trust."""
        return self._replace(observations=tuple(one for one in self.observations if not one.error)).chains()


def observe(subject: ServedSubject) -> Served:
    """Return what all addresses of a name show: those in DNS, and those of the inventory. All are looked at side by side."""
    places, dns_error = served_places(subject)
    name = probe_name(subject.domain)
    found = map_in_threads(
        lambda place: _observe_address(subject, name, *place[0], place[1]), list(places.items())[:MAX_ADDRESSES]
    )
    return Served(subject, tuple(found), dns_error)


def served_places(subject: ServedSubject) -> tuple[dict[tuple[str, int], bool], str]:
    """Return addresses and ports of a name with whether they are of the inventory, and why those in DNS are not known.

    The name that stands for a wildcard is no place where it has no address: a wildcard needs no record, and the error says so.
    """
    name = probe_name(subject.domain)
    places: dict[tuple[str, int], bool] = {}
    for host, port in subject.endpoints:
        places.update({(address, port): True for address in ip_addresses(host, port) or [host]})
    try:
        for address in _addresses(subject, name):
            places.setdefault((address, subject.port), False)
    except TlsError as error:
        if name != subject.domain:
            places = {place: is_in_inventory for place, is_in_inventory in places.items() if place[0] != name}
        return places, str(error)
    return places, ""


def seconds_left(deadline: float, maximum: float = HANDSHAKE_TIMEOUT_S) -> float:
    """Return the seconds that one step may take: until the deadline, *maximum* at most. Raises TlsError after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TlsError("the time for all checks is over; look at fewer names at a time")
    return min(left, maximum)


def _addresses(subject: ServedSubject, name: str) -> list[str]:
    if is_ip_address(name):
        return [name]
    try:
        seconds = seconds_left(subject.deadline, DNS_TIMEOUT_S)
        return run_with_timeout(seconds, lambda: subject.dns.addresses(name))
    except TimeoutError as error:
        raise TlsError(
            f"the resolvers do not say the addresses of {name} in time; see that they run, or name others by resolvers"
        ) from error


def _observe_address(subject: ServedSubject, name: str, address: str, port: int, is_in_inventory: bool) -> Observation:
    """Return what an address shows. No error is raised: each is part of the result."""
    seen = Observation(address, port, is_in_inventory)
    has_header = subject.has_proxy_protocol and is_in_inventory
    try:
        seen = _with_certificate(subject, seen, name, has_header)
        if seen.chain:
            seen = _without_name(subject, seen, has_header)
    except TlsError as error:
        cause = error.__cause__
        is_unrouted = isinstance(cause, OSError) and cause.errno in UNREACHABLE_ERRNOS
        is_late = time.monotonic() >= subject.deadline
        return seen._replace(error=str(error), is_unrouted=is_unrouted, is_late=is_late)
    if seen.chain and not has_header:
        seen = seen._replace(https=_response(subject, "https", address, port, name, "/"))
    if not has_header:
        seen = seen._replace(http=_response(subject, "http", address, subject.http_port, name, PROBE_PATH))
    return seen


def _with_certificate(subject: ServedSubject, seen: Observation, name: str, has_header: bool) -> Observation:
    """Add the chain, what the server has chosen, and why clients do not trust it. Raises TlsError without a handshake."""
    chosen: list[str] = []

    def note_protocol(connection: ssl.SSLSocket) -> None:
        chosen.append(connection.selected_alpn_protocol() or "")

    def shake(verify: bool) -> tuple[list[x509.Certificate], str | None]:
        return handshake(
            seen.address,
            seen.port,
            name,
            subject.roots,
            verify,
            seconds_left(subject.deadline),
            has_header,
            application_protocols=APPLICATION_PROTOCOLS,
            observe=note_protocol,
        )

    error_text = ""
    try:
        chain, version = shake(verify=True)
    except TlsError as error:
        if error.details.get("failure") != "untrusted":
            raise
        error_text = str(error)
        chain, version = shake(verify=False)
    return seen._replace(chain=tuple(chain), version=version or "", application_protocol=chosen[-1], error=error_text)


def _without_name(subject: ServedSubject, seen: Observation, has_header: bool) -> Observation:
    """Add what clients get that send no name (SNI)."""
    try:
        # an address is not sent as a name (RFC 6066, section 3)
        chain, _version = handshake(
            seen.address, seen.port, seen.address, timeout=seconds_left(subject.deadline), proxy_protocol=has_header
        )
    except TlsError as error:
        return seen._replace(nameless_error=str(error))
    return seen._replace(nameless_chain=tuple(chain))


# not a parser: http.client takes the response apart
def _response(
    subject: ServedSubject, scheme: str, address: str, port: int, name: str, path: str
) -> HttpResponse | None:
    """Return the response of an address, None where there is none."""
    try:
        seconds = seconds_left(subject.deadline)
        return get(scheme, address, name, path, seconds, PLAIN_USER_AGENT, port)
    except (OSError, ValueError, http.client.HTTPException, TlsError):
        return None
