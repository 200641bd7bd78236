# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts and CAs send is checked against the inventory."""

from __future__ import annotations

import itertools
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    general_names,
    make_csr,
    make_subject,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_csr, check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.leaf import usage_warning
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, key_pem, named, some_key

NAMES = ["www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
REQUEST = {"name": "web", "domains": NAMES, "type": "ECC", "size": 2048, "curve": "secp256r1", "lifetime": None}
KEY = some_key()
ROOT = Authority("Checks Root CA")
ISSUING = Authority("Checks Issuing CA", above=ROOT)
CHAIN = ISSUING.chain(NAMES, KEY)


def csr_refusal(csr, **changes):
    with pytest.raises(TlsError) as caught:
        check_csr(csr, {**REQUEST, **changes})
    return str(caught.value)


def chain_refusal(issued, roots=ROOT.pem, now=NOW, key=KEY, **changes):
    with pytest.raises(TlsError) as caught:
        check_issued_chain(issued, key.public_key(), {**REQUEST, **changes}, roots, now)
    return str(caught.value)


def checked(issued, roots=ROOT.pem, key=KEY, **changes):
    return check_issued_chain(issued, key.public_key(), {**REQUEST, **changes}, roots, NOW)


@pytest.mark.parametrize("kind", ["ECC", "RSA", "Ed25519"])
def test_a_correct_csr_passes_with_its_key(kind):
    key = some_key(kind=kind)
    csr = check_csr(make_csr(key, [NAMES[0], *NAMES[:0:-1]], {}), {**REQUEST, "type": kind})
    assert public_bytes(csr.public_key()) == public_bytes(key.public_key())


@pytest.mark.parametrize(
    ("names", "csr_names"),
    [
        (["bank.example"], "bank.example"),
        ([*NAMES, "bank.example"], "*.example.org, 192.0.2.1, 2001:db8::1, bank.example, www.example.org"),
        (NAMES[:1], "www.example.org"),
        (["*.org", *NAMES[1:]], "*.example.org, *.org, 192.0.2.1, 2001:db8::1"),
    ],
)
def test_a_csr_for_other_names_is_refused(names, csr_names):
    assert csr_refusal(make_csr(KEY, names, {})) == (
        f"the host asks for a certificate for {csr_names}, and the inventory says "
        "*.example.org, 192.0.2.1, 2001:db8::1, www.example.org; if the inventory is right, look at what the host is doing"
    )


def test_a_csr_with_another_subject_is_refused():
    csr = make_csr(KEY, NAMES, {"common_name": "bank.example", "organization_name": "Domain Admins"})
    assert csr_refusal(csr) == (
        "the signing request for web is not the one that the inventory makes: its subject is CN=bank.example,O=Domain Admins, "
        "and the inventory says CN=www.example.org; have it made again by certificate_request on the host (an older version may have "
        "made it), and if it comes again, look at what the host is doing"
    )


def test_the_subject_of_a_csr_is_that_of_the_request():
    subject = {
        "common_name": "Shop",
        "organization_name": "Müller",
        "country_name": "DE",
        "email_address": "a@example.org",
    }
    csr = make_csr(KEY, NAMES, {**subject, "challenge_password": "correct horse"})
    check_csr(csr, {**REQUEST, **subject, "challenge_password": "correct horse"})
    for field in subject:
        assert "its subject is " in csr_refusal(csr, **{**subject, "challenge_password": "correct horse", field: None})
    password = csr_refusal(csr, **subject, challenge_password="battery staple")
    assert "its challenge password is not that of the inventory" in password
    assert "correct horse" not in password and "battery" not in password


def test_a_subject_that_is_encoded_in_another_way_is_another_subject():
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMES[0], _ASN1Type.BMPString)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    csr = builder.add_extension(x509.SubjectAlternativeName(general_names(NAMES)), False).sign(KEY, hashes.SHA256())
    assert "its subject CN=www.example.org is encoded in another way" in csr_refusal(csr.public_bytes(Encoding.PEM))


def test_a_long_difference_is_cut():
    units = [x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "z" * 60)] * 20
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(units))
    csr = builder.add_extension(x509.SubjectAlternativeName(general_names(NAMES)), False).sign(KEY, hashes.SHA256())
    sentence = csr_refusal(csr.public_bytes(Encoding.PEM))
    assert "z" * 60 in sentence and len(sentence) < 600


def test_a_csr_without_names_is_refused():
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA256())
    assert "asks for a certificate for no name, and the inventory says" in csr_refusal(csr.public_bytes(Encoding.PEM))


def test_a_name_of_another_kind_is_another_name():
    kinds = [x509.DNSName("www.example.org"), x509.RFC822Name("www.example.org")]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = builder.add_extension(x509.SubjectAlternativeName(kinds), False).sign(KEY, hashes.SHA256())
    sentence = csr_refusal(csr.public_bytes(Encoding.PEM), domains=["www.example.org"])
    assert "the host asks for a certificate for RFC822Name:www.example.org, www.example.org" in sentence


@pytest.mark.parametrize(
    ("kind", "changes", "offered", "expected"),
    [
        ("RSA", {}, "RSA 2048", "ECC secp256r1"),
        ("ECC", {"curve": "secp384r1"}, "ECC secp256r1", "ECC secp384r1"),
        ("RSA", {"type": "RSA", "size": 4096}, "RSA 2048", "RSA 4096"),
        ("ECC", {"type": "Ed25519"}, "ECC secp256r1", "Ed25519"),
    ],
)
def test_a_csr_with_another_type_of_key_is_refused(kind, changes, offered, expected):
    assert csr_refusal(make_csr(some_key(kind=kind), NAMES, {}), **changes) == (
        f"the host offers a key of type {offered}, and the inventory says {expected}; look at what the host is doing"
    )


def test_a_csr_with_a_key_that_did_not_sign_it_is_refused():
    csr = x509.load_pem_x509_csr(make_csr(KEY, NAMES, {})).public_bytes(Encoding.DER)
    mine, theirs = (public_bytes(some_key(number).public_key()) for number in (0, 1))
    stolen = csr.replace(mine, theirs)
    assert stolen != csr
    assert csr_refusal(x509.load_der_x509_csr(stolen).public_bytes(Encoding.PEM)) == (
        "the signing request does not prove possession of its key; have it made again with force: true"
    )


@pytest.mark.parametrize("csr", [b"", b"garbage", key_pem(KEY), to_pem(CHAIN), b"\0" * 1000])
def test_anything_but_a_csr_is_refused(csr):
    assert csr_refusal(csr) == ("the signing request cannot be read; have it made again on the host with force: true")


def test_a_csr_that_is_too_large_is_not_parsed():
    csr = make_csr(KEY, NAMES, {}) + b"\n" * 1024 * 1024
    assert csr_refusal(csr) == (f"the signing request for web has {len(csr)} bytes; look at what the host is doing")


def test_a_correct_chain_passes():
    assert checked(to_pem(CHAIN)) == CHAIN


def test_the_chains_of_the_private_ca_pass(tmp_path):
    ca = LocalCa(str(tmp_path), "Evergreen", "90d", None, None)
    for kind in ("ECC", "RSA", "Ed25519"):
        key, request = some_key(kind=kind), {**REQUEST, "type": kind}
        issued = ca.issue(request, make_csr(key, NAMES, {}), "web1")
        now = NOW + DAY
        assert len(check_issued_chain(issued, key.public_key(), request, ca.roots(), now)) == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_shuffled_certificates_with_root_and_duplicates_are_put_in_order(order):
    certificates = [*CHAIN, ROOT.certificate, CHAIN[1], Authority("Stranger").certificate]
    assert checked(to_pem([certificates[number] for number in order])) == CHAIN


def test_without_roots_everything_but_trust_is_checked():
    assert checked(to_pem([*CHAIN, ROOT.certificate]), roots=None) == CHAIN
    assert "does not cover" in chain_refusal(to_pem(ISSUING.chain(["a.example"], KEY)), roots=None)


def wrong_chains():
    """Return what a CA might send, and the error that refuses it."""
    stranger = Authority("Checks Root CA")
    expired_issuing = Authority("Expired CA", above=ROOT, days=(-20, -1))
    no_authority = Authority("No authority", above=ROOT)
    no_authority.certificate = ROOT.leaf(["ca.example"], no_authority.key, subject=named("No authority"))
    to_client = ISSUING.chain(NAMES, KEY, usage=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    huge = to_pem(CHAIN) + b"\n" * 1024 * 1024
    return {
        "nothing": (b"", "no certificate can be read in the answer: it is empty; see what should have written it"),
        "an error page": (
            b"<html>502 Bad Gateway</html>",
            "no certificate can be read in the answer: it holds no certificate in any form that is known here; see what it is",
        ),
        "half of it": (
            to_pem(CHAIN[:1])[:-40],
            "no certificate can be read in the answer: its block CERTIFICATE is damaged; copy it again from what the CA sent",
        ),
        "garbage": (
            to_pem(CHAIN).replace(b"MII", b"MIX", 1),
            (
                "no certificate in the answer belongs to the key of the request; have the same request issued again. "
                "Of the answer, this was passed over: its block CERTIFICATE is damaged; copy it again from what the CA sent"
            ),
        ),
        "the certificate of another key": (
            to_pem(ISSUING.chain(NAMES, some_key(1))),
            "no certificate in the answer belongs to the key of the request; have the same request issued again",
        ),
        "the CA alone": (to_pem(CHAIN[1:]), "no certificate in the answer belongs to the key of the request"),
        "fewer names": (
            to_pem(ISSUING.chain(NAMES[:2], KEY)),
            "the certificate does not cover 192.0.2.1, 2001:db8::1;",
        ),
        "more names": (
            to_pem(ISSUING.chain([*NAMES, "bank.example"], KEY)),
            "the certificate covers bank.example, which nobody asked for;",
        ),
        "expired": (to_pem(ISSUING.chain(NAMES, KEY, days=(-9, -1))), "the certificate expired on "),
        "of tomorrow": (to_pem(ISSUING.chain(NAMES, KEY, days=(1, 9))), "the certificate is valid only from "),
        "a CA": (
            to_pem(ISSUING.chain(NAMES, KEY, is_authority=True)),
            "the certificate is one of a CA, not of a server; have it issued for a server",
        ),
        "for clients": (to_pem(to_client), "the certificate is not for servers (no serverAuth);"),
        "of another root of the same name": (
            to_pem(stranger.chain(NAMES, KEY)),
            "the chain ends at Checks Root CA, which is not a root of the issuer (Checks Root CA); have it issued again",
        ),
        "without its issuing CA": (
            to_pem(CHAIN[:1]),
            "the chain ends at Checks Issuing CA, which is not a root of the issuer (Checks Root CA); have it issued again",
        ),
        "below an expired CA": (to_pem(expired_issuing.chain(NAMES, KEY)), "the CA Expired CA expired on "),
        "below a server": (
            to_pem(no_authority.chain(NAMES, KEY)),
            "the keyUsage of the CA No authority is digitalSignature without keyCertSign, so clients do not accept what it signs; ",
        ),
        "with a private key": (
            to_pem(CHAIN) + key_pem(some_key(1)),
            "the answer holds a private key, and keys are made on hosts alone; destroy it and have the CA sign the request",
        ),
        "huge": (
            huge,
            f"the answer has {len(huge)} bytes, and chains have a few thousand; see what answers in place of the CA",
        ),
    }


@pytest.mark.parametrize(
    ("issued", "sentence"), [pytest.param(*wrong, id=name) for name, wrong in wrong_chains().items()]
)
def test_a_wrong_chain_is_refused_with_its_reason(issued, sentence):
    assert chain_refusal(issued).startswith(sentence)


def test_a_root_that_has_expired_is_trusted_by_no_client():
    old = Authority("Old root", days=(-100, 10))
    issued = to_pem(Authority("Issuing", above=old).chain(NAMES, KEY))
    assert checked(issued, roots=old.pem)
    assert chain_refusal(issued, roots=old.pem, now=NOW + 11 * DAY) == (
        f"the root Old root expired on {NOW + 10 * DAY:%Y-%m-%d %H:%M:%S} UTC; have it issued again"
    )


def test_name_constraints_are_checked():
    constraints = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.com")], excluded_subtrees=None)
    limited = Authority("Limited CA", above=ROOT)
    limited.certificate = ROOT.sign(
        limited.certificate.subject,
        limited.key.public_key(),
        (-1, 90),
        x509.BasicConstraints(True, 0),
        extensions=[constraints],
    )
    sentence = chain_refusal(to_pem(limited.chain(["www.example.org"], KEY)), domains=["www.example.org"])
    assert sentence == (
        "the CA Limited CA does not permit www.example.org, a name of www.example.org; "
        "have a CA issue it whose nameConstraints allow the name"
    )
    assert checked(to_pem(limited.chain(["www.example.com"], KEY)), domains=["www.example.com"])


@pytest.mark.parametrize(
    "name",
    ["localhost", "_sip.example.org", "a" * 63 + ".example", "*." + ".".join(["a" * 60] * 4), "3com.example", "::1"],
)
def test_a_chain_for_any_valid_name_passes(name):
    names = [name, "www.example.org"]
    chain = ISSUING.chain(names, KEY, subject=named("www.example.org"))
    assert checked(to_pem(chain), domains=names) == chain
    stranger = to_pem(Authority("Stranger").chain(names, KEY, subject=named("www.example.org")))
    assert "which is not a root of the issuer" in chain_refusal(stranger, domains=names)


SUBJECT = {"common_name": "Shop", "organization_name": "Example Ltd", "country_name": "GB"}


def issued_with(usage=(ExtendedKeyUsageOID.SERVER_AUTH,), **fields):
    """Return a chain whose leaf has a subject."""
    return to_pem(ISSUING.chain(NAMES, KEY, subject=make_subject([], fields), usage=usage))


@pytest.mark.parametrize(
    "fields",
    [
        {"common_name": "WWW.example.org"},
        {"common_name": "*.example.org"},
        {"common_name": "2001:db8:0:0::1"},
        {"common_name": "Shop"},
        {"organization_name": "EXAMPLE  ltd"},
        SUBJECT,
    ],
)
def test_a_ca_may_leave_fields_of_the_subject_out(fields):
    assert checked(issued_with(**fields), **SUBJECT)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"common_name": "bank.example"},
            "the common name of the certificate is bank.example, which is none of its names; ",
        ),
        (
            {"organization_name": "Example GmbH"},
            "has organization_name Example GmbH, and the inventory says organization_name: Example Ltd; ",
        ),
        ({"locality_name": "London"}, "has locality_name London, and the inventory says nothing of that; "),
    ],
)
def test_a_ca_may_not_add_to_the_subject(fields, sentence):
    assert sentence in chain_refusal(issued_with(**fields), **SUBJECT)


def test_a_ca_that_may_add_to_the_subject_may_not_choose_the_common_name():
    assert checked(issued_with(**SUBJECT, locality_name="London"), common_name="Shop", may_add_subject=True)
    sentence = chain_refusal(issued_with(common_name="bank.example"), may_add_subject=True)
    assert sentence.startswith("the common name of the certificate is bank.example, which is none of its names; ")


def test_a_field_that_no_option_names_is_named_by_its_attribute():
    subject = x509.Name([x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "corp")])
    assert chain_refusal(to_pem(ISSUING.chain(NAMES, KEY, subject=subject))) == (
        "the subject of the certificate has DC corp, and the inventory says nothing of that; have it issued without that, or, "
        "if it is right, set may_add: [subject] for the issuer"
    )


@pytest.mark.parametrize(
    "usage",
    [
        ExtendedKeyUsageOID.CODE_SIGNING,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.SMARTCARD_LOGON,
        x509.ObjectIdentifier("1.2.3"),
    ],
)
def test_a_certificate_for_more_than_tls_is_refused(usage):
    sentence = chain_refusal(issued_with(usage=(ExtendedKeyUsageOID.SERVER_AUTH, usage)))
    assert re.match(r"the certificate is for \S+ besides, and a server needs serverAuth alone; ", sentence)


def test_a_certificate_for_clients_too_passes_with_a_warning():
    usage = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    [leaf, _ca] = checked(issued_with(usage=usage, common_name="www.example.org"))
    assert usage_warning(leaf) == (
        "the certificate of www.example.org is for clientAuth beside serverAuth: whoever trusts its CA for logins accepts this "
        "server as a client; have the CA issue for servers alone"
    )
    assert usage_warning(CHAIN[0]) is None


def test_an_ed25519_key_is_checked_without_the_verifier():
    key = some_key(kind="Ed25519")
    assert len(checked(to_pem(ISSUING.chain(NAMES, key)), key=key, type="Ed25519")) == 2
    assert "Stranger" in chain_refusal(to_pem(Authority("Stranger").chain(NAMES, key)), key=key, type="Ed25519")


def test_more_than_a_hundred_certificates_are_refused():
    assert chain_refusal(to_pem(CHAIN * 60)) == (
        "the answer has 120 certificates, and chains have a few; see what answers in place of the CA"
    )
