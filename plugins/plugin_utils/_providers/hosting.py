# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that present a certificate which their cloud makes and keeps (C(cloud.hosted))."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import find_account
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import (
    Binding,
    CertificateService,
    Settings,
    Upload,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Pair
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.certificates import CertificateStore
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.free_certificates import (
    EXPIRED,
    FreeCertificates,
    Order,
)

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

HOSTING_TYPES = ("tencent",)  # of accounts whose cloud makes certificates


class HostedService:
    """A service and the orders of a request: what it presents is the newest certificate that the cloud has issued."""

    def __init__(self, service: CertificateService, orders: FreeCertificates, prefix: str, key: str = "") -> None:
        """Take the prefix of the aliases of the orders, and the identifier of the key of the account."""
        self.service, self.orders, self.prefix, self.key = service, orders, prefix, key
        self.title = service.title
        self.store = CertificateStore(orders.client)
        self._issued: Order | None = None  # what find() has seen

    def check(self, chain: list[x509.Certificate]) -> None:
        """Do nothing: the cloud has made the certificate for itself."""

    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the identifier of the newest certificate that is issued."""
        self._issued = self.orders.newest_issued(self.prefix)
        return self._issued.certificate if self._issued else None

    @property
    def validity(self) -> dict[str, str] | None:
        """Return the dates of the certificate that find() returned, in ISO 8601, or None where the cloud does not say them.

        They are all that the API says of a certificate without its key.
        """
        if self._issued is None or self._issued.begin is None or self._issued.end is None:
            return None
        not_before, not_after = (
            moment.astimezone(datetime.timezone.utc).isoformat() for moment in (self._issued.begin, self._issued.end)
        )
        return {"not_before": not_before, "not_after": not_after}

    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Raise TlsError: there is no key to upload."""
        raise TlsError(f"{self.title}: the cloud has not issued a certificate yet; run this again once it has")

    def bindings(self) -> list[Binding]:
        """Return what the resources present now."""
        return self.service.bindings()

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have a resource present a certificate."""
        self.service.bind(binding, certificate)

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Set what stands in the settings."""
        self.service.configure(binding, settings)

    def uploads(self, prefix: str) -> list[Upload]:
        """Return the expired certificates of the request. One that is valid counts in the cloud's quotas whether it is there or not."""
        expired = [one for one in self.orders.ours(self.prefix) if one.status == EXPIRED]
        return self.store.with_bindings([Upload(one.certificate, one.alias) for one in expired])

    def remove(self, certificate: str) -> None:
        """Delete an expired certificate."""
        self.store.remove(certificate)


def hosted_pair(prefix: str) -> Pair:
    """Return what stands in the place of an installed certificate: nothing of it is on the controller."""

    def read_key() -> PrivateKeyTypes:
        raise TlsError("the cloud has not issued a certificate yet; run this again once it has")

    return Pair([], read_key, prefix, contextlib.nullcontext)


def open_hosted(request: Request, accounts: t.Any, prefix: str) -> HostedService:
    """Return the service of a request with its orders. Raises TlsError for accounts of a type whose cloud makes no certificates.

    prefix: of the aliases of the orders.
    """
    cloud = request["cloud"] or {}
    account = find_account(cloud.get("account"), accounts, HOSTING_TYPES)
    orders = FreeCertificates(TencentClient(account.name, **account.settings))
    key = str(account.settings.get("secret_id") or account.settings.get("cvm_role") or "")
    return HostedService(open_service(request, accounts, prefix), orders, prefix, key)
