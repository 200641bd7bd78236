# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the CAA records of the names of an order.

A CA refuses a name if it gets an error for a question at or below the records that count. An error here is C(unknown) and blocks
nothing: the CA has other resolvers.
"""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import (
    LENIENT_RULES,
    UNKNOWN_ACCOUNT,
    CaaIssuer,
    CaaRecord,
    CaaSet,
    caa_records_in,
    closest_set,
    names_to_ask,
    refusal_reason,
    refusal_sentence,
    shown_records,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.sentences import shown_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import caa_properties
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads

SOURCE = "RFC 8659, section 3; RFC 8657"


def check_caa_records(subject: Subject) -> list[Finding]:
    """Return a finding for each set of records, those that allow the CA included. IP addresses have no CAA records."""
    issuer = subject.caa_issuer
    domains = [domain for domain in subject.domains if not is_ip_address(domain)]
    if issuer is None or not domains:
        return []
    answers = _answers(subject, domains)

    def records_of(name: str) -> list[CaaRecord]:
        answer = answers[name]
        if isinstance(answer, TlsError):
            raise answer
        return answer

    sets: dict[tuple[str, bool], tuple[CaaSet, list[str]]] = {}
    errors: dict[str, TlsError] = {}
    for domain in domains:
        try:
            caa = closest_set(domain, records_of)
        except TlsError as error:
            errors[domain] = error
        else:
            sets.setdefault((caa.owner, domain.startswith("*.")), (caa, []))[1].append(domain)
    findings = [_judge(caa, names, issuer, subject) for caa, names in sets.values()]
    if errors:
        sentence = f"the CAA records of {shown_names(list(errors))} are not known: {next(iter(errors.values()))}"
        findings.append(Finding("unknown", "caa.error", sentence, source=SOURCE))
    return findings


def _answers(subject: Subject, domains: list[str]) -> dict[str, list[CaaRecord] | TlsError]:
    """Return the records of all names that may count, or the error of the resolvers, which are asked side by side."""

    def ask(name: str) -> list[CaaRecord] | TlsError:
        try:
            return caa_records_in(caa_properties(subject.answers.resolve(name, "CAA", subject.deadline)))
        except TlsError as error:
            return error

    names = list(dict.fromkeys(name for domain in domains for name in names_to_ask(domain)))
    return dict(zip(names, map_in_threads(ask, names)))


def _judge(caa: CaaSet, domains: list[str], issuer: CaaIssuer, subject: Subject) -> Finding:
    """Return what a set of records says about domains, which are all wildcards or all none."""
    title = subject.title
    evidence = (shown_records(caa),) if caa.records else ()
    is_wildcard = domains[0].startswith("*.")
    strict = refusal_reason(caa, issuer, is_wildcard)
    if strict is None:
        sentence = f"the CAA records let {title} issue certificates for {shown_names(domains)}"
        return Finding("fine", "caa", sentence, evidence, SOURCE)
    lenient = refusal_reason(caa, issuer, is_wildcard, LENIENT_RULES)
    if UNKNOWN_ACCOUNT in (strict, lenient):
        sentence = (
            f"the CAA records of {caa.owner} name an ACME account, and there is none yet at {title}; compare accounturi with what "
            "evergreen.tls.acme_account returns"
        )
        return Finding("note", "caa.account", sentence, evidence, SOURCE)
    refusal = refusal_sentence(caa, domains[0], issuer, title, shown_names(domains)) or ""
    if lenient is None and not subject.is_lets_encrypt:
        return Finding("risk", f"caa.{strict}", f"some CAs refuse this: {refusal}", evidence, SOURCE)
    return Finding("blocks", f"caa.{strict}", refusal, evidence, SOURCE)
