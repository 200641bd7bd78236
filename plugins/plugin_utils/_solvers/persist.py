# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver persist: one TXT record that stays lets an ACME account have certificates for a domain (dns-persist-01).

draft-ietf-acme-dns-persist, whose records of version 02 name the account by a hash. CAs that announce no accountHashPrefix in
their directory go by version 01 and earlier, with the account's URL itself.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import PERSIST, Answer, check_challenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    RESOLVERS,
    NameServers,
    side_by_side,
)

LABEL = "_validation-persist"


class Persist:
    """See that the standing record of each domain is there, and say what to create where it is not."""

    CHALLENGE = PERSIST
    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **RESOLVERS,
        "issuer_domain": {"type": "str"},
        "check": {"type": "bool", "default": True},
    }

    def __init__(
        self,
        thumbprint: str,
        account_uri: t.Callable[[], str] | None,
        directory_meta: t.Callable[[], dict] | None,
        resolvers: list[str],
        issuer_domain: str | None,
        check: bool,
    ) -> None:
        self.thumbprint = thumbprint
        self.account_uri = account_uri or (lambda: "")
        self.directory_meta = directory_meta or dict
        self.name_servers = NameServers(resolvers)
        self.issuer_domain = issuer_domain
        self.looks = check

    def check(self, domains: list[str]) -> None:
        """Make sure that each domain has its record."""
        check_challenge(PERSIST, domains)
        if not self.looks:
            return
        meta, account = self.directory_meta(), self.account_uri()
        issuers = issuer_domains(meta, self.issuer_domain)
        wildcards = {domain[2:] for domain in domains if domain.startswith("*.")}
        hosts = list(dict.fromkeys(domain.removeprefix("*.") for domain in domains))

        def complaint(host: str) -> str | None:
            accounts = account_names(meta, self.thumbprint, account, host)
            try:
                texts = self.name_servers.texts(f"{LABEL}.{host}")
            except TlsError as error:
                return str(error)
            reasons = [why_not(text, issuers, accounts, host in wildcards, time.time()) for text in texts]
            if None in reasons:
                return None
            near = next((reason for reason in reasons if reason), "")
            record = f"{issuers[0]}; accounturi={accounts[0]}" + ("; policy=wildcard" if host in wildcards else "")
            return (
                f"{LABEL}.{host} has no TXT record for the ACME account of the issuer{near and f' ({near})'}; create this one, which "
                f"stays: {LABEL}.{host}. IN TXT {in_strings(record)}"
            )

        complaints = [said for said in side_by_side(complaint, hosts) if said]
        if complaints:
            raise TlsError(" · ".join(complaints))

    def present(self, answers: list[Answer]) -> None:
        """Do nothing: the record is there."""

    def clean_up(self, answers: list[Answer]) -> None:
        """Do nothing: the record stays."""


def issuer_domains(meta: dict, configured: str | None) -> list[str]:
    """Return the domains by which records may name the CA, the one to recommend first."""
    announced = meta.get("issuerDomainNames") or meta.get("caaIdentities") or []
    found = [configured] if configured else [str(name) for name in announced if name]
    if not found:
        raise TlsError(
            "the CA does not announce by which domain records name it; say that in the solver by issuer_domain, as in letsencrypt.org"
        )
    return [name.lower().rstrip(".") for name in found]


def account_names(meta: dict, thumbprint: str, account: str, domain: str) -> list[str]:
    """Return the ways in which the record of a domain may name an account, the one to recommend first.

    >>> account_names({}, "NzbL…", "https://ca.example/acct/123", "example.com")
    ['https://ca.example/acct/123']
    """
    prefix = meta.get("accountHashPrefix")
    if not prefix:
        return [account]
    return [f"{prefix}sha-256/{_digest(name, thumbprint, account)}" for name in (domain, "*")]


def why_not(text: str, issuers: list[str], accounts: list[str], wildcard: bool, now: float) -> str | None:
    """Return why a record does not let an account have certificates, an empty text if it is about another one, or None."""
    issuer, *parameters = [part.strip() for part in text.split(";")]
    values = dict(part.partition("=")[::2] for part in parameters if "=" in part)
    values = {tag.strip().lower(): value.strip() for tag, value in values.items()}
    if issuer.lower().rstrip(".") not in issuers:
        return ""
    if values.get("accounturi") not in accounts:
        return f"the one that is there names another account, {values.get('accounturi', 'or none')}"
    if wildcard and values.get("policy", "").lower() != "wildcard":
        return "the one that is there does not say policy=wildcard"
    until = values.get("persistuntil")
    if until is not None and (not re.fullmatch("[0-9]{1,15}", until) or int(until) <= now):
        return "the persistUntil of the one that is there is over"
    return None


def in_strings(text: str) -> str:
    """Return a text as zone files hold it: in strings of 255 bytes at most.

    >>> in_strings("letsencrypt.org; policy=wildcard")
    '"letsencrypt.org; policy=wildcard"'
    """
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))


# not a parser: it reads what the collection has made or checked
def _digest(domain: str, thumbprint: str, account: str) -> str:
    name = domain.encode("ascii")
    octets = bytes([len(name)]) + name + thumbprint.encode("ascii") + account.encode("ascii")
    return base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).rstrip(b"=").decode()
