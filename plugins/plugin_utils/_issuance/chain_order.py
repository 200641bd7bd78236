# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the chain out of the certificates that a CA sent, in whatever order and number."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import is_ca
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    NO_CROSS_SIGNING,
    CrossSigning,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.signatures import (
    MAX_CHAIN_LENGTH,
    SignatureChecks,
    has_same_ca,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


def order_chain(
    certificates: list[x509.Certificate],
    public_key: PublicKey,
    roots: list[x509.Certificate],
    cross_signing: CrossSigning = NO_CROSS_SIGNING,
) -> list[x509.Certificate]:
    """Return the chain of *public_key* out of the certificates that a CA sent, leaf first.

    Each certificate is signed by the next. The root, duplicates and unrelated certificates are left out.
    CAs that sign each other allow several chains. The shortest to a preferred root is returned, else the shortest to any of the
    *roots*, else the longest; the last two are extended by C(chain_extra). No chain has more than MAX_CHAIN_LENGTH certificates.
    Raises TlsError when no certificate has the key, or the certificates are such that too many signatures are to be checked.
    """
    is_signed_by = SignatureChecks()
    leaves = [one for one in certificates if public_bytes(one.public_key()) == public_bytes(public_key)]
    if not leaves:
        raise TlsError(
            "no certificate in the answer belongs to the key of the request; have the same request issued again"
        )
    authorities = [one for one in dict.fromkeys([*certificates, *cross_signing.extra]) if _may_sign(one)]
    known = [*roots, *(one for one in authorities if one.subject == one.issuer)]
    candidates = [one for one in authorities if one.subject != one.issuer]
    chains, trusted = [leaves[:1]], []
    for chain in chains:  # breadth first: longer chains are appended meanwhile
        last = chain[-1]
        if cross_signing.is_below_preferred_root(last, known, is_signed_by):
            return chain
        if any(is_signed_by(last, root) for root in roots):
            trusted.append(chain)
            if not cross_signing.roots:
                break
        if len(chain) == MAX_CHAIN_LENGTH:
            continue
        uppers = [one for one in candidates if is_signed_by(last, one) and not has_same_ca(chain, one)]
        chains += [[*chain, one] for one in uppers]
        candidates = [one for one in candidates if one not in uppers]
    return cross_signing.extend_chain(trusted[0] if trusted else max(chains, key=len), known, is_signed_by)


def _may_sign(certificate: x509.Certificate) -> bool:
    """Say whether a certificate is one of a CA, as far as its extensions can be read."""
    try:
        return is_ca(certificate)
    except TlsError:
        return False
