# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What DNS says: the addresses of a name, the place where a record has to stand, and whether its servers have it.

Resolvers are asked as little as possible. What they are told does not exist they remember, and a CA may ask the same ones
a second later. Where a record is going to stand, the servers of its zone are asked instead.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import address_and_port

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.nameserver
    import dns.query
    import dns.rcode
    import dns.rdatatype
    import dns.resolver
except ImportError:  # said by require_dnspython(), before anything here is called
    dns = None

PORT = 53
PATIENCE = 3.0  # seconds for one answer of one server
TRIES = 3  # of a server that keeps silent, before the others are enough
MOST_HOPS = 12  # of CNAMEs and delegations
AT_ONCE = 16
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

# What every solver says about DNS.
RESOLVERS = {"resolvers": {"type": "list", "elements": "str", "default": []}}


class Server(t.NamedTuple):
    """A name server at one of its addresses."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return self.name if self.name == self.address else f"{self.name} ({self.address})"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a record has to stand, once CNAMEs and delegations are followed."""

    name: str
    zone: str
    primary: str  # the server that the zone itself names as its first (RFC 1035, MNAME)
    servers: tuple[Server, ...]


def require_dnspython() -> None:
    """Make sure that DNS can be asked."""
    if dns is None:
        raise TlsError(
            "Python's dnspython library is not on the controller, and DNS has to be asked; install it, as by pip install dnspython"
        )


class NameServers:
    """DNS as it is seen through *resolvers*, those of the controller where there are none."""

    def __init__(self, resolvers: list[str] | None = None) -> None:
        self.resolvers = resolvers or []

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a name, as a CA would find them. Raises TlsError where there is none."""
        found = [
            record.address
            for kind in ("A", "AAAA")
            for rrset in self._resolved(name, kind)
            for record in rrset
            if record.rdtype == dns.rdatatype.from_text(kind)
        ]
        if not found:
            raise TlsError(
                f"{name} has no address in DNS; create an A or AAAA record that leads to the host, and run this again"
            )
        return found

    def place(self, name: str) -> Place:
        """Return where a record of this name has to stand."""
        wanted, zone, servers = _name(name), None, ()
        for _hop in range(MOST_HOPS):
            if zone is None:
                zone, servers = self._enclosing(wanted.parent())
            response = self._asked(servers, wanted, "SOA", zone)
            alias = response.get_rrset(response.answer, wanted, dns.rdataclass.IN, dns.rdatatype.CNAME)
            if alias:
                wanted, zone = alias[0].target, None
                continue
            delegated = _first(response.authority, dns.rdatatype.NS)
            owner = _first([*response.answer, *response.authority], dns.rdatatype.SOA)
            if owner is None and delegated is not None and delegated.name != zone:
                zone = delegated.name
                servers = self._servers([record.target for record in delegated], zone)
                continue
            if owner is None or not wanted.is_subdomain(owner.name):
                raise TlsError(
                    f"the name servers of {_text(zone)} do not say in which zone {_text(wanted)} is; look at the zone with "
                    f"dig SOA {_text(wanted)}, and repair it"
                )
            if owner.name != zone:
                servers = self._servers_of(owner.name)
            return Place(_text(wanted), _text(owner.name), _text(owner[0].mname), servers)
        raise TlsError(
            f"the CNAME records of {name} lead on and on, the last one to {_text(wanted)}; let them end in a name of a zone"
        )

    def server(self, text: str) -> Server:
        """Return a server that somebody named by its address or name, with a port or without."""
        host, port = address_and_port(text, PORT)
        return Server(host, host if is_address(host) else self.addresses(host)[0], port)

    def texts(self, name: str) -> list[str]:
        """Return the TXT records of a name as the servers of its zone have them, with CNAMEs followed."""
        place = self.place(name)
        return _texts(self._asked(place.servers, _name(place.name), "TXT", _name(place.zone)), place.name)

    def memory_of_others(self, place: Place, own: set[str]) -> int:
        """Return for how many seconds resolvers may remember the TXT records of a place without our own.

        That is their lifetime where others have records there: in a fleet, hosts ask for the same names at the same time.
        """
        response = self._asked(place.servers, _name(place.name), "TXT", _name(place.zone))
        found = _first(response.answer, dns.rdatatype.TXT)
        return found.ttl if found and set(_texts(response, place.name)) - own else 0

    def wait_for(self, wanted: dict[Place, set[str]], servers: list[Server], patience: float, option: str) -> None:
        """Return once all servers of each place have the TXT records that are wanted there; *servers* in their place, if any.

        A server that never answers is left out as long as others do: a CA asks those, too.
        """
        deadline = time.monotonic() + patience
        waiting = [(place, server) for place in wanted for server in servers or place.servers]
        silent: collections.Counter[Server] = collections.Counter()
        seen: set[Server] = set()
        pause = FIRST_PAUSE
        while True:
            found = side_by_side(lambda pair: _texts_at(pair[1], pair[0].name), waiting)
            missing = {}
            for (place, server), texts in zip(waiting, found):
                if isinstance(texts, str):
                    silent[server] += 1
                else:
                    seen.add(server)
                if isinstance(texts, str) or not wanted[place] <= set(texts):
                    missing[place, server] = texts
            lost = {server for server in silent if silent[server] >= TRIES and server not in seen}
            waiting = [pair for pair in missing if pair[1] not in lost or not seen]
            if not waiting:
                return
            if time.monotonic() >= deadline:
                raise TlsError(_not_there([(*pair, missing[pair]) for pair in waiting], patience, option))
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(LONGEST_PAUSE, pause * 1.5)

    def _enclosing(self, name: dns.name.Name) -> tuple[dns.name.Name, tuple[Server, ...]]:
        """Return the closest zone around a name, and its servers."""
        start = name
        while True:
            for rrset in self._resolved(_text(name), "SOA"):
                if rrset.rdtype == dns.rdatatype.SOA and rrset.name == name:
                    return name, self._servers_of(name)
            if len(name.labels) <= 2:
                raise TlsError(
                    f"DNS knows no zone with {_text(start)} in it; see that the domain is registered and delegated, or name "
                    "resolvers that know it by the solver's resolvers"
                )
            name = name.parent()

    def _servers_of(self, zone: dns.name.Name) -> tuple[Server, ...]:
        records = [record for rrset in self._resolved(_text(zone), "NS") for record in rrset]
        targets = [record.target for record in records if record.rdtype == dns.rdatatype.NS]
        return self._servers(targets, zone)

    def _servers(self, names: list[dns.name.Name], zone: dns.name.Name) -> tuple[Server, ...]:
        found, lost = [], []
        for name in sorted(set(names)):
            try:
                found += [Server(_text(name), address, PORT) for address in self.addresses(_text(name))]
            except TlsError:
                lost.append(_text(name))
        if not found:
            raise TlsError(
                f"the name servers of {_text(zone)} ({', '.join(lost) or 'none are named'}) have no address in DNS; "
                "correct the NS records of the zone"
            )
        return tuple(found)

    def _asked(
        self, servers: t.Iterable[Server], name: dns.name.Name, kind: str, zone: dns.name.Name
    ) -> dns.message.Message:
        """Return what the first server that has an answer says."""
        said = []
        for server in servers:
            try:
                response = _query(server, _text(name), kind)
            except (OSError, dns.exception.DNSException) as error:
                said.append(f"{server}: {_why(error)}")
                continue
            if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return response
            said.append(f"{server}: {dns.rcode.to_text(response.rcode())}")
        raise TlsError(
            f"no name server of {_text(zone)} says anything about {_text(name)} ({'; '.join(said)}); see that they run, and that "
            f"port {PORT} of them can be reached from the controller"
        )

    def _resolved(self, name: str, kind: str) -> list:
        """Return the answer of the resolvers, which is empty where there is nothing of this kind."""
        try:
            answer = self._resolver().resolve(_name(name), kind, raise_on_no_answer=False, search=False)
            return list(answer.response.answer)
        except dns.resolver.NXDOMAIN:
            return []
        except dns.resolver.NoResolverConfiguration as error:
            raise TlsError(
                "the controller has no resolvers in /etc/resolv.conf; name some by the solver's resolvers"
            ) from error
        except (OSError, dns.exception.DNSException) as error:
            where = ", ".join(self.resolvers) or "the resolvers of the controller"
            raise TlsError(
                f"{where} cannot find out about {name}: {_why(error)}; see that they run and know the name, or name others by the "
                "solver's resolvers"
            ) from error

    def _resolver(self) -> dns.resolver.Resolver:
        require_dnspython()
        if not self.resolvers:
            return dns.resolver.Resolver()
        resolver = dns.resolver.Resolver(configure=False)
        places = [address_and_port(text, PORT) for text in self.resolvers]
        for host, _port in places:
            if not is_address(host):
                raise TlsError(f"the resolver {host} is no address; write one such as 192.0.2.53")
        resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in places]
        return resolver


def _query(server: Server, name: str, kind: str) -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
    query.flags &= ~dns.flags.RD
    response, _by_tcp = dns.query.udp_with_fallback(query, server.address, PATIENCE, server.port)
    return response


def _texts_at(server: Server, name: str) -> list[str] | str:
    """Return the TXT records that a server has for a name, or why it does not say."""
    try:
        response = _query(server, name, "TXT")
    except (OSError, dns.exception.DNSException) as error:
        return _why(error)
    if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return dns.rcode.to_text(response.rcode())
    return _texts(response, name)


# not a parser: a library has parsed it
def _texts(response: dns.message.Message, name: str) -> list[str]:
    wanted = _name(name)
    return [
        b"".join(record.strings).decode("utf-8", "replace")
        for rrset in response.answer
        if rrset.rdtype == dns.rdatatype.TXT and rrset.name == wanted
        for record in rrset
    ]


def _not_there(missing: list[tuple[Place, Server, list[str] | str]], patience: float, option: str) -> str:
    sentences = []
    for place in dict.fromkeys(place for place, _server, _texts in missing):
        here = [
            f"{server}: {texts if isinstance(texts, str) else 'other values' if texts else 'no such record'}"
            for where, server, texts in missing
            if where == place
        ]
        sentences.append(f"the TXT record {place.name} is not on all name servers of {place.zone} ({', '.join(here)})")
    return f"after {patience:.0f} s {' and '.join(sentences)}; see that changes of the zone get there, or give them more time by {option}"


def side_by_side(function: t.Callable, items: list) -> list:
    if not items:
        return []
    with concurrent.futures.ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
        return list(pool.map(function, items))


def _first(rrsets: list, kind: int) -> t.Any:
    return next((rrset for rrset in rrsets if rrset.rdtype == kind), None)


def _name(text: str) -> dns.name.Name:
    require_dnspython()
    return dns.name.from_text(text)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def _why(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "no answer in time"
    if isinstance(error, dns.resolver.NoNameservers):
        last = error.kwargs.get("errors") or [(None,) * 5]
        return str(last[-1][3] or "no answer that makes sense")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
