# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains, valid and with one fault each: the verdict is the one of `openssl verify`, for every type of key."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import subprocess
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import parse_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import find_trusted_path
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.tests.unit.chain_factory import Certificate, certificate_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, der_element, named, some_key

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
ANY = x509.ObjectIdentifier("2.5.29.37.0")
SGC = x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
TLS_FEATURE = x509.TLSFeature([x509.TLSFeatureType.status_request])
NETSCAPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")


def dns(*names: str) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]


def directory(**fields: str) -> x509.DirectoryName:
    return x509.DirectoryName(subject(**fields))


def subject(**fields: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(getattr(NameOID, field), value) for field, value in fields.items()])


def network(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(text))


def constraints(permitted: t.Any = None, excluded: t.Any = None) -> x509.NameConstraints:
    return x509.NameConstraints(permitted, excluded)


class RawName(t.NamedTuple):
    """A name in DER, of string types that the library does not write."""

    der: bytes

    def public_bytes(self) -> bytes:
        return self.der


def common_name(tag: int, value: bytes) -> RawName:
    pair = der_element(0x30, b"\x06\x03\x55\x04\x03" + der_element(tag, value))
    return RawName(der_element(0x30, der_element(0x31, pair)))


UTF_8_NAME, PRINTABLE_NAME = common_name(0x0C, b"Issuing CA"), common_name(0x13, b"Issuing CA")
LATIN_NAME = common_name(0x14, "Autorité".encode("latin-1"))
MINIMUM = der_element(0xA0, der_element(0x30, der_element(0x82, b"org") + b"\x80\x01\x01"))
NAME_CONSTRAINTS_WITH_MINIMUM = (
    der_element(0x30, b"\x06\x03\x55\x1d\x1e\x01\x01\xff" + der_element(0x04, der_element(0x30, MINIMUM))),
    True,
)


def raw_extension(oid: str, value: str, is_critical: bool = False) -> tuple[bytes, bool]:
    """Return an extension that the library does not write. oid, value: DER in hexadecimal digits."""
    critical = b"\x01\x01\xff" if is_critical else b""
    content = der_element(0x06, bytes.fromhex(oid)) + critical + der_element(0x04, bytes.fromhex(value))
    return der_element(0x30, content), is_critical


ALTERNATIVE_MAILBOX = raw_extension("551d11", "300f810d61406578616d706c652e6f7267")  # a@example.org
NO_MAILBOX = raw_extension("551d11", "300d810b6578616d706c652e6f7267")  # example.org
NO_LISTS = raw_extension("551d1f", "0500")
EMPTY_KEY_IDENTIFIER = raw_extension("551d23", "30028000")
MEANS_ANOTHER_NAME = raw_extension(
    "551d23", der_element(0x30, der_element(0xA1, der_element(0xA4, named("Another CA").public_bytes()))).hex()
)
CRITICAL_KEY_IDENTIFIER = raw_extension("551d23", "300480026162", is_critical=True)
LONG_CONSTRAINTS = raw_extension("551d13", "30050101ff0500")

# The fault of a chain, by what it is called: the positions of the certificates that differ (0 is the leaf, the last is the root), and how.
VARIANTS: dict[str, dict[int, dict[str, t.Any]]] = {
    "whole": {},
    # dates
    "an expired leaf": {0: {"days": (-9, -1)}},
    "an expired intermediate": {1: {"days": (-9, -1)}},
    "an expired root": {3: {"days": (-9, -1)}},
    "a leaf of tomorrow": {0: {"days": (1, 9)}},
    "an intermediate of tomorrow": {2: {"days": (1, 9)}},
    "a root of tomorrow": {3: {"days": (1, 9)}},
    # basicConstraints and pathlen
    "an intermediate that is no CA": {1: {"is_ca": False}},
    "a root that is no CA": {3: {"is_ca": False}},
    "an intermediate without basicConstraints": {1: {"is_ca": None}},
    "an intermediate without basicConstraints and keyUsage": {1: {"is_ca": None, "usages": None}},
    "a root without basicConstraints": {3: {"is_ca": None}},
    "a root without basicConstraints and keyUsage": {3: {"is_ca": None, "usages": None}},
    "basicConstraints that are not critical": {1: {"is_critical": False}, 3: {"is_critical": False}},
    "a root whose pathlen fits": {3: {"path_length": 2}},
    "a root whose pathlen is too small": {3: {"path_length": 1}},
    "an intermediate whose pathlen fits": {1: {"path_length": 0}, 2: {"path_length": 1}},
    "an intermediate whose pathlen is too small": {2: {"path_length": 0}},
    # keyUsage
    "an intermediate without keyUsage": {1: {"usages": None}},
    "a root without keyUsage": {3: {"usages": None}},
    "an intermediate without keyCertSign": {1: {"usages": ["crl_sign"]}},
    "a root without keyCertSign": {3: {"usages": ["digital_signature"]}},
    "a leaf without keyUsage": {0: {"usages": None}},
    "a leaf for encipherment": {0: {"usages": ["key_encipherment"]}},
    "a leaf for agreement": {0: {"usages": ["key_agreement"]}},
    "a leaf for CRLs": {0: {"usages": ["crl_sign"]}},
    "a leaf for non-repudiation": {0: {"usages": ["content_commitment"]}},
    # extendedKeyUsage
    "a leaf for everything": {0: {"purposes": None}},
    "a leaf for servers and clients": {0: {"purposes": [SERVER, CLIENT]}},
    "a leaf for clients": {0: {"purposes": [CLIENT]}},
    "a leaf for any usage": {0: {"purposes": [ANY]}},
    "a leaf for Server Gated Crypto": {0: {"purposes": [SGC]}},
    "an intermediate for servers": {1: {"purposes": [SERVER]}},
    "an intermediate for clients": {1: {"purposes": [CLIENT]}},
    "an intermediate for any usage": {1: {"purposes": [ANY]}},
    "an upper intermediate for clients": {2: {"purposes": [CLIENT]}},
    "an intermediate for Server Gated Crypto": {1: {"purposes": [SGC]}},
    "a root for clients": {3: {"purposes": [CLIENT]}},
    "a root for servers": {3: {"purposes": [SERVER]}},
    # critical extensions
    "an unknown extension": {0: {"extensions": [(UNKNOWN, False)]}, 2: {"extensions": [(UNKNOWN, False)]}},
    "an unknown critical extension in the leaf": {0: {"extensions": [(UNKNOWN, True)]}},
    "an unknown critical extension in an intermediate": {1: {"extensions": [(UNKNOWN, True)]}},
    "an unknown critical extension in the root": {3: {"extensions": [(UNKNOWN, True)]}},
    "a critical TLS feature": {0: {"extensions": [(TLS_FEATURE, True)]}},
    "critical policies": {
        1: {
            "extensions": [
                (x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)]), True)
            ]
        }
    },
    "a critical policy constraint": {1: {"extensions": [(x509.PolicyConstraints(None, 0), True)]}},
    "a critical list of points for CRLs": {
        0: {
            "extensions": [
                (
                    x509.CRLDistributionPoints(
                        [
                            x509.DistributionPoint(
                                [x509.UniformResourceIdentifier("http://crl.example/")], None, None, None
                            )
                        ]
                    ),
                    True,
                )
            ]
        }
    },
    # names of types
    "a nsCertType of a server": {
        0: {"extensions": [(x509.UnrecognizedExtension(NETSCAPE, b"\x03\x02\x06\x40"), False)]}
    },
    "a nsCertType of a client": {
        0: {"extensions": [(x509.UnrecognizedExtension(NETSCAPE, b"\x03\x02\x07\x80"), False)]}
    },
    # identifiers of keys
    "no identifiers of keys": {number: {"identifiers": False} for number in range(4)},
    "an intermediate without subjectKeyIdentifier": {1: {"identifiers": False}},
    "a leaf that means another key": {0: {"authority_key": some_key(7)}},
    "an intermediate that means another key": {1: {"authority_key": some_key(7)}},
    # names
    "permitted names": {2: {"extensions": [(constraints(dns("example.org")), True)]}},
    "permitted names with a leading dot": {2: {"extensions": [(constraints(dns(".example.org")), True)]}},
    "permitted names below": {2: {"extensions": [(constraints(dns("www.example.org")), True)]}},
    "permitted names in upper case": {2: {"extensions": [(constraints(dns("EXAMPLE.org")), True)]}},
    "permitted names of others": {2: {"extensions": [(constraints(dns("example.com")), True)]}},
    "permitted names that only end alike": {2: {"extensions": [(constraints(dns("ample.org")), True)]}},
    "permitted names with a dot, below": {2: {"extensions": [(constraints(dns(".www.example.org")), True)]}},
    "excluded names": {1: {"extensions": [(constraints(None, dns("example.org")), True)]}},
    "excluded names of others": {1: {"extensions": [(constraints(None, dns("example.com", "ple.org")), True)]}},
    "permitted and excluded names": {1: {"extensions": [(constraints(dns("org"), dns("www.example.org")), True)]}},
    "excluded names that are empty": {1: {"extensions": [(constraints(None, dns("")), True)]}},
    "constraints of the root that fit": {3: {"extensions": [(constraints(dns("org")), True)]}},
    "constraints of the root that do not": {3: {"extensions": [(constraints(dns("com")), True)]}},
    "constraints that are not critical": {2: {"extensions": [(constraints(dns("com")), False)]}},
    "permitted addresses alone": {2: {"extensions": [(constraints([network("10.0.0.0/8")]), True)]}},
    "an address that is permitted": {
        0: {"names": ["10.1.2.3"]},
        2: {"extensions": [(constraints([network("10.0.0.0/8")]), True)]},
    },
    "an address that is not permitted": {
        0: {"names": ["11.1.2.3"]},
        2: {"extensions": [(constraints([network("10.0.0.0/8")]), True)]},
    },
    "an IPv6 address beside permitted IPv4": {
        0: {"names": ["2001:db8::1"]},
        2: {"extensions": [(constraints([network("10.0.0.0/8")]), True)]},
    },
    "an IPv6 address that is permitted": {
        0: {"names": ["2001:db8::1"]},
        2: {"extensions": [(constraints([network("2001:db8::/32")]), True)]},
    },
    "an address that is excluded": {
        0: {"names": ["10.1.2.3"]},
        2: {"extensions": [(constraints(None, [network("10.0.0.0/8")]), True)]},
    },
    "a directory name that is permitted": {
        0: {"subject": subject(COUNTRY_NAME="DE", ORGANIZATION_NAME="Shop")},
        1: {
            "subject": subject(COUNTRY_NAME="DE", COMMON_NAME="CA 1"),
            "extensions": [(constraints([directory(COUNTRY_NAME="DE")]), True)],
        },
    },
    "a directory name in other letters": {
        0: {"subject": subject(COUNTRY_NAME="DE", ORGANIZATION_NAME="SHOP  and more")},
        1: {"extensions": [(constraints([directory(COUNTRY_NAME="DE", ORGANIZATION_NAME="shop and More")]), True)]},
    },
    "a directory name that is not permitted": {
        0: {"subject": subject(COUNTRY_NAME="FR", ORGANIZATION_NAME="Shop")},
        1: {"extensions": [(constraints([directory(COUNTRY_NAME="DE")]), True)]},
    },
    "a directory name that is excluded": {
        0: {"subject": subject(COUNTRY_NAME="DE", ORGANIZATION_NAME="Shop")},
        1: {"extensions": [(constraints(None, [directory(COUNTRY_NAME="DE")]), True)]},
    },
    "an intermediate outside the constraints": {
        1: {"subject": subject(COUNTRY_NAME="FR", COMMON_NAME="CA 1")},
        2: {"extensions": [(constraints([directory(COUNTRY_NAME="DE")]), True)]},
    },
    "an empty subject below directory constraints": {
        0: {"subject": x509.Name([])},
        1: {"extensions": [(constraints([directory(COUNTRY_NAME="DE")]), True)]},
    },
    "a URI that is constrained and not there": {
        1: {"extensions": [(constraints([x509.UniformResourceIdentifier("host.example")]), True)]}
    },
    "a mailbox in the subject outside the constraints": {
        0: {"subject": subject(COMMON_NAME="www.example.org", EMAIL_ADDRESS="a@example.com")},
        1: {"extensions": [(constraints([x509.RFC822Name("example.org")]), True)]},
    },
    "a mailbox in the subject within the constraints": {
        0: {"subject": subject(COMMON_NAME="www.example.org", EMAIL_ADDRESS="a@example.org")},
        1: {"extensions": [(constraints([x509.RFC822Name("example.org")]), True)]},
    },
    "permitted mailboxes without a host": {
        0: {"names": None, "extensions": [ALTERNATIVE_MAILBOX]},
        1: {"extensions": [raw_extension("551d1e", "3006a00430028100", True)]},
    },
    "excluded mailboxes without a host": {
        0: {"names": None, "extensions": [ALTERNATIVE_MAILBOX]},
        1: {"extensions": [raw_extension("551d1e", "3006a10430028100", True)]},
    },
    "a mailbox without a host": {
        0: {"names": None, "extensions": [NO_MAILBOX]},
        1: {"extensions": [(constraints(None, [x509.RFC822Name("example.com")]), True)]},
    },
    "a common name outside constraints, beside an address": {
        0: {"names": ["10.1.2.3"], "subject": named("www.example.com")},
        2: {"extensions": [(constraints(dns("example.org")), True)]},
    },
    "a wildcard within permitted names": {
        0: {"names": ["*.example.org"]},
        2: {"extensions": [(constraints(dns("example.org")), True)]},
    },
    "a wildcard outside permitted names": {
        0: {"names": ["*.example.com"]},
        2: {"extensions": [(constraints(dns("example.org")), True)]},
    },
    "a wildcard over an excluded name": {
        0: {"names": ["*.example.org"]},
        2: {"extensions": [(constraints(None, dns("www.example.org")), True)]},
    },
    "a second name outside permitted names": {
        0: {"names": ["www.example.org", "www.example.com"]},
        2: {"extensions": [(constraints(dns("example.org")), True)]},
    },
    "constraints of two CAs that do not meet": {
        1: {"extensions": [(constraints(dns("www.example.org")), True)]},
        2: {"extensions": [(constraints(dns("mail.example.org")), True)]},
    },
    "permitted names of two kinds": {
        1: {"extensions": [(constraints([*dns("example.com", "example.org"), network("10.0.0.0/8")]), True)]},
    },
    "a constraint of a kind that no name has": {
        1: {"extensions": [(constraints([x509.RegisteredID(UNKNOWN.oid)]), True)]},
    },
    "a constraint with a minimum": {1: {"extensions": [NAME_CONSTRAINTS_WITH_MINIMUM]}},
    # issuer and subject
    "an issuer in another string type": {1: {"subject": UTF_8_NAME}, 0: {"issuer": PRINTABLE_NAME}},
    "a CA with Latin letters": {1: {"subject": LATIN_NAME}, 0: {"issuer": LATIN_NAME}},
    "a root with Latin letters": {3: {"subject": LATIN_NAME}, 2: {"issuer": LATIN_NAME}},
    "an issuer in other letters": {1: {"subject": named("Issuing  CA")}, 0: {"issuer": named("issuing CA ")}},
    "an issuer of another name": {0: {"issuer": named("Somebody else")}},
    "a signature by another key": {0: {"signing_key": some_key(8)}},
    "a signature of an intermediate by another key": {1: {"signing_key": some_key(8)}},
    # keys and digests
    "an intermediate with RSA of 1024 bits": {1: {"key": rsa.generate_private_key(65537, 1024)}},
    "a root with RSA of 1024 bits": {3: {"key": rsa.generate_private_key(65537, 1024)}},
    "a signature with SHA-1": {0: {"digest": "SHA1"}},
    "an intermediate signed with SHA-1": {2: {"digest": "SHA1"}},
    "a root signed with SHA-1": {3: {"digest": "SHA1"}},
    "a leaf with RSA of 1024 bits": {0: {"key": rsa.generate_private_key(65537, 1024)}},
    "a leaf with RSA of 2000 bits": {0: {"key": rsa.generate_private_key(65537, 2000)}},
    "a leaf with ECC of 192 bits": {0: {"key": ec.generate_private_key(ec.SECP192R1())}},
    # roots
    "a root that another CA has issued": {3: {"issuer": named("Older Root CA")}},
    "a root that means another key": {3: {"authority_key": some_key(7)}},
    "a root that means another name": {3: {"identifiers": False, "extensions": [MEANS_ANOTHER_NAME]}},
    # forms that clients do not read
    "a critical authorityKeyIdentifier": {0: {"identifiers": False, "extensions": [CRITICAL_KEY_IDENTIFIER]}},
    "an authorityKeyIdentifier that is empty": {1: {"identifiers": False, "extensions": [EMPTY_KEY_IDENTIFIER]}},
    "points for CRLs that are none": {0: {"extensions": [NO_LISTS]}, 2: {"extensions": [NO_LISTS]}},
    "basicConstraints with a third field": {1: {"is_ca": None, "extensions": [LONG_CONSTRAINTS]}},
    "a root whose basicConstraints have a third field": {3: {"is_ca": None, "extensions": [LONG_CONSTRAINTS]}},
    "a subject in an octet string": {0: {"subject": common_name(0x04, b"www")}},
    "a subject in a VisibleString": {1: {"subject": common_name(0x1A, b"CA")}, 0: {"issuer": common_name(0x1A, b"CA")}},
    "a subject in a NumericString": {1: {"subject": common_name(0x12, b"7")}, 0: {"issuer": common_name(0x12, b"7")}},
    "a subject in broken UTF-8": {0: {"subject": common_name(0x0C, b"\xff\xfe")}},
    "a subject in half a BMPString": {0: {"subject": common_name(0x1E, b"abc")}},
    # common names that are DNS names, or are none
    **{
        f"a common name outside constraints: {name}": {
            0: {"names": None, "subject": named(name)},
            2: {"extensions": [(constraints(dns("example.org")), True)]},
        }
        for name in (
            "www.example.com",
            "my_host.example.com",
            "example.com.",
            "a.b-.com",
            "-a.com",
            "a..com",
            "com",
            "*.example.com",
        )
    },
    # forms that stricter clients refuse
    "a root of version 1": {3: {"version": 1}},
    "an intermediate of version 1": {1: {"version": 1}},
    "a serial number of 0": {0: {"serial": 0}, 2: {"serial": 0}},
    "a negative serial number": {0: {"serial": -5}, 3: {"serial": -7}},
    "an empty subject": {0: {"subject": x509.Name([])}},
}
# Version 3 of OpenSSL, which the rules are those of; Debian 11 has an older one.
OLD_OPENSSL = not subprocess.run(["openssl", "version"], capture_output=True, check=True).stdout.startswith(
    b"OpenSSL 3."
)
KINDS = ("ECC", "RSA", "Ed25519")


def cases() -> t.Iterator[t.Any]:
    for (name, changes), kind in itertools.product(VARIANTS.items(), KINDS):
        if kind == "Ed25519" and "SHA-1" in name:
            continue  # it has no digest to choose
        yield pytest.param(changes, kind, id=f"{name} ({kind})")


def test_there_are_as_many_chains_as_are_needed():
    assert len(list(cases())) >= 300


def openssl_refusal(folder, chain: list[Certificate]) -> str | None:
    """Return what `openssl verify` says against a chain, at the security level of Debian's clients; None if it is accepted."""
    for name, part in (("leaf", chain[:1]), ("rest", chain[1:-1]), ("root", chain[-1:])):
        (folder / name).write_bytes(b"".join(one.pem for one in part))
    command = [
        "openssl",
        "verify",
        "-purpose",
        "sslserver",
        "-auth_level",
        "2",
        "-no-CApath",
        "-no-CAstore",
        "-CAfile",
        "root",
        "-untrusted",
        "rest",
        "leaf",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr


def our_refusal(chain: list[Certificate], now: datetime.datetime = NOW) -> str | None:
    try:
        *sent, root = [parse_certificate(one.der) for one in chain]
        if any(not is_signed_by(one, upper) for one, upper in itertools.pairwise(sent)):
            return "a signature"
        return None if find_trusted_path(sent, [root], now) else "no path"
    except TlsError as error:
        return str(error)


@pytest.mark.skipif(OLD_OPENSSL, reason="the judge is OpenSSL 3")
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize(("changes", "kind"), list(cases()))
def test_a_chain_is_accepted_where_openssl_accepts_it(tmp_path, changes, kind):
    chain = certificate_chain(kind, changes)
    refusal, ours = openssl_refusal(tmp_path, chain), our_refusal(chain)
    assert (ours is None) == (refusal is None), f"openssl: {refusal}\nhere: {ours}"
    assert ours is None or len(ours) < 500


@pytest.mark.skipif(OLD_OPENSSL, reason="the judge is OpenSSL 3")
def test_the_judge_accepts_and_refuses(tmp_path):
    assert openssl_refusal(tmp_path, certificate_chain("ECC", {})) is None
    assert "expired" in (openssl_refusal(tmp_path, certificate_chain("ECC", VARIANTS["an expired leaf"])) or "")
