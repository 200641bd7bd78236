# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free certificates of Tencent Cloud (API ssl): orders, their validation, and how many there are.

The cloud makes and keeps the key. ApplyCertificate takes no signing request.
"""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import has_prefix
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.certificates import (
    MAX_PAGES,
    PAGE_SIZE,
    Client,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.stored_service import (
    object_at,
    objects_at,
    text_at,
)

PACKAGE = "83"  # TrustAsia C1 DV Free
FREE_PACKAGES = (PACKAGE, "2")  # C(2): what was free before
VALIDITY_MONTHS = "3"
ZONE_OF_TIMES = datetime.timezone(datetime.timedelta(hours=8))  # which the API does not write
RENEWAL_DAYS = 30  # in which an order can name the certificate that it renews
MAX_DOMAIN_CHARACTERS = 64
MAX_RECORDS = 10
UPLOADED = "upload"  # C(From) of a certificate that was not ordered
# Status of DescribeCertificates, by what it means here.
ISSUED, FAILED, EXPIRED = 1, 2, 3
REVOKED = (9, 10, 12)  # and what is about to be
PENDING = (0, 4, 5, 8, 11, 13, 15)
NO_QUOTA_OF_ACCOUNT = (2, 3, 7, 10)  # failed, expired, cancelled, revoked
NO_QUOTA_OF_DOMAIN = (2, 3, 7)  # a revoked one counts until it expires
RECORD_TYPES = ("TXT", "CNAME")
LOCAL_CHECKS = {  # LocalCheck of CheckCertificateDomainVerification
    -1: "no TXT record is found, or it was asked too often",
    -2: "the TXT record has another value",
    -3: "the domain has no name servers",
    -8: "the domain has no name servers",
    -6: "no CNAME record is found",
    -7: "the CNAME record leads elsewhere",
}


class Order(t.NamedTuple):
    """A certificate that the cloud has issued, or is to issue."""

    certificate: str
    alias: str
    status: int
    message: str  # of the API, about the status
    begin: datetime.datetime | None
    end: datetime.datetime | None


class Record(t.NamedTuple):
    """A DNS record that shows that a domain is ours."""

    name: str
    type: str  # TXT or CNAME
    value: str


class FreeCertificates:
    """The free certificates of one account."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def ours(self, prefix: str) -> list[Order]:
        """Return the orders whose alias begins with the prefix, the newest first. Uploads of the same request are none."""
        orders = [
            read_order(one)
            for one in self._listed({"SearchKey": prefix})
            if has_prefix(text_at(one, "Alias"), prefix) and text_at(one, "From") != UPLOADED
        ]
        return sorted(orders, key=lambda order: order.alias, reverse=True)

    def newest_issued(self, prefix: str) -> Order | None:
        """Return the newest certificate that is issued, None where there is none."""
        return next((one for one in self.ours(prefix) if one.status == ISSUED), None)

    def check_quota(self, primary_domain: str, quota: int, now: datetime.datetime) -> None:
        """Raise TlsError where the account, or the primary domain, has as many free certificates as it may have.

        For the account, a certificate counts until it expires or is revoked. For the primary domain it counts until it expires.
        """
        bought = self._listed({"FilterSource": "buy"})
        free = [one for one in bought if text_at(one, "PackageType") in FREE_PACKAGES and not _is_over(one, now)]
        of_account = [one for one in free if one.get("Status") not in NO_QUOTA_OF_ACCOUNT]
        of_domain = [
            one
            for one in free
            if one.get("Status") not in NO_QUOTA_OF_DOMAIN
            and f".{text_at(one, 'Domain')}".endswith(f".{primary_domain}")
        ]
        if len(of_account) >= quota:
            raise TlsError(
                f"account {self.client.name} has {len(of_account)} of {quota} free certificates{_next_end(of_account)}; revoke one that is not "
                "needed, raise cloud.free_quota if the account may have more, or take an issuer of type acme"
            )
        if len(of_domain) >= quota:
            raise TlsError(
                f"account {self.client.name} has {len(of_domain)} of {quota} free certificates for {primary_domain}{_next_end(of_domain)}; revoking does not "
                "help, and those of other accounts count too: wait, or take an issuer of type acme"
            )

    def apply(self, domain: str, algorithm: str, alias: str, renewed: str | None) -> str:
        """Order a certificate, and return its identifier. Where the answer is lost, the order is looked for, and not placed again.

        algorithm: RSA or ECC. renewed: the certificate that it takes the place of, within its last days.
        """
        parameters = {
            "DvAuthMethod": "DNS",
            "DomainName": domain,
            "PackageType": PACKAGE,
            "ValidityPeriod": VALIDITY_MONTHS,
            "CsrEncryptAlgo": algorithm,
            "CsrKeyParameter": "2048" if algorithm == "RSA" else "prime256v1",
            "Alias": alias,
            **({"OldCertificateId": renewed} if renewed else {}),
        }
        try:
            answer = self.client.call("ssl", "ApplyCertificate", parameters)
        except TlsError:
            placed = [order for order in self.ours(alias) if order.alias == alias]
            if not placed:
                raise
            return placed[0].certificate
        certificate = text_at(answer, "CertificateId")
        if not certificate:
            raise TlsError(
                f"account {self.client.name}, ssl:ApplyCertificate: the answer names no certificate; run this again"
            )
        return certificate

    def look(self, certificate: str) -> tuple[Order, list[dict[str, t.Any]]]:
        """Return an order, and the records that validate it as the API gives them; see read_records()."""
        answer = self.client.call("ssl", "DescribeCertificate", {"CertificateId": certificate})
        details = object_at(answer, "DvAuthDetail")
        entries = objects_at(details, "DvAuths") or [details]
        return read_order({**answer, "CertificateId": certificate}), entries

    def complete(self, certificate: str) -> None:
        """Have the validation tried now. Some brands do not take this, and try by themselves."""
        try:
            self.client.call("ssl", "CompleteCertificate", {"CertificateId": certificate})
        except TlsError:
            return

    def obstacles(self, certificate: str) -> list[str]:
        """Return what the validation lacks, in words; empty where nothing is known to be missing."""
        try:
            answer = self.client.call("ssl", "CheckCertificateDomainVerification", {"CertificateId": certificate})
        except TlsError:
            return []
        return read_obstacles(answer)

    def revoke(self, certificate: str, reason: str) -> list[dict[str, t.Any]]:
        """Revoke a certificate, and return the records that validate that."""
        answer = self.client.call("ssl", "RevokeCertificate", {"CertificateId": certificate, "Reason": reason})
        return [
            {"DvAuthKey": text_at(one, "DomainValidateAuthKey"), "DvAuthValue": text_at(one, "DomainValidateAuthValue")}
            for one in objects_at(answer, "RevokeDomainValidateAuths")
            if text_at(one, "DomainValidateAuthKey")
        ]

    def _listed(self, filters: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        certificates: list[dict[str, t.Any]] = []
        for page in range(MAX_PAGES):
            parameters = {**filters, "Offset": page * PAGE_SIZE, "Limit": PAGE_SIZE}
            listed = objects_at(self.client.call("ssl", "DescribeCertificates", parameters), "Certificates")
            certificates += listed
            if len(listed) < PAGE_SIZE:
                break
        return certificates


def check_domain(domains: list[str], key_type: str, size: int | None, curve: str | None) -> str:
    """Return the one domain that a free certificate is for, and raise TlsError for what none is issued for."""
    if len(domains) != 1:
        raise TlsError(
            f"a free certificate is for one domain, and there are {len(domains)}; give each a request of its own"
        )
    domain = domains[0]
    if not re.fullmatch(r"(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*", domain) or domain.endswith(".ru"):
        raise TlsError(
            f"no free certificate is issued for {domain}: it is a name of letters, digits and hyphens that does not end in .ru; take an issuer of "
            "type acme"
        )
    if len(domain) > MAX_DOMAIN_CHARACTERS:
        raise TlsError(
            f"{domain} has more than {MAX_DOMAIN_CHARACTERS} characters, as free certificates allow; take an issuer of type acme"
        )
    is_known = (key_type == "RSA" and size in (None, 2048)) or (key_type == "ECC" and curve in (None, "secp256r1"))
    if not is_known:
        raise TlsError(
            "free certificates have keys of RSA with 2048 bits, or ECC with secp256r1; correct type, size or curve of the request"
        )
    return domain


def read_order(one: dict[str, t.Any]) -> Order:
    """Return an order as the API lists it."""
    status = one.get("Status")
    return Order(
        text_at(one, "CertificateId"),
        text_at(one, "Alias"),
        status if isinstance(status, int) else -1,
        shorten(text_at(one, "StatusMsg") or text_at(one, "StatusName"), 200),
        read_time(one.get("CertBeginTime")),
        read_time(one.get("CertEndTime")),
    )


def read_time(value: t.Any) -> datetime.datetime | None:
    """Return a time of the API, None for anything else."""
    try:
        return datetime.datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE_OF_TIMES)
    except (TypeError, ValueError):
        return None


def read_records(entries: list[dict[str, t.Any]], domain: str) -> list[Record]:
    """Return the records that validate a domain. Raises TlsError for one that the cloud has no reason to ask for.

    A record is for a name that begins with an underscore, directly below the domain or one of its parents.
    """
    records = []
    for one in entries[:MAX_RECORDS]:
        kind = text_at(one, "DvAuthVerifyType") or "TXT"
        name, value = text_at(one, "DvAuthKey").lower().rstrip("."), text_at(one, "DvAuthValue")
        below = name.partition(".")[2]
        bare = domain.removeprefix("*.")
        is_below = "." in below and f".{bare}".endswith(f".{below}")
        if (
            kind not in RECORD_TYPES
            or not name.startswith("_")
            or not is_below
            or not re.fullmatch(r"[!-~]{1,255}", value)
        ):
            raise TlsError(
                f"the cloud asks for a {shorten(kind, 20)} record {shorten(name, 100)!r} to validate {domain}, which cannot be right; look at the "
                "order in its console"
            )
        records.append(Record(name, kind, value))
    return list(dict.fromkeys(records))


def read_obstacles(answer: dict[str, t.Any]) -> list[str]:
    """Return what a validation lacks, by an answer of CheckCertificateDomainVerification."""
    obstacles = []
    for one in objects_at(answer, "VerificationResults"):
        check, domain = one.get("LocalCheck"), shorten(text_at(one, "Domain"), 100)
        if check == 1 and one.get("CaCheck") != 2:
            obstacles.append(f"{domain}: the CA has not seen the record yet")
        elif isinstance(check, int) and check < 0:
            reason = LOCAL_CHECKS.get(check) or shorten(text_at(one, "LocalCheckFailReason"), 100) or f"check {check}"
            obstacles.append(f"{domain}: {reason}")
    return obstacles


def _is_over(one: dict[str, t.Any], now: datetime.datetime) -> bool:
    """Return whether a certificate has expired. One that was revoked keeps that status, and counts for its primary domain until then."""
    end = read_time(one.get("CertEndTime"))
    return end is not None and end <= now


def _next_end(certificates: list[dict[str, t.Any]]) -> str:
    ends = sorted(filter(None, (read_time(one.get("CertEndTime")) for one in certificates)))
    return f", and the next of them ends on {ends[0]:%Y-%m-%d}" if ends else ""
