# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query DNS: the addresses of a name, the location of a record, and whether the name servers have it.

Resolvers are queried as little as possible: they cache that a name does not exist, and a CA may query the same ones a second later.
For a record that is about to be created, the name servers of its zone are queried instead.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import threading
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import parse_endpoint
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import (
    RESOLVER_TIMEOUT_S,
    Question,
    Resolvers,
    cause_of,
    require_dnspython,
    send_question,
)

with contextlib.suppress(ImportError):  # said by require_dnspython(), before anything here is called
    import dns.exception
    import dns.message
    import dns.name
    import dns.rcode
    import dns.rdataclass
    import dns.rdatatype
    import dns.rrset

PORT = 53  # of name servers
QUERY_TIMEOUT_S = 3.0  # for one name server
MAX_TIMEOUTS = 3  # of a silent name server, until the others are enough
MAX_HOPS = 12  # of CNAMEs and delegations
MAX_ADDRESSES = 20  # of a name that are looked at; a CA chooses one
MAX_SERVERS_IN_ERROR = 5
MAX_NAME_SERVERS = 20  # of a zone; large ones have 13
LOCATE_TIMEOUT_S = 60.0  # for all questions about where a record has to be
FIRST_PAUSE_S, MAX_PAUSE_S = 0.2, 5.0  # between two queries of wait_for()

# The setting of every solver that queries DNS.
RESOLVERS: dict[str, t.Any] = {"resolvers": {"type": "list", "elements": "str", "default": []}}


class NameServer(t.NamedTuple):
    """A name server at one of its addresses."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return self.name if self.name == self.address else f"{self.name} ({self.address})"


@dataclasses.dataclass(frozen=True)
class RecordLocation:
    """Where a record has to be, after all CNAMEs and delegations."""

    name: str
    zone: str
    primary: str  # the primary server that the SOA record of the zone names (RFC 1035, MNAME)
    servers: tuple[NameServer, ...]


class TextAnswer(t.NamedTuple):
    """The TXT records of a name. size: of the response with them, in bytes."""

    texts: list[str]
    size: int


class NoAddressError(TlsError):
    """The resolvers say that a name has no address."""


class DnsClient:
    """DNS by way of *resolvers*, or by those of the controller if there are none."""

    def __init__(self, resolvers: list[str] | None = None) -> None:
        self.resolvers = Resolvers(resolvers or [])

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a name, as a CA would find them. Raises TlsError if there are none."""
        addresses = [
            record.address
            for rdatatype in ("A", "AAAA")
            for rrset in self._resolve(name, rdatatype)
            for record in rrset
            if record.rdtype == dns.rdatatype.from_text(rdatatype)
        ]
        del addresses[MAX_ADDRESSES:]
        if not addresses:
            raise NoAddressError(
                f"{name} has no address in DNS; create an A or AAAA record that leads to the host, and run this again"
            )
        return addresses

    def caa_records(self, name: str) -> list[tuple[int, str, str]]:
        """Return flags, tag and value of the CAA records of exactly this name, or of its alias (RFC 8659, section 4.1)."""
        return caa_properties(self._resolve(name, "CAA"))

    def locate(self, record_name: str) -> RecordLocation:
        """Return where a record of this name has to be. Raises TlsError if there is no zone for it, and after LOCATE_TIMEOUT_S."""
        with questions_until(time.monotonic() + LOCATE_TIMEOUT_S):
            return self._locate(record_name)

    def _locate(self, record_name: str) -> RecordLocation:
        name, zone = _name(record_name), None
        servers: tuple[NameServer, ...] = ()
        for _hop in range(MAX_HOPS):
            if zone is None:
                zone, servers = self._enclosing_zone(name.parent())
            response = self._query_any(servers, name, "SOA", zone)
            alias = response.get_rrset(response.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
            if alias:
                name, zone = alias[0].target, None
                continue
            delegation = _first(response.authority, dns.rdatatype.NS)
            soa = _first([*response.answer, *response.authority], dns.rdatatype.SOA)
            if soa is None and delegation is not None and delegation.name != zone:
                zone = delegation.name
                servers = self._name_servers([record.target for record in delegation], zone)
                continue
            if soa is None or not name.is_subdomain(soa.name):
                raise TlsError(
                    f"the name servers of {_text(zone)} do not say in which zone {_text(name)} is; look at the zone with "
                    f"dig SOA {_text(name)}, and repair it"
                )
            if soa.name != zone:
                servers = self._name_servers_of(soa.name)
            return RecordLocation(_text(name), _text(soa.name), _text(soa[0].mname), servers)
        raise TlsError(
            f"the CNAME records of {record_name} lead on and on, the last one to {_text(name)}; let them end in a name of a zone"
        )

    def name_server(self, text: str) -> NameServer:
        """Return the name server that the user wrote: an address or a name, with or without a port."""
        host, port = parse_endpoint(text, PORT)
        return NameServer(host, host if is_ip_address(host) else self.addresses(host)[0], port)

    def texts(self, record_name: str) -> list[str]:
        """Return the TXT records of a name from the name servers of its zone, with CNAMEs followed."""
        location = self.locate(record_name)
        return _texts(self._query_texts(location), location.name)

    def text_answer(self, location: RecordLocation, name: str) -> TextAnswer:
        """Return what the name servers of a location say about the TXT records of a name in the same zone."""
        response = self._query_any(location.servers, _name(name), "TXT", _name(location.zone))
        return TextAnswer(_texts(response, name), len(response.to_wire()))

    def alias_target(self, name: str) -> str | None:
        """Return the target of the CNAME record of a name; None where there is none, or it is not known."""
        with contextlib.suppress(TlsError):
            records = [record for rrset in self._resolve(name, "CNAME") for record in rrset]
            return next((_text(record.target) for record in records if record.rdtype == dns.rdatatype.CNAME), None)
        return None

    def foreign_ttl(self, location: RecordLocation, own: set[str]) -> int:
        """Return for how many seconds resolvers may cache TXT records without our *own* values.

        That is the TTL if others have records there: the hosts of a fleet order for the same names at the same time.
        """
        response = self._query_texts(location)
        rrset = _first(response.answer, dns.rdatatype.TXT)
        return rrset.ttl if rrset and set(_texts(response, location.name)) - own else 0

    def wait_for(
        self, values: dict[RecordLocation, set[str]], servers: list[NameServer], timeout: float, option: str
    ) -> None:
        """Return once all name servers of each location, or else *servers*, have its TXT values.

        A name server that never responds is ignored if others do: a CA queries those, too. *timeout* is in seconds.
        Raises TlsError after it, with *option* as the setting that changes it.
        """
        deadline = time.monotonic() + timeout
        pending = [(location, server) for location in values for server in servers or location.servers]
        timeouts: collections.Counter[NameServer] = collections.Counter()
        responsive: set[NameServer] = set()
        pause = FIRST_PAUSE_S
        while True:
            results = map_in_threads(lambda pair: _texts_at(pair[1], pair[0].name), pending)
            missing = {}
            for (location, server), texts in zip(pending, results):
                if isinstance(texts, str):
                    timeouts[server] += 1
                else:
                    responsive.add(server)
                if isinstance(texts, str) or not values[location] <= set(texts):
                    missing[location, server] = texts
            silent = {server for server in timeouts if timeouts[server] >= MAX_TIMEOUTS and server not in responsive}
            pending = [pair for pair in missing if pair[1] not in silent or not responsive]
            if not pending:
                return
            if time.monotonic() >= deadline:
                raise TlsError(_missing_records([(*pair, missing[pair]) for pair in pending], timeout, option))
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(MAX_PAUSE_S, pause * 1.5)

    def _enclosing_zone(self, name: dns.name.Name) -> tuple[dns.name.Name, tuple[NameServer, ...]]:
        """Return the closest zone around a name, and its name servers."""
        start = name
        while True:
            for rrset in self._resolve(_text(name), "SOA"):
                if rrset.rdtype == dns.rdatatype.SOA and rrset.name == name:
                    return name, self._name_servers_of(name)
            if len(name.labels) <= 2:
                raise TlsError(
                    f"DNS knows no zone with {_text(start)} in it; see that the domain is registered and delegated, or name "
                    "resolvers that know it by the solver's resolvers"
                )
            name = name.parent()

    def _name_servers_of(self, zone: dns.name.Name) -> tuple[NameServer, ...]:
        records = [record for rrset in self._resolve(_text(zone), "NS") for record in rrset]
        targets = [record.target for record in records if record.rdtype == dns.rdatatype.NS]
        return self._name_servers(targets, zone)

    def _name_servers(self, names: list[dns.name.Name], zone: dns.name.Name) -> tuple[NameServer, ...]:
        servers, unresolved = [], []
        for name in sorted(set(names))[:MAX_NAME_SERVERS]:
            _seconds_left(RESOLVER_TIMEOUT_S, _text(zone))
            try:
                servers += [NameServer(_text(name), address, PORT) for address in self.addresses(_text(name))]
            except TlsError:
                unresolved.append(_text(name))
        if not servers:
            raise TlsError(
                f"the name servers of {_text(zone)} ({', '.join(unresolved) or 'none are named'}) have no address in DNS; "
                "correct the NS records of the zone"
            )
        return tuple(servers[:MAX_NAME_SERVERS])

    def _query_texts(self, location: RecordLocation) -> dns.message.Message:
        return self._query_any(location.servers, _name(location.name), "TXT", _name(location.zone))

    def _query_any(
        self, servers: t.Iterable[NameServer], name: dns.name.Name, rdatatype: str, zone: dns.name.Name
    ) -> dns.message.Message:
        """Return the response of the first name server that has one."""
        errors = []
        for server in servers:
            try:
                response = _query(server, _text(name), rdatatype)
            except (OSError, dns.exception.DNSException) as error:
                errors.append(f"{server}: {cause_of(error)}")
                continue
            if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return response
            errors.append(f"{server}: {dns.rcode.to_text(response.rcode())}")
        raise TlsError(
            f"no name server of {_text(zone)} says anything about {_text(name)} ({'; '.join(errors[:MAX_SERVERS_IN_ERROR])}); see that they run, and that "
            f"port {PORT} of them can be reached from the controller"
        )

    def _resolve(self, name: str, rdatatype: str) -> list[dns.rrset.RRset]:
        return self.resolvers.resolve(name, rdatatype, _seconds_left(RESOLVER_TIMEOUT_S, name))


# not a parser: dnspython has parsed it, and any bytes will do
def caa_properties(answer: list[dns.rrset.RRset]) -> list[tuple[int, str, str]]:
    """Return flags, tag and value of the CAA records in an answer."""
    return [
        (record.flags, record.tag.decode("ascii", "replace"), record.value.decode("ascii", "replace"))
        for rrset in answer
        for record in rrset
        if record.rdtype == dns.rdatatype.CAA
    ]


_questions = threading.local()  # deadline: by time.monotonic(), of all questions of the present thread


@contextlib.contextmanager
def questions_until(deadline: float) -> t.Iterator[None]:
    """Have questions of this thread raise TlsError after a deadline by time.monotonic(), or after an earlier one around it."""
    around = getattr(_questions, "deadline", None)
    _questions.deadline = deadline if around is None else min(deadline, around)
    try:
        yield
    finally:
        _questions.deadline = around


def _seconds_left(timeout: float, name: str) -> float:
    """Return the seconds that one question may take. Raises TlsError after the deadline of all questions."""
    deadline = getattr(_questions, "deadline", None)
    if deadline is None:
        return timeout
    left: float = deadline - time.monotonic()
    if left <= 0:
        raise TlsError(
            f"it is not known where {name} is in DNS after {LOCATE_TIMEOUT_S:.0f} seconds; see that its name servers answer, with dig +trace {name}"
        )
    return min(timeout, left)


def _query(server: NameServer, name: str, rdatatype: str) -> dns.message.Message:
    question = Question(name, rdatatype, is_recursive=False)
    return send_question(question, server.address, server.port, _seconds_left(QUERY_TIMEOUT_S, name))


def _texts_at(server: NameServer, name: str) -> list[str] | str:
    """Return the TXT records that a name server has for a name, or as a string why it does not respond."""
    try:
        response = _query(server, name, "TXT")
    except (OSError, dns.exception.DNSException) as error:
        return cause_of(error)
    if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return dns.rcode.to_text(response.rcode())
    return _texts(response, name)


# not a parser: a library has parsed it
def _texts(response: dns.message.Message, name: str) -> list[str]:
    owner = _name(name)
    return [
        b"".join(record.strings).decode("utf-8", "replace")
        for rrset in response.answer
        if rrset.rdtype == dns.rdatatype.TXT and rrset.name == owner
        for record in rrset
    ]


def _missing_records(
    missing: list[tuple[RecordLocation, NameServer, list[str] | str]], timeout: float, option: str
) -> str:
    sentences = []
    for location in dict.fromkeys(location for location, _server, _texts in missing):
        states = [
            f"{server}: {texts if isinstance(texts, str) else 'other values' if texts else 'no such record'}"
            for where, server, texts in missing
            if where == location
        ]
        sentences.append(
            f"the TXT record {location.name} is not on all name servers of {location.zone} ({', '.join(states)})"
        )
    return f"after {timeout:.0f} s {' and '.join(sentences)}; see that changes of the zone get there, or give them more time by {option}"


def _first(rrsets: list[dns.rrset.RRset], rdatatype: int) -> dns.rrset.RRset | None:
    return next((rrset for rrset in rrsets if rrset.rdtype == rdatatype), None)


def _name(text: str) -> dns.name.Name:
    require_dnspython()
    return dns.name.from_text(text)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
