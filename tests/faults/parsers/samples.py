# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names, keys, signing requests and certificates that parsers are fed."""

from __future__ import annotations

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import (
    complete_request,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

NAMES = ["www.example.org", "*.shop.example", "192.0.2.1"]
KEY = some_key()
ROOT = Authority("Fed Root CA")
ISSUING = Authority("Fed Issuing CA", above=ROOT)
CHAIN = ISSUING.chain(NAMES, KEY)
CSR = make_csr(KEY, NAMES, {})
REQUEST = complete_request(
    ArgumentSpecValidator(REQUEST_SPEC["options"]).validate({"name": "www", "domains": NAMES}).validated_parameters
)
PEM = to_pem(CHAIN)
DER = tuple(one.public_bytes(Encoding.DER) for one in (*CHAIN, ROOT.certificate))
KEYS = tuple(key_pem(some_key(0, kind)) for kind in ("ECC", "RSA", "Ed25519"))
OTHER_KEYS = tuple(
    some_key(0, kind).private_bytes(Encoding.PEM, form, protection)
    for kind, form, protection in (
        ("RSA", PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        ("ECC", PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        ("ECC", PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")),
        ("ECC", PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
    )
)
CSRS = (
    CSR,
    make_csr(some_key(0, "Ed25519"), NAMES, {}),
    make_csr(some_key(0, "RSA"), NAMES, {"organization_name": "Évergreen"}),
)
