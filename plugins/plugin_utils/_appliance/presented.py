# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an appliance presents to clients, and what the services for appliances share."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Appliance, Request
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.base import Binding, Settings, Upload
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration

if t.TYPE_CHECKING:
    from cryptography import x509

PROOF_INTERVAL_S = 0.3  # between two handshakes


class Presented(t.NamedTuple):
    """What clients get from an appliance."""

    leaves: list[x509.Certificate]  # one for each endpoint and domain that answered
    problem: str | None  # why one of them did not answer


class ApplianceService:
    """The methods of CertificateService that all appliances share.

    request: complete. appliance: its options, with those of the preset. endpoints: addresses and ports at which clients reach it.
    """

    def __init__(self, request: Request, appliance: Appliance, endpoints: list[tuple[str, int]]) -> None:
        self._name, self._domains = request["name"], request["domains"]
        self._options, self._endpoints = appliance, endpoints
        self.title = f"the appliance {appliance['host']}"
        self._patience_s = parse_duration(appliance["patience"]).total_seconds()
        self._leaf: x509.Certificate | None = None

    def check(self, chain: list[x509.Certificate]) -> None:
        """Remember which certificate is to be presented."""
        self._leaf = chain[0]

    def bindings(self) -> list[Binding]:
        """Return what the appliance presents. Where that is the certificate, nobody logs in."""
        presented = self._presented()
        if self._is_presented(presented):
            return [Binding(self._resource, self._identifier(self._expected()), "ready")]
        current = self._identifier(presented.leaves[0]) if presented.leaves else None
        return [self._unpresented(current)]

    def configure(self, binding: Binding, settings: Settings) -> None:
        """Raise TlsError: an appliance has no settings here."""
        raise TlsError(f"{self.title} has no setting {', '.join(settings)}; take it out of the certificate request")

    def uploads(self, prefix: str) -> list[Upload]:
        """Return none: an appliance keeps no earlier certificate."""
        return []

    def remove(self, certificate: str) -> None:
        """Do nothing: there is no upload to remove."""

    def _unpresented(self, current: str | None) -> Binding:
        """Return the binding of an appliance that does not present the certificate; current: what it presents."""
        raise NotImplementedError

    @property
    def _resource(self) -> str:
        return ", ".join(f"{address}:{port}" for address, port in self._endpoints)

    def _expected(self) -> x509.Certificate:
        if self._leaf is None:
            raise AssertionError("check() has to be called first")
        return self._leaf

    def _identifier(self, certificate: x509.Certificate) -> str:
        """Return the name of a certificate: that of the expected one is its fingerprint, and others are described beside it."""
        digest = f"SHA-256 {fingerprint(certificate)}"
        is_expected = fingerprint(certificate) == fingerprint(self._expected())
        return digest if is_expected else f"{describe_certificate(certificate)} ({digest})"

    def _presented(self) -> Presented:
        """Return what each endpoint presents for each domain, until one does not answer."""
        leaves: list[x509.Certificate] = []
        for address, port in self._endpoints:
            for domain in self._domains:
                try:
                    chain, _protocol = handshake(address, port, domain)
                except TlsError as error:
                    return Presented(leaves, str(error))
                leaves.append(chain[0])
        others = [leaf for leaf in leaves if fingerprint(leaf) != fingerprint(self._expected())]
        return Presented(others or leaves, None)

    def _is_presented(self, presented: Presented) -> bool:
        expected = fingerprint(self._expected())
        return (
            presented.problem is None
            and bool(presented.leaves)
            and all(fingerprint(leaf) == expected for leaf in presented.leaves)
        )

    def _prove(self) -> None:
        """Raise TlsError unless clients get the certificate within the patience of the appliance."""
        deadline = time.monotonic() + self._patience_s
        while True:
            presented = self._presented()
            if self._is_presented(presented):
                return
            if time.monotonic() > deadline:
                break
            time.sleep(PROOF_INTERVAL_S)
        answer = presented.problem or f"it presents {', '.join(map(self._identifier, presented.leaves[:1]))}"
        raise TlsError(
            f"{self.title} does not present the certificate within {self._patience_s:.0f} s of the commands: {answer}; see whether its "
            "server reads the files that it got"
        )
