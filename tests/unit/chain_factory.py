# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains of four certificates with one fault each, also in forms that the library does not write."""

from __future__ import annotations

import base64
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import general_names
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import SEQUENCE, elements
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, KEY_USAGES, NOW, der_element, named, some_key

SUBJECTS = (named("www.example.org"), named("Issuing CA"), named("Upper CA"), named("Root CA"))
ALGORITHMS = {  # AlgorithmIdentifier in DER (RFC 5758, RFC 4055, RFC 8410)
    ("ec", "SHA256"): "300a06082a8648ce3d040302",
    ("ec", "SHA1"): "300906072a8648ce3d0401",
    ("rsa", "SHA256"): "300d06092a864886f70d01010b0500",
    ("rsa", "SHA1"): "300d06092a864886f70d0101050500",
    ("ed25519", "SHA256"): "300506032b6570",
}


class Certificate(t.NamedTuple):
    """A certificate as it was written, and its key."""

    der: bytes
    key: t.Any

    @property
    def pem(self) -> bytes:
        return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(self.der) + b"-----END CERTIFICATE-----\n"


def certificate_chain(kind: str, changes: dict[int, dict[str, t.Any]]) -> list[Certificate]:
    """Return a chain, leaf first and root last. changes: by position, what differs from a valid certificate.

    kind: of the leaf's key. Keys of a change: subject, issuer, key, signing_key, authority_key, days, names (None: no extension), serial, version (1 or 3),
    is_ca (None: no basicConstraints), is_critical, path_length, usages (None: no extension), purposes, identifiers, extensions, digest.
    """
    keys = [
        changes.get(number, {}).get("key") or some_key(number, kind if number == 0 else "ECC") for number in range(4)
    ]
    if kind == "RSA":
        keys[2:] = [changes.get(number, {}).get("key") or some_key(number, "RSA") for number in (2, 3)]
    subjects = [changes.get(number, {}).get("subject") or SUBJECTS[number] for number in range(4)]
    subjects[0] = changes.get(0, {}).get("subject", SUBJECTS[0])
    return [
        Certificate(
            write_certificate(
                number,
                subjects[number],
                subjects[min(number + 1, 3)],
                keys[number],
                keys[min(number + 1, 3)],
                changes.get(number, {}),
            ),
            keys[number],
        )
        for number in range(4)
    ]


def write_certificate(
    number: int, subject: x509.Name, issuer: x509.Name, key: t.Any, issuer_key: t.Any, change: dict[str, t.Any]
) -> bytes:
    """Return a certificate in DER with the key of its issuer, by hand: the library refuses much that there is in the world."""
    start, end = change.get("days", (-1, 90))
    signing_key = change.get("signing_key") or issuer_key
    algorithm, sign = signer(signing_key, change.get("digest", "SHA256"))
    serial = change.get("serial", 1000 + number)
    parts = [
        der_element(0x02, serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)),
        algorithm,
        (change.get("issuer") or issuer).public_bytes(),
        der_element(0x30, date(NOW + start * DAY) + date(NOW + end * DAY)),
        subject if isinstance(subject, bytes) else subject.public_bytes(),
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ]
    if change.get("version", 3) == 3:
        parts.insert(0, der_element(0xA0, b"\x02\x01\x02"))
        parts.append(der_element(0xA3, der_element(0x30, b"".join(extensions(number, key, issuer_key, change)))))
    content = der_element(0x30, b"".join(parts))
    return der_element(0x30, content + algorithm + der_element(0x03, b"\0" + sign(content)))


def extensions(number: int, key: t.Any, issuer_key: t.Any, change: dict[str, t.Any]) -> t.Iterator[bytes]:
    """Yield the extensions of a certificate in DER."""
    is_ca = change.get("is_ca", number > 0)
    if is_ca is not None:
        yield extension(x509.BasicConstraints(is_ca, change.get("path_length")), change.get("is_critical", True))
    usages = change.get("usages", ["key_cert_sign", "crl_sign"] if number else ["digital_signature"])
    if usages is not None:
        yield extension(x509.KeyUsage(**{one: one in usages for one in KEY_USAGES}), True)
    purposes = change.get("purposes", None if number else [ExtendedKeyUsageOID.SERVER_AUTH])
    if purposes is not None:
        yield extension(x509.ExtendedKeyUsage(purposes), False)
    if number == 0 and change.get("names", True):
        yield extension(x509.SubjectAlternativeName(general_names(change.get("names", ["www.example.org"]))), False)
    if change.get("identifiers", True):
        authority_key = change.get("authority_key") or issuer_key
        yield extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        yield extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False)
    for one, is_critical in change.get("extensions", ()):
        yield one if isinstance(one, bytes) else extension(one, is_critical)


def extension(value: x509.ExtensionType, is_critical: bool) -> bytes:
    """Return an extension in DER."""
    builder = (
        x509.CertificateBuilder().subject_name(named("x")).issuer_name(named("x")).public_key(some_key().public_key())
    )
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + DAY)
    certificate = builder.add_extension(value, is_critical).sign(some_key(), hashes.SHA256())
    fields = next(elements(certificate.tbs_certificate_bytes)).value
    (last,) = [field for field in elements(fields) if field.tag == 0xA3]
    (sequence,) = elements(last.value)
    assert sequence.tag == SEQUENCE
    return sequence.value


def signer(key: t.Any, digest: str) -> tuple[bytes, t.Callable[[bytes], bytes]]:
    """Return the algorithm in DER, and the function that signs."""
    algorithm = getattr(hashes, digest)()
    if isinstance(key, rsa.RSAPrivateKey):
        return bytes.fromhex(ALGORITHMS["rsa", digest]), lambda content: key.sign(
            content, padding.PKCS1v15(), algorithm
        )
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return bytes.fromhex(ALGORITHMS["ec", digest]), lambda content: key.sign(content, ec.ECDSA(algorithm))
    return bytes.fromhex(ALGORITHMS["ed25519", digest]), key.sign


def date(when: t.Any) -> bytes:
    """Return a date in DER."""
    return der_element(0x17, when.strftime("%y%m%d%H%M%SZ").encode())
