# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that sends its certificate without the CA that signed it."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    is_self_issued,
    issuer_name,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import authority_key_identifier

if t.TYPE_CHECKING:
    from cryptography import x509


def missing_ca_sentence(chain: list[x509.Certificate], issuer: Issuer) -> str | None:
    """Return what to do where a server sends nothing but a certificate that an intermediate CA signed; None where it sends more.

    The certificate need not be issued again: the store of its host holds the CA as well, in fullchain.pem.
    A certificate of a private CA that this controller has not is another matter, and None.
    """
    if len(chain) != 1 or is_self_issued(chain[0]):
        return None
    ca = issuer_name(chain[0])
    served = f"the server sends the certificate alone, without {ca}, which signed it"
    serve = "serve fullchain.pem (ssl_certificate of nginx)"
    if not isinstance(issuer, LocalCa):
        return f"{served}; {serve}; if {ca} is no CA of its issuer, have it issued again"
    if authority_key_identifier(chain[0]) not in issuer.key_identifiers():
        return None
    return f"{served}; {serve}, not cert.pem"
