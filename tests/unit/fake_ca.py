# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CA for tests that signs any certificate, valid or not."""

from __future__ import annotations

import base64
import datetime
import functools
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import general_names
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import SEQUENCE, elements
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import load_key, make_key

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
YEAR_ZERO = b"00000101000000Z"  # a date that OpenSSL takes, and Python has none of
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def new_key(kind="ECC"):
    """Return a new private key: ECC, RSA or Ed25519."""
    return load_key(make_key({"type": kind, "size": 2048, "curve": "secp256r1"}))


def some_key(number=0, kind="ECC"):
    """Return a private key that is the same for the same number, since it takes long to make keys."""
    return _remembered_key(number, kind)


def der_element(tag: int, content: bytes) -> bytes:
    """Return an element of DER."""
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, *([0x80 + len(size)] if len(content) > 0x7F else []), *(size or b"\0")]) + content


def with_indefinite_lengths(der, depth):
    """Return DER as BER in which the sequences and tagged elements of the upper levels are of indefinite length."""
    parts = []
    for tag, value in elements(der):
        if depth and tag in (SEQUENCE, 0xA0):
            parts.append(bytes([tag, 0x80]) + with_indefinite_lengths(value, depth - 1) + b"\0\0")
        else:
            parts.append(der_element(tag, value))
    return b"".join(parts)


def pem_valid_until(authority, date, names, key, extensions=()):
    """Return a leaf in PEM whose end is written so, as GeneralizedTime, and which its CA has signed like that."""
    leaf = authority.leaf(names, key, days=(-1, 40000), extensions=extensions)
    content, algorithm = leaf.tbs_certificate_bytes, bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    end = not_after(leaf).strftime("%Y%m%d%H%M%SZ").encode()
    assert content.count(end) == 1 and len(date) == len(end) and algorithm in content
    content = content.replace(end, date)
    signature = authority.key.sign(content, ec.ECDSA(hashes.SHA256()))
    der = der_element(0x30, content + algorithm + der_element(0x03, b"\0" + signature))
    return ssl.DER_cert_to_PEM_cert(der).encode()


def endless_key() -> bytes:
    """Return an RSA key (PKCS #8) with a prime of 60 000 bits, which OpenSSL would check for hours."""
    prime = (1 << 60_000) + 45  # no small number divides it
    return rsa_key_pem((1 << 2047) + 1, 65537, (1 << 2046) + 1, prime, (1 << 1023) + 1, 3, 3, 3)


def rsa_key_pem(*numbers: int) -> bytes:
    """Return an RSA key in PEM (PKCS #8), unchecked, of n, e, d, p, q, d mod p - 1, d mod q - 1, q^-1 mod p (RFC 8017, appendix A.1.2)."""

    def integer(number: int) -> bytes:
        return der_element(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))

    rsa_key = der_element(0x30, b"".join(integer(number) for number in (0, *numbers)))
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    der = der_element(0x30, integer(0) + algorithm + der_element(0x04, rsa_key))
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----\n"


def key_pem(key):
    """Return a private key in PEM (PKCS #8)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def named(common_name):
    """Return a subject with a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """A root CA, or with *above* an intermediate CA. days: the first and the last day of its validity, from now."""

    def __init__(self, name="Test Root CA", above=None, key=None, days=(-1, 3650)):
        self.key = key or new_key()
        self.certificate = (above or self).sign(
            named(name), self.key.public_key(), days, x509.BasicConstraints(True, None), issuer=above or self, name=name
        )
        self.above = above

    def leaf(self, names, key, days=(-1, 90), usage=SERVER, is_authority=False, subject=None, **options):
        """Return the certificate of a server, valid with the default arguments."""
        constraints = x509.BasicConstraints(is_authority, None)
        subject = named(names[0]) if subject is None else subject
        return self.sign(subject, key.public_key(), days, constraints, names=names, usage=usage, **options)

    def sign(
        self, subject, public_key, days, constraints, issuer=None, names=(), usage=(), name="", extensions=(), **options
    ):
        """Return a certificate that the key of this CA has signed."""
        upper = (issuer or self).certificate.subject if hasattr(issuer or self, "certificate") else named(name)
        allowed = ("key_cert_sign", "crl_sign") if constraints.ca else ("digital_signature",)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(upper)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + days[0] * DAY)
            .not_valid_after(NOW + days[1] * DAY)
            .add_extension(constraints, critical=True)
            .add_extension(x509.KeyUsage(**{one: one in allowed for one in KEY_USAGES}), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, digest_for(self.key), **options)

    def chain(self, names, key, **options):
        """Return the leaf with the CAs above it, but for the root."""
        chain, upper = [self.leaf(names, key, **options)], self
        while upper.above:
            chain.append(upper.certificate)
            upper = upper.above
        return chain

    @property
    def pem(self):
        """Return the certificate in PEM."""
        return to_pem([self.certificate])


def digest_for(key):
    """Return the digest algorithm for signatures with this key."""
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()


def garbled_pem(certificate, old, new):
    """Return a certificate in PEM with some bytes replaced."""
    content = certificate.public_bytes(serialization.Encoding.DER)
    assert old in content
    body = base64.encodebytes(content.replace(old, new))
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


def signed_by_openssl(folder, authority, names, key, *options):
    """Return a leaf that the openssl command signed with an authority's RSA key: with SHA-1, MD5 or RSA-PSS, say."""
    alternative_names = ",".join(f"DNS:{name}" for name in names)
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "ca.key").write_bytes(key_pem(authority.key))
    (folder / "extensions").write_text(f"subjectAltName={alternative_names}\nbasicConstraints=CA:FALSE\n")
    (folder / "leaf.key").write_bytes(key_pem(key))
    openssl(folder, "req", "-new", "-key", "leaf.key", "-subj", f"/CN={names[0]}", "-out", "leaf.csr")
    openssl(
        folder,
        *("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "77", "-days", "90"),
        *("-extfile", "extensions", "-out", "leaf.pem", *options),
    )
    return parse_chain((folder / "leaf.pem").read_bytes())[0]


def openssl(folder, *arguments):
    """Run the openssl command in a folder; return what it printed."""
    command = ["openssl", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout


@functools.lru_cache(maxsize=None)
def _remembered_key(_number, kind):
    return new_key(kind)
