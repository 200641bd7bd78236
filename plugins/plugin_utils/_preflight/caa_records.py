# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which CAs may issue certificates for a name, by its CAA records (RFC 8659), and for whom (RFC 8657).

The closest set of records counts: that of the name itself, or of the nearest parent that has one. Resolvers follow CNAME records, and
the parents of their targets do not count.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

ISSUE, ISSUE_WILDCARD = "issue", "issuewild"
BLANKS = " \t"
PARAMETER_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]*")  # RFC 8659, section 4.2
METHOD = re.compile(r"[A-Za-z0-9-]+")  # RFC 8657, section 4

# Why a property does not let an issuer issue. The first of them that a set has is the one to tell.
OTHER_METHOD, OTHER_ACCOUNT, MALFORMED, OTHER_CA = "method", "account", "malformed", "ca"
CRITICAL = "critical"  # of a whole set: it has a critical property that the CA does not know
UNKNOWN_ACCOUNT = "unknown account"  # nothing is refused: it is not known whether the account is the one of the record
REASONS = (UNKNOWN_ACCOUNT, OTHER_METHOD, OTHER_ACCOUNT, MALFORMED, OTHER_CA)


class CaaRules(t.NamedTuple):
    """What CAs do differently.

    known_tags: beside issue and issuewild. They say nothing about certificates of servers, and so may be critical.
    is_case_sensitive: for the domain of a CA.
    """

    critical_flags: int
    known_tags: tuple[str, ...]
    is_case_sensitive: bool
    parameter_tag: re.Pattern[str]


# Those of Boulder, the software of Let's Encrypt (va/caa.go). People take the bit 1 for the critical one.
STRICT_RULES = CaaRules(128 | 1, ("iodef", "issuemail", "issuevmc"), True, re.compile("[A-Za-z0-9]*"))
# What any CA may accept that follows RFC 8659, RFC 9495 and the registry of IANA.
LENIENT_RULES = CaaRules(
    128, (*STRICT_RULES.known_tags, "contactemail", "contactphone"), False, re.compile("[A-Za-z0-9]+(-+[A-Za-z0-9]+)*")
)


class CaaRecord(t.NamedTuple):
    """One property."""

    flags: int
    tag: str  # in lower case
    value: str

    def __str__(self) -> str:
        return f'CAA {self.flags} {self.tag} "{self.value}"'


class CaaSet(t.NamedTuple):
    """The records that count for a name."""

    owner: str  # the name that has them; empty where none has
    records: list[CaaRecord]


class CaaIssuer(t.NamedTuple):
    """Who asks for a certificate, as CAA records name it.

    identities: of the CA, the recommended one first.
    account_urls: by which records may name the account, the recommended one first; none if it is not known.
    challenge_type: without one, validationmethods is not judged.
    """

    identities: tuple[str, ...]
    account_urls: tuple[str, ...] = ()
    challenge_type: str | None = None


def names_to_ask(domain: str) -> list[str]:
    """Return the names whose records may count for a domain, the closest first (RFC 8659, section 3).

    >>> names_to_ask("*.www.example.org")
    ['www.example.org', 'example.org', 'org']
    """
    labels = domain.removeprefix("*.").split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


def caa_records_in(properties: list[tuple[int, str, str]]) -> list[CaaRecord]:
    """Return the records with these flags, tags and values."""
    return [CaaRecord(flags, tag.lower(), value) for flags, tag, value in properties]


def find_caa_set(client: DnsClient, domain: str) -> CaaSet:
    """Return the records that count for a domain, which may be a wildcard. Raises TlsError where the resolvers cannot say."""
    return closest_set(domain, lambda name: caa_records_in(client.caa_records(name)))


def closest_set(domain: str, records_of: t.Callable[[str], list[CaaRecord]]) -> CaaSet:
    """Return the records that count for a domain. An error of *records_of* at or below them is raised: it may hide others."""
    for name in names_to_ask(domain):
        records = records_of(name)
        if records:
            return CaaSet(name, records)
    return CaaSet("", [])


def refusal_reason(caa: CaaSet, issuer: CaaIssuer, is_wildcard: bool, rules: CaaRules = STRICT_RULES) -> str | None:
    """Return CRITICAL or one of REASONS if the records do not let the CA issue, or None if they do."""
    if critical_tag(caa, rules):
        return CRITICAL
    relevant = relevant_records(caa, is_wildcard)
    reasons = [_reason(record.value, issuer, rules) for record in relevant]
    if not reasons or None in reasons:
        return None
    return next(reason for reason in REASONS if reason in reasons)


def critical_tag(caa: CaaSet, rules: CaaRules = STRICT_RULES) -> str:
    """Return the tag of a critical property that CAs do not know, or an empty text."""
    known = (ISSUE, ISSUE_WILDCARD, *rules.known_tags)
    unknown = (one.tag for one in caa.records if one.flags & rules.critical_flags and one.tag not in known)
    return next(unknown, "")


def relevant_records(caa: CaaSet, is_wildcard: bool) -> list[CaaRecord]:
    """Return the properties that count: for wildcards issuewild alone, where there is one."""
    wild = [record for record in caa.records if record.tag == ISSUE_WILDCARD]
    return wild if is_wildcard and wild else [record for record in caa.records if record.tag == ISSUE]


def read_property(value: str, rules: CaaRules = STRICT_RULES) -> tuple[str, list[tuple[str, str]]] | None:
    """Return the domain of the CA and the parameters in the value of issue or issuewild; None if it is malformed.

    The domain is empty for C(;), which names no CA.

    >>> read_property(" sectigo.com ; policy=ev")
    ('sectigo.com', [('policy', 'ev')])
    """
    domain, *parts = [part.strip(BLANKS) for part in value.split(";")]
    if parts == [""]:
        return domain, []
    parameters = []
    for part in parts:
        tag, equals, text = part.partition("=")
        tag, text = tag.rstrip(BLANKS), text.lstrip(BLANKS)
        if not equals or not rules.parameter_tag.fullmatch(tag) or not PARAMETER_VALUE.fullmatch(text):
            return None
        parameters.append((tag, text))
    return domain, parameters


def _reason(value: str, issuer: CaaIssuer, rules: CaaRules) -> str | None:
    """Return why one property does not let the CA issue, or None."""
    content = read_property(value, rules)
    domain = content[0] if content else value.partition(";")[0].strip(BLANKS)
    identities = issuer.identities
    if not rules.is_case_sensitive:
        domain, identities = domain.lower(), tuple(identity.lower() for identity in identities)
    if domain not in identities:
        return OTHER_CA
    if content is None:
        return MALFORMED
    methods = [text for tag, text in content[1] if tag == "validationmethods"]
    accounts = [text for tag, text in content[1] if tag == "accounturi"]
    if methods and issuer.challenge_type and not _has_method(methods, issuer.challenge_type):
        return OTHER_METHOD
    if len(accounts) > 1:
        return OTHER_ACCOUNT
    if accounts and not issuer.account_urls:
        return UNKNOWN_ACCOUNT
    return OTHER_ACCOUNT if accounts and accounts[0] not in issuer.account_urls else None


def _has_method(values: list[str], challenge_type: str) -> bool:
    """Say whether the values of validationmethods allow a challenge type (RFC 8657, section 4). Two values allow none."""
    if len(values) > 1:
        return False
    methods = values[0].split(",")
    # Boulder reads from left to right and does not come to a malformed method behind the right one.
    before = methods[: methods.index(challenge_type)] if challenge_type in methods else methods
    return challenge_type in methods and all(METHOD.fullmatch(method) for method in before)


def refusal_sentence(caa: CaaSet, domain: str, issuer: CaaIssuer, title: str, shown_domains: str = "") -> str | None:
    """Return why the records that count for a domain do not let a CA issue by STRICT_RULES, and what to do; None if they do.

    title: the CA, as people read it. shown_domains: the domain and others for which the same records count.
    """
    is_wildcard = domain.startswith("*.")
    reason = refusal_reason(caa, issuer, is_wildcard)
    if reason in (None, UNKNOWN_ACCOUNT):
        return None
    refusal = (
        f"the CAA records of {caa.owner} do not let {title} issue certificates for {shown_domains or domain} "
        f"({shown_records(caa)})"
    )
    if reason == CRITICAL:
        tag = shorten(escape_as_one_line(critical_tag(caa)), 60)
        return f"{refusal}: CAs refuse the critical property {tag}, which they do not know; remove it, or give it the flags 0"
    tag = ISSUE_WILDCARD if any(one.tag == ISSUE_WILDCARD for one in relevant_records(caa, is_wildcard)) else ISSUE
    record = f'{caa.owner}. CAA 0 {tag} "{issuer.identities[0]}'
    if reason == OTHER_METHOD:
        return f"{refusal}: they name other methods than {issuer.challenge_type}; add it to validationmethods of the record of {issuer.identities[0]}"
    if reason == OTHER_ACCOUNT and issuer.account_urls:
        return f'{refusal}: they name another ACME account; add: {record}; accounturi={issuer.account_urls[0]}"'
    if reason == MALFORMED:
        return f'{refusal}: the parameters of the record of {issuer.identities[0]} are malformed; write each as tag=value, or use: {record}"'
    return f'{refusal}; add: {record}"'


def shown_records(caa: CaaSet) -> str:
    """Return the records on one line."""
    return shorten(escape_as_one_line(", ".join(map(str, caa.records))))


def check_caa(caa: CaaSet, domain: str, identities: t.Sequence[str], title: str) -> None:
    """Raise TlsError unless the CAA records that count for a domain allow a CA without an ACME account."""
    sentence = refusal_sentence(caa, domain, CaaIssuer(tuple(identities)), f"the CA of {title}")
    if sentence:
        raise TlsError(sentence)
