# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where this controller is not the one that has the private CA of an issuer: what hosts serve says so before anything is changed."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import Target
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import (
    absence_sentence,
    authority_key_identifier,
    other_authority_sentence,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import BUILT_IN, open_issuer

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


LOOK_TIMEOUT_S = 5.0  # for all endpoints of a request together, before something is issued for it


class Authority(t.NamedTuple):
    """The private CA of an issuer, as this controller has it."""

    ca: LocalCa
    absence: str | None  # as LocalCa.absence() returns it
    other_keys: frozenset[bytes]  # the identifiers of the keys of other private CAs on this controller

    def has_signed_elsewhere(self, certificate: x509.Certificate) -> bool:
        """Return whether a certificate is of a CA of this name that this controller does not have."""
        return self.ca.is_of_another(certificate) and authority_key_identifier(certificate) not in self.other_keys


class Observed(t.NamedTuple):
    """What was seen at an endpoint."""

    host: str
    authority: Authority | None  # None where it does not matter which CA is here
    certificate: x509.Certificate | None
    is_fine: bool


def authority_of(issuer: Issuer, issuers: dict[str, t.Any]) -> Authority | None:
    """Return the private CA of an issuer, None for issuers of other types.

    issuers: the value of certificate_issuers. Hosts may have certificates of another private CA of it, which has the same name by default.
    """
    if not isinstance(issuer, LocalCa):
        return None
    other_keys: set[bytes] = set()
    for name, settings in {**BUILT_IN, **issuers}.items():
        if name != issuer.issuer and isinstance(settings, dict) and settings.get("type") == "local_ca":
            try:
                other = open_issuer(name, issuers)
                other_keys |= other.key_identifiers() if isinstance(other, LocalCa) else set()
            except (TlsError, OSError):  # whoever needs that one is told
                continue
    return Authority(issuer, issuer.absence(), frozenset(other_keys))


def refusals(observations: t.Sequence[Observed]) -> list[str | None]:
    """Return for each observation why nothing is done about it, since this controller has not the CA; None where it may be."""
    serving: dict[tuple[str, str], set[str]] = {}
    for host, authority, certificate, _is_fine in observations:
        if authority and certificate is not None and authority.has_signed_elsewhere(certificate):
            serving.setdefault(_key(authority), set()).add(host)
    return [_refusal(one, len(serving.get(_key(one.authority), ()))) if one.authority else None for one in observations]


def why_not_issue(authority: Authority, targets: t.Iterable[Target]) -> str | None:
    """Return why a private CA issues nothing for a request: an endpoint of it serves a certificate of another CA of this name.

    Each address is looked at once. An endpoint that cannot be seen says nothing.
    """
    deadline = time.monotonic() + LOOK_TIMEOUT_S
    endpoints = {(address, port): domain for address, port, domain in targets}
    for (address, port), domain in endpoints.items():
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            chain, _protocol = handshake(address, port, domain, verify=False, timeout=left)
            is_of_another = authority.has_signed_elsewhere(chain[0])
        except Exception:  # whatever an endpoint presents, it keeps nothing from being issued
            continue
        if is_of_another:
            ca = authority.ca
            return other_authority_sentence(ca.issuer, ca.directory, ca.root_name(), 1)
    return None


def _refusal(observed: Observed, serving: int) -> str | None:
    authority, certificate = observed.authority, observed.certificate
    if authority is None or observed.is_fine or not serving:
        return None
    ca = authority.ca
    if authority.absence:
        return absence_sentence(ca.issuer, authority.absence, bool(ca.root), serving)
    if certificate is not None and authority.has_signed_elsewhere(certificate):
        return other_authority_sentence(ca.issuer, ca.directory, ca.root_name(), serving)
    return None


def _key(authority: Authority) -> tuple[str, str]:
    return authority.ca.issuer, authority.ca.directory
