# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keystores (PKCS #12, RFC 7292): a private key with its chain, under a password and a friendly name.

Salts differ, so no two keystores are equal. What is in one is known by opening it. Its encryption and the name of its key are read from the DER around:
no version of the library returns the former, and old versions not the latter.
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
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.pkcs12_openssl import (
    make_keystore_with_openssl,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, is_failure

try:
    import cryptography
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.serialization import pkcs12
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12PrivateKeyTypes

# By the values of the option: encryption and digest as the library calls them, and the algorithms that a file has then.
ENCRYPTIONS = {
    "modern": ("PBESv2SHA256AndAES256CBC", "SHA256", frozenset({"AES-256-CBC", "SHA-256"})),
    "legacy": ("PBESv1SHA1And3KeyTripleDESCBC", "SHA1", frozenset({"3DES-CBC", "SHA-1"})),
}
MAX_ITERATIONS = 1_000_000  # of the derivation of a key from a password; more take minutes

# Object identifiers in DER.

DATA = bytes.fromhex("2a864886f70d010701")
ENCRYPTED_DATA = bytes.fromhex("2a864886f70d010706")
SHROUDED_KEY = bytes.fromhex("2a864886f70d010c0a0102")
FRIENDLY_NAME = bytes.fromhex("2a864886f70d010914")
LOCAL_KEY_ID = bytes.fromhex("2a864886f70d010915")
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
    """What a keystore shows without its password."""

    algorithms: frozenset[str]
    iterations: int  # of all its parts together
    friendly_name: str | None
    has_local_key_id: bool  # of the key, by which clients find its certificate


# not a parser: it reads what the collection has made or checked
def make_keystore(
    key: PrivateKeyTypes, chain: list[x509.Certificate], password: str, friendly_name: str, encryption: str
) -> bytes:
    """Return a keystore in DER. Raises TlsError if the library cannot make it.

    chain: the leaf first.
    encryption: C(modern) or C(legacy).
    """
    scheme, digest, algorithms = ENCRYPTIONS[encryption]
    protection: serialization.KeySerializationEncryption
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
        der = pkcs12.serialize_key_and_certificates(
            friendly_name.encode(),
            t.cast("PKCS12PrivateKeyTypes", key),  # TypeError for others
            chain[0],
            chain[1:],
            protection,
        )
    except (TypeError, ValueError, UnsupportedAlgorithm, InternalError) as error:
        raise TlsError(
            f"cryptography {cryptography.__version__} of this host cannot write this key as PKCS #12 ({error}); "
            "choose type: ECC or RSA for the request, or install a newer python3-cryptography"
        ) from error
    info = inspect_keystore(der)
    if info is not None and not info.has_local_key_id:  # cryptography 43.0.0 to 43.0.3
        der = make_keystore_with_openssl(key, chain, password, friendly_name, encryption)
        info = inspect_keystore(der)
    if info is None or info.algorithms != algorithms:
        other = "legacy" if encryption == "modern" else "modern"
        raise TlsError(
            f"cryptography {cryptography.__version__} of this host cannot write PKCS #12 with {encryption} encryption; "
            f"write encryption: {other}, or install python3-cryptography 38 or later"
        )
    return der


def keystore_difference(
    der: bytes, key: PrivateKeyTypes, chain: list[x509.Certificate], password: str, friendly_name: str, encryption: str
) -> str | None:
    """Return how a keystore differs from that of make_keystore(), or None if it does not."""
    info = inspect_keystore(der)
    if info is None:
        return "it is no PKCS #12 that can be read"
    if info.algorithms != ENCRYPTIONS[encryption][2]:
        return f"it is encrypted with {' and '.join(sorted(info.algorithms)) or 'nothing'}, and {encryption} encryption is wanted"
    if info.iterations > MAX_ITERATIONS:
        return "it would take minutes to open"
    if not info.has_local_key_id:
        return "it has no localKeyID, by which some clients find the certificate of the key"
    if info.friendly_name != friendly_name:
        return f"its friendly name is {info.friendly_name!r}"
    try:
        stored_key, leaf, others = pkcs12.load_key_and_certificates(der, password.encode())
    except BaseException as error:
        if not is_failure(error):
            raise
        return "it has another password, or is damaged"
    certificates = sorted(_der(one) for one in [leaf, *others] if one is not None)
    if stored_key is None or public_bytes(stored_key.public_key()) != public_bytes(key.public_key()):
        return "it holds another key"
    if leaf is None or _der(leaf) != _der(chain[0]) or certificates != sorted(map(_der, chain)):
        return "it holds another certificate"
    return None


def inspect_keystore(der: bytes) -> KeystoreInfo | None:
    """Return how a keystore is encrypted, and what its key is called, or None for anything else."""
    try:
        return _read_pfx(der)
    except ValueError:  # also for a sequence that has more or less in it than it should
        return None


def _read_pfx(der: bytes) -> KeystoreInfo:
    """Read a PFX (RFC 7292, section 4)."""
    (pfx,) = elements(der)
    _version, auth_safe, *mac_data = children(pfx, SEQUENCE)
    schemes: list[tuple[set[str], int]] = []
    names: dict[bytes, Element] = {}
    for content_info in children(_data(auth_safe), SEQUENCE):
        content_type, content = children(content_info, SEQUENCE)
        if content_type == (OBJECT_IDENTIFIER, ENCRYPTED_DATA):
            (encrypted_data,) = children(content, EXPLICIT_0)
            _version, encrypted_content_info, *_rest = children(encrypted_data, SEQUENCE)
            _type, algorithm, *_rest = children(encrypted_content_info, SEQUENCE)
            schemes.append(_encryption_scheme(algorithm))
            continue
        for safe_bag in children(_data(content_info), SEQUENCE):
            bag_type, bag_value, *attributes = children(safe_bag, SEQUENCE)
            if bag_type != (OBJECT_IDENTIFIER, SHROUDED_KEY):
                schemes.append(({"nothing"}, 0))
                continue
            (shrouded_key,) = children(bag_value, EXPLICIT_0)
            algorithm, *_rest = children(shrouded_key, SEQUENCE)
            schemes.append(_encryption_scheme(algorithm))
            names = _attributes(attributes)
    for element in mac_data:
        digest_info, _salt, *iterations = children(element, SEQUENCE)
        algorithm, _digest = children(digest_info, SEQUENCE)
        schemes.append(({_name(children(algorithm, SEQUENCE))}, max(map(integer, iterations), default=0)))
    algorithms = frozenset(name for names, _iterations in schemes for name in names)
    name = names.get(FRIENDLY_NAME)
    friendly_name = name.value.decode("utf-16-be") if name is not None and name.tag == BMP_STRING else None
    all_iterations = sum(count for _names, count in schemes)
    return KeystoreInfo(algorithms, all_iterations, friendly_name, LOCAL_KEY_ID in names)


def _data(content_info: Element) -> Element:
    """Return the one element in a ContentInfo that is not encrypted (RFC 5652, section 4)."""
    content_type, content = children(content_info, SEQUENCE)
    (octets,) = children(content, EXPLICIT_0)
    if octets.tag != OCTET_STRING or content_type != (OBJECT_IDENTIFIER, DATA):
        raise ValueError(content_type)
    (element,) = elements(octets.value)
    return element


def _encryption_scheme(algorithm: Element) -> tuple[set[str], int]:
    """Return the names of the algorithms and the number of iterations (RFC 8018, appendix A)."""
    identifier, parameters = children(algorithm, SEQUENCE)
    if identifier != (OBJECT_IDENTIFIER, PBES2):
        _salt, iterations = children(parameters, SEQUENCE)
        return {_name([identifier])}, integer(iterations)
    derivation, scheme = children(parameters, SEQUENCE)
    _identifier, pbkdf2 = children(derivation, SEQUENCE)
    _salt, iterations, *rest = children(pbkdf2, SEQUENCE)
    digests = [_name(children(one, SEQUENCE)) for one in rest if one.tag == SEQUENCE] or ["SHA-1"]  # RFC 8018, A.2
    return {_name(children(scheme, SEQUENCE)), *digests}, integer(iterations)


def _attributes(attribute_sets: list[Element]) -> dict[bytes, Element]:
    """Return the first value of each attribute of a key (RFC 2985, section 5.5), by the object identifier in DER."""
    attributes = {}
    for attribute_set in attribute_sets:
        for attribute in children(attribute_set, SET):
            identifier, values = children(attribute, SEQUENCE)
            attributes[identifier.value], *_others = children(values, SET)
    return attributes


def _name(identifier: list[Element]) -> str:
    """Return the name of an algorithm, whose object identifier is the first of the elements."""
    tag, value = identifier[0] if identifier else (0, b"")
    if tag != OBJECT_IDENTIFIER:
        raise ValueError(tag)
    return ALGORITHMS.get(value, "an algorithm that is not known here")


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
