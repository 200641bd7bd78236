# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate service of Alibaba Cloud (API cas, version 2020-04-07), in which certificates lie that its other services present.

An upload is found by its name, which has the fingerprint of the certificate in it. The action that returns private keys is in no file of
this collection.
"""

from __future__ import annotations

import datetime
import fnmatch
import hashlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.account_certificates import (
    BoundTo,
    CertificateEntry,
    by_end,
    counted_resources,
    days_until,
    shown_time,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import (
    FINGERPRINT_CHARACTERS,
    LABEL_PREFIX,
    has_prefix,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.client import (
    AlibabaClient,
    AlibabaError,
)

try:
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

PAGE_SIZE = 50
MAX_PAGES = 100
MAX_NAME_CHARACTERS = 63  # UploadUserCertificate, Name
NOT_ALLOWED_CODES = ("Forbidden*", "NoPermission*")
CLOUD = "aliyun"  # CloudName of ListCloudResources: that of Alibaba itself


class AlibabaCertificates:
    """The uploaded certificates of one account."""

    def __init__(self, client: AlibabaClient) -> None:
        self.client = client

    def find(self, label: str) -> str | None:
        """Return the identifier of the upload with the name that belongs to the label."""
        name = upload_name(label)
        return next((_identifier(one) for one in self._listed("UPLOAD") if one.get("Name") == name), None)

    # not a parser: it encodes what is sent
    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Upload a certificate with its key, and return its identifier. Where the answer is lost, it is looked for."""
        parameters = {"Name": upload_name(label), "Cert": to_pem(chain).decode(), "Key": _key_pem(key)}
        try:
            answer = self.client.call("cas", "UploadUserCertificate", parameters)
        except AlibabaError:
            raise
        except TlsError:
            identifier = self.find(label)
            if identifier is None:
                raise
            return identifier
        if not answer.get("CertId"):
            raise TlsError(
                f"account {self.client.name}: the answer of cas:UploadUserCertificate names no certificate; run this again"
            )
        return str(answer["CertId"])

    def uploads(self, prefix: str, keep: int) -> list[Upload]:
        """Return the uploads of the request with this prefix, the newest first.

        keep: the number of those for which it is not looked up whether something is bound to them, the newest ones.
        """
        begin = upload_name(prefix)
        listed = [one for one in self._listed("UPLOAD") if has_prefix(str(one.get("Name")), begin)]
        listed.sort(key=_age, reverse=True)
        uploads = [Upload(_identifier(one), prefix + str(one["Name"])[len(begin) :]) for one in listed]
        bound = self.bound([upload.certificate for upload in uploads[keep:]])
        late = [
            upload._replace(is_bound=None if bound is None else bool(bound.get(upload.certificate)))
            for upload in uploads[keep:]
        ]
        return [*uploads[:keep], *late]

    def remove(self, certificate: str) -> None:
        """Delete an upload."""
        self.client.call("cas", "DeleteUserCertificate", {"CertId": certificate})

    def bound(self, names: list[str]) -> dict[str, list[BoundTo]] | None:
        """Return what presents certificates, by identifier; None where the account may not look.

        The certificate service keeps a list of resources. The domains of the CDN are asked for besides, since that list may be late.
        """
        if not names:
            return {}
        resources: dict[str, list[tuple[str, str, str]]] = {name: [] for name in names}
        by_name = {str(one.get("Name")): _identifier(one) for one in self._listed("CERT")}
        try:
            listed = self._pages("cas", "ListCloudResources", {"CloudName": CLOUD}, "Data", ("CurrentPage", "ShowSize"))
            domains = self._pages(
                "cdn", "DescribeCdnHttpsDomainList", {}, "CertInfos.CertInfo", ("PageNumber", "PageSize")
            )
        except AlibabaError as error:
            if any(fnmatch.fnmatchcase(error.code, pattern) for pattern in NOT_ALLOWED_CODES):
                return None
            raise
        for one in listed:
            name = str(one.get("Domain") or one.get("InstanceId") or one.get("Id") or "")
            product, region = str(one.get("CloudProduct") or "").lower(), str(one.get("RegionId") or "")
            resources.get(str(one.get("CertId")), []).append((product, "" if product == "cdn" else region, name))
        for one in domains:
            identifier = by_name.get(str(one.get("CertName")), "")
            resources.get(identifier, []).append(("cdn", "", str(one.get("DomainName") or "")))
        return {name: counted_resources(places) for name, places in resources.items()}

    def list_all(self, now: datetime.datetime, has_bindings: bool) -> list[CertificateEntry]:
        """Return the certificates of the account, the one that ends first first."""
        listed = self._listed("CERT")
        bound = self.bound([_identifier(one) for one in listed]) if has_bindings else None
        return by_end(read_entry(one, bound, now) for one in listed)

    def _listed(self, order_type: str) -> list[dict[str, t.Any]]:
        """Return certificates. order_type: UPLOAD for those that were uploaded, CERT for all."""
        parameters = {"OrderType": order_type}
        key, paging = "CertificateOrderList", ("CurrentPage", "ShowSize")
        return [
            one for one in self._pages("cas", "ListUserCertificateOrder", parameters, key, paging) if _identifier(one)
        ]

    def _pages(
        self, service: str, action: str, parameters: dict[str, str], key: str, paging: tuple[str, str]
    ) -> list[dict[str, t.Any]]:
        """Return the items of all pages. key: where an answer has them, with a dot between two levels. paging: number and size."""
        items: list[dict[str, t.Any]] = []
        for page in range(1, MAX_PAGES + 1):
            paged = {**parameters, paging[0]: str(page), paging[1]: str(PAGE_SIZE)}
            listed: t.Any = self.client.call(service, action, paged)
            for field in key.split("."):
                listed = listed.get(field) if isinstance(listed, dict) else None
            rows = listed if isinstance(listed, list) else []
            items += [one for one in rows if isinstance(one, dict)]
            if len(rows) < PAGE_SIZE:
                break
        return items


def upload_name(label: str) -> str:
    """Return the name of the upload with a label, or what the names of all uploads begin with whose labels have a prefix.

    >>> upload_name("evergreen/static/5f0c9a1be2d37748")
    'evergreen/static/5f0c9a1be2d37748'
    """
    prefix, _slash, rest = label.rpartition("/")
    room = MAX_NAME_CHARACTERS - FINGERPRINT_CHARACTERS - 1
    if len(prefix) > room:
        prefix = f"{prefix[: room - 17]}-{hashlib.sha256(prefix.encode()).hexdigest()[:16]}"
    return f"{prefix}/{rest}"


def read_entry(
    one: dict[str, t.Any], bound: dict[str, list[BoundTo]] | None, now: datetime.datetime
) -> CertificateEntry:
    """Return a certificate as the API lists it. bound: by identifier, what presents it; None where that is not known."""
    begin, end = _date(one.get("StartDate")), _date(one.get("EndDate"))
    sans, name = one.get("Sans"), str(one.get("Name") or "")
    names = [part.strip() for part in sans.split(",")] if isinstance(sans, str) else []
    return {
        "certificate": _identifier(one),
        "alias": name,
        "domains": list(dict.fromkeys(part for part in [str(one.get("CommonName") or ""), *names] if part)),
        "origin": "upload" if one.get("Upload") is True else "bought",
        "status": "expired" if one.get("Expired") is True or (end and end < now) else "issued",
        "not_before": shown_time(begin),
        "not_after": shown_time(end),
        "days_left": days_until(end, now),
        "ours": name.startswith(f"{LABEL_PREFIX}/"),
        "bound_to": None if bound is None else bound.get(_identifier(one), []),
    }


def _age(one: dict[str, t.Any]) -> tuple[str, int, str]:
    """Return what orders certificates by their age: the date, then the identifier, which is a number without a limit."""
    identifier = _identifier(one)
    return str(one.get("StartDate") or ""), len(identifier), identifier


def _identifier(one: dict[str, t.Any]) -> str:
    """Return the identifier of a certificate, which is a number; empty where there is none."""
    value = one.get("CertificateId")
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number or (isinstance(value, str) and value.isdecimal()) else ""


def _date(value: t.Any) -> datetime.datetime | None:
    """Return a date of the API, which has neither time nor zone, None for anything else."""
    try:
        return datetime.datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc)
    except (TypeError, ValueError):
        return None


# not a parser: it writes a key
def _key_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
