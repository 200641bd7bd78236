# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service that presents a certificate in place of nginx has to do, and what it says about itself.

_providers/registry.py names the services of clouds. walk.py takes the steps of a deployment with any of them.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# The states of a resource. READY: it presents what is bound to it. BUSY: a change is under way. UNFIT: it cannot be changed as it is.
# FAILED: the service says that the last change failed.
State = t.Literal["ready", "busy", "unfit", "failed"]


class Settings(t.TypedDict, total=False):
    """What is set for HTTPS beside the certificate. A key is there where the service knows the setting, or where the inventory has it."""

    redirect: bool  # whether HTTP is redirected to HTTPS
    hsts: int  # the max-age of Strict-Transport-Security in seconds; 0 for no such header
    tls_versions: list[str]  # such as "TLSv1.2", the oldest first


class Binding(t.NamedTuple):
    """What a resource serves now."""

    resource: str  # the domain, distribution or listener, as people name it
    certificate: str | None  # the service's identifier of the certificate
    state: State
    reason: str = ""  # why it is busy, unfit or failed: a sentence that says what to do
    settings: Settings = Settings()
    address: str | None = None  # the name that the DNS has to lead to, such as the CNAME of a CDN domain
    details: t.Mapping[str, t.Any] = {}  # what the service itself needs for bind() and configure()


class Upload(t.NamedTuple):
    """A certificate that lies with the service under a label of this collection."""

    certificate: str  # the service's identifier
    label: str
    fingerprint: str | None = None  # SHA-256, in lower-case hexadecimal digits, where the service says it
    is_bound: bool | None = None  # None where that is not known, so that it is never removed


class CertificateService(t.Protocol):
    """A service of a cloud, or an appliance, with the resources of one certificate request.

    Each method raises TlsError. It names the provider, the action, the code and the identifier of the call, and what to do.
    """

    title: str  # as people read it: "the CDN of account main"

    def check(self, chain: list[x509.Certificate]) -> None:
        """Raise TlsError where the service cannot serve such a certificate or type of key. Sends nothing."""

    def find(self, chain: list[x509.Certificate], label: str) -> str | None:
        """Return the identifier of an upload of exactly this certificate, or None."""

    def upload(self, chain: list[x509.Certificate], key: PrivateKeyTypes, label: str) -> str:
        """Upload certificate and key, and return the identifier. This is the one call that has the key; it is never repeated blindly."""

    def bindings(self) -> list[Binding]:
        """Return what the resources of the request serve now: at least one."""

    def bind(self, binding: Binding, certificate: str) -> None:
        """Have a resource present an uploaded certificate, and change nothing else of it. Raises Busy while another change is under way."""

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Set what stands in the settings, and nothing else. Raises Busy while another change is under way."""

    def uploads(self, prefix: str) -> list[Upload]:
        """Return the uploads whose label begins with the prefix, newest first, with whether they are bound by a fresh look."""

    def remove(self, certificate: str) -> None:
        """Remove an upload. Raises TlsError where it is bound."""
