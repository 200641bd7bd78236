# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private keys: made, written, read and described."""

from __future__ import annotations

import binascii
import contextlib
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import INTEGER, descendants
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.password_work import password_work
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, is_failure
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request

try:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

MAX_INTEGER_BYTES = 1025  # the modulus of RSA with 8192 bits
MAX_PASSPHRASE_WORK = 20_000_000  # iterations; programs write 2 048 to 1 000 000
MAX_KEY_DEPTH = 4  # levels of DER at which the integers of a private key in PKCS #8 are


def make_key(request: Request) -> bytes:
    """Return a new private key in PEM (PKCS #8), as C(type), C(size) and C(curve) of the request say."""
    key: PrivateKeyTypes
    if request["type"] == "RSA":
        key = rsa.generate_private_key(public_exponent=65537, key_size=request["size"])
    elif request["type"] == "ECC":
        key = ec.generate_private_key(getattr(ec, request["curve"].upper())())
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    return write_key(key)


def write_key(key: PrivateKeyTypes, passphrase: bytes | None = None) -> bytes:
    """Return a private key in PEM (PKCS #8), encrypted where there is a passphrase."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def load_key(pem: bytes, where: str = "the private key", passphrase: bytes | None = None) -> PrivateKeyTypes:
    """Return the private key in PEM.

    where: the source of the key, for the sentence of the TlsError if it cannot be read.
    """
    try:
        return open_key(pem, passphrase)
    except TypeError as error:
        if passphrase:
            raise TlsError(
                f"{where} is not encrypted, though a passphrase lies beside it; move it away to have a new one made"
            ) from error
        raise TlsError(f"{where} is protected by a passphrase; put an unprotected key there") from error
    except (
        BaseException
    ) as error:  # the library raises what it does not document, for an Ed25519 key of another size say
        if not is_failure(error):
            raise
        beside = " with the passphrase beside it" if passphrase else ""
        raise TlsError(
            f"{where} holds no private key that can be read{beside}; move it away to have a new one made"
        ) from error


def open_key(content: bytes, passphrase: bytes | None = None, is_text: bool = True) -> PrivateKeyTypes:
    """Return the private key in PEM, or in DER unless it is text.

    Raises what the library raises. Raises ValueError for an integer so long that the library would check it for hours.
    """
    ders = _pem_to_ders(content) if is_text else [content]
    if any(longest_integer(der) > MAX_INTEGER_BYTES for der in ders):
        raise ValueError("OpenSSL would look for hours whether such a number is prime")
    if passphrase and any(password_work(der) > MAX_PASSPHRASE_WORK for der in ders):
        raise ValueError("the passphrase would take minutes")
    load = serialization.load_pem_private_key if is_text else serialization.load_der_private_key
    return load(content, passphrase)


def longest_integer(der: bytes) -> int:
    """Return the bytes of the longest INTEGER of a private key; 0 for an encrypted key, and for no key."""
    lengths = (len(element.value) for _before, element in descendants(der, MAX_KEY_DEPTH) if element.tag == INTEGER)
    return max(lengths, default=0)


def _pem_to_ders(pem: bytes) -> list[bytes]:
    """Return the content of the private keys in PEM, as far as it is Base64."""
    ders = []
    for body in re.findall(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)(?:-----END|\Z)", pem, re.DOTALL):
        for part in re.split(rb"\n\s*\n", body):  # headers stand before an empty line
            with contextlib.suppress(ValueError):
                ders.append(binascii.a2b_base64(part))
    return ders


def describe_key(public_key: PublicKeyTypes) -> str:
    """Return the type of a key with its size or curve, in the words of the options.

    >>> describe_key(load_key(make_key({"type": "ECC", "curve": "secp256r1"})).public_key())
    'ECC secp256r1'
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA {public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return f"ECC {public_key.curve.name}"
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return type(public_key).__name__.lstrip("_")


def describe_requested_key(request: Request) -> str:
    """Return the type of the key that a request asks for, in the words of describe_key()."""
    return {"RSA": f"RSA {request['size']}", "ECC": f"ECC {request['curve']}"}.get(request["type"], request["type"])


def public_bytes(public_key: PublicKeyTypes) -> bytes:
    """Return the SubjectPublicKeyInfo of a key in DER: two keys are the same when these bytes are."""
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_pem(public_key: PublicKeyTypes) -> bytes:
    """Return the SubjectPublicKeyInfo of a key in PEM."""
    return public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
