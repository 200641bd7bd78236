# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A malicious CA: its responses to a signing request, and the sentence that refuses each."""

from __future__ import annotations

import pathlib
import tempfile
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.tests.faults.scenarios import ISSUING, NAMES, ROOT, PublicKey
from ansible_collections.evergreen.tls.tests.unit.fake_ca import (
    DAY,
    NOW,
    Authority,
    key_pem,
    named,
    new_key,
    openssl,
    some_key,
)

RSA_ROOT = Authority("Faults RSA CA", key=some_key(kind="RSA"))
STRANGER = Authority("Stranger CA")
NAMESAKE = Authority("Faults Issuing CA", above=Authority("Faults Root CA"))
OLD = Authority("Old CA", above=ROOT, days=(-20, -1))
COMING = Authority("Coming CA", above=ROOT, days=(1, 20))
LOWEST = Authority("Lowest CA", above=ISSUING)
CONSTRAINTS = x509.BasicConstraints(True, None)
CROSSED = [  # the issuing CA and the stranger have certified each other
    STRANGER.sign(named("Faults Issuing CA"), ISSUING.key.public_key(), (-1, 90), CONSTRAINTS),
    ISSUING.sign(named("Stranger CA"), STRANGER.key.public_key(), (-1, 90), CONSTRAINTS),
]
AGAIN = "have it issued again"
NOT_THE_CA = "see what answers in place of the CA"
UNKNOWN_FORM = (
    "no certificate can be read in the answer: it holds no certificate in any form that is known here; see what it is"
)
REQUESTED_NAMES = ", ".join(sorted(NAMES))


def leads_to(name: str) -> str:
    """Return the sentence about a chain that does not end at the root."""
    return f"the chain ends at {name}, which is not a root of the issuer (Faults RSA CA, Faults Root CA); {AGAIN}"


def leaf_and(
    *above: x509.Certificate, by: Authority = ISSUING, names: t.Sequence[str] = (*NAMES,), **options: t.Any
) -> t.Callable:
    """Return a function that issues a certificate and appends others."""
    return lambda csr: to_pem([by.leaf(names, PublicKey(load_csr(csr)), **options), *above])


def chain_of(by: Authority = ISSUING, names: t.Sequence[str] = (*NAMES,), **options: t.Any) -> t.Callable:
    """Return a function that issues a chain."""
    return lambda csr: to_pem(by.chain(names, PublicKey(load_csr(csr)), **options))


def certificates(csr: bytes) -> list:
    """Return a valid chain of a CA with three levels, and its root."""
    return [*LOWEST.chain(NAMES, PublicKey(load_csr(csr))), ROOT.certificate]


def ordered(*order: int) -> t.Callable:
    """Return a CA that sends the leaf (0), the lowest CA, the issuing CA and the root (3) in this order."""
    return lambda csr: to_pem([certificates(csr)[number] for number in order])


def with_text(before: bytes = b"", after: bytes = b"") -> t.Callable:
    """Return a function that issues a valid chain between two texts."""
    return lambda csr: before + chain_of()(csr) + after


def weakly_signed(digest: str) -> t.Callable:
    """Return a function that signs with an obsolete digest, by the openssl command."""

    def sign(csr):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "csr").write_bytes(csr)
            names = ",".join(f"DNS:{one}" for one in NAMES)
            (folder / "extensions").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
            return _signed_by_openssl(folder, "-req", "-in", "csr", f"-{digest}")

    return sign


def below_weakly_signed(csr: bytes) -> bytes:
    """Return a chain whose CA is signed with SHA-1."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "key").write_bytes(key_pem(ISSUING.key))
        (folder / "extensions").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
        openssl(folder, "req", "-new", "-key", "key", "-subj", "/CN=Faults Issuing CA", "-out", "csr")
        above = parse_chain(_signed_by_openssl(folder, "-req", "-in", "csr", "-sha1"))
        return leaf_and(*above)(csr)


def _signed_by_openssl(folder: pathlib.Path, *options: str) -> bytes:
    (folder / "ca.pem").write_bytes(RSA_ROOT.pem)
    (folder / "ca.key").write_bytes(key_pem(RSA_ROOT.key))
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "77", "-days", "90", "-extfile", "extensions")
    openssl(folder, "x509", *options, *signing, "-out", "signed")
    return (folder / "signed").read_bytes()


def broken(csr: bytes) -> bytes:
    """Return a chain with one character replaced."""
    return chain_of()(csr).replace(b"MII", b"MIX", 1)


def changed_after_signing(csr: bytes) -> bytes:
    """Return a chain whose leaf was changed after it was signed, to be valid for longer."""
    leaf = ISSUING.leaf(NAMES, PublicKey(load_csr(csr)), days=(-1, 90))
    end, later = (f"{NOW + days * DAY:%y%m%d%H%M%SZ}".encode() for days in (90, 900))
    forged = leaf.public_bytes(Encoding.DER).replace(end, later)
    assert forged != leaf.public_bytes(Encoding.DER)
    return to_pem([x509.load_der_x509_certificate(forged), ISSUING.certificate])


def for_other_kinds_of_names(csr: bytes) -> bytes:
    """Return the certificate of a server that names an email address as well."""
    kinds = [*map(x509.DNSName, NAMES), x509.RFC822Name("ops@bank.example")]
    subject, key = named(NAMES[0]), load_csr(csr).public_key()
    names = x509.SubjectAlternativeName(kinds)
    leaf = ISSUING.sign(subject, key, (-1, 90), x509.BasicConstraints(False, None), extensions=[names])
    return to_pem([leaf, ISSUING.certificate])


def crowd(_csr: bytes) -> bytes:
    """Return a thousand certificates."""
    return ROOT.pem * 1000


def limited(*extensions: x509.ExtensionType, path_length: int | None = None) -> Authority:
    """Return a CA below the root whose certificate has constraints."""
    authority = Authority("Limited CA", above=ROOT)
    subject, key = authority.certificate.subject, authority.key.public_key()
    constraints = x509.BasicConstraints(True, path_length)
    authority.certificate = ROOT.sign(subject, key, (-1, 90), constraints, extensions=extensions)
    return authority


FOR_OTHERS = limited(x509.NameConstraints([x509.DNSName("example.com")], None))
BELOW_THE_LAST = Authority("Below the last CA", above=limited(path_length=0))


def _day(days: int) -> str:
    return f"{NOW + days * DAY:%Y-%m-%d %H:%M:%S} UTC"


# What is refused, and why.
LIES: dict[str, tuple[t.Callable[[bytes], bytes], str]] = {
    "another key": (
        lambda csr: to_pem(ISSUING.chain(NAMES, new_key())),
        "no certificate in the answer belongs to the key of the request; have the same request issued again",
    ),
    "the key of another kind": (
        lambda csr: to_pem(ISSUING.chain(NAMES, some_key(kind="RSA"))),
        "no certificate in the answer belongs to the key of the request; have the same request issued again",
    ),
    "the CA without a certificate": (
        lambda csr: to_pem([ISSUING.certificate, ROOT.certificate]),
        "no certificate in the answer belongs to the key of the request; have the same request issued again",
    ),
    "other names": (
        chain_of(names=["bank.example"]),
        f"the certificate does not cover {REQUESTED_NAMES} and covers bank.example, which nobody asked for; have it issued for {REQUESTED_NAMES}",
    ),
    "more names": (
        chain_of(names=[*NAMES, "bank.example"]),
        f"the certificate covers bank.example, which nobody asked for; have it issued for {REQUESTED_NAMES}",
    ),
    "a wildcard over its names": (
        chain_of(names=["*.example.org", "example.org"]),
        f"the certificate does not cover www.example.org and covers *.example.org, which nobody asked for; have it issued for {REQUESTED_NAMES}",
    ),
    "the name of a person besides": (
        for_other_kinds_of_names,
        f"the certificate covers RFC822Name:ops@bank.example, which nobody asked for; have it issued for {REQUESTED_NAMES}",
    ),
    "names that play with the terminal": (
        chain_of(names=[*NAMES, "\x1b[2J"], subject=named("\x1b[2J")),
        f"the certificate covers ?[2j, which nobody asked for; have it issued for {REQUESTED_NAMES}",
    ),
    "fewer names": (
        chain_of(names=NAMES[:1]),
        f"the certificate does not cover example.org; have it issued for {REQUESTED_NAMES}",
    ),
    "no names": (
        chain_of(names=[], subject=named(NAMES[0])),
        f"the certificate does not cover {REQUESTED_NAMES}; have it issued for {REQUESTED_NAMES}",
    ),
    "expired": (chain_of(days=(-9, -1)), f"the certificate expired on {_day(-1)}; {AGAIN}"),
    "not valid yet": (chain_of(days=(1, 9)), f"the certificate is valid only from {_day(1)}, and the clock here says "),
    "over before it begins": (
        chain_of(days=(-1, -1)),
        f"the certificate expired on {_day(-1)}; {AGAIN}",
    ),
    "a CA": (
        chain_of(is_authority=True),
        "the certificate is one of a CA, not of a server; have it issued for a server",
    ),
    "for clients": (
        chain_of(usage=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
        "the certificate is not for servers (no serverAuth); have it issued for a server",
    ),
    "for programs besides": (
        chain_of(usage=(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CODE_SIGNING)),
        "the certificate is for codeSigning besides, and a server needs serverAuth alone; have it issued for a server, with a profile",
    ),
    "for anything": (
        chain_of(usage=(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)),
        "the certificate is for anyExtendedKeyUsage besides, and a server needs serverAuth alone; ",
    ),
    "the common name of a bank": (
        chain_of(subject=named("bank.example")),
        f"the common name of the certificate is bank.example, which is none of its names; have it issued for {', '.join(NAMES)}",
    ),
    "the organization of somebody": (
        chain_of(subject=x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Domain Admins\x1b[2J")])),
        "the subject of the certificate has organization_name Domain Admins?[2J, and the inventory says nothing of that; have it issued",
    ),
    "signed with SHA-1": (weakly_signed("sha1"), f"the certificate is signed with sha1, which clients refuse; {AGAIN}"),
    "signed with MD5": (weakly_signed("md5"), f"the certificate is signed with md5, which clients refuse; {AGAIN}"),
    "a CA signed with SHA-1": (
        below_weakly_signed,
        f"the CA Faults Issuing CA is signed with sha1, which clients refuse; {AGAIN}",
    ),
    "changed after it was signed": (changed_after_signing, leads_to("Faults Issuing CA")),
    "without its CA": (leaf_and(), leads_to("Faults Issuing CA")),
    "with a gap": (leaf_and(ISSUING.certificate, by=LOWEST), leads_to("Lowest CA")),
    "with a stranger in place of its CA": (leaf_and(STRANGER.certificate), leads_to("Faults Issuing CA")),
    "below a namesake of its CA": (chain_of(by=NAMESAKE), leads_to("Faults Root CA")),
    "below an unknown root": (chain_of(by=STRANGER), leads_to("Stranger CA")),
    "below an unknown root that comes along": (
        leaf_and(STRANGER.certificate, by=STRANGER),
        leads_to("Stranger CA"),
    ),
    "in a loop without a root": (leaf_and(*CROSSED), leads_to("Faults Issuing CA")),
    "signed by itself": (lambda csr: to_pem([_signed_by_nobody(csr)]), leads_to(NAMES[0])),
    "below an expired CA": (chain_of(by=OLD), f"the CA Old CA expired on {_day(-1)}; {AGAIN}"),
    "below a CA that is not valid yet": (chain_of(by=COMING), f"the CA Coming CA is valid only from {_day(1)}, and"),
    "below a CA for other names": (chain_of(by=FOR_OTHERS), " does not permit "),
    "below a CA that may have none below it": (
        chain_of(by=BELOW_THE_LAST),
        " allows 0 CAs below it (pathlen), and the chain has 1; ",
    ),
    "nothing": (
        lambda csr: b"",
        "no certificate can be read in the answer: it is empty; see what should have written it",
    ),
    "garbage": (lambda csr: b"\x00\xff garbage" * 100, UNKNOWN_FORM),
    "an error page": (lambda csr: b"<html><h1>502 Bad Gateway</h1></html>", UNKNOWN_FORM),
    "the request itself": (
        lambda csr: csr,
        "it holds a signing request, which is what the CA gets; put in what the CA answers",
    ),
    "half a certificate": (
        lambda csr: chain_of()(csr)[:400],
        "its block CERTIFICATE is damaged; copy it again from what the CA sent",
    ),
    "a broken certificate": (
        broken,
        "this was passed over: its block CERTIFICATE is damaged; copy it again from what the CA sent",
    ),
    "a thousand certificates": (crowd, f"the answer has 1000 certificates, and chains have a few; {NOT_THE_CA}"),
    "50 MB": (
        with_text(after=b"\n" * 50 * 1024 * 1024),
        f" bytes, and chains have a few thousand; {NOT_THE_CA}",
    ),
    "a private key": (
        with_text(after=key_pem(some_key(1))),
        "the answer holds a private key, and keys are made on hosts alone; destroy it and have the CA sign the request",
    ),
    "an encrypted private key": (
        with_text(before=key_pem(some_key(1)).replace(b" PRIVATE", b" ENCRYPTED PRIVATE")),
        "the answer holds a private key, and keys are made on hosts alone; destroy it and have the CA sign the request",
    ),
}


def _signed_by_nobody(csr: bytes) -> x509.Certificate:
    """Return a certificate of the key that looks self-signed."""
    lonely = Authority(NAMES[0])
    return lonely.leaf(NAMES, PublicKey(load_csr(csr)))


# What is put right.
PUT_RIGHT: dict[str, t.Callable[[bytes], bytes]] = {
    "in order": ordered(0, 1, 2),
    "shuffled": ordered(2, 0, 1),
    "turned round": ordered(3, 2, 1, 0),
    "doubled": ordered(0, 0, 1, 2, 1, 2),
    "with its root": ordered(0, 1, 2, 3),
    "with strangers": lambda csr: to_pem([STRANGER.certificate, *certificates(csr), NAMESAKE.certificate]),
    "with a way that loops": leaf_and(*CROSSED, ISSUING.certificate),
    "with other certificates of the server's names": lambda csr: to_pem(
        [ISSUING.leaf(NAMES, some_key(2)), *certificates(csr)]
    ),
    "with another of its names in front": chain_of(subject=named(NAMES[1].upper())),
    "among words": with_text(b"Dear customer,\r\nhere it is.\r\n", b"Yours\r\n"),
    "in the lines of Windows": lambda csr: chain_of()(csr).replace(b"\n", b"\r\n"),
}


class LyingCa:
    """An issuer that returns the given responses, one for each request."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {}
    DEFAULTS: t.ClassVar[dict[str, t.Any]] = {}

    def __init__(self, folder: str, *responses: t.Callable[[bytes], bytes]) -> None:
        self.cache_directory = folder
        self.cross_signing = NO_CROSS_SIGNING
        self.remarks: list[str] = []
        self.responses = list(responses)
        self.csrs: list[bytes] = []

    def roots(self) -> bytes:
        """Return the roots that clients trust."""
        return ROOT.pem + RSA_ROOT.pem

    def terms(self, request: dict) -> dict:
        """Return the terms of the certificate."""
        return {"names": request["domains"]}

    def issue(self, request: dict, csr: bytes, host: str) -> bytes:
        """Return the next response."""
        self.csrs.append(csr)
        return self.responses.pop(0)(csr)

    def record(self, request: dict, chain: list, host: str) -> None:
        """Record nothing."""
