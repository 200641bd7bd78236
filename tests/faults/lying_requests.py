# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signing requests of hosts that were taken over, and the sentence that refuses them."""

from __future__ import annotations

import typing as t

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.tests.faults.scenarios import NAMES, ROOT
from ansible_collections.evergreen.tls.tests.unit.fake_ca import KEY_USAGES, digest_for, key_pem, named, some_key

KEY = some_key()
REQUESTED_NAMES = ", ".join(sorted(NAMES))
UNREADABLE = "the signing request cannot be read; have it made again on the host with force: true"
UNPROVED = "the signing request does not prove possession of its key; have it made again with force: true"
NO_EXTENSIONS = "the extensions of the signing request cannot be read; have it made again with force: true"


def other_names(names: str) -> str:
    """Return what is said of a request for other names than the inventory says."""
    return (
        f"the host asks for a certificate for {names}, and the inventory says {REQUESTED_NAMES}; "
        "if the inventory is right, look at what the host is doing"
    )


def other_key(offered: str) -> str:
    """Return what is said of a request with another kind of key than the inventory says."""
    return (
        f"the host offers a key of type {offered}, and the inventory says ECC secp256r1; look at what the host is doing"
    )


def request(
    *extensions: x509.ExtensionType, names: t.Iterable = (*NAMES,), subject: str = NAMES[0], key: t.Any = KEY
) -> bytes:
    """Return a signing request with whatever is wanted in it."""
    kinds = [one if isinstance(one, x509.GeneralName) else x509.DNSName(one) for one in names]
    builder = x509.CertificateSigningRequestBuilder().subject_name(named(subject))
    for extension in [*([x509.SubjectAlternativeName(kinds)] if kinds else []), *extensions]:
        builder = builder.add_extension(extension, critical=not isinstance(extension, x509.SubjectAlternativeName))
    return builder.sign(key, digest_for(key)).public_bytes(Encoding.PEM)


def changed(old: bytes, new: bytes) -> bytes:
    """Return an honest request in which some bytes are others."""
    content = x509.load_pem_x509_csr(make_csr(KEY, NAMES, {})).public_bytes(Encoding.DER)
    assert old in content
    return x509.load_der_x509_csr(content.replace(old, new)).public_bytes(Encoding.PEM)


USAGE = x509.KeyUsage(**{one: one == "key_cert_sign" for one in KEY_USAGES})
POLICY = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.1"), None)])

# What is refused, and why.
LIES: dict[str, tuple[bytes, str]] = {
    "the name of a stranger": (request(names=["bank.example"]), other_names("bank.example")),
    "a name more": (request(names=[*NAMES, "bank.example"]), other_names(f"bank.example, {REQUESTED_NAMES}")),
    "a name less": (request(names=NAMES[:1]), other_names(NAMES[0])),
    "no name": (request(names=[]), other_names("no name")),
    "a wildcard": (request(names=["*.example.org", "example.org"]), other_names("*.example.org, example.org")),
    "a look-alike": (
        request(names=["www.xn--xample-9uf.org", NAMES[1]]),
        other_names("example.org, www.xn--xample-9uf.org"),
    ),
    "a mail address": (
        request(names=[*NAMES, x509.RFC822Name("ops@bank.example")]),
        other_names(f"RFC822Name:ops@bank.example, {REQUESTED_NAMES}"),
    ),
    "a name that ends early": (
        request(names=["www.example.org\0.bank.example", NAMES[1]]),
        other_names("example.org, www.example.org?.bank.example"),
    ),
    "a name that plays with the terminal": (request(names=["\x1b[2J"]), other_names("?[2j")),
    "ten thousand names": (
        request(names=[f"{number:05}.example" for number in range(10000)]),
        other_names(f"{', '.join(f'{number:05}.example' for number in range(20))}, 9980 more"),
    ),
    "no proof of possession": (
        changed(public_bytes(KEY.public_key()), public_bytes(some_key(1).public_key())),
        UNPROVED,
    ),
    "a name that was changed after signing": (changed(b"www.example.org", b"www.example.com"), UNPROVED),
    "a key of RSA": (request(key=some_key(kind="RSA")), other_key("RSA 2048")),
    "a weak key": (request(key=rsa.generate_private_key(65537, 1024)), other_key("RSA 1024")),
    "a key on another curve": (request(key=ec.generate_private_key(ec.SECP384R1())), other_key("ECC secp384r1")),
    "a key of a kind of old": (request(key=dsa.generate_private_key(2048)), other_key("DSAPublicKey")),
    "a key of Ed25519": (request(key=some_key(kind="Ed25519")), other_key("Ed25519")),
    "a key of Ed448": (request(key=ed448.Ed448PrivateKey.generate()), other_key("Ed448PublicKey")),
    "a certificate": (ROOT.pem, UNREADABLE),
    "a private key": (key_pem(KEY), UNREADABLE),
    "garbage": (b"\x00\xff" * 1000, UNREADABLE),
    "half a request": (request()[:200], UNREADABLE),
    "names that cannot be read": (changed(b"\x82\x0fwww.example.org", b"\x87\x0fwww.example.org"), UNPROVED),
    "10 MB": (
        request() + b"\n" * 10 * 1024 * 1024,
        f"the signing request for web has {len(request()) + 10 * 1024 * 1024} bytes; look at what the host is doing",
    ),
}


def with_attribute(oid: x509.ObjectIdentifier, value: bytes) -> bytes:
    """Return an honest request with one attribute more."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(named(NAMES[0]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES]), critical=False)
    return builder.add_attribute(oid, value).sign(KEY, digest_for(KEY)).public_bytes(Encoding.PEM)


def not_made(difference: str) -> str:
    """Return what is said of a request that the inventory does not make."""
    return (
        f"the signing request for web is not the one that the inventory makes: {difference}; have it made again by "
        "certificate_request on the host (an older version may have made it), and if it comes again, look at what the host is doing"
    )


def not_asked_for(extension: str) -> str:
    """Return what is said of a request with an extension that the inventory does not make."""
    return not_made(f"it has the extension {extension}, and the inventory asks for names alone")


ALONE = "the text of the signing request holds more than one request in PEM; send that alone, or have it made again with force: true"
MICROSOFT_EXTENSIONS = x509.ObjectIdentifier("1.3.6.1.4.1.311.2.1.14")  # read by openssl where the others are missing

# What passes the checks of names and keys, asks for more, and is refused as well.
LIES |= {
    "a CA": (request(x509.BasicConstraints(True, None)), not_asked_for("basicConstraints")),
    "to sign certificates": (request(USAGE), not_asked_for("keyUsage")),
    "to sign programs": (
        request(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
        not_asked_for("extendedKeyUsage"),
    ),
    "to have no revocation": (request(x509.OCSPNoCheck()), not_asked_for("OCSPNoCheck")),
    "a policy": (request(POLICY), not_asked_for("certificatePolicies")),
    "an extension of its own": (
        request(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")),
        not_asked_for("1.2.3.4"),
    ),
    "the name of a bank": (
        request(subject="bank.example"),
        not_made("its subject is CN=bank.example, and the inventory says CN=www.example.org"),
    ),
    "a subject that plays with the terminal": (
        request(subject="\x1b[2J"),
        not_made("its subject is CN=?[2J, and the inventory says CN=www.example.org"),
    ),
    "extensions where only Microsoft looks": (with_attribute(MICROSOFT_EXTENSIONS, b"0\0"), NO_EXTENSIONS),
    "an attribute of its own": (
        with_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.2"), b"unstructured name"),
        not_made("it has the attribute 1.2.840.113549.1.9.2, and the inventory does not ask for that"),
    ),
    "a challenge password": (
        with_attribute(AttributeOID.CHALLENGE_PASSWORD, b"correct horse"),
        not_made("its challenge password is not that of the inventory"),
    ),
    "its names twice": (
        request(names=[*NAMES, NAMES[0]]),
        not_made(f"its names are {', '.join([*NAMES, NAMES[0]])}, and the inventory writes {', '.join(NAMES)}"),
    ),
    "its names in capitals": (
        request(names=[NAMES[0].upper(), NAMES[1]]),
        not_made(f"its names are {NAMES[0].upper()}, {NAMES[1]}, and the inventory writes {', '.join(NAMES)}"),
    ),
    "another request behind it": (request() + request(names=["bank.example"]), ALONE),
    "base64 before it": (b"MIIBAg==\n" + request(), ALONE),
    "a certificate behind it": (request() + ROOT.pem, ALONE),
}
