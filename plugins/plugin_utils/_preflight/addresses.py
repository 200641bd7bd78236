# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the addresses of the names of an order: whether there are any, whether a CA can reach them, and who says what."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.aliases import REMEDY, describe_missing_address
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.routes import has_route
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.sentences import Fact, group_facts
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.zone_cuts import (
    addresses_in,
    aliases_in,
    find_zone,
    has_authority,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import MAX_ADDRESSES
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.internal_addresses import internal_kind
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import Question, is_answer
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

SOURCE = "RFC 8555, section 8.3"
REGISTRY_SOURCE = "RFC 6890; IANA special-purpose address registries"
DNS_CHALLENGES = "dns-"  # dns-01, and dns-persist-01


class Answer(t.NamedTuple):
    """What was answered about one name."""

    addresses: list[str]
    aliases: dict[str, str]  # target by owner

    def __str__(self) -> str:
        words = self.addresses or list(self.aliases.values()) or ["no address"]
        return shorten(escape_as_one_line(", ".join(words)), 120)


def check_addresses(subject: Subject) -> list[Finding]:
    """Return what is to be said of the addresses. Wildcards need none, nor does anything that is validated by DNS."""
    domains = [one for one in subject.domains if not is_ip_address(one) and not one.startswith("*.")]
    if (subject.challenge_type or "").startswith(DNS_CHALLENGES) or not subject.has_view_of_ca:
        return []
    facts = map_in_threads(lambda domain: _look(domain, subject), domains)
    return group_facts([(domain, fact) for domain, found in zip(domains, facts) for fact in found])


def _look(domain: str, subject: Subject) -> list[Fact]:
    """Return the facts about one name."""
    answers, deadline = subject.answers, subject.deadline
    seen, errors = Answer([], {}), {}
    for rdatatype in ("A", "AAAA"):
        try:
            answer = answers.resolve(domain, rdatatype, deadline)
        except TlsError as error:
            errors[rdatatype] = str(error)
        else:
            seen = Answer(seen.addresses + addresses_in(answer), {**seen.aliases, **aliases_in(answer)})
    facts: list[Fact] = []
    if len(errors) == 1 and seen.addresses:
        rdatatype, cause = next(iter(errors.items()))
        before = f"{answers.resolvers} do not answer questions for {rdatatype} records, which CAs ask as well, of"
        facts.append(Fact("risk", "addresses.error", before, REMEDY, SOURCE, (cause,)))
    has_global_address = any(internal_kind(address) is None for address in seen.addresses)
    if subject.is_thorough or (subject.is_public_ca and not has_global_address):
        own = _own_answer(answers, domain, deadline)
    else:
        own = None
    if own and _differs(own, seen) and not errors:
        after = (
            f": {own} by the name servers of the zone, {seen} by {answers.resolvers}; name resolvers in the solver that see what the "
            "internet sees, or correct the zone"
        )
        facts.append(Fact("risk", "addresses.split", "there are two answers in DNS for", after, SOURCE))
    is_seen_by_world = own is not None and bool(own.addresses)
    judged = (own.addresses if own and is_seen_by_world else seen.addresses)[:MAX_ADDRESSES]
    if not judged:
        missing = describe_missing_address(answers, domain, errors, deadline)
        severity = "risk" if missing.severity == "blocks" and subject.challenge_type is None else missing.severity
        return [*facts, missing._replace(severity=severity)]
    facts += _judge(judged, subject, is_seen_by_world)
    if not any(fact.severity == "blocks" for fact in facts):
        facts.append(Fact("fine", "addresses", "DNS has addresses for", "", SOURCE, (f"{domain}: {seen}",)))
    return facts


def _judge(addresses: list[str], subject: Subject, is_seen_by_world: bool) -> list[Fact]:
    """Return which addresses CAs cannot reach, and which the controller cannot.

    is_seen_by_world: whether the name servers of the zone have said so.
    """
    facts = []
    internal = {address: kind for address in addresses if (kind := internal_kind(address))}
    if internal and subject.is_public_ca:
        shown = ", ".join(f"{address} is {kind}" for address, kind in internal.items())
        after = f" ({shorten(shown, 120)}); correct the A and AAAA records, or name resolvers in the solver that see what the internet sees"
        if len(internal) == len(addresses):
            severity: t.Literal["blocks", "risk"] = "blocks" if is_seen_by_world else "risk"
            before = "no address in DNS can be reached from the internet for"
        else:
            severity, before = "risk", "an address in DNS cannot be reached from the internet for"
        facts.append(Fact(severity, "addresses.internal", before, after, REGISTRY_SOURCE))
    unrouted = [address for address in addresses if ":" in address and not has_route(address)]
    if unrouted and subject.is_thorough:
        after = f" ({shorten(', '.join(unrouted), 120)}); have diagnose_from name a host that has IPv6, since CAs ask IPv6 addresses first"
        before = "this controller has no route to the IPv6 addresses of"
        facts.append(Fact("unknown", "addresses.ipv6", before, after, SOURCE))
    return facts


def _own_answer(answers: DnsAnswers, domain: str, deadline: float) -> Answer | None:
    """Return what the first name server of the zone that answers says; None where none does."""
    try:
        zone = find_zone(answers, domain, deadline)
    except TlsError:
        return None
    for server in zone.servers:
        own = Answer([], {})
        for rdatatype in ("A", "AAAA"):
            response = answers.ask_server(server, Question(domain, rdatatype, is_recursive=False), deadline)
            if isinstance(response, str) or not is_answer(response) or not has_authority(response):
                break
            own = Answer(own.addresses + addresses_in(response.answer), {**own.aliases, **aliases_in(response.answer)})
        else:
            return own
    return None


def _differs(own: Answer, seen: Answer) -> bool:
    """Say whether two answers have nothing in common. Servers may choose among many addresses."""
    if own.aliases:
        return not own.aliases.items() & seen.aliases.items() and not set(own.addresses) & set(seen.addresses)
    return set(own.addresses).isdisjoint(seen.addresses) and bool(own.addresses or seen.addresses)
