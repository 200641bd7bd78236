# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private keys and the signing requests (RFC 2986) that they sign."""

from __future__ import annotations

import binascii
import contextlib
import ipaddress
import re

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import INTEGER, descendants
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import SUBJECT

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509.oid import AttributeOID, ExtensionOID, NameOID
except ImportError:  # reported by require_cryptography() before anything here is called
    pass


MAX_INTEGER_BYTES = 1025  # so long is the modulus of RSA with 8192 bits
MAX_KEY_DEPTH = 4  # how deep the numbers of a private key lie in PKCS #8


def make_key(wanted: dict) -> bytes:
    """Return a new private key in PEM (PKCS #8), as C(type), C(size) and C(curve) of *wanted* say."""
    if wanted["type"] == "RSA":
        key = rsa.generate_private_key(public_exponent=65537, key_size=wanted["size"])
    elif wanted["type"] == "ECC":
        key = ec.generate_private_key(getattr(ec, wanted["curve"].upper())())
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    return write_key(key)


def write_key(key, passphrase: bytes | None = None) -> bytes:
    """Return a private key in PEM (PKCS #8), encrypted with the passphrase where there is one."""
    kind = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind)


def load_key(pem: bytes, where: str = "the private key", passphrase: bytes | None = None):
    """Return the private key in *pem*; TlsError names *where* it came from when there is none."""
    try:
        return open_key(pem, passphrase)
    except TypeError as error:
        if passphrase:
            raise TlsError(
                f"{where} is not encrypted, though a passphrase lies beside it; move it away to have a new one made"
            ) from error
        raise TlsError(f"{where} is protected by a passphrase; put an unprotected key there") from error
    except (ValueError, UnsupportedAlgorithm, InternalError) as error:  # the last for an Ed25519 key of another size
        beside = " with the passphrase beside it" if passphrase else ""
        raise TlsError(
            f"{where} holds no private key that can be read{beside}; move it away to have a new one made"
        ) from error


def open_key(content: bytes, passphrase: bytes | None = None, is_text: bool = True):
    """Return the private key in PEM, or in DER where it is no text. Raises what the library does; whatever takes it hours is a ValueError."""
    if any(longest_integer(der) > MAX_INTEGER_BYTES for der in (_ders(content) if is_text else [content])):
        raise ValueError("OpenSSL would look for hours whether such a number is prime")
    load = serialization.load_pem_private_key if is_text else serialization.load_der_private_key
    return load(content, passphrase)


def longest_integer(der: bytes) -> int:
    """Return the bytes of the longest INTEGER of a private key; 0 for a key that is encrypted, and for no key."""
    lengths = (len(element.value) for _before, element in descendants(der, MAX_KEY_DEPTH) if element.tag == INTEGER)
    return max(lengths, default=0)


def _ders(pem: bytes) -> list[bytes]:
    """Return what stands in the private keys of PEM, as far as it is base64."""
    ders = []
    for body in re.findall(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)(?:-----END|\Z)", pem, re.DOTALL):
        for part in re.split(rb"\n\s*\n", body):  # headers stand before an empty line
            with contextlib.suppress(ValueError):
                ders.append(binascii.a2b_base64(part))
    return ders


def describe_key(public_key) -> str:
    """Return the kind of a key in the words of the options.

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


def wanted_kind(wanted: dict) -> str:
    """Return the kind of key that the options ask for, in the words of describe_key()."""
    return {"RSA": f"RSA {wanted['size']}", "ECC": f"ECC {wanted['curve']}"}.get(wanted["type"], wanted["type"])


def public_bytes(public_key) -> bytes:
    """Return the DER of the SubjectPublicKeyInfo: two keys are the same when these bytes are."""
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_pem(public_key) -> bytes:
    """Return the same in PEM, to be told."""
    return public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


# not a parser: it reads what the collection has made or checked
def make_request(key, names: list[str], subject: dict) -> bytes:
    """Return a signing request in PEM for *names*, with the subject fields and the challenge password that are set in *subject*."""
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject_name(names, subject))
        .add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
    )
    if subject.get("challenge_password"):
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, subject["challenge_password"].encode())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)


def subject_name(names: list[str], subject: dict):
    """Return the subject: the fields that are set, and as common name the first DNS name that fits into one.

    A common name has 64 characters at most (RFC 5280, appendix A.1, ub-common-name).
    """
    short = [name for name in names if len(name) <= 64]
    fields = {**subject, "common_name": subject.get("common_name") or (short[0] if short else None)}
    try:
        return x509.Name(
            [
                x509.NameAttribute(getattr(NameOID, oid), fields[field])
                for field, oid in SUBJECT.items()
                if fields.get(field)
            ]
        )
    except ValueError as error:
        raise TlsError(
            f"the subject cannot be written into a certificate: {error}; correct the subject fields"
        ) from error


def general_names(names: list[str]) -> list:
    """Return the names as a subject alternative name holds them (RFC 5280, section 4.2.1.6)."""
    return [x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name) for name in names]


def load_request(pem: bytes):
    """Return the signing request in *pem*, once its signature has proved possession of the key, and its key and subject can be read."""
    try:
        csr = x509.load_pem_x509_csr(pem)
        _read, proved = (csr.public_key(), csr.subject), csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion) as error:
        raise TlsError("the signing request cannot be read; have it made again on the host with force: true") from error
    if not proved:
        raise TlsError("the signing request does not prove possession of its key; have it made again with force: true")
    return csr


def challenge_password(csr) -> str | None:
    """Return the challenge password of a signing request (RFC 2985, section 5.4.1), or None where it has none."""
    try:
        if hasattr(csr, "attributes"):
            value = csr.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
        else:  # before cryptography 36
            value = csr.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD)
    except x509.AttributeNotFound:
        return None
    return value.decode(errors="replace")


def requested_names(csr) -> set[str]:
    """Return the names that a signing request asks for, in their normal form."""
    try:
        names = csr.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return set()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise TlsError(
            "the extensions of the signing request cannot be read; have it made again with force: true"
        ) from error
    return alternative_names(names)


def alternative_names(names) -> set[str]:
    """Return the DNS names and addresses of a subject alternative name; other kinds keep their kind's name."""
    found = set()
    for name in names:
        if isinstance(name, x509.DNSName):
            found.add(name.value.lower())
        elif isinstance(name, x509.IPAddress):
            found.add(name.value.compressed)
        else:
            found.add(f"{type(name).__name__}:{name.value}")
    return found
