# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an issuer is: a CA as it is configured in the inventory. A further type is one file, and one line in registry.ISSUERS."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import RenewalAdvice, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import CrossSigning
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import IssuedCertificate
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Pending, Validity
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import ChallengeFiles

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


class RefusedAnswer(TlsError):
    """A CA has issued a certificate, and it is not used. It is not asked again by each run."""


class FailedChallenge(t.NamedTuple):
    """A challenge over HTTP that a CA did not find answered."""

    domain: str
    token: str
    code: str  # the error type of ACME, such as C(connection)


class IssueRequest(Request, total=False):
    """A complete request, with what an issuer is told of its host."""

    reason: str | None  # why the certificate is due
    since: str | None  # since when the CSR waits on its host, in ISO 8601
    in_use: str | None  # the fingerprint of the certificate that is in use
    valid: Validity | None  # the certificate that is in use


class Issuer(t.Protocol):
    """A CA, as it is configured in the inventory. Its settings are the keyword arguments of its class."""

    SETTINGS: t.ClassVar[dict[str, t.Any]]  # the argument spec of the settings
    DEFAULTS: t.ClassVar[dict[str, t.Any]]  # options that requests have by default; the key rules is that of policy.py
    cache_directory: str  # the folder of the controller for issued chains (IssuedCache)
    cross_signing: CrossSigning  # set by open_issuer()
    certificate_files: dict[str, str]  # the settings that name files of certificates; set by open_issuer()
    is_public: bool  # whether its rules are those of public CAs; set by open_issuer()
    may_add_subject: bool  # whether it may write fields into subjects that requests do not have; set by open_issuer()
    remarks: list[str]  # sentences about what issue() and find_pending() noticed beside their result

    def __init__(self, **settings: t.Any) -> None:
        """Take settings that were checked against SETTINGS. Nothing is asked or made yet. Raises TlsError."""

    @staticmethod
    def settings_of_name(name: str) -> dict[str, t.Any]:
        """Return the settings that follow from the name of an issuer, where they are not given."""

    def roots(self) -> bytes | None:
        """Return the roots that clients of this issuer trust, in PEM; None for those of the system.

        None as well for a private CA that is not made yet.
        """

    def terms(self, request: Request) -> dict[str, t.Any]:
        """Return what decides on the certificate beside the CSR, as JSON types.

        A cached chain is used for the same terms only.
        """

    def issue(self, request: IssueRequest, csr: bytes, host: str) -> bytes | Pending:
        """Return the certificates that the CA sends for a CSR, in PEM, or Pending while a person has to act.

        The CSR was checked against the request. The caller holds the lock of this CSR, and the cache has no usable chain for it.
        Raises TlsError when the CA refuses, or cannot be reached.
        """

    def find_obstacles(self, request: Request, host: str, deadline: float) -> list[Finding]:
        """Return what the CA will find when a request is ordered now. Nothing is ordered, registered or written.

        deadline: of all checks, by time.monotonic(). What cannot be seen until then is unknown.
        """

    def record(self, request: Request, chain: list[x509.Certificate], host: str) -> None:
        """Write down that a certificate was issued, if this issuer keeps records.

        Called after the chain was cached and before it is used, and again each time that the cached chain is used.
        """

    def issued(self, host: str, request: str) -> list[IssuedCertificate]:
        """Return what the records of the controller have for a request of a host, the oldest first.

        Nothing that a host has shown is among them. Raises TlsError for records that cannot be read.
        """

    def unreadable_records(self) -> list[str]:
        """Return a sentence about records that cannot be read, and of which nobody can say for whom they are; empty where there are none."""

    def revoked(self, host: str, request: str) -> dict[str, str]:
        """Return the reasons for what is revoked of a request of a host, by serial number."""

    def revocation(self, serial_number: str) -> str | None:
        """Return the reason for which any certificate of this issuer is revoked, None where it is not."""

    def compromised_keys(self, host: str, request: str) -> t.Collection[str]:
        """Return the digests of keys that were compromised; those of a request of a host at least."""

    def revoke(self, serial_number: str, reason: str, pretend: bool = False) -> bool:
        """Revoke a certificate; return whether it was not revoked before. With *pretend*, change nothing.

        serial_number: lower-case hexadecimal digits. reason: RFC 5280, section 5.3.1, in snake case.
        Raises TlsError for an unknown serial number, and for issuers that cannot revoke.
        """


@t.runtime_checkable
class PendingIssuer(Issuer, t.Protocol):
    """An issuer that keeps requests while a person acts on them."""

    patience: datetime.timedelta  # after this time, a request is withdrawn

    def find_pending(self, request: IssueRequest, csr: bytes, host: str) -> Pending | None:
        """Return the Pending that issue() would return, and change nothing.

        None when issue() would hand in a request, or return a chain.
        """

    def withdraw(self, host: str, name: str) -> bool:
        """Withdraw the pending requests of a host with this name; return whether there were any."""

    def pending_names(self, host: str) -> list[str]:
        """Return the names of the pending requests of a host."""


@t.runtime_checkable
class AcmeIssuer(Issuer, t.Protocol):
    """An issuer that speaks ACME (RFC 8555)."""

    preferred_roots: list[str | None]  # common names, of all its directories
    settings: dict[str, t.Any]  # those of SETTINGS

    @property
    def at_once(self) -> int:
        """Return how many orders may be under way at a time."""

    def thumbprint(self, pretend: bool = False) -> str:
        """Return the thumbprint of the account key (RFC 8555, section 8.1). With *pretend*, make no key."""

    def begin_order(self, request: IssueRequest, csr: bytes, host: str) -> list[ChallengeFiles]:
        """Place an order and return the files that hosts have to serve before it can be finished by issue()."""

    def expected_refusals(self, request: Request, host: str, is_deployed: bool) -> list[str]:
        """Return what check mode says about an order that would be placed. Nothing is ordered or written.

        is_deployed: whether the hosts can answer challenges already.
        """

    def advice(
        self, host: str, request: str, leaf: x509.Certificate | None = None, may_spread: bool = True
    ) -> dict[str, RenewalAdvice]:
        """Return the renewal information (RFC 9773) of the certificates of a request, by serial number.

        leaf: a certificate that was seen on the host.
        """
