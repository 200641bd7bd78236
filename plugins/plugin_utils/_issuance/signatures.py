# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The signatures that are checked while a chain is built out of certificates of strangers: each once, and not too many."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    has_issuer,
    subject_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_SIGNATURE_CHECKS = 1000  # for one chain; honest answers take ten
MAX_CHAIN_LENGTH = 8  # certificates

SignedBy = t.Callable[["x509.Certificate", "x509.Certificate"], bool]  # with the arguments of is_signed_by()


class SignatureChecks:
    """is_signed_by() with a memory and a limit. An instance is called as that function is."""

    def __init__(self, limit: int = MAX_SIGNATURE_CHECKS) -> None:
        self.left = limit
        self._known: dict[tuple[x509.Certificate, x509.Certificate], bool] = {}

    def __call__(self, certificate: x509.Certificate, ca: x509.Certificate) -> bool:
        """Say whether the key of *ca* made the signature of a certificate. Raises TlsError beyond the limit."""
        if not has_issuer(certificate, ca):
            return False
        pair = certificate, ca
        if pair not in self._known:
            self.left -= 1
            if self.left < 0:
                raise TlsError(
                    "there are so many CAs of the same names that their signatures are not all checked; "
                    "have the CA send one chain, and remove certificates of CAs that are not in it"
                )
            self._known[pair] = is_signed_by(certificate, ca)
        return self._known[pair]


def has_same_ca(chain: list[x509.Certificate], ca: x509.Certificate) -> bool:
    """Say whether a CA is in a chain, by its name and key. A chain in which one is twice goes in a circle."""
    return any(
        subject_of(one).canonical == subject_of(ca).canonical
        and public_bytes(one.public_key()) == public_bytes(ca.public_key())
        for one in chain
    )
