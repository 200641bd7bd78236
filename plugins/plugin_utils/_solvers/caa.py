# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which CAs may issue certificates for a name, by its CAA records (RFC 8659).

The closest set of records counts: that of the name itself, or of the nearest parent that has one. Parameters of an issuer, such as
C(accounturi) of RFC 8657, are not judged here.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

CRITICAL_FLAG = 128
ISSUE, ISSUE_WILDCARD = "issue", "issuewild"
# Properties that say nothing about certificates of servers, and so may be critical (RFC 8659, RFC 9495, and the registry of IANA).
OTHER_TAGS = ("iodef", "issuemail", "issuevmc", "contactemail", "contactphone")


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


def find_caa_set(client: DnsClient, domain: str) -> CaaSet:
    """Return the records that count for a domain, which may be a wildcard. Raises TlsError where the resolvers cannot say."""
    labels = domain.removeprefix("*.").split(".")
    for start in range(len(labels)):
        name = ".".join(labels[start:])
        records = [CaaRecord(flags, tag.lower(), value) for flags, tag, value in client.caa_records(name)]
        if records:
            return CaaSet(name, records)
    return CaaSet("", [])


def may_issue(caa: CaaSet, identities: t.Collection[str], is_wildcard: bool) -> bool:
    """Say whether the CA with one of these identities may issue a certificate for the name whose records these are."""
    known = (ISSUE, ISSUE_WILDCARD, *OTHER_TAGS)
    if any(record.flags & CRITICAL_FLAG and record.tag not in known for record in caa.records):
        return False
    relevant = _relevant(caa, is_wildcard)
    return not relevant or any(issuer_of(record) in identities for record in relevant)


def issuer_of(record: CaaRecord) -> str:
    """Return the CA that a property names, empty for C(;), which names none.

    >>> issuer_of(CaaRecord(0, "issue", " sectigo.com ; policy=ev"))
    'sectigo.com'
    """
    return record.value.partition(";")[0].strip(" \t")


def check_caa(caa: CaaSet, domain: str, identities: t.Sequence[str], issuer: str) -> None:
    """Raise TlsError unless the CAA records that count for a domain allow a CA. issuer: what issues, as people read it."""
    is_wildcard = domain.startswith("*.")
    if may_issue(caa, identities, is_wildcard):
        return
    tag = ISSUE_WILDCARD if any(record.tag == ISSUE_WILDCARD for record in _relevant(caa, is_wildcard)) else ISSUE
    shown = shorten(escape_as_one_line(", ".join(map(str, caa.records))))
    raise TlsError(
        f"the CAA records of {caa.owner} do not let the CA of {issuer} issue certificates for {domain} ({shown}); add: "
        f'{caa.owner}. CAA 0 {tag} "{identities[0]}"'
    )


def _relevant(caa: CaaSet, is_wildcard: bool) -> list[CaaRecord]:
    """Return the properties that count: for wildcards issuewild alone, where there is one."""
    wild = [record for record in caa.records if record.tag == ISSUE_WILDCARD]
    return wild if is_wildcard and wild else [record for record in caa.records if record.tag == ISSUE]
