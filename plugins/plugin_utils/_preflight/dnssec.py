# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the signatures of the zones of an order (DNSSEC). Since 2026-03-15 public CAs validate them (ballot SC-085).

A validating resolver knows most. Where there is none, the chain of DS records and keys is followed.
"""

from __future__ import annotations

import contextlib
import datetime
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight import dnssec_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dnssec_chain import (
    Validation,
    earliest_end,
    signed_set,
    validate_zone,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.sentences import shown_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.zone_cuts import Zone, find_zone
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import (
    Question,
    extended_errors,
    is_answer,
    status_of,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

with contextlib.suppress(ImportError):  # said by require_dnspython(), before anything here is called
    import dns.flags

SOON = datetime.timedelta(days=3)
SOURCE = "RFC 4035, section 5; CA/Browser Forum, Baseline Requirements, section 3.2.2.4"
NOT_PROVED = "that a record does not exist is not proved by this controller, since its resolvers do not validate"
ANEW = "have the zone signed anew"
# What is wrong, and what to do, by the constants of dnssec_chain.
CAUSES = {
    dnssec_chain.EXPIRED: ("its signatures have expired", ANEW),
    dnssec_chain.EARLY: (
        "its signatures are of the future",
        "correct the clock of what signs the zone, or that of this controller",
    ),
    dnssec_chain.NO_SIGNATURES: (
        "its records have no signatures",
        f"{ANEW}, or remove the DS records at the registrar",
    ),
    dnssec_chain.WRONG_SIGNATURES: ("its signatures are not those of its keys", ANEW),
    dnssec_chain.NO_KEY: ("it has DS records and no keys", f"{ANEW}, or remove the DS records at the registrar"),
    dnssec_chain.WRONG_DS: (
        "no key of it is that of its DS records",
        "enter the DS record of the present key at the registrar",
    ),
}
# The words of extended_errors() that mean the same.
CAUSE_OF_WORDS = {
    "signature expired": dnssec_chain.EXPIRED,
    "signature not yet valid": dnssec_chain.EARLY,
    "rrsigs missing": dnssec_chain.NO_SIGNATURES,
    "dnskey missing": dnssec_chain.WRONG_DS,
}
UNEXPLAINED = ("resolvers that validate refuse its signatures", "look at it with https://dnsviz.net, and correct it")


def check_dnssec(subject: Subject) -> list[Finding]:
    """Return a finding for each zone whose signatures are broken or end soon, and one for all others.

    Broken signatures are a risk at a private CA, which need not validate them. Without is_thorough, silence of the resolvers is told by
    other checks.
    """
    domains = [domain.removeprefix("*.") for domain in subject.domains if not is_ip_address(domain)]
    if not domains or not (subject.is_public_ca or subject.is_thorough):
        return []
    is_validating = subject.answers.is_validating(subject.deadline)
    judge = _judge_by_resolver if is_validating else _judge_by_chain
    zones: dict[Zone, list[str]] = {}
    unknown: dict[str, str] = {}
    for domain, zone in zip(domains, map_in_threads(lambda domain: _find(subject, domain), domains)):
        if isinstance(zone, Zone):
            zones.setdefault(zone, []).append(domain)
        else:
            unknown[domain] = zone
    results = map_in_threads(lambda pair: _tried(judge, subject, *pair), list(zones.items()))
    findings = [result for result in results if isinstance(result, Finding)]
    unknown.update((zone.title, result) for zone, result in zip(zones, results) if isinstance(result, str))
    findings += _good(
        [(zone, result) for zone, result in zip(zones, results) if isinstance(result, Validation)], is_validating
    )
    if not subject.is_public_ca:
        findings = [one._replace(severity="risk") if one.severity == "blocks" else one for one in findings]
    if unknown and subject.is_thorough:
        sentence = (
            f"{subject.answers.resolvers} cannot find out about the signatures of {_shown(list(unknown))}; see that they run and know the "
            "names, or name others by the solver's resolvers"
        )
        findings.append(Finding("unknown", "dnssec.error", sentence, tuple(unknown.values())[:5], SOURCE))
    return findings


def _find(subject: Subject, domain: str) -> Zone | str:
    try:
        return find_zone(subject.answers, domain, subject.deadline)
    except TlsError as error:
        return str(error)


def _tried(
    judge: t.Callable[[Subject, Zone, list[str]], Validation | Finding | str],
    subject: Subject,
    zone: Zone,
    domains: list[str],
) -> Validation | Finding | str:
    """Return the result of *judge*, or as a string why there is none."""
    try:
        result = judge(subject, zone, domains)
    except TlsError as error:
        return str(error)
    if not isinstance(result, Validation):
        return result
    if result.cause == dnssec_chain.UNKNOWN:
        return f"the resolvers leave out the signatures of {_shown([zone.title])}, or they are of a new algorithm"
    if result.cause:
        return _broken(result.zone or zone.title, domains, *CAUSES[result.cause])
    left = None if result.end is None else result.end - time.time()
    if left is not None and result.end is not None and left < SOON.total_seconds():
        return _ending(zone, result.end, left)
    return result


# not a parser: a library has parsed it
def _judge_by_resolver(subject: Subject, zone: Zone, domains: list[str]) -> Validation | Finding | str:
    """Return what a resolver that validates says of a zone, and of the names in it. Raises TlsError if it says nothing."""
    answers, deadline, name = subject.answers, subject.deadline, zone.name or "."
    for asked, rdatatype in [(name, "SOA"), *((domain, "CAA") for domain in domains)]:
        checked = answers.ask(Question(asked, rdatatype), deadline)
        if is_answer(checked):
            continue
        unchecked = answers.ask(Question(asked, rdatatype, is_unchecked=True), deadline)
        if not is_answer(unchecked):
            return f"{_shown([asked])}: {status_of(checked)}"
        words = [CAUSE_OF_WORDS.get(cause.partition(" (")[0]) for cause in extended_errors(checked)]
        # Resolvers may know no more than that they are bogus, and have one word for several causes.
        cause = _cause_in_chain(answers, zone, deadline) or next((word for word in words if word), None)
        finding = _broken(zone.title, domains if asked == name else [asked], *(CAUSES[cause] if cause else UNEXPLAINED))
        return finding._replace(evidence=(f"{_shown([asked])} {rdatatype}: {status_of(checked)}",))
    signed = answers.ask(Question(name, "SOA", has_signatures=True), deadline)
    is_signed = bool(signed.flags & dns.flags.AD)
    return Validation(is_signed, end=earliest_end([signed_set(signed, name, "SOA").signatures]) if is_signed else None)


def _cause_in_chain(answers: DnsAnswers, zone: Zone, deadline: float) -> str | None:
    """Return why the signatures of a zone are broken, by its keys; None where they do not tell."""
    try:
        cause = validate_zone(answers, zone, deadline).cause
    except TlsError:
        return None
    return cause if cause != dnssec_chain.UNKNOWN else None


def _judge_by_chain(subject: Subject, zone: Zone, domains: list[str]) -> Validation | Finding | str:
    return validate_zone(subject.answers, zone, subject.deadline, may_ask_servers=subject.is_thorough)


def _broken(zone: str, domains: list[str], cause: str, remedy: str) -> Finding:
    sentence = f"the signatures of {_shown([zone])} (DNSSEC) are broken, so CAs cannot find out about {shown_names(domains)}: {cause}; {remedy}"
    return Finding("blocks", "dnssec.broken", sentence, (), SOURCE)


def _ending(zone: Zone, end: float, left: float) -> Finding:
    day = datetime.datetime.fromtimestamp(end, datetime.timezone.utc)
    sentence = (
        f"the signatures of {_shown([zone.title])} (DNSSEC) end in {max(left, 0) / 3600:.0f} hours ({day:%Y-%m-%d %H:%M} UTC); see that the "
        "zone is signed anew"
    )
    return Finding("risk", "dnssec.end", sentence, (), SOURCE)


def _good(results: list[tuple[Zone, Validation]], is_validating: bool) -> list[Finding]:
    """Return a finding for all zones that are signed rightly, and one for all that are not signed."""
    findings = []
    signed = [zone.title for zone, result in results if result.is_signed]
    unsigned = [zone.title for zone, result in results if not result.is_signed]
    if signed:
        sentence = f"the signatures of {_shown(signed)} (DNSSEC) are valid"
        evidence = () if is_validating else (NOT_PROVED,)
        findings.append(Finding("fine", "dnssec", sentence, evidence, SOURCE))
    if unsigned:
        sentence = f"nothing is signed (DNSSEC) of {_shown(unsigned)}, which CAs accept"
        findings.append(Finding("fine", "dnssec", sentence, (), SOURCE))
    return findings


def _shown(names: t.Sequence[str]) -> str:
    return shorten(escape_as_one_line(shown_names(names)), 160)
