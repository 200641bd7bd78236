# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the zones of an order: the delegation, and what each name server answers.

Only what servers say blocks. A controller may not reach port 53 of the internet, so silence alone is C(unknown).
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding, Severity
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_suffixes import is_public_suffix
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import SILENT, DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.sentences import Fact, group_facts, shown_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.zone_cuts import (
    Zone,
    delegation,
    find_zone,
    has_authority,
    name_servers_in,
    parent_of,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import NameServer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import Question, is_answer, status_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

with contextlib.suppress(ImportError):  # said by require_dnspython(), before anything here is called
    import dns.flags
    import dns.message
    import dns.rcode

SOURCE = "RFC 1034, section 4.2.2; RFC 1912, section 2.8"
TYPES_SOURCE = "RFC 3597; RFC 8659, section 6.1"
RESOLVERS_REMEDY = "see that they run, or name others by the solver's resolvers"


class ServerState(t.NamedTuple):
    """What a name server answers about its zone."""

    server: NameServer
    error: str  # empty where it answers as it has to
    is_silent: bool = False
    is_recursive: bool = False  # it is a resolver: something on the way answers in place of the server
    server_names: tuple[str, ...] = ()  # of the NS records that it has

    def __str__(self) -> str:
        return f"{shorten(escape_as_one_line(str(self.server)), 80)}: {self.error}"


def check_zones(subject: Subject) -> list[Finding]:
    """Return what is wrong with each zone and its name servers. Without is_thorough no name server is asked."""
    domains = [domain.removeprefix("*.") for domain in subject.domains if not is_ip_address(domain)]
    if not subject.is_thorough or not domains:
        return []
    zones: dict[Zone, list[str]] = {}
    facts: list[tuple[str, Fact]] = []
    for domain, zone in zip(domains, map_in_threads(lambda domain: _find(subject, domain), domains)):
        if isinstance(zone, Zone):
            zones.setdefault(zone, []).append(domain)
        else:
            before = f"{subject.answers.resolvers} cannot find out about the zone of"
            facts.append((domain, Fact("unknown", "zone.error", before, f"; {RESOLVERS_REMEDY}", SOURCE, (zone,))))
    found = map_in_threads(lambda pair: _judge(subject, *pair), list(zones.items()))
    return [*(finding for findings in found for finding in findings), *group_facts(facts)]


def _find(subject: Subject, domain: str) -> Zone | str:
    try:
        return find_zone(subject.answers, domain, subject.deadline)
    except TlsError as error:
        return str(error)


def _judge(subject: Subject, zone: Zone, domains: list[str]) -> list[Finding]:
    """Return the findings of one zone."""
    answers, deadline, title = subject.answers, subject.deadline, shorten(escape_as_one_line(zone.title), 100)
    missing = _missing_zone(subject, zone, domains) if is_public_suffix(zone.name) else []
    if missing:
        return missing
    states = map_in_threads(lambda server: _state(answers, server, zone.name, deadline), list(zone.servers))
    good = [state for state in states if not state.error]
    bad = [state for state in states if state.error]
    findings = []
    if good:
        findings += _partly(title, good, bad)
        findings += _types(subject, title, zone, good)
        findings += _delegations(subject, title, zone, good)
    else:
        findings.append(_nobody(title, zone, bad))
    if not findings:
        servers = "1 name server answers" if len(good) == 1 else f"{len(good)} of {len(good)} name servers answer"
        findings.append(Finding("fine", "zone", f"{servers} for {title}", (), SOURCE))
    if zone.unrouted:
        sentence = (
            f"this controller has no route to {shown_names(zone.unrouted)}, a name server of {title} with IPv6 alone; see from a host with IPv6 "
            "that it answers"
        )
        findings.append(Finding("note", "zone.ipv6", sentence, (), SOURCE))
    return findings


def _missing_zone(subject: Subject, zone: Zone, domains: list[str]) -> list[Finding]:
    """Return a finding for names directly in a domain below which anybody registers names, where they do not exist."""
    missing = []
    for domain in domains:
        with contextlib.suppress(TlsError):
            response = subject.answers.ask(Question(domain, "SOA"), subject.deadline)
            if response.rcode() == dns.rcode.NXDOMAIN:
                missing.append(domain)
    if not missing:
        return []
    sentence = (
        f"DNS knows nothing between {zone.title} and {shown_names(missing)}; see that the domain is registered, paid for and delegated, and "
        "that its name is written right"
    )
    return [Finding("blocks", "zone.missing", sentence, (), SOURCE)]


def _state(answers: DnsAnswers, server: NameServer, zone: str, deadline: float) -> ServerState:
    """Return what a name server answers about the SOA and NS records of a zone."""
    response = answers.ask_server(server, Question(zone or ".", "SOA", is_recursive=False), deadline)
    if isinstance(response, str):
        return ServerState(server, response, is_silent=response == SILENT)
    if not is_answer(response):
        return ServerState(server, status_of(response))
    if not has_authority(response) or not response.answer:
        is_recursive = bool(response.flags & dns.flags.RA and response.answer)
        return ServerState(server, "it does not know the zone", is_recursive=is_recursive)
    names = answers.ask_server(server, Question(zone or ".", "NS", is_recursive=False), deadline)
    known = () if isinstance(names, str) else name_servers_in(names, zone or ".")
    return ServerState(server, "", server_names=known)


def _nobody(title: str, zone: Zone, bad: list[ServerState]) -> Finding:
    """Return the finding about a zone for which no name server answers."""
    evidence = tuple(map(str, bad))
    if not zone.server_names:
        sentence = f"there are no NS records of {title}; create them at the registrar"
        return Finding("blocks", "zone.servers", sentence, evidence, SOURCE)
    if not bad and zone.is_resolved:
        sentence = f"this controller does not know the addresses of the name servers of {title}; see that {shown_names(zone.server_names)} have A records"
        return Finding("unknown", "zone.servers", sentence, evidence, SOURCE)
    if not bad:
        sentence = (
            f"the name servers of {title} have no address ({shown_names(zone.server_names)}); correct the NS records at the registrar, or "
            "create the A records"
        )
        return Finding("blocks", "zone.servers", sentence, evidence, SOURCE)
    is_blocked = all(state.is_silent or state.is_recursive for state in bad)
    if zone.is_resolved and is_blocked:
        sentence = (
            f"no name server of {title} answers this controller, and the resolvers know the zone; let port 53 of the internet be reached from "
            "here, or have diagnose_from name another host"
        )
        return Finding("unknown", "zone.servers", sentence, evidence, SOURCE)
    sentence = f"no name server of {title} answers for it ({_shown(bad)}); see that they run and have the zone, or correct the NS records at the registrar"
    return Finding("blocks", "zone.servers", sentence, evidence, SOURCE)


def _partly(title: str, good: list[ServerState], bad: list[ServerState]) -> list[Finding]:
    """Return a finding about name servers that do not answer while others do."""
    if not bad:
        return []
    sentence = (
        f"{len(bad)} of {len(good) + len(bad)} name servers of {title} do not answer for it ({_shown(bad)}), and CAs ask any of them; see that "
        "they run and have the zone, or take them out of the NS records"
    )
    return [Finding("risk", "zone.server", sentence, tuple(map(str, bad)), SOURCE)]


def _types(subject: Subject, title: str, zone: Zone, good: list[ServerState]) -> list[Finding]:
    """Return a finding about name servers that do not answer questions for CAA records, as they do not know the type."""
    question = Question(zone.name or ".", "CAA", is_recursive=False)
    failing = []
    for state in good:
        response = subject.answers.ask_server(state.server, question, subject.deadline)
        if isinstance(response, str) or not is_answer(response):
            error = response if isinstance(response, str) else status_of(response)
            failing.append(state._replace(error=error))
    if not failing:
        return []
    severity: Severity = "blocks" if len(failing) == len(good) and subject.is_lets_encrypt else "risk"
    sentence = (
        f"{len(failing)} of {len(good)} name servers of {title} do not answer questions for CAA records ({_shown(failing)}), which CAs have to "
        "ask; update their software, let the firewall pass all types of records, or move the zone"
    )
    return [Finding(severity, "zone.caa", sentence, tuple(map(str, failing)), TYPES_SOURCE)]


def _delegations(subject: Subject, title: str, zone: Zone, good: list[ServerState]) -> list[Finding]:
    """Return findings about NS records that differ between a zone and the one above it."""
    own = sorted({name for state in good for name in state.server_names})
    above = _servers_above(subject, zone)
    if not own or not above or set(own) == set(above):
        return []
    evidence = (f"in the zone: {_shown_servers(own)}", f"in the zone above: {_shown_servers(above)}")
    if set(own).isdisjoint(above):
        sentence = (
            f"the NS records of {title} name other servers than the zone above ({_shown_servers(own)} and {_shown_servers(above)}), so CAs may get the "
            "answers of either; enter the right ones at the registrar and in the zone"
        )
        return [Finding("risk", "zone.delegation", sentence, evidence, SOURCE)]
    sentence = f"the NS records of {title} and of the zone above are not the same; enter the same ones at the registrar and in the zone"
    return [Finding("note", "zone.delegation", sentence, evidence, SOURCE)]


def _servers_above(subject: Subject, zone: Zone) -> tuple[str, ...]:
    """Return the name servers that the zone above names, none where that is not known."""
    if not zone.name:
        return ()
    if not zone.is_resolved:
        return zone.server_names
    try:
        parent = find_zone(subject.answers, parent_of(zone.name), subject.deadline)
    except TlsError:
        return ()
    response = delegation(subject.answers, parent, zone.name, subject.deadline)
    return name_servers_in(response, zone.name) if response else ()


def _shown(states: list[ServerState]) -> str:
    return shorten(", ".join(map(str, states)), 160)


def _shown_servers(names: t.Sequence[str]) -> str:
    return shorten(escape_as_one_line(shown_names(names)), 120)
