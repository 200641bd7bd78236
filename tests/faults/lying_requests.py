# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signing requests of hosts that were taken over, and the sentence that refuses them."""

from __future__ import annotations

import typing as t

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

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
        builder = builder.add_extension(extension, critical=True)
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

# What is signed, for the names of the inventory and for a server, whatever else it asks for.
SIGNED_WITHOUT_IT: dict[str, bytes] = {
    "a CA": request(x509.BasicConstraints(True, None)),
    "to sign certificates": request(USAGE),
    "to sign programs": request(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
    "to have no revocation": request(x509.OCSPNoCheck()),
    "a policy": request(POLICY),
    "an extension of its own": request(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")),
    "the name of a bank": request(subject="bank.example"),
    "another request behind it": request() + request(names=["bank.example"]),
}
