# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Piles of certificates, as CAs deliver them, and the chain in a pile."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils.chains import is_authority, is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.keys import public_bytes


def order_chain(certificates: list, public_key, roots: list) -> list:
    """Return the chain of *public_key* out of a pile: leaf first, no duplicates, no strangers, no root.

    Raises TlsError when no certificate belongs to the key.
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
    chain = leaves[:1]
    while True:
        last = chain[-1]
        if any(is_signed_by(last, root) for root in roots):
            return chain
        above = [
            other for other in certificates if other not in chain and is_authority(other) and is_signed_by(last, other)
        ]
        if not above or above[0].subject == above[0].issuer:
            return chain
        chain.append(above[0])
