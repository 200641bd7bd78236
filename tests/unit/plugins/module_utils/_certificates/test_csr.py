# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signing requests, made and read."""

from __future__ import annotations

import base64
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    general_names,
    load_csr,
    make_csr,
    make_subject,
    requested_names,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    public_bytes,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import (
    SUBJECT_FIELDS,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import key_pem, openssl, some_key

NAMES = ["www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]


def pem_of(der, label="CERTIFICATE REQUEST"):
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def der_of(pem):
    return base64.b64decode(b"".join(line for line in pem.splitlines() if not line.startswith(b"-----")))


def test_a_request_is_what_the_openssl_command_takes_for_one(tmp_path):
    (tmp_path / "request.csr").write_bytes(make_csr(some_key(), NAMES, {"organization_name": "Beispiel AG"}))
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
    changed = der_of(make_csr(some_key(kind=kind), NAMES, {})).replace(b"www.example.org", b"www.example.com", 2)
    with pytest.raises(TlsError) as caught:
        load_csr(pem_of(changed))
    assert str(caught.value) == (
        "the signing request does not prove possession of its key; have it made again with force: true"
    )


def test_a_request_with_the_key_of_somebody_else_proves_nothing():
    mine, theirs = (public_bytes(some_key(number).public_key()) for number in range(2))
    with pytest.raises(TlsError, match="does not prove possession of its key"):
        load_csr(pem_of(der_of(make_csr(some_key(), NAMES, {})).replace(mine, theirs)))


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"garbage",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        make_csr(some_key(), NAMES, {})[:200],
        key_pem(some_key()),
        pem_of(b"\x30\x82\xff\xff"),
    ],
)
def test_what_is_no_request_is_refused(pem):
    with pytest.raises(TlsError) as caught:
        load_csr(pem)
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
        requested_names(load_csr(signed(twice, key)))
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
    request = load_csr(make_csr(key, ["www.example.org"], {"common_name": "Shop"}))
    unreadable = request.tbs_certrequest_bytes.replace(b"\x82\x0fwww.example.org", instead)
    with pytest.raises(TlsError, match="^the extensions of the signing request cannot be read; have it made again"):
        requested_names(load_csr(signed(unreadable, key)))


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
    requested = requested_names(request)
    assert len(requested) == len(kinds)
    assert {name for name in requested if ":" not in name} == {"www.example.org"}


@pytest.mark.parametrize(
    ("names", "subject", "common_name"),
    [
        (["www.example.org", "example.org"], {}, "www.example.org"),
        (["a" * 60 + ".example.org", "example.org"], {}, "example.org"),
        (["a" * 52 + ".example.org"], {}, "a" * 52 + ".example.org"),
        (["a" * 53 + ".example.org"], {}, None),
        (["192.0.2.1"], {}, None),
        (["192.0.2.1", "2001:db8::1", "www.example.org"], {}, "www.example.org"),
        (["www.example.org"], {"common_name": "Shop"}, "Shop"),
    ],
)
def test_the_common_name_is_the_first_dns_name_that_fits_into_one(names, subject, common_name):
    attributes = make_subject(names, subject).get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [attribute.value for attribute in attributes] == [common_name] * bool(common_name)


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
    assert list(subject) == list(SUBJECT_FIELDS)
    request = load_csr(make_csr(some_key(), ["www.example.org"], subject))
    assert [attribute.value for attribute in request.subject] == list(subject.values())
    assert request.subject == make_subject(["www.example.org"], subject)


def test_fields_that_are_not_set_are_left_out():
    subject = dict.fromkeys(SUBJECT_FIELDS)
    assert len(list(make_subject(["www.example.org"], subject))) == 1
    assert subject == dict.fromkeys(SUBJECT_FIELDS)


def test_a_subject_that_no_certificate_can_hold_is_refused():
    with pytest.raises(
        TlsError, match="^the subject cannot be written into a certificate: .*; correct the subject fields"
    ):
        make_subject(["www.example.org"], {"country_name": "DEU"})
