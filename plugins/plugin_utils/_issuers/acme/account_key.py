# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key of an ACME account: made on first use, closed to others, or out of a variable (a vault)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import open_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file, replace_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import State

try:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

FILE = "account.key"
NEXT = "account.key.next"  # while the accounts change over to it
CURVES = {"secp256r1": ("P-256", 32), "secp384r1": ("P-384", 48)}


class AccountKeys:
    """The key of the accounts in a folder, and the one that is to follow it while it is being replaced."""

    def __init__(self, state: State, given: str | None = None) -> None:
        self.state, self.given = state, given

    # not a parser: it reads what the collection has made or checked
    def current(self) -> t.Any:
        """Return the private key, once it is made."""
        if self.given:
            return _usable(self.given.encode(), "account_key of the issuer")
        if not os.path.exists(self._path(FILE)):
            with self.state.locked("account"):
                if not os.path.exists(self._path(FILE)):  # another fork was faster
                    self._make(FILE)
        return self._load(FILE)

    def is_there(self) -> bool:
        """Say whether there is a key already."""
        return bool(self.given) or os.path.exists(self._path(FILE))

    def following(self) -> t.Any:
        """Return the private key that is to follow; a change that was interrupted goes on with the one it made."""
        self._refuse_given()
        if not os.path.exists(self._path(NEXT)):
            self._make(NEXT)
        return self._load(NEXT)

    def all(self) -> list[t.Any]:
        """Return the keys that accounts may have by now."""
        return [self.current(), *([self._load(NEXT)] if not self.given and os.path.exists(self._path(NEXT)) else [])]

    def change(self) -> None:
        """Put the following key in the place of the present one."""
        self._refuse_given()
        os.replace(self._path(NEXT), self._path(FILE))

    def _refuse_given(self) -> None:
        if self.given:
            raise TlsError(
                "the account key is the variable account_key of the issuer, which nothing here can change; leave it out, put the key into "
                f"{self._path(FILE)} with mode 0600, and change it there"
            )

    def _make(self, name: str) -> None:
        self.state.make()
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        replace_file(self._path(name), pem, mode=0o600)

    def _load(self, name: str) -> t.Any:
        path = self._path(name)
        if os.stat(path).st_mode & 0o077:
            raise TlsError(
                f"{path} can be read by others; whoever did can have certificates for your names. Run chmod 0600 on it, and change the key"
            )
        return _usable(read_file(path) or b"", path)

    def _path(self, name: str) -> str:
        return os.path.join(self.state.path, name)


def thumbprint(key: t.Any) -> str:
    """Return the thumbprint of a private key's public part (RFC 7638), which answers challenges by HTTP."""
    canonical = json.dumps(_public(key), sort_keys=True, separators=(",", ":")).encode()
    return base64url(hashlib.sha256(canonical).digest())


def base64url(content: bytes) -> str:
    """Return bytes as JOSE and ACME write them."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _public(key: t.Any) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    if hasattr(numbers, "n"):
        return {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
    name, size = CURVES[key.curve.name]
    return {"crv": name, "kty": "EC", "x": _number(numbers.x, size), "y": _number(numbers.y, size)}


def _number(value: int, size: int | None = None) -> str:
    return base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _usable(pem: bytes, what: str) -> t.Any:
    try:
        key = open_key(pem)
    except TypeError as error:
        raise TlsError(f"{what} is protected by a passphrase; write it without one, into a vault") from error
    except (ValueError, UnsupportedAlgorithm, InternalError) as error:
        raise TlsError(f"{what} holds no private key in PEM that can be read; restore it from a backup") from error
    fits = isinstance(key, rsa.RSAPrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES
    )
    if not fits:
        raise TlsError(
            f"{what} is neither an RSA key nor an ECC key on secp256r1 or secp384r1, which ACME servers accept; use one of these"
        )
    return key
