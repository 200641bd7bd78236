# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tencent Cloud CDN: domains that present an uploaded certificate (https://cloud.tencent.com/document/api/228)."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import TLS_VERSIONS, Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Settings, State
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.stored_service import (
    StoredService,
    raising_busy,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

if t.TYPE_CHECKING:
    from cryptography import x509

    from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
    from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.certificates import Client

MAX_DOMAINS_OF_FILTER = 5
DEFAULT_DOMAIN_SUFFIX = ".file.myqcloud.com"  # of Cloud Object Storage, which takes no certificate
HTTPS_PORT = 443
REDIRECT_STATUS = 301
# What UpdateDomainConfig takes of Https. What is left out of it goes back to its default, so it is sent as it was read.
HTTPS_FIELDS = ("Http2", "OcspStapling", "VerifyClient", "ClientCertInfo", "Spdy", "Hsts", "TlsVersion")
CONSOLE = "only the console of the CDN can change that"


class Cdn(StoredService):
    """The domains of a request in the CDN of an account."""

    def __init__(self, account: Account, request: Request, prefix: str, client: Client | None = None) -> None:
        super().__init__(account, request, prefix, client)
        self.title = f"the CDN of account {account.name}"

    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError for a key or a domain that the CDN does not take, and for a domain that the certificate does not cover."""
        for domain in self.domains:
            if domain.endswith(DEFAULT_DOMAIN_SUFFIX):
                raise TlsError(
                    f"{domain} is a default domain of Cloud Object Storage, which takes no certificate; add a domain of your own to the CDN"
                )
        super().check(chain)

    def bindings(self) -> list[Binding]:
        """Return what the domains present now. One that the CDN does not have is unfit."""
        details: dict[str, dict[str, t.Any]] = {}
        for start in range(0, len(self.domains), MAX_DOMAINS_OF_FILTER):
            names = self.domains[start : start + MAX_DOMAINS_OF_FILTER]
            filters = [{"Name": "domain", "Value": names}]
            answer = self.client.call("cdn", "DescribeDomainsConfig", {"Filters": filters, "Limit": 100})
            listed = answer.get("Domains")
            details.update(
                {
                    str(one.get("Domain")): one
                    for one in (listed if isinstance(listed, list) else [])
                    if isinstance(one, dict)
                }
            )
        return [read_domain(domain, details.get(domain)) for domain in self.domains]

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have a domain present a certificate. Where HTTPS is on, that is the one leaf of its configuration that changes."""
        https = binding.details.get("Https")
        if isinstance(https, dict) and https.get("Switch") == "on" and binding.certificate:
            self._modify(binding.resource, "Https.CertInfo.CertId", certificate)
            return
        kept = {field: https[field] for field in HTTPS_FIELDS if https.get(field) is not None} if https else {}
        with raising_busy():
            self.client.call(
                "cdn",
                "UpdateDomainConfig",
                {
                    "Domain": binding.resource,
                    "Https": {**kept, "Switch": "on", "CertInfo": {"CertId": certificate}},
                },
            )

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Set what stands in the settings, each as a change of its own."""
        if "tls_versions" in settings:
            self._modify(binding.resource, "Https.TlsVersion", settings["tls_versions"])
        if "hsts" in settings:
            hsts = _object(_object(binding.details, "Https"), "Hsts")
            value = (
                {
                    "Switch": "on",
                    "MaxAge": settings["hsts"],
                    "IncludeSubDomains": hsts.get("IncludeSubDomains") or "off",
                }
                if settings["hsts"]
                else {"Switch": "off"}
            )
            self._modify(binding.resource, "Https.Hsts", value)
        if "redirect" in settings:
            self._modify(binding.resource, "ForceRedirect", _redirect(binding, settings["redirect"]))

    def _modify(self, domain: str, route: str, value: t.Any) -> None:
        with raising_busy():
            self.client.call(
                "cdn",
                "ModifyDomainConfig",
                {"Domain": domain, "Route": route, "Value": json.dumps({"update": value}, separators=(",", ":"))},
            )


def _redirect(binding: Binding, is_on: bool) -> dict[str, t.Any]:
    """Return the value of ForceRedirect: as it was read, with what has to be otherwise."""
    before = {key: value for key, value in _object(binding.details, "ForceRedirect").items() if value is not None}
    if not is_on:
        return {**before, "Switch": "off"}
    status = before.get("RedirectStatusCode") or REDIRECT_STATUS
    return {**before, "Switch": "on", "RedirectType": "https", "RedirectStatusCode": status}


def read_domain(domain: str, detail: dict[str, t.Any] | None) -> Binding:
    """Return what a domain of the CDN presents, and whether it can be changed.

    detail: the domain in DescribeDomainsConfig, None where it is not there.
    """
    if detail is None:
        return Binding(
            domain, None, "unfit", "it is not in the CDN; add it there first, as this collection makes no domains"
        )
    https = _object(detail, "Https")
    redirect = _object(detail, "ForceRedirect")
    hsts = _object(https, "Hsts")
    certificate = _object(https, "CertInfo").get("CertId") if https.get("Switch") == "on" else None
    versions = https.get("TlsVersion")
    max_age = hsts.get("MaxAge")
    state, reason = _state(detail, https)
    settings: Settings = {
        "redirect": redirect.get("Switch") == "on" and redirect.get("RedirectType") == "https",
        "hsts": max_age if hsts.get("Switch") == "on" and isinstance(max_age, int) else 0,
        "tls_versions": [one for one in TLS_VERSIONS if one in versions]
        if isinstance(versions, list) and versions
        else TLS_VERSIONS,
    }
    name = detail.get("Cname")
    return Binding(
        domain,
        certificate if isinstance(certificate, str) and certificate else None,
        state,
        reason,
        settings,
        name if isinstance(name, str) and name else None,
        {"Https": https, "ForceRedirect": redirect},
    )


def _state(detail: dict[str, t.Any], https: dict[str, t.Any]) -> tuple[State, str]:
    """Return the state of a domain, and why it is not ready."""
    status, disable, lock = (detail.get(field) for field in ("Status", "Disable", "Readonly"))
    ports = detail.get("AccessPort")
    if disable not in (None, "", "normal"):
        return "unfit", f"the CDN has it disabled ({_shown(disable)}); {CONSOLE}"
    if lock not in (None, "", "normal"):
        return "unfit", f"it is locked ({_shown(lock)}); {CONSOLE}"
    if _object(detail, "HttpsBilling").get("Switch") == "off":
        return "unfit", f"requests by HTTPS are blocked, since their billing is off; {CONSOLE}"
    if isinstance(ports, list) and ports and HTTPS_PORT not in ports:
        return "unfit", f"port 443 is not among its access ports; {CONSOLE}"
    if status == "processing" or https.get("SslStatus") == "deploying":
        return "busy", "a change is under way"
    if status != "online":
        return "unfit", f"its status is {_shown(status)}; put it online in the console of the CDN"
    if https.get("SslStatus") == "failed":
        message = _shown(_object(https, "CertInfo").get("Message") or "without a reason")
        return "failed", f"the CDN says that it could not deploy the certificate ({message}); look at it in the console"
    return "ready", ""


def _object(value: t.Mapping[str, t.Any], field: str) -> dict[str, t.Any]:
    one = value.get(field)
    return one if isinstance(one, dict) else {}


def _shown(value: t.Any) -> str:
    return shorten(escape_as_one_line(str(value)), 100)
