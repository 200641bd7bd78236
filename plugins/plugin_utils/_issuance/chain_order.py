# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Piles of certificates, as CAs deliver them, and the chain in a pile."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import is_authority, is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import (
    NO_CROSS_SIGNING,
    CrossSigning,
)


def order_chain(certificates: list, public_key, roots: list, cross_signing: CrossSigning = NO_CROSS_SIGNING) -> list:
    """Return the chain of *public_key* out of a pile: leaf first, no duplicates, no strangers, no root.

    CAs that certify each other make several ways: the shortest that leads to the preferred root is taken, or to any root, else
    the longest that there is. What the issuer adds comes after it. Raises TlsError when no certificate belongs to the key.
    """
    leaves = [
        certificate
        for certificate in certificates
        if public_bytes(certificate.public_key()) == public_bytes(public_key)
    ]
    if not leaves:
        raise TlsError(
            "no certificate in the answer belongs to the key of the request; have the same request issued again"
        )
    pile = [one for one in dict.fromkeys([*certificates, *cross_signing.extra]) if is_authority(one)]
    known = [*roots, *(one for one in pile if one.subject == one.issuer)]
    authorities = [one for one in pile if one.subject != one.issuer]
    ways, trusted = [leaves[:1]], []
    for way in ways:  # it grows meanwhile, by ways that are one longer
        last = way[-1]
        if cross_signing.leads(last, known):
            return way
        if any(is_signed_by(last, root) for root in roots):
            trusted.append(way)
            if not cross_signing.roots:
                break
        above = [one for one in authorities if one != leaves[0] and is_signed_by(last, one)]
        ways += [[*way, one] for one in above]
        authorities = [one for one in authorities if one not in above]
    return cross_signing.extended(trusted[0] if trusted else max(ways, key=len), known)
