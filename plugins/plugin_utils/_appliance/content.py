# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contents of the files of an appliance."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import write_key
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.pkcs12 import make_keystore
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import ApplianceFile
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.appliance import CONTENTS_WITH_KEY

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

READABLE_CONTENTS = ("fullchain", "cert")  # those that hold the certificate, and no key


def file_content(file: ApplianceFile, chain: list[x509.Certificate], key: PrivateKeyTypes, name: str) -> bytes:
    """Return what a file of an appliance holds.

    chain: the leaf first. name: of the certificate request, the friendly name of a keystore.
    """
    content = file["content"]
    if content == "pkcs12":
        return make_keystore(key, chain, file["password"] or "", name, file["encryption"])
    if content == "key":
        return write_key(key)
    if content == "combined":
        return to_pem(chain) + write_key(key)
    return to_pem({"fullchain": chain, "cert": chain[:1], "chain": chain[1:]}[content])


# not a parser: it reads what the collection has made or checked
def file_mode(file: ApplianceFile) -> int:
    """Return the mode that a file gets."""
    default = "0600" if file["content"] in CONTENTS_WITH_KEY else "0644"
    return int(file["mode"] or default, 8)
