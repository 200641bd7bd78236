# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of every kind, and signing requests that prove them."""

from __future__ import annotations

import base64
import ipaddress
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    general_names,
    load_key,
    load_request,
    make_key,
    make_request,
    public_bytes,
    requested_names,
    subject_name,
    wanted_kind,
    write_key,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import CURVES, SIZES, SUBJECT
from ansible_collections.evergreen.tls.tests.unit.fake_ca import endless_key, key_pem, new_key, openssl, some_key

NAMES = ["www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
WANTED = {"type": "ECC", "size": 2048, "curve": "secp256r1"}
KINDS = [
    *({**WANTED, "type": "RSA", "size": size} for size in SIZES),
    *({**WANTED, "curve": curve} for curve in CURVES),
    {**WANTED, "type": "Ed25519"},
]


def pem_of(der, label="CERTIFICATE REQUEST"):
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def der_of(pem):
    return base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"-----")))


@pytest.mark.parametrize("wanted", KINDS, ids=wanted_kind)
def test_a_new_key_is_of_the_kind_that_is_wanted_and_proves_itself(wanted):
    pem = make_key(wanted)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    key = load_key(pem)
    assert describe_key(key.public_key()) == wanted_kind(wanted)
    request = load_request(make_request(key, NAMES, {}))
    assert public_bytes(request.public_key()) == public_bytes(key.public_key())
    assert requested_names(request) == set(NAMES)


def test_kinds_have_the_words_of_the_options():
    assert [wanted_kind(wanted) for wanted in KINDS] == [
        *("RSA 2048", "RSA 3072", "RSA 4096"),
        *("ECC secp256r1", "ECC secp384r1", "ECC secp521r1"),
        "Ed25519",
    ]


def test_no_two_keys_are_the_same():
    assert public_bytes(new_key().public_key()) != public_bytes(new_key().public_key())


def test_a_key_of_no_known_type_has_the_name_of_its_class():
    assert describe_key(dsa.generate_private_key(1024).public_key()) == "DSAPublicKey"


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"garbage",
        b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        key_pem(some_key())[:-40],
        public_bytes(some_key().public_key()),
        make_request(some_key(), NAMES, {}),
        pytest.param(endless_key(), id="over which OpenSSL thinks for hours"),
        pytest.param(endless_key().replace(b"KEY-----\n", b"KEY-----\nX-Note: a-b\n\n", 1), id="that, behind a header"),
    ],
)
def test_what_is_no_key_is_refused_with_its_place(pem):
    with pytest.raises(TlsError) as caught:
        load_key(pem, "/etc/evergreen/web/next/privkey.pem")
    assert str(caught.value) == (
        "/etc/evergreen/web/next/privkey.pem holds no private key that can be read; move it away to have a new one made"
    )


def test_the_largest_key_that_people_use_is_read():
    key, plain = rsa.generate_private_key(65537, 8192), serialization.NoEncryption()
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        pem = key.private_bytes(serialization.Encoding.PEM, form, plain)
        assert public_bytes(load_key(pem).public_key()) == public_bytes(key.public_key())


def test_a_key_with_a_passphrase_is_refused():
    protected = some_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"correct horse"),
    )
    with pytest.raises(TlsError) as caught:
        load_key(protected, "/etc/server.key")
    assert str(caught.value) == "/etc/server.key is protected by a passphrase; put an unprotected key there"


@pytest.mark.parametrize("kind", ["RSA", "ECC", "Ed25519"])
def test_an_encrypted_key_is_read_with_its_passphrase_alone_by_us_and_by_openssl(kind, tmp_path):
    key, passphrase = new_key(kind), 'it\'s "quoted" \\ and naïve 中文 '.encode()
    (tmp_path / "privkey.pem").write_bytes(write_key(key, passphrase))
    (tmp_path / "right").write_bytes(passphrase + b"\n")
    (tmp_path / "wrong").write_bytes(passphrase.strip() + b"\n")

    pem = (tmp_path / "privkey.pem").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert public_bytes(load_key(pem, passphrase=passphrase).public_key()) == public_bytes(key.public_key())
    printed = openssl(tmp_path, "pkey", "-in", "privkey.pem", "-passin", "file:right", "-pubout", "-outform", "DER")
    assert printed == public_bytes(key.public_key())
    with pytest.raises(subprocess.CalledProcessError):
        openssl(tmp_path, "pkey", "-in", "privkey.pem", "-passin", "file:wrong", "-noout")
    with pytest.raises(TlsError) as caught:
        load_key(pem, "/etc/evergreen/web/v0001/privkey.pem", passphrase.strip())
    assert str(caught.value) == (
        "/etc/evergreen/web/v0001/privkey.pem holds no private key that can be read with the passphrase beside it; "
        "move it away to have a new one made"
    )


def test_a_plain_key_beside_a_passphrase_is_refused():
    with pytest.raises(TlsError) as caught:
        load_key(write_key(some_key()), "its private key file", b"correct horse")
    assert str(caught.value) == (
        "its private key file is not encrypted, though a passphrase lies beside it; move it away to have a new one made"
    )


def test_a_request_is_what_the_openssl_command_takes_for_one(tmp_path):
    (tmp_path / "request.csr").write_bytes(make_request(some_key(), NAMES, {"organization_name": "Beispiel AG"}))
    printed = openssl(tmp_path, "req", "-in", "request.csr", "-verify", "-noout", "-text", "-nameopt", "utf8").decode()
    assert "DNS:www.example.org, DNS:*.example.org, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1" in printed
    assert "Beispiel AG" in printed


def test_a_request_names_hosts_and_addresses_as_certificates_do():
    assert general_names(["www.example.org", "::1"]) == [
        x509.DNSName("www.example.org"),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]


@pytest.mark.parametrize("kind", ["RSA", "ECC", "Ed25519"])
def test_a_request_whose_content_was_changed_proves_nothing(kind):
    changed = der_of(make_request(some_key(kind=kind), NAMES, {})).replace(b"www.example.org", b"www.example.com", 2)
    with pytest.raises(TlsError) as caught:
        load_request(pem_of(changed))
    assert str(caught.value) == (
        "the signing request does not prove possession of its key; have it made again with force: true"
    )


def test_a_request_with_the_key_of_somebody_else_proves_nothing():
    mine, theirs = (public_bytes(some_key(number).public_key()) for number in range(2))
    with pytest.raises(TlsError, match="does not prove possession of its key"):
        load_request(pem_of(der_of(make_request(some_key(), NAMES, {})).replace(mine, theirs)))


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"garbage",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        make_request(some_key(), NAMES, {})[:200],
        key_pem(some_key()),
        pem_of(b"\x30\x82\xff\xff"),
    ],
)
def test_what_is_no_request_is_refused(pem):
    with pytest.raises(TlsError) as caught:
        load_request(pem)
    assert str(caught.value) == "the signing request cannot be read; have it made again on the host with force: true"


def signed(tbs, key):
    """Return a signing request in PEM around content that no library would write; the key is an Ed25519 one."""
    algorithm = bytes.fromhex("300506032b6570")
    return pem_of(tlv(0x30, tbs + algorithm + tlv(0x03, b"\0" + key.sign(tbs))))


def tlv(tag, content):
    length = len(content)
    size = (
        bytes([length])
        if length < 128
        else b"\x81" + bytes([length])
        if length < 256
        else b"\x82" + length.to_bytes(2, "big")
    )
    return bytes([tag]) + size + content


def test_a_request_that_names_its_names_twice_is_refused():
    key = some_key(kind="Ed25519")
    names = x509.SubjectAlternativeName([x509.DNSName("www.example.org")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, False)
    request = builder.add_extension(x509.IssuerAlternativeName([x509.DNSName("a.example")]), False).sign(key, None)
    twice = request.tbs_certrequest_bytes.replace(bytes.fromhex("0603551d12"), bytes.fromhex("0603551d11"))
    with pytest.raises(TlsError) as caught:
        requested_names(load_request(signed(twice, key)))
    assert str(caught.value) == (
        "the extensions of the signing request cannot be read; have it made again with force: true"
    )


@pytest.mark.parametrize(
    "instead",
    [
        b"\x83\x0fwww.example.org",  # an X.400 address, by its tag
        b"\x82\x0fwww.ex\xffmple.org",
        b"\x87\x0fwww.example.org",  # an IP address of 15 bytes
    ],
)
def test_a_request_whose_names_cannot_be_read_is_refused(instead):
    key = some_key(kind="Ed25519")
    request = load_request(make_request(key, ["www.example.org"], {"common_name": "Shop"}))
    unreadable = request.tbs_certrequest_bytes.replace(b"\x82\x0fwww.example.org", instead)
    with pytest.raises(TlsError, match="^the extensions of the signing request cannot be read; have it made again"):
        requested_names(load_request(signed(unreadable, key)))


def test_a_request_without_names_asks_for_none():
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(some_key(), hashes.SHA256())
    assert requested_names(request) == set()


def test_names_of_other_kinds_cannot_pass_for_dns_names():
    kinds = [
        x509.DNSName("WWW.example.org"),
        x509.RFC822Name("ops@example.org"),
        x509.UniformResourceIdentifier("https://www.example.org/"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.org")])),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.add_extension(x509.SubjectAlternativeName(kinds), False).sign(some_key(), hashes.SHA256())
    found = requested_names(request)
    assert len(found) == len(kinds)
    assert {name for name in found if ":" not in name} == {"www.example.org"}


@pytest.mark.parametrize(
    ("names", "subject", "common_name"),
    [
        (["www.example.org", "example.org"], {}, "www.example.org"),
        (["a" * 60 + ".example.org", "example.org"], {}, "example.org"),
        (["a" * 52 + ".example.org"], {}, "a" * 52 + ".example.org"),
        (["a" * 53 + ".example.org"], {}, None),
        (["192.0.2.1"], {}, "192.0.2.1"),
        (["www.example.org"], {"common_name": "Shop"}, "Shop"),
    ],
)
def test_the_common_name_is_the_first_name_that_fits_into_one(names, subject, common_name):
    found = subject_name(names, subject).get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [attribute.value for attribute in found] == [common_name] * bool(common_name)


def test_every_field_of_a_subject_comes_through():
    subject = {
        "country_name": "CN",
        "state_or_province_name": "北京市",
        "locality_name": "东城区",
        "organization_name": "常青有限公司",
        "organizational_unit_name": 'Übersicht & Söhne, "KG" + <x>',
        "email_address": "ops@example.org",
        "common_name": "常青.example",
    }
    assert list(subject) == list(SUBJECT)
    request = load_request(make_request(some_key(), ["www.example.org"], subject))
    assert [attribute.value for attribute in request.subject] == list(subject.values())
    assert request.subject == subject_name(["www.example.org"], subject)


def test_fields_that_are_not_set_are_left_out():
    subject = dict.fromkeys(SUBJECT)
    assert len(list(subject_name(["www.example.org"], subject))) == 1
    assert subject == dict.fromkeys(SUBJECT)


def test_a_subject_that_no_certificate_can_hold_is_refused():
    with pytest.raises(
        TlsError, match="^the subject cannot be written into a certificate: .*; correct the subject fields"
    ):
        subject_name(["www.example.org"], {"country_name": "DEU"})


def test_a_key_of_another_curve_is_another_kind():
    key = ec.generate_private_key(ec.SECP384R1())
    assert describe_key(key.public_key()) == "ECC secp384r1"
    assert wanted_kind(WANTED) == "ECC secp256r1"


def test_a_key_over_which_the_library_itself_stumbles_is_refused():
    pem = b"-----BEGIN PRIVATE KEY-----\nMBICAQAwBQYDK2VwBAYEBAABCiQ=\n-----END PRIVATE KEY-----\n"
    with pytest.raises(TlsError, match="the private key holds no private key that can be read; move it away"):
        load_key(pem)
