# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the services of AWS share that present certificates of AWS Certificate Manager."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


class ImportedService:
    """The part of a CertificateService that is about imports. Subclasses bind them."""

    def __init__(self, certificates: AcmCertificates, is_reimporting: bool) -> None:
        """Take the certificates of the region from which the service takes them.

        is_reimporting: whether a certificate takes the place of the one before under the same ARN.
        """
        self.certificates, self.is_reimporting = certificates, is_reimporting

    def bindings(self) -> list[Binding]:
        """Return what the resources present."""
        raise NotImplementedError

    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the ARN of an import of exactly this chain."""
        return self.certificates.find(chain)

    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Import the chain with its key into ACM, and return the ARN."""
        replaced = self.certificates.replaceable(self.bindings(), chain, label) if self.is_reimporting else None
        return self.certificates.upload(chain, key, label, replaced)

    def uploads(self, prefix: str) -> list[Upload]:
        """Return the imports under labels with this prefix."""
        return self.certificates.uploads(prefix)

    def remove(self, certificate: str) -> None:
        """Delete an import."""
        self.certificates.remove(certificate)
