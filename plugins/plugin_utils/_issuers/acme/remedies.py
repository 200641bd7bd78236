# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about a refusal of an ACME server, by its error type and its words.

The words are those of Boulder, the software of Let's Encrypt: va/va.go, va/http.go, va/caa.go, bdns/problem.go, ratelimits/limiter.go,
wfe2/wfe.go.
"""

from __future__ import annotations

import datetime
import re

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date

# By error type (RFC 8555, section 6.7; RFC 9773, section 7.4).
REMEDIES = {
    "accountDoesNotExist": "run this again, and a new account is made",
    "alreadyReplaced": "run this again",
    "badCSR": "choose another type or size of the key, or correct the domains of the request",
    "badNonce": "run this again",
    "badPublicKey": "give the issuer an account_key that the CA accepts, such as ECC with secp256r1",
    "badRevocationReason": "choose another reason",
    "badSignatureAlgorithm": "give the issuer an account_key that the CA accepts, such as ECC with secp256r1",
    "caa": "have the CAA records of the domain allow this CA, or choose another issuer",
    "connection": "see that the name leads to hosts of yours, and that the internet reaches them there",
    "dns": "correct the DNS records of that name",
    "dnssec": "correct the DNSSEC of that zone",
    "externalAccountRequired": "set eab_kid and eab_hmac of the issuer to what the CA gives you for your account there",
    "incorrectResponse": "see which server answers the CA for that name, and that it is one of yours",
    "invalidContact": "correct the email of the issuer",
    "invalidProfile": "correct the profile of the issuer, or leave it out",
    "malformed": "see that directory is the address of an ACME directory, and report this if it is",
    "rateLimited": "wait, then run this again",
    "rejectedIdentifier": "take that name out of the request, or choose another issuer",
    "serverInternal": "run this again later, and see the status page of the CA",
    "tls": "correct the TLS configuration of the server that answers for that name",
    "unauthorized": "see what answers the CA for that name, and that it is one of yours",
    "unsupportedContact": "correct the email of the issuer",
    "unsupportedIdentifier": "take that name out of the request, or choose a profile or an issuer that signs for it",
    "userActionRequired": "open that page, and do what it asks for",
}
PAUSED_REMEDY = "open that page and allow these names again, since waiting does not help; see first why the CA could not validate them for weeks"
OTHER_REMEDY = "see the documentation of the CA"


PAUSED = re.compile(r"temporarily prevented|Please visit|is paused", re.IGNORECASE)
SECONDARY = "During secondary validation"
# By error type and words of the CA, before the table above: the first that fits.
REMEDIES_BY_WORDS: tuple[tuple[str, str, str], ...] = (
    ("caa", "", REMEDIES["caa"]),
    (
        "dns",
        r"\bCAA\b",
        "see that each name server of the zone answers questions for CAA records, with an empty answer where there are none (dig CAA NAME)",
    ),
    (
        "dns",
        r"DNSSEC|Bogus|RRSIG|DNSKEY",
        "correct the DNSSEC of that zone: have it signed anew, or have the registrar take out the DS record; dnsviz.net shows what is wrong",
    ),
    (
        "connection",
        SECONDARY,
        (
            "the CA asks from several countries, and could not connect from all: let port 80 through firewalls and the provider for every country "
            "and network, as the addresses of CAs change"
        ),
    ),
    (
        "dns",
        SECONDARY,
        (
            "the CA asks from several countries, and did not get the same answer everywhere: have all name servers of the zone answer alike, for "
            "every country and network"
        ),
    ),
    (
        "*",
        SECONDARY,
        (
            "the CA asks from several countries, and did not get the same answer everywhere: see that all addresses of the name, and DNS or CDN that "
            "depend on the country, lead to hosts of yours"
        ),
    ),
    (
        "connection",
        r"Timeout during connect|likely firewall problem",
        (
            "open port 80 of that address to the world in the firewalls of host, network and cloud; an AAAA record of a host that has no IPv6 does the "
            "same, and has to be removed"
        ),
    ),
    (
        "connection",
        r"Connection refused",
        "see that nginx listens on port 80 at that address, for IPv6 as for IPv4, or correct the DNS record",
    ),
    (
        "connection",
        r"Timeout after connect",
        "see what keeps the server at that address from answering in ten seconds: its load, or a firewall that lets connections through and no data",
    ),
    (
        "dns",
        r"(NXDOMAIN looking up|no valid) AA?A{0,3}\b",
        "create an A or AAAA record of that name that leads to your host, or take the name out of the request",
    ),
    (
        "dns",
        r"SERVFAIL|REFUSED|timed out|networking error",
        "see that all name servers of the zone run and know it, for whoever asks from the internet (dig NS NAME)",
    ),
)
RETRY_DATE = re.compile(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?: UTC|Z)", re.IGNORECASE)


def remedy_of(code: str, words: str, status: int) -> str:
    """Return what to do about a refusal with an error type, words of the CA, and a status of HTTP."""
    if is_paused(words):
        return PAUSED_REMEDY
    for kind, pattern, remedy in REMEDIES_BY_WORDS:
        if kind in (code, "*") and re.search(pattern, words, re.IGNORECASE):
            return remedy
    until = date_in(words) if code == "rateLimited" else None
    if until:
        return f"run this again after {format_date(until)}"
    return REMEDIES.get(code, REMEDIES["serverInternal"] if status >= 500 else OTHER_REMEDY)


def is_paused(words: str) -> bool:
    """Say whether the CA refuses until a person has opened a page of it."""
    return PAUSED.search(words) is not None


def date_in(words: str) -> datetime.datetime | None:
    """Return from when on the CA may be asked again, where its words say so."""
    match = RETRY_DATE.search(words)
    try:
        return datetime.datetime.fromisoformat(f"{match[1]}T{match[2]}+00:00") if match else None
    except ValueError:
        return None
