# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alibaba Cloud CDN (API cdn, version 2018-05-10), with certificates of its certificate service (API cas, version 2020-04-07)."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Settings, State, Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.errors import Busy
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import is_covered
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.certificates import AlibabaCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.alibaba.client import (
    AlibabaClient,
    AlibabaError,
)

try:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

BUSY_CODES = ("DomainInProcess",)
GONE_CODES = ("InvalidDomain.NotFound",)
BUSY_STATUSES = ("configuring", "checking")
FAILED_STATUSES = ("failed", "checking_failed", "domain_invalid", "unmatched")


class AlibabaCdn:
    """The domains of a request in the CDN of an account."""

    def __init__(self, account: Account, request: Request, _prefix: str) -> None:
        self.client = AlibabaClient(account.name, **account.settings)
        self.certificates = AlibabaCertificates(self.client)
        self.title = f"the CDN of account {account.name}"
        cloud = t.cast("dict[str, t.Any]", request["cloud"] or {})
        self.domains: list[str] = cloud.get("resources") or request["domains"]
        self.keep: int = cloud.get("keep") or request["keep"]

    # not a parser: it reads what the collection has made or checked
    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError for a key that the CDN does not take, and for a domain that the certificate does not cover."""
        key = chain[0].public_key()
        is_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048
        if not is_rsa and not (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"):
            raise TlsError(
                f"the certificate has a key of type {describe_key(key)}, and {self.title} takes RSA of 2048 bits or more and secp256r1; correct type, "
                "size or curve of the certificate request"
            )
        for domain in self.domains:
            if not is_covered(domain, sorted(names_of(chain[0]))):
                raise TlsError(
                    f"{self.title}: the certificate does not cover {domain}; add it to the domains of the request, or correct cloud.resources"
                )

    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the identifier of the upload with the name that belongs to the label."""
        return self.certificates.find(label)

    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Upload a certificate with its key, and return its identifier."""
        return self.certificates.upload(chain, key, label)

    def bindings(self) -> list[Binding]:
        """Return what the domains present now."""
        return [self._binding(domain) for domain in self.domains]

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have a domain present a certificate."""
        parameters = {"DomainName": binding.resource, "CertType": "cas", "CertId": certificate, "SSLProtocol": "on"}
        try:
            self.client.call("cdn", "SetCdnDomainSSLCertificate", parameters)
        except AlibabaError as error:
            if error.code in BUSY_CODES:
                raise Busy(str(error)) from error
            raise

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Do nothing: bindings() names no setting, so that none is asked for."""

    def uploads(self, prefix: str) -> list[Upload]:
        """Return the uploads of a request. Whether they are bound is looked up for those that are too many."""
        return self.certificates.uploads(prefix, self.keep + 1)  # with the one in use

    def remove(self, certificate: str) -> None:
        """Delete an upload."""
        self.certificates.remove(certificate)

    def _binding(self, domain: str) -> Binding:
        try:
            detail = self.client.call("cdn", "DescribeCdnDomainDetail", {"DomainName": domain})
        except AlibabaError as error:
            if error.code not in GONE_CODES:
                raise
            reason = "it is not in the CDN; add it there first, as this collection makes no domains"
            return Binding(domain, None, "unfit", reason)
        answer = self.client.call("cdn", "DescribeDomainCertificateInfo", {"DomainName": domain})
        return read_domain(domain, detail, answer)


def read_domain(domain: str, detail: dict[str, t.Any], certificates: dict[str, t.Any]) -> Binding:
    """Return what a domain presents, by the answers about the domain and about its certificate."""
    model = _object(detail, "GetDomainDetailModel")
    infos = _object(certificates, "CertInfos").get("CertInfo")
    info = infos[0] if isinstance(infos, list) and infos and isinstance(infos[0], dict) else {}
    identifier = str(info.get("CertId") or "") if info.get("ServerCertificateStatus") == "on" else ""
    status, bound = str(model.get("DomainStatus") or "unknown"), info.get("Status")
    state: State = "ready"
    reason = ""
    if status in BUSY_STATUSES or bound in BUSY_STATUSES:
        state, reason = "busy", "a change is under way"
    elif status != "online":
        state, reason = "unfit", f"its status is {shorten(status, 50)}; put it online in the console of the CDN"
    elif bound in FAILED_STATUSES:
        state, reason = "failed", "the CDN says that it could not deploy the certificate; look at it in the console"
    cname = model.get("Cname")
    return Binding(domain, identifier or None, state, reason, {}, cname if isinstance(cname, str) and cname else None)


def _object(value: dict[str, t.Any], field: str) -> dict[str, t.Any]:
    one = value.get(field)
    return one if isinstance(one, dict) else {}
