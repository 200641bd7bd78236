# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a CA has refused names: what this controller sees of the cause."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

LOOK_TIMEOUT_S = 10.0
MAX_SENTENCES = 3
WAY = ("http", "txt", "persist", "addresses")
# By error type (RFC 8555, section 6.7): the checks whose findings can be the cause.
CHECKS_BY_CODE: dict[str, tuple[str, ...]] = {
    "caa": ("caa",),
    "connection": WAY,
    "dns": ("zone", "dnssec", "addresses", "txt", "persist"),
    "dnssec": ("dnssec", "zone"),
    "incorrectResponse": WAY,
    "rejectedIdentifier": ("names",),
    "tls": ("http",),
    "unauthorized": WAY,
}
# By words of the CA, beside the error type.
CHECKS_BY_WORDS = (
    (r"\bCAA\b", ("caa",)),
    (r"DNSSEC|Bogus|RRSIG|DNSKEY", ("dnssec",)),
    (r"resolve|SERVFAIL", ("zone", "dnssec")),
)
ANSWER_IS_SEEN = (
    "every address answers as the CA expects, so the CA meets something else: a firewall that lets in some countries or networks only, or DNS that "
    "answers differently abroad; have diagnose_from of evergreen.tls.diagnose name hosts there"
)


RECORDS_ARE_SEEN = (
    "the zone answers, and nothing here is in the way of TXT records, so the CA asked before all name servers had the record, or sees others: run "
    "this again, then ask the zone from abroad, with diagnose_from of evergreen.tls.diagnose"
)


def seen_from_here(error: TlsError, look: t.Callable[[float], list[Finding]]) -> list[str]:
    """Return one sentence about what is seen from here of the cause of a refusal; none for errors of other kinds.

    look: returns findings until a deadline by time.monotonic(). Whatever fails in it is left out: the refusal counts.
    """
    checks = checks_for(error)
    if not checks:
        return []
    try:
        findings = look(time.monotonic() + LOOK_TIMEOUT_S)
    except Exception:
        return []
    sentences = [*_about_ipv6(error), *_causes(findings, checks)]
    if not sentences and error_meets_answer(error, findings):
        sentences = [ANSWER_IS_SEEN]
    if not sentences and error_meets_records(error, findings):
        sentences = [RECORDS_ARE_SEEN]
    seen = " · ".join(dict.fromkeys(sentences[:MAX_SENTENCES]))
    return [f"What is seen from here: {escape_control_characters(seen)}"] if seen else []


# not a parser: it only passes on foreign input
def checks_for(error: TlsError) -> tuple[str, ...]:
    """Return the checks that fit a refusal."""
    if not isinstance(error, Problem) or error.code not in CHECKS_BY_CODE:
        return ()
    by_words = [checks for pattern, checks in CHECKS_BY_WORDS if re.search(pattern, error.words)]
    return (*CHECKS_BY_CODE[error.code], *(check for checks in by_words for check in checks))


def error_meets_answer(error: TlsError, findings: t.Sequence[Finding]) -> bool:
    """Say whether the CA could not connect or got a wrong answer, and all addresses answer rightly from here."""
    fine = [finding for finding in findings if finding.code == "http" and finding.severity == "fine"]
    return (
        bool(fine) and isinstance(error, Problem) and error.code in ("connection", "unauthorized", "incorrectResponse")
    )


def error_meets_records(error: TlsError, findings: t.Sequence[Finding]) -> bool:
    """Say whether the CA did not find its TXT record, and neither the zone nor the way to the record has a fault that is seen from here."""
    fine = {finding.code for finding in findings if finding.severity == "fine"}
    is_about_records = isinstance(error, Problem) and error.code in ("dns", "unauthorized", "incorrectResponse")
    return is_about_records and {"txt", "zone"} <= fine


# not a parser: it only passes on foreign input
def _causes(findings: t.Sequence[Finding], checks: tuple[str, ...]) -> list[str]:
    """Return the sentences of the findings that fit, what blocks first."""
    fitting = [finding for finding in findings if finding.code.partition(".")[0] in checks]
    return [one.sentence for severity in ("blocks", "risk") for one in fitting if one.severity == severity]


# not a parser: it accepts any text
def _about_ipv6(error: TlsError) -> list[str]:
    words = re.split(r"[\s\[\]()]+", error.words) if isinstance(error, Problem) and error.code != "caa" else []
    addresses = [word for word in (one.rstrip(":,.;") for one in words) if ":" in word and is_ip_address(word)]
    if not addresses:
        return []
    return [
        f"the CA asked the IPv6 address {addresses[0]}: see that your host answers there, or remove the AAAA record"
    ]
