# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keystores (PKCS #12, RFC 7292): a private key with its chain, under a password and a friendly name.

No two of them are alike, since their salts are made up. What is in one is found by opening it, and how it is encrypted
and what its key is called by reading what stands around that: no version of the library tells the former, and old ones not the latter.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    BMP_STRING,
    EXPLICIT_0,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Element,
    children,
    elements,
    integer,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    import cryptography
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.serialization import pkcs12
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

# What encrypts and authenticates a keystore, by the words of the option: the names in the library, and what is found in the file.
ENCRYPTIONS = {
    "modern": ("PBESv2SHA256AndAES256CBC", "SHA256", frozenset({"AES-256-CBC", "SHA-256"})),
    "legacy": ("PBESv1SHA1And3KeyTripleDESCBC", "SHA1", frozenset({"3DES-CBC", "SHA-1"})),
}
MAX_ITERATIONS = 1_000_000  # of what turns a password into a key; more take a long time to open

DATA = bytes.fromhex("2a864886f70d010701")
ENCRYPTED_DATA = bytes.fromhex("2a864886f70d010706")
SHROUDED_KEY = bytes.fromhex("2a864886f70d010c0a0102")
FRIENDLY_NAME = bytes.fromhex("2a864886f70d010914")
PBES2 = bytes.fromhex("2a864886f70d01050d")
ALGORITHMS = {
    bytes.fromhex("2a864886f70d010c0103"): "3DES-CBC",
    bytes.fromhex("2a864886f70d010c0106"): "RC2-40-CBC",
    bytes.fromhex("60864801650304012a"): "AES-256-CBC",
    bytes.fromhex("608648016503040102"): "AES-128-CBC",
    bytes.fromhex("2a864886f70d0307"): "3DES-CBC of PBES2",
    bytes.fromhex("2a864886f70d0207"): "SHA-1",
    bytes.fromhex("2a864886f70d0209"): "SHA-256",
    bytes.fromhex("2b0e03021a"): "SHA-1",
    bytes.fromhex("608648016503040201"): "SHA-256",
}


class KeystoreInfo(t.NamedTuple):
    """What a keystore shows to those who do not know its password."""

    algorithms: frozenset[str]
    iterations: int
    friendly_name: str | None


# not a parser: it reads what the collection has made or checked
def make_keystore(key, chain: list, password: str, friendly_name: str, encryption: str) -> bytes:
    """Return a keystore with a key and its chain, the leaf first; *encryption* is C(modern) or C(legacy)."""
    scheme, digest, algorithms = ENCRYPTIONS[encryption]
    if hasattr(serialization.PrivateFormat, "PKCS12"):
        protection = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .key_cert_algorithm(getattr(pkcs12.PBES, scheme))
            .hmac_hash(getattr(hashes, digest)())
            .build(password.encode())
        )
    else:  # before cryptography 38, which had one way
        protection = serialization.BestAvailableEncryption(password.encode())
    try:
        der = pkcs12.serialize_key_and_certificates(friendly_name.encode(), key, chain[0], chain[1:], protection)
    except (TypeError, ValueError, UnsupportedAlgorithm, InternalError) as error:
        raise TlsError(
            f"cryptography {cryptography.__version__} of this host cannot write this key as PKCS #12 ({error}); "
            "choose type: ECC or RSA for the request, or install a newer python3-cryptography"
        ) from error
    seen = inspect_keystore(der)
    if seen is None or seen.algorithms != algorithms:
        other = "legacy" if encryption == "modern" else "modern"
        raise TlsError(
            f"cryptography {cryptography.__version__} of this host cannot write PKCS #12 with {encryption} encryption; "
            f"write encryption: {other}, or install python3-cryptography 38 or later"
        )
    return der


def keystore_difference(der: bytes, key, chain: list, password: str, friendly_name: str, encryption: str) -> str | None:
    """Say in what a keystore differs from what make_keystore() would make of the same, or return None where it does not."""
    seen = inspect_keystore(der)
    if seen is None:
        return "it is no PKCS #12 that can be read"
    if seen.algorithms != ENCRYPTIONS[encryption][2]:
        return f"it is encrypted with {' and '.join(sorted(seen.algorithms)) or 'nothing'}, and {encryption} encryption is wanted"
    if seen.iterations > MAX_ITERATIONS:
        return "it would take minutes to open"
    if seen.friendly_name != friendly_name:
        return f"its friendly name is {seen.friendly_name!r}"
    try:
        found, leaf, others = pkcs12.load_key_and_certificates(der, password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        return "it has another password, or is damaged"
    certificates = sorted(_der(one) for one in [leaf, *others] if one is not None)
    if found is None or public_bytes(found.public_key()) != public_bytes(key.public_key()):
        return "it holds another key"
    if leaf is None or _der(leaf) != _der(chain[0]) or certificates != sorted(map(_der, chain)):
        return "it holds another certificate"
    return None


def inspect_keystore(der: bytes) -> KeystoreInfo | None:
    """Return how a keystore is encrypted, and what its key is called, or None for what is no keystore."""
    try:
        return _outside(der)
    except ValueError:  # also for a sequence that has more or less in it than it should
        return None


def _outside(der: bytes) -> KeystoreInfo:
    (pfx,) = elements(der)
    _version, safe, *mac = children(pfx, SEQUENCE)
    algorithms, most, friendly_name = set(), 0, None
    for part in children(_content(safe), SEQUENCE):
        kind, content = children(part, SEQUENCE)
        if kind == (OBJECT_IDENTIFIER, ENCRYPTED_DATA):
            (encrypted,) = children(content, EXPLICIT_0)
            _version, information, *_rest = children(encrypted, SEQUENCE)
            _kind, algorithm, *_rest = children(information, SEQUENCE)
            found = [_algorithms(algorithm)]
        else:
            found = []
            for bag in children(_content(part), SEQUENCE):
                kind, content, *attributes = children(bag, SEQUENCE)
                if kind != (OBJECT_IDENTIFIER, SHROUDED_KEY):
                    found.append(({"nothing"}, 0))
                    continue
                (shrouded,) = children(content, EXPLICIT_0)
                found.append(_algorithms(children(shrouded, SEQUENCE)[0]))
                friendly_name = _friendly_name(attributes)
        for names, iterations in found:
            algorithms |= names
            most = max(most, iterations)
    for element in mac:
        information, _salt, *iterations = children(element, SEQUENCE)
        algorithm, _digest = children(information, SEQUENCE)
        algorithms.add(_name(children(algorithm, SEQUENCE)))
        most = max([most, *map(integer, iterations)])
    return KeystoreInfo(frozenset(algorithms), most, friendly_name)


def _content(part: Element) -> Element:
    """Return the one element in a part with content that is not encrypted."""
    kind, content = children(part, SEQUENCE)
    (octets,) = children(content, EXPLICIT_0)
    if octets[0] != OCTET_STRING or kind != (OBJECT_IDENTIFIER, DATA):
        raise ValueError(kind)
    (element,) = elements(octets[1])
    return element


def _algorithms(algorithm: Element) -> tuple[set[str], int]:
    """Return the names of what encrypts, and how often the password is hashed for it."""
    kind, parameters = children(algorithm, SEQUENCE)
    if kind != (OBJECT_IDENTIFIER, PBES2):
        _salt, iterations = children(parameters, SEQUENCE)
        return {_name([kind])}, integer(iterations)
    derivation, scheme = children(parameters, SEQUENCE)
    _kind, inner = children(derivation, SEQUENCE)
    _salt, iterations, *rest = children(inner, SEQUENCE)
    digests = [_name(children(one, SEQUENCE)) for one in rest if one[0] == SEQUENCE] or ["SHA-1"]  # RFC 8018, A.2
    return {_name(children(scheme, SEQUENCE)), *digests}, integer(iterations)


def _friendly_name(attributes: list[Element]) -> str | None:
    for one in attributes:
        for attribute in children(one, SET):
            kind, values = children(attribute, SEQUENCE)
            if kind == (OBJECT_IDENTIFIER, FRIENDLY_NAME):
                ((tag, value),) = children(values, SET)
                return value.decode("utf-16-be") if tag == BMP_STRING else None
    return None


def _name(identifier: list[Element]) -> str:
    tag, value = identifier[0] if identifier else (0, b"")
    if tag != OBJECT_IDENTIFIER:
        raise ValueError(tag)
    return ALGORITHMS.get(value, "an algorithm that is not known here")


def _der(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
