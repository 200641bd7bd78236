# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver persist: a persistent TXT record permits an account to get certificates for a domain.

Source: draft-ietf-acme-dns-persist. From version 02 on, a record names the account by a hash. CAs without accountHashPrefix in their
directory follow version 01, where a record names the account by its URL.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount, ChallengeFiles
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import (
    DNS_PERSIST_01,
    ChallengeResponse,
    check_challenge,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    RESOLVERS,
    DnsClient,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads, raise_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

LABEL = "_validation-persist"


class PersistSolver:
    """Check that the persistent record of each domain exists, and say which one to create if it does not."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **RESOLVERS,
        "issuer_domain": {"type": "str"},
        "check": {"type": "bool", "default": True},
    }

    def __init__(self, account: AcmeAccount, resolvers: list[str], issuer_domain: str | None, check: bool) -> None:
        self.challenge_type = DNS_PERSIST_01
        self.account = account
        self.dns = DnsClient(resolvers)
        self.issuer_domain = issuer_domain
        self.is_checked = check
        self.has_view_of_ca = True

    def check(self, domains: list[str]) -> None:
        """Check that each domain has its record."""
        check_challenge(DNS_PERSIST_01, domains)
        if not self.is_checked:
            return
        meta, account_url = self.account.directory_meta(), self.account.url()
        issuers = issuer_domains(meta, self.issuer_domain)
        wildcards = {domain[2:] for domain in domains if domain.startswith("*.")}
        hosts = list(dict.fromkeys(domain.removeprefix("*.") for domain in domains))

        def error(host: str) -> str | None:
            accounts = account_names(meta, self.account.thumbprint, account_url, host)
            try:
                texts = self.dns.texts(f"{LABEL}.{host}")
            except TlsError as failure:
                return str(failure)
            reasons = [why_not(text, issuers, accounts, host in wildcards, time.time()) for text in texts]
            if None in reasons:
                return None
            nearest = next((reason for reason in reasons if reason), "")
            record = f"{issuers[0]}; accounturi={accounts[0]}" + ("; policy=wildcard" if host in wildcards else "")
            return (
                f"{LABEL}.{host} has no TXT record for the ACME account of the issuer{nearest and f' ({nearest})'}; create this one, which "
                f"stays: {LABEL}.{host}. IN TXT {in_strings(record)}"
            )

        raise_errors(map_in_threads(error, hosts))

    def find_obstacles(self, domains: list[str], deadline: float) -> list[Finding]:
        """Return whether each domain has its record. Without an account it is not known what that says."""
        if not self.is_checked:
            return [
                Finding(
                    "unknown",
                    "persist.unchecked",
                    "persistent records are not looked at, since the solver says check: false",
                )
            ]
        if not self.account.url():
            sentence = "there is no ACME account yet that persistent records could name; make one with evergreen.tls.acme_account"
            return [Finding("unknown", "persist.account", sentence)]
        try:
            run_with_timeout(max(0.1, deadline - time.monotonic()), self.account.directory_meta)
        except (TimeoutError, TlsError) as error:
            sentence = (
                f"it is not known which persistent records the CA expects: {error or 'it does not answer in time'}"
            )
            return [Finding("unknown", "persist.record", sentence)]
        try:
            run_with_timeout(max(0.1, deadline - time.monotonic()), lambda: self.check(domains))
        except TimeoutError:
            return [
                Finding(
                    "unknown",
                    "persist.record",
                    "it is not known in time whether persistent records are there; run this again",
                )
            ]
        except TlsError as error:
            return [Finding("blocks", "persist.record", str(error))]
        return [
            Finding("fine", "persist", f"the persistent records of {shorten(', '.join(domains))} name this account")
        ]

    def present(self, responses: list[ChallengeResponse]) -> None:
        """Do nothing: the record is there."""

    def clean_up(self, responses: list[ChallengeResponse]) -> None:
        """Do nothing: the record stays."""

    def challenge_files(self, responses: list[ChallengeResponse], host: str) -> list[ChallengeFiles]:
        """Return nothing: dns-persist-01 needs no files."""
        return []


def issuer_domains(meta: dict[str, t.Any], configured: str | None) -> list[str]:
    """Return the domains by which a record may name the CA, the recommended one first.

    *meta* is C(meta) of the directory, *configured* the setting C(issuer_domain).
    """
    announced = meta.get("issuerDomainNames") or meta.get("caaIdentities") or []
    names = [configured] if configured else [str(name) for name in announced if name]
    if not names:
        raise TlsError(
            "the CA does not announce by which domain records name it; say that in the solver by issuer_domain, as in letsencrypt.org"
        )
    return [name.lower().rstrip(".") for name in names]


def account_names(meta: dict[str, t.Any], thumbprint: str, account_url: str, domain: str) -> list[str]:
    """Return the values of accounturi that name an account in a record, the recommended one first.

    >>> account_names({}, "NzbL…", "https://ca.example/acct/123", "example.com")
    ['https://ca.example/acct/123']
    """
    prefix = meta.get("accountHashPrefix")
    if not prefix:
        return [account_url]
    return [f"{prefix}sha-256/{_digest(name, thumbprint, account_url)}" for name in (domain, "*")]


def why_not(text: str, issuers: list[str], accounts: list[str], is_wildcard: bool, now: float) -> str | None:
    """Return why a record does not permit the account to get certificates; None if it does.

    The reason is empty if the record is for another CA. *now* is in seconds since the epoch.
    """
    issuer, *parameters = [part.strip() for part in text.split(";")]
    values = dict(part.partition("=")[::2] for part in parameters if "=" in part)
    values = {tag.strip().lower(): value.strip() for tag, value in values.items()}
    if issuer.lower().rstrip(".") not in issuers:
        return ""
    if values.get("accounturi") not in accounts:
        return f"the one that is there names another account, {shorten(values.get('accounturi', 'or none'))}"
    if is_wildcard and values.get("policy", "").lower() != "wildcard":
        return "the one that is there does not say policy=wildcard"
    until = values.get("persistuntil")
    if until is not None and (not re.fullmatch("[0-9]{1,15}", until) or int(until) <= now):
        return "the persistUntil of the one that is there is over"
    return None


def in_strings(text: str) -> str:
    """Return a text as zone files hold it: in strings of at most 255 bytes (RFC 1035, section 3.3).

    >>> in_strings("letsencrypt.org; policy=wildcard")
    '"letsencrypt.org; policy=wildcard"'
    """
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))


# not a parser: it reads what the collection has made or checked
def _digest(domain: str, thumbprint: str, account_url: str) -> str:
    encoded = domain.encode("ascii")
    octets = bytes([len(encoded)]) + encoded + thumbprint.encode("ascii") + account_url.encode("ascii")
    return base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).rstrip(b"=").decode()
