# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much work a password takes before anybody knows whether it opens a key or a keystore, seen before it is tried."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    Element,
    descendants,
    integer,
)

MAX_DER_DEPTH = 32
SCRYPT = Element(OBJECT_IDENTIFIER, bytes.fromhex("2b06010401da47040b"))  # RFC 7914, section 7
MAX_WORK = 2**62


def password_work(der: bytes) -> int:
    """Return the iterations of a password in all parts of a key (PKCS #8) or keystore (PKCS #12), in DER or BER.

    They stand behind a salt (RFC 7292, appendix C; RFC 8018, appendix A). For scrypt it is the product of its parameters, at least.
    Raises ValueError for more elements than are looked at.
    """
    iterations, product, has_scrypt = 0, 1, False
    for before, element in descendants(der, MAX_DER_DEPTH):
        has_scrypt = has_scrypt or element == SCRYPT
        if element.tag == INTEGER and before is not None:
            number = integer(element)
            product = min(product * max(number, 1), MAX_WORK)
            iterations += number if before.tag == OCTET_STRING else 0
    return max(iterations, product) if has_scrypt else iterations
