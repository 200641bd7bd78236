# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key of the ACME accounts.

It is generated on first use, with mode 0600, or comes from a variable (a vault).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import open_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file, replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords

try:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

AccountKey = t.Union["rsa.RSAPrivateKey", "ec.EllipticCurvePrivateKey"]

KEY_FILE = "account.key"
NEXT_KEY_FILE = "account.key.next"  # while the accounts change over to it
CURVES = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48)}  # name in a JWK (RFC 7518), bytes of a coordinate


class AccountKeys:
    """The key of the accounts in a folder, and the next one while it is being replaced."""

    def __init__(self, folder: JsonRecords, configured_pem: str | None = None) -> None:
        """Take the folder, and the setting account_key if there is one."""
        self.folder, self.configured_pem = folder, configured_pem

    # not a parser: it reads what the collection has made or checked
    def current(self) -> AccountKey:
        """Return the private key. It is generated if there is none."""
        if self.configured_pem:
            return load_account_key(self.configured_pem.encode(), "account_key of the issuer")
        if not os.path.lexists(self._path(KEY_FILE)):
            with self.folder.locked("account"):
                if not os.path.lexists(self._path(KEY_FILE)):  # another fork was faster
                    self._generate(KEY_FILE)
        return self._load(KEY_FILE)

    def has_key(self) -> bool:
        """Say whether there is a key already. A link that leads nowhere counts: then the key is elsewhere, and no other one is made."""
        return bool(self.configured_pem) or os.path.lexists(self._path(KEY_FILE))

    def next(self) -> AccountKey:
        """Return the next private key. A change that was interrupted continues with the key that it generated."""
        self._refuse_configured()
        if not os.path.lexists(self._path(NEXT_KEY_FILE)):
            self._generate(NEXT_KEY_FILE)
        return self._load(NEXT_KEY_FILE)

    def all(self) -> list[AccountKey]:
        """Return the keys that accounts may have: the current one, and the next one during a change."""
        return [
            self.current(),
            *(
                [self._load(NEXT_KEY_FILE)]
                if not self.configured_pem and os.path.lexists(self._path(NEXT_KEY_FILE))
                else []
            ),
        ]

    def change(self) -> None:
        """Replace the current key by the next one."""
        self._refuse_configured()
        os.replace(self._path(NEXT_KEY_FILE), self._path(KEY_FILE))

    def _refuse_configured(self) -> None:
        if self.configured_pem:
            raise TlsError(
                "the account key is the variable account_key of the issuer, which nothing here can change; leave it out, put the key into "
                f"{self._path(KEY_FILE)} with mode 0600, and change it there"
            )

    def _generate(self, name: str) -> None:
        self.folder.make_folder()
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        replace_file(self._path(name), pem, mode=0o600)

    def _load(self, name: str) -> AccountKey:
        path = self._path(name)
        if not os.path.exists(path):
            raise TlsError(
                f"{path} is a link that leads nowhere; bring back the key, or remove the link to have another one made"
            )
        if os.stat(path).st_mode & 0o077:
            raise TlsError(
                f"{path} can be read by others; whoever did can have certificates for your names. Run chmod 0600 on it, and change the key"
            )
        return load_account_key(read_file(path) or b"", path)

    def _path(self, name: str) -> str:
        return os.path.join(self.folder.path, name)


def thumbprint(key: AccountKey) -> str:
    """Return the thumbprint of the public key (RFC 7638).

    It is part of each key authorization (RFC 8555, section 8.1).
    """
    canonical = json.dumps(_public_jwk(key), sort_keys=True, separators=(",", ":")).encode()
    return base64url(hashlib.sha256(canonical).digest())


def base64url(content: bytes) -> str:
    """Return bytes in base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _public_jwk(key: AccountKey) -> dict[str, str]:
    """Return the public key as the required members of a JWK (RFC 7638, section 3.2)."""
    numbers = key.public_key().public_numbers()  # josepy wraps keys, and not their numbers
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
    name, size = CURVES[numbers.curve.name]
    return {"crv": name, "kty": "EC", "x": _number(numbers.x, size), "y": _number(numbers.y, size)}


def _number(value: int, size: int | None = None) -> str:
    return base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def load_account_key(pem: bytes, source: str) -> AccountKey:
    """Return a private key that ACME servers accept.

    *source* names it in the TlsError that is raised for others.
    """
    try:
        key = open_key(pem)
    except TypeError as error:
        raise TlsError(f"{source} is protected by a passphrase; write it without one, into a vault") from error
    except (ValueError, UnsupportedAlgorithm, InternalError) as error:
        raise TlsError(f"{source} holds no private key in PEM that can be read; restore it from a backup") from error
    if isinstance(key, rsa.RSAPrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return key
    raise TlsError(
        f"{source} is neither an RSA key nor an ECC key on secp256r1 or secp384r1, which ACME servers accept; use one of these"
    )
