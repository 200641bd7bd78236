# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate a zone by its chain of DS records and keys (RFC 4035, section 5), where no resolver does so.

That a record does not exist is not proved. The key of the root is taken as it is.
"""

from __future__ import annotations

import contextlib
import functools
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.zone_cuts import Zone, find_zone, parent_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import Question, is_answer

with contextlib.suppress(ImportError):  # said by require_dnspython(), before anything here is called
    import dns.dnssec
    import dns.exception
    import dns.message
    import dns.name
    import dns.rdatatype
    import dns.rrset

MAX_SIGNATURES = 8  # of a set of records that are tried: a hostile zone may have thousands
MAX_KEYS = 16
DIGESTS = (1, 2, 4)  # SHA-1, SHA-256 and SHA-384, which dnspython computes
ALGORITHMS = (5, 7, 8, 10, 13, 14, 15, 16)  # RSA, ECDSA, Ed25519 and Ed448 (RFC 8624)
MAX_ZONES = 12  # from a zone up to the root

# What is wrong. Each has its remedy in dnssec.py.
EXPIRED, EARLY, NO_SIGNATURES, WRONG_SIGNATURES = "expired", "early", "unsigned", "signatures"
NO_KEY, WRONG_DS = "no key", "ds"
UNKNOWN = "unknown"  # the resolvers leave out what has to be compared, or the algorithm is a new one


class SignedSet(t.NamedTuple):
    """A set of records with its signatures."""

    rrset: dns.rrset.RRset | None
    signatures: dns.rrset.RRset | None
    is_complete: bool = True  # false where resolvers may have left the signatures out


class ZoneKeys(t.NamedTuple):
    """A zone with the keys that its DS records confirm."""

    cause: str = ""  # why its signatures are broken
    ds: SignedSet = SignedSet(
        None, None
    )  # signed by the zone above; without records the zone is not signed for resolvers
    keys: dns.rrset.RRset | None = None
    end: float | None = None  # of the first signature to expire, as seconds since 1970


class Validation(t.NamedTuple):
    """What is known of the signatures of a zone."""

    is_signed: bool
    cause: str = ""  # of the constants above; empty where the signatures are valid
    zone: str = ""  # whose signatures are broken, which may be one above
    end: float | None = None


def validate_zone(answers: DnsAnswers, zone: Zone, deadline: float, may_ask_servers: bool = True) -> Validation:
    """Return whether the signatures of a zone, and of those above, are valid. Raises TlsError if the resolvers do not answer.

    may_ask_servers: whether to ask the zone's own name servers for signatures that the resolvers leave out.
    """
    is_signed, ends, child = False, list[float](), ZoneKeys()
    below = ""
    for _level in range(MAX_ZONES):
        asked = zone if may_ask_servers else zone._replace(servers=())
        one = answers.once(("dnssec", asked), functools.partial(_zone_keys, answers, asked, deadline))
        if one.cause:
            return Validation(True, one.cause, zone.name)
        if child.ds.rrset is not None and one.keys is not None:
            cause = _broken(_signed(answers, asked, below, "DS", deadline), one.keys)
            if cause:
                return Validation(True, cause, below)
        ends += [one.end] if one.end is not None else []
        if one.ds.rrset is None or not zone.name:  # an island, or the root
            break
        is_signed, child, below = True, one, zone.name
        zone = find_zone(answers, parent_of(zone.name), deadline)
    return Validation(is_signed, end=min(ends, default=None))


# not a parser: a library has parsed it
def earliest_end(signatures: t.Iterable[dns.rrset.RRset | None]) -> float | None:
    """Return when the first of some signatures expires, as seconds since 1970."""
    ends = [float(signature.expiration) for rrset in signatures if rrset is not None for signature in rrset]
    return min(ends, default=None)


# not a parser: a library has parsed it
def signed_set(response: dns.message.Message, name: str, rdatatype: str) -> SignedSet:
    """Return the records of exactly one name and type in an answer, with their signatures."""
    owner, kind = dns.name.from_text(name), dns.rdatatype.from_text(rdatatype)
    own = [rrset for rrset in response.answer if rrset.name == owner]
    return SignedSet(
        next((rrset for rrset in own if rrset.rdtype == kind), None),
        next((rrset for rrset in own if rrset.rdtype == dns.rdatatype.RRSIG and rrset.covers == kind), None),
    )


def _zone_keys(answers: DnsAnswers, zone: Zone, deadline: float) -> ZoneKeys:
    """Return the keys of a zone, after its own signatures were validated."""
    name = zone.name or "."
    ds = _records(answers, name, "DS", deadline) if zone.name else SignedSet(None, None)
    if zone.name and ds.rrset is None:
        return ZoneKeys()
    keys = _signed(answers, zone, name, "DNSKEY", deadline)
    if keys.rrset is None:
        return ZoneKeys(NO_KEY if zone.name else "")
    if ds.rrset is not None and not any(record.digest_type in DIGESTS for record in ds.rrset):
        return ZoneKeys(UNKNOWN)
    confirmed = keys.rrset if ds.rrset is None else _confirmed(keys.rrset, ds.rrset)
    if not len(confirmed):
        return ZoneKeys(WRONG_DS)
    if not any(key.algorithm in ALGORITHMS for key in confirmed):
        return ZoneKeys(UNKNOWN)
    soa = _signed(answers, zone, name, "SOA", deadline)
    cause = _broken(keys, confirmed) or (_broken(soa, keys.rrset) if soa.rrset is not None else "")
    return ZoneKeys(cause, ds, keys.rrset, earliest_end([keys.signatures, soa.signatures]))


def _records(answers: DnsAnswers, name: str, rdatatype: str, deadline: float) -> SignedSet:
    """Return records from the resolvers. Raises TlsError if they do not answer."""
    question = Question(name, rdatatype, has_signatures=True, is_unchecked=True)
    response = answers.ask(question, deadline)
    answers.resolvers.answer_of(response, name)
    return signed_set(response, name, rdatatype)


def _signed(answers: DnsAnswers, zone: Zone, name: str, rdatatype: str, deadline: float) -> SignedSet:
    """Return records in a zone with their signatures, from its own name servers where the resolvers leave signatures out."""
    records = _records(answers, name, rdatatype, deadline)
    if records.signatures is not None:
        return records
    question = Question(name, rdatatype, is_recursive=False, has_signatures=True)
    for server in zone.servers:
        response = answers.ask_server(server, question, deadline)
        if not isinstance(response, str) and is_answer(response):
            return signed_set(response, name, rdatatype)
    return records._replace(is_complete=False)


# not a parser: a library has parsed it
def _confirmed(keys: dns.rrset.RRset, ds: dns.rrset.RRset) -> dns.rrset.RRset:
    """Return the keys of which the zone above has a digest."""
    confirmed = dns.rrset.RRset(keys.name, keys.rdclass, keys.rdtype)
    for key in list(keys)[:MAX_KEYS]:
        for record in list(ds)[:MAX_KEYS]:
            with contextlib.suppress(dns.exception.DNSException, ValueError):  # an unknown digest
                made = dns.dnssec.make_ds(
                    keys.name, key, record.digest_type, policy=dns.dnssec.allow_all_policy, validating=True
                )
                if made == record:
                    confirmed.add(key, keys.ttl)
    return confirmed


# not a parser: a library has parsed it
def _broken(records: SignedSet, keys: dns.rrset.RRset) -> str:
    """Return why no signature of a set of records is valid; an empty text if one is."""
    if records.rrset is None or records.signatures is None:
        return NO_SIGNATURES if records.is_complete else UNKNOWN
    signatures = list(records.signatures)
    tried = dns.rrset.from_rdata_list(records.rrset.name, records.signatures.ttl, signatures[:MAX_SIGNATURES])
    usable = dns.rrset.from_rdata_list(keys.name, keys.ttl, list(keys)[:MAX_KEYS])
    try:
        dns.dnssec.validate(records.rrset, tried, {keys.name: usable}, policy=dns.dnssec.allow_all_policy)
    except (dns.exception.DNSException, ValueError):
        now = time.time()
        if all(signature.expiration < now for signature in signatures):
            return EXPIRED
        return EARLY if all(signature.inception > now for signature in signatures) else WRONG_SIGNATURES
    return ""
