# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the services of Tencent Cloud share that present certificates of its certificate service."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.errors import Busy
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import LABEL_PREFIX, has_prefix
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import is_covered
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.certificates import (
    CertificateStore,
    Client,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import (
    BUSY_CODES,
    TencentError,
    matches,
)

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

LABEL_BEGIN = f"{LABEL_PREFIX}/"  # of all uploads of this collection


class StoredService:
    """The part of a CertificateService that is about uploads. Subclasses bind them."""

    title: str

    def __init__(self, account: Account, request: Request, _prefix: str, client: Client | None = None) -> None:
        self.client = client or TencentClient(account.name, **account.settings)
        self.store = CertificateStore(self.client)
        self.cloud: dict[str, t.Any] = t.cast("dict[str, t.Any]", request["cloud"] or {})
        self.domains: list[str] = self.cloud.get("resources") or request["domains"]
        self.keep: int = self.cloud.get("keep") or request["keep"]

    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError for a key that Tencent Cloud does not take, and for a domain that the certificate does not cover."""
        self.store.check(chain)
        names = sorted(names_of(chain[0]))
        for domain in self.domains:
            if not is_covered(domain, names):
                raise TlsError(
                    f"{self.title}: the certificate does not cover {domain}; add it to the domains of the request, or correct cloud.resources"
                )

    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the identifier of an upload of exactly this certificate, or None."""
        return self.store.find(chain, label)

    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Upload a certificate with its key, and return its identifier."""
        return self.store.upload(chain, key, label)

    def uploads(self, prefix: str) -> list[Upload]:
        """Return the uploads with labels that begin so. Whether they are bound is looked up for those that are too many."""
        uploads = [upload for upload in self.store.labelled(prefix) if has_prefix(upload.label, prefix)]
        kept = self.keep + 1  # with the one in use
        return [*uploads[:kept], *self.store.with_bindings(uploads[kept:])]

    def remove(self, certificate: str) -> None:
        """Delete an upload."""
        self.store.remove(certificate)


@contextlib.contextmanager
def raising_busy() -> t.Iterator[None]:
    """Have refusals of a change while another one is under way raise Busy."""
    try:
        yield
    except TencentError as error:
        if matches(error.code, BUSY_CODES):
            raise Busy(str(error)) from error
        raise


def object_at(value: t.Any, field: str) -> dict[str, t.Any]:
    """Return an object in an answer, empty where there is none."""
    one = value.get(field) if isinstance(value, dict) else None
    return one if isinstance(one, dict) else {}


def objects_at(value: t.Any, field: str) -> list[dict[str, t.Any]]:
    """Return the objects of a list in an answer."""
    items = value.get(field) if isinstance(value, dict) else None
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []


def text_at(value: t.Any, field: str) -> str:
    """Return a text in an answer, empty where there is none."""
    one = value.get(field) if isinstance(value, dict) else None
    return one if isinstance(one, str) else ""
