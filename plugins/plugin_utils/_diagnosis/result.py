# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The diagnosis of a name: what stands in the way of its certificate, and whether clients get it. Its verdict, order and JSON."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding

REFUSED, NOT_IN_EFFECT, RISK, UNKNOWN, FINE = "refused", "not_in_effect", "risk", "unknown", "fine"
VERDICTS = (REFUSED, NOT_IN_EFFECT, RISK, UNKNOWN, FINE)  # the worst first
SEVERITIES = ("blocks", "risk", "unknown", "note", "fine")  # of findings, the worst first
# The verdicts for which the task fails, by the option fail_when.
FAILING_VERDICTS: dict[str, tuple[str, ...]] = {
    "never": (),
    "refused": (REFUSED, NOT_IN_EFFECT),
    "risk": (REFUSED, NOT_IN_EFFECT, RISK),
}


class Diagnosis(t.NamedTuple):
    """What was found about one name, the worst first."""

    host: str  # empty for a name that no host has yet
    request: str  # empty for a name without a request
    domain: str  # empty where the variables of the host, or the request, cannot be read
    issuer: str  # its name in certificate_issuers; empty where none is chosen
    challenge: str  # the type of the ACME challenge, such as http-01; empty for issuers without ACME
    order: tuple[Finding, ...] = ()  # what an order would meet
    served: tuple[Finding, ...] = ()  # what clients get
    is_served_checked: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return all findings: first those about an order."""
        return (*self.order, *self.served)

    @property
    def is_refused(self) -> bool:
        """Return whether the CA would refuse an order."""
        return any(finding.severity == "blocks" for finding in self.order)

    @property
    def is_broken(self) -> bool:
        """Return whether clients do not get the certificate everywhere."""
        return any(finding.severity == "blocks" for finding in self.served)

    @property
    def verdict(self) -> str:
        """Return one of VERDICTS. Notes are fine."""
        if self.is_refused or self.is_broken:
            return REFUSED if self.is_refused else NOT_IN_EFFECT
        severities = {finding.severity for finding in self.findings}
        return next((one for one in (RISK, UNKNOWN) if one in severities), FINE)


def make_diagnosis(
    host: str,
    request: str,
    domain: str,
    issuer: str,
    challenge: str,
    order: t.Iterable[Finding],
    served: t.Iterable[Finding] | None = None,
) -> Diagnosis:
    """Return a diagnosis with its findings in order. served: None where nobody looked at what is served."""
    return Diagnosis(
        host, request, domain, issuer, challenge, _in_order(order), _in_order(served or ()), served is not None
    )


def with_findings(diagnosis: Diagnosis, findings: t.Iterable[Finding]) -> Diagnosis:
    """Return a diagnosis with further findings about an order."""
    return diagnosis._replace(order=_in_order((*diagnosis.order, *findings)))


def _in_order(findings: t.Iterable[Finding]) -> tuple[Finding, ...]:
    """Return each finding once, the worst first; those of one severity stay as they are."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: SEVERITIES.index(finding.severity)))


def worst_first(diagnoses: t.Iterable[Diagnosis]) -> list[Diagnosis]:
    """Return the diagnoses sorted by verdict, and those of one verdict by host, request and domain."""
    return sorted(diagnoses, key=lambda one: (VERDICTS.index(one.verdict), one.host, one.request, one.domain))


def diagnosis_as_json(diagnosis: Diagnosis) -> dict[str, t.Any]:
    """Return a diagnosis as JSON types."""
    return {
        "host": diagnosis.host,
        "request": diagnosis.request,
        "domain": diagnosis.domain,
        "issuer": diagnosis.issuer,
        "challenge": diagnosis.challenge,
        "verdict": diagnosis.verdict,
        "findings": [{**one._asdict(), "evidence": list(one.evidence)} for one in diagnosis.findings],
    }


def count_by_verdict(diagnoses: t.Iterable[Diagnosis]) -> dict[str, int]:
    """Return how many names have each verdict, the worst first."""
    verdicts = [one.verdict for one in diagnoses]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def summary_sentence(diagnoses: t.Collection[Diagnosis]) -> str:
    """Return the diagnoses in one sentence. A name that would be refused and is not in effect counts for both."""
    names = sum(bool(one.domain) for one in diagnoses)
    hosts = len({one.host for one in diagnoses if one.host})
    counts = count_by_verdict(diagnoses)
    broken = sum(one.is_broken for one in diagnoses)
    parts = [
        f"{counts[REFUSED]} would be refused" if counts[REFUSED] else "",
        f"{broken} {'is' if broken == 1 else 'are'} not in effect everywhere" if broken else "",
        f"{counts[RISK]} with risks" if counts[RISK] else "",
        f"{counts[UNKNOWN]} unknown" if counts[UNKNOWN] else "",
        f"{counts[FINE]} fine" if counts[FINE] else "",
    ]
    about = f"{_counted(names, 'name')} of {_counted(hosts, 'host')}" if hosts else _counted(names, "name")
    return f"{about}: {', '.join(filter(None, parts)) or 'nothing to look at'}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
