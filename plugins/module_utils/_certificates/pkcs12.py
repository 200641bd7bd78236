# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keystores (PKCS #12, RFC 7292): a private key with its chain, under a password and a friendly name.

No two of them are alike, since their salts are made up. What is in one is found by opening it, and how it is encrypted
and what its key is called by reading what stands around that: no version of the library tells the former, and old ones not the latter.
"""

from __future__ import annotations

import typing as t

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
MOST_ITERATIONS = 1_000_000  # of what turns a password into a key; more take a long time to open

SEQUENCE, SET, INTEGER, OCTETS, IDENTIFIER, BMP_STRING, EXPLICIT = 0x30, 0x31, 0x02, 0x04, 0x06, 0x1E, 0xA0
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


class Outside(t.NamedTuple):
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
    seen = outside(der)
    if seen is None or seen.algorithms != algorithms:
        other = "legacy" if encryption == "modern" else "modern"
        raise TlsError(
            f"cryptography {cryptography.__version__} of this host cannot write PKCS #12 with {encryption} encryption; "
            f"write encryption: {other}, or install python3-cryptography 38 or later"
        )
    return der


def difference(der: bytes, key, chain: list, password: str, friendly_name: str, encryption: str) -> str | None:
    """Say in what a keystore differs from what make_keystore() would make of the same, or return None where it does not."""
    seen = outside(der)
    if seen is None:
        return "it is no PKCS #12 that can be read"
    if seen.algorithms != ENCRYPTIONS[encryption][2]:
        return f"it is encrypted with {' and '.join(sorted(seen.algorithms)) or 'nothing'}, and {encryption} encryption is wanted"
    if seen.iterations > MOST_ITERATIONS:
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


def outside(der: bytes) -> Outside | None:
    """Return how a keystore is encrypted, and what its key is called, or None for what is no keystore."""
    try:
        return _outside(der)
    except ValueError:  # also for a sequence that has more or less in it than it should
        return None


def _outside(der: bytes) -> Outside:
    (pfx,) = _elements(der)
    _version, safe, *mac = _inside(pfx, SEQUENCE)
    algorithms, most, friendly_name = set(), 0, None
    for part in _inside(_content(safe)[1], SEQUENCE):
        kind, content = _inside(part, SEQUENCE)
        if kind == (IDENTIFIER, ENCRYPTED_DATA):
            (encrypted,) = _inside(content, EXPLICIT)
            _version, information, *_rest = _inside(encrypted, SEQUENCE)
            _kind, algorithm, *_rest = _inside(information, SEQUENCE)
            found = [_algorithms(algorithm)]
        else:
            found = []
            for bag in _inside(_content(part)[1], SEQUENCE):
                kind, content, *attributes = _inside(bag, SEQUENCE)
                if kind != (IDENTIFIER, SHROUDED_KEY):
                    found.append(({"nothing"}, 0))
                    continue
                (shrouded,) = _inside(content, EXPLICIT)
                found.append(_algorithms(_inside(shrouded, SEQUENCE)[0]))
                friendly_name = _friendly_name(attributes)
        for names, iterations in found:
            algorithms |= names
            most = max(most, iterations)
    for element in mac:
        information, _salt, *iterations = _inside(element, SEQUENCE)
        algorithm, _digest = _inside(information, SEQUENCE)
        algorithms.add(_name(_inside(algorithm, SEQUENCE)))
        most = max([most, *map(_number, iterations)])
    return Outside(frozenset(algorithms), most, friendly_name)


def _content(part: tuple[int, bytes]) -> tuple[bytes, tuple[int, bytes]]:
    """Return the kind of a part with content that is not encrypted, and the one element in it."""
    kind, content = _inside(part, SEQUENCE)
    (octets,) = _inside(content, EXPLICIT)
    if octets[0] != OCTETS or kind != (IDENTIFIER, DATA):
        raise ValueError(kind)
    (element,) = _elements(octets[1])
    return kind[1], element


def _algorithms(algorithm: tuple[int, bytes]) -> tuple[set[str], int]:
    """Return the names of what encrypts, and how often the password is hashed for it."""
    kind, parameters = _inside(algorithm, SEQUENCE)
    if kind != (IDENTIFIER, PBES2):
        _salt, iterations = _inside(parameters, SEQUENCE)
        return {_name([kind])}, _number(iterations)
    derivation, scheme = _inside(parameters, SEQUENCE)
    _kind, inner = _inside(derivation, SEQUENCE)
    _salt, iterations, *rest = _inside(inner, SEQUENCE)
    digests = [_name(_inside(one, SEQUENCE)) for one in rest if one[0] == SEQUENCE] or ["SHA-1"]  # RFC 8018, A.2
    return {_name(_inside(scheme, SEQUENCE)), *digests}, _number(iterations)


def _friendly_name(attributes: list[tuple[int, bytes]]) -> str | None:
    for one in attributes:
        for attribute in _inside(one, SET):
            kind, values = _inside(attribute, SEQUENCE)
            if kind == (IDENTIFIER, FRIENDLY_NAME):
                ((tag, value),) = _inside(values, SET)
                return value.decode("utf-16-be") if tag == BMP_STRING else None
    return None


def _name(elements: list[tuple[int, bytes]]) -> str:
    tag, value = elements[0] if elements else (0, b"")
    if tag != IDENTIFIER:
        raise ValueError(tag)
    return ALGORITHMS.get(value, "an algorithm that is not known here")


def _number(element: tuple[int, bytes]) -> int:
    if element[0] != INTEGER:
        raise ValueError(element[0])
    return int.from_bytes(element[1], "big")


def _inside(element: tuple[int, bytes], tag: int) -> list[tuple[int, bytes]]:
    """Return the elements of one that has to have this tag."""
    if element[0] != tag:
        raise ValueError(element[0])
    return _elements(element[1])


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Return tag and value of each element of DER. Raises ValueError for anything else, BER with open ends among it."""
    found, at = [], 0
    while at < len(der):
        head = der[at : at + 2]
        if len(head) < 2 or head[1] == 0x80:
            raise ValueError(at)
        length, start = head[1], at + 2
        if length > 0x80:
            count = length & 0x7F
            length, start = int.from_bytes(der[start : start + count], "big"), start + count
        at = start + length
        if at > len(der):
            raise ValueError(at)
        found.append((head[0], der[start:at]))
    return found


def _der(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
