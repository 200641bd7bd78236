# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the zone of a name, and its name servers, also where the resolvers cannot."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.routes import has_route
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns_client
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import MAX_NAME_SERVERS, NameServer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import Question, is_answer

with contextlib.suppress(ImportError):  # said by require_dnspython(), before anything here is called
    import dns.flags
    import dns.message
    import dns.name
    import dns.rdatatype
    import dns.rrset

MAX_ADDRESSES_OF_SERVER = 4


class Zone(t.NamedTuple):
    """A zone. name: without the last dot, so the root is an empty text."""

    name: str
    is_resolved: bool  # whether the resolvers know its SOA record
    server_names: tuple[str, ...]  # of its NS records, by the resolvers or else by the zone above
    servers: tuple[NameServer, ...]  # with the addresses to which the controller has a route
    unrouted: tuple[str, ...]  # names of servers with other addresses alone

    @property
    def title(self) -> str:
        """Return the name as people read it."""
        return self.name or "the root"


def find_zone(answers: DnsAnswers, name: str, deadline: float) -> Zone:
    """Return the zone of a name. Raises TlsError if the resolvers do not even know the zones above it."""
    apex, failed = _closest_zone(answers, name, deadline)
    zone = _zone_of_apex(answers, apex, deadline)
    for candidate in reversed(failed):  # the topmost first
        look_up = functools.partial(_delegated, answers, zone, candidate, deadline)
        delegated = answers.once(("delegation", candidate), look_up)
        if delegated:
            return delegated
    return zone


# not a parser: a library has parsed it
def delegation(answers: DnsAnswers, parent: Zone, child: str, deadline: float) -> dns.message.Message | None:
    """Return the response of the parent's name servers with the NS records of a child; None where none answers."""
    for server in parent.servers:
        response = answers.ask_server(server, Question(child, "NS", is_recursive=False), deadline)
        if not isinstance(response, str) and is_answer(response):
            return response
    return None


# not a parser: a library has parsed it
def name_servers_in(response: dns.message.Message, child: str) -> tuple[str, ...]:
    """Return the targets of the NS records of a zone, from the answer or the referral to it."""
    owner = dns.name.from_text(child)
    names = {
        text_of(record.target)
        for rrset in (*response.answer, *response.authority)
        if rrset.rdtype == dns.rdatatype.NS and rrset.name == owner
        for record in rrset
    }
    return tuple(sorted(names))


def text_of(name: dns.name.Name) -> str:
    """Return a name without its last dot, in lower case."""
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")


# not a parser: any text will do
def parent_of(name: str) -> str:
    """Return the name above, which is empty for the root.

    >>> parent_of("www.example.org"), parent_of("org")
    ('example.org', '')
    """
    return name.partition(".")[2]


def _closest_zone(answers: DnsAnswers, name: str, deadline: float) -> tuple[str, list[str]]:
    """Return the closest zone that the resolvers know, and the names below it for which they fail."""
    candidate, failed, error = name, list[str](), None
    while True:
        question = Question(candidate or ".", "SOA")
        try:
            response = answers.ask(question, deadline)
            if not is_answer(response):  # its signatures may be broken
                response = answers.ask(question._replace(is_unchecked=True), deadline)
        except TlsError as caught:
            response, error = None, caught
        if response is not None and is_answer(response):
            apex = _apex_in(response, candidate)
            if apex is not None:
                return apex, failed
        if response is None or not is_answer(response) or not response.answer:  # an alias has its zone elsewhere
            failed.append(candidate)
        if not candidate:
            raise error or TlsError(
                f"the resolvers know no zone with {name} in it, not even the root; see that they run, or name others by the solver's resolvers"
            )
        candidate = parent_of(candidate)


# not a parser: a library has parsed it
def _apex_in(response: dns.message.Message, name: str) -> str | None:
    """Return the owner of the SOA record, which is that of another zone for aliases (None)."""
    asked = dns.name.from_text(name)
    for rrset in (*response.answer, *response.authority):
        if rrset.rdtype == dns.rdatatype.SOA and asked.is_subdomain(rrset.name):
            return text_of(rrset.name)
    return None


def _zone_of_apex(answers: DnsAnswers, apex: str, deadline: float) -> Zone:
    def found() -> Zone:
        response = answers.ask(Question(apex or ".", "NS", is_unchecked=True), deadline)
        return _zone(answers, apex, name_servers_in(response, apex), {}, True, deadline)

    return answers.once(("zone", apex), found)


def _delegated(answers: DnsAnswers, parent: Zone, child: str, deadline: float) -> Zone | None:
    """Return the zone at a name, by the NS records of the zone above; None where there is no zone.

    Raises TlsError if no name server of the zone above answers.
    """
    response = delegation(answers, parent, child, deadline)
    if response is None:
        raise TlsError(
            f"no name server of {parent.title} says whether {child} is a zone; see that its name servers answer, with dig +trace {child}"
        )
    names = name_servers_in(response, child)
    if not names:
        return None
    glue: dict[str, list[str]] = {}
    for rrset in response.additional:
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            glue.setdefault(text_of(rrset.name), []).extend(record.address for record in rrset)
    return _zone(answers, child, names, glue, False, deadline)


def _zone(
    answers: DnsAnswers,
    apex: str,
    names: tuple[str, ...],
    glue: t.Mapping[str, list[str]],
    is_resolved: bool,
    deadline: float,
) -> Zone:
    servers, unrouted = [], []
    for name in names[:MAX_NAME_SERVERS]:
        addresses = glue.get(name) or _addresses(answers, name, deadline)
        reached = [address for address in addresses if has_route(address)][:MAX_ADDRESSES_OF_SERVER]
        servers += [NameServer(name, address, dns_client.PORT) for address in reached]
        if addresses and not reached:
            unrouted.append(name)
    return Zone(apex, is_resolved, names, tuple(servers[:MAX_NAME_SERVERS]), tuple(unrouted))


def _addresses(answers: DnsAnswers, name: str, deadline: float) -> list[str]:
    """Return the addresses of a name server, none where they are not known."""
    addresses = []
    for rdatatype in ("A", "AAAA"):
        with contextlib.suppress(TlsError):
            response = answers.ask(Question(name, rdatatype, is_unchecked=True), deadline)
            addresses += addresses_in(response.answer)
    return addresses


# not a parser: a library has parsed it
def has_authority(response: dns.message.Message) -> bool:
    """Say whether a server answers for its own zone (RFC 1035, section 4.1.1, AA)."""
    return bool(response.flags & dns.flags.AA)


# not a parser: a library has parsed it
def addresses_in(answer: t.Iterable[dns.rrset.RRset]) -> list[str]:
    """Return the addresses in an answer, each once."""
    return list(
        dict.fromkeys(
            record.address
            for rrset in answer
            if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
            for record in rrset
        )
    )


# not a parser: a library has parsed it
def aliases_in(answer: t.Iterable[dns.rrset.RRset]) -> dict[str, str]:
    """Return the target of each CNAME record in an answer by its owner."""
    return {text_of(rrset.name): text_of(rrset[0].target) for rrset in answer if rrset.rdtype == dns.rdatatype.CNAME}
