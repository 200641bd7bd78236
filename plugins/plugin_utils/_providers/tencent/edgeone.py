# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EdgeOne (API teo, version 2022-09-01): domains of a zone that present an uploaded certificate.

Redirects, HSTS and TLS versions belong to rules of the whole zone there, and are not set here.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Settings, State
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.stored_service import (
    LABEL_BEGIN,
    StoredService,
    object_at,
    objects_at,
    raising_busy,
    text_at,
)

MAX_DOMAINS_OF_FILTER = 20
PAGE_SIZE = 200
OWN_CERTIFICATES = "sslcert"  # the mode in which a domain presents certificates of the certificate service
BUSY_STATUSES = ("processing", "applying")
FAILED_STATUSES = ("failed", "issued")  # C(issued): it could not be bound


class EdgeOne(StoredService):
    """The domains of a request in a zone of EdgeOne."""

    def __init__(self, account: Account, request: Request, prefix: str) -> None:
        super().__init__(account, request, prefix)
        self.title = f"EdgeOne of account {account.name}"
        self.zone = self.cloud.get("zone")
        if not self.zone:
            raise TlsError(
                f"{self.title}: there is no zone; write cloud.zone: zone-…, as the console of EdgeOne names it"
            )

    def bindings(self) -> list[Binding]:
        """Return what the domains present now. One that the zone does not have is unfit."""
        details: dict[str, dict[str, t.Any]] = {}
        for start in range(0, len(self.domains), MAX_DOMAINS_OF_FILTER):
            filters = [{"Name": "domain-name", "Values": self.domains[start : start + MAX_DOMAINS_OF_FILTER]}]
            parameters = {"ZoneId": self.zone, "Filters": filters, "Limit": PAGE_SIZE}
            answer = self.client.call("teo", "DescribeAccelerationDomains", parameters)
            details.update({text_at(one, "DomainName"): one for one in objects_at(answer, "AccelerationDomains")})
        return [read_domain(domain, details.get(domain)) for domain in self.domains]

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have a domain present a certificate in place of ours, beside those with other types of keys."""
        others = [one for one in binding.details["certificates"] if one not in (binding.certificate, certificate)]
        parameters = {
            "ZoneId": self.zone,
            "Hosts": [binding.resource],
            "Mode": OWN_CERTIFICATES,
            "ServerCertInfo": [{"CertId": one} for one in [*others, certificate]],
        }
        with raising_busy():
            self.client.call("teo", "ModifyHostsCertificate", parameters)

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Do nothing: bindings() names no setting, so that none is asked for."""


def read_domain(domain: str, detail: dict[str, t.Any] | None) -> Binding:
    """Return what a domain of EdgeOne presents, and whether it can be changed.

    detail: the domain in DescribeAccelerationDomains, None where it is not there.
    """
    if detail is None:
        return Binding(
            domain, None, "unfit", "it is not in the zone; add it there first, as this collection makes no domains"
        )
    presented = object_at(detail, "Certificate")
    entries = {text_at(one, "CertId"): one for one in objects_at(presented, "List") if text_at(one, "CertId")}
    ours = [name for name, one in entries.items() if text_at(one, "Alias").startswith(LABEL_BEGIN)]
    is_own_mode = text_at(presented, "Mode") == OWN_CERTIFICATES
    certificate = next(iter(ours or entries), None) if len(ours) == 1 or len(entries) == 1 else None
    state, reason = _state(text_at(detail, "DomainStatus"), entries.get(certificate or ""))
    if len(entries) > 1 and len(ours) != 1 and is_own_mode:
        state, reason = (
            "unfit",
            "it presents several certificates, and which of them to replace is open; leave one of them in the console of EdgeOne",
        )
    kept = [name for name in entries if is_own_mode]
    return Binding(domain, certificate, state, reason, {}, text_at(detail, "Cname") or None, {"certificates": kept})


def _state(status: str, entry: dict[str, t.Any] | None) -> tuple[State, str]:
    """Return the state of a domain, and why it is not ready."""
    bound = text_at(entry, "Status")
    if status == "process" or bound in BUSY_STATUSES:
        return "busy", "a change is under way"
    if status != "online":
        return "unfit", f"its status is {shorten(status or 'unknown', 50)}; activate it in the console of EdgeOne"
    if bound in FAILED_STATUSES:
        return "failed", "EdgeOne says that it could not deploy the certificate; look at it in the console"
    return "ready", ""
