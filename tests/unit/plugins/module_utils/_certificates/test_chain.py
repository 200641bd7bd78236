# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server may present, and the sentences that refuse the rest."""

from __future__ import annotations

import datetime
import subprocess

import cryptography
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ed448, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import (
    check_chain,
    describe_chain,
    names_of,
    parse_chain,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import is_ca
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.tests.unit.fake_ca import (
    DAY,
    NOW,
    Authority,
    garbled_pem,
    key_pem,
    named,
    new_key,
    openssl,
    signed_by_openssl,
    some_key,
)

OLD_LIBRARY = int(cryptography.__version__.partition(".")[0]) < 36  # as in Debian 11
NAMES = ["www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
KEY = some_key()
ROOT = Authority("Test Root CA")
ISSUING = Authority("Test Issuing CA", above=ROOT)
LOWEST = Authority("Test Lowest CA", above=ISSUING)
CHAIN = LOWEST.chain(NAMES, KEY)
OTHER_ROOT = Authority("Other root")
ROOTS = [ROOT.certificate]


def refusal_of(chain, key=KEY, names=tuple(NAMES), now=NOW, roots=None):
    """Return the sentence with which a chain is refused."""
    with pytest.raises(TlsError) as caught:
        check_chain(chain, key.public_key(), names, now, roots)
    return str(caught.value)


def when(date):
    return f"{date:%Y-%m-%d %H:%M:%S}"


def test_a_good_chain_passes_with_and_without_roots():
    check_chain(CHAIN, KEY.public_key(), NAMES, NOW)
    check_chain(CHAIN, KEY.public_key(), NAMES, NOW, ROOTS)
    check_chain(CHAIN, KEY.public_key(), NAMES, NOW, [OTHER_ROOT.certificate, ROOT.certificate])


def test_a_good_chain_is_good_to_the_openssl_command(tmp_path):
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "chain.pem").write_bytes(to_pem(CHAIN[1:]))
    (tmp_path / "leaf.pem").write_bytes(to_pem(CHAIN[:1]))
    options = ("-x509_strict", "-CAfile", "root.pem", "-untrusted", "chain.pem", "-verify_hostname", "www.example.org")
    assert openssl(tmp_path, "verify", *options, "leaf.pem") == b"leaf.pem: OK\n"


def test_the_order_of_names_does_not_matter():
    check_chain(CHAIN, KEY.public_key(), NAMES[::-1], NOW)


def test_a_leaf_right_below_the_root_passes():
    check_chain(ROOT.chain(NAMES, KEY), KEY.public_key(), NAMES, NOW, ROOTS)


def test_a_chain_may_bring_its_root():
    check_chain([*CHAIN, ROOT.certificate], KEY.public_key(), NAMES, NOW, ROOTS)


@pytest.mark.parametrize("kind", ["RSA", "ECC", "Ed25519"])
def test_issuers_and_servers_have_keys_of_any_kind(kind):
    root = Authority(key=some_key(1, kind))
    issuing = Authority("Issuing CA", above=root, key=some_key(2, kind))
    key = some_key(3, kind)
    check_chain(issuing.chain(NAMES, key), key.public_key(), NAMES, NOW, [root.certificate])
    assert not is_signed_by(issuing.certificate, OTHER_ROOT.certificate)


def test_a_leaf_without_extended_usages_is_for_servers_too():
    check_chain(ROOT.chain(NAMES, KEY, usage=()), KEY.public_key(), NAMES, NOW, ROOTS)


def test_a_leaf_without_a_subject_passes():
    chain = ROOT.chain(NAMES, KEY, subject=x509.Name([]))
    check_chain(chain, KEY.public_key(), NAMES, NOW, ROOTS)
    assert describe_chain(chain)["common_name"] == "(no name)"


@pytest.mark.parametrize("kind", ["ECC", "RSA", "Ed25519"])
def test_the_certificate_of_another_key_is_refused(kind):
    assert refusal_of(CHAIN, key=some_key(9, kind)) == (
        "the certificate belongs to another private key; have the request of this host issued again"
    )


@pytest.mark.parametrize(
    ("covered", "requested", "sentence"),
    [
        (
            ["a.example"],
            ["a.example", "c.example", "b.example"],
            "the certificate does not cover b.example, c.example; have it issued for a.example, b.example, c.example",
        ),
        (
            ["a.example", "b.example"],
            ["a.example"],
            "the certificate covers b.example, which nobody asked for; have it issued for a.example",
        ),
        (
            ["a.example", "192.0.2.1"],
            ["a.example", "192.0.2.2"],
            (
                "the certificate does not cover 192.0.2.2 and covers 192.0.2.1, which nobody asked for; "
                "have it issued for 192.0.2.2, a.example"
            ),
        ),
        (
            ["*.a.example"],
            ["www.a.example"],
            (
                "the certificate does not cover www.a.example and covers *.a.example, which nobody asked for; "
                "have it issued for www.a.example"
            ),
        ),
    ],
)
def test_names_have_to_be_those_that_are_requested(covered, requested, sentence):
    assert refusal_of(ROOT.chain(covered, KEY), names=requested) == sentence


def test_a_common_name_is_no_name():
    chain = [ROOT.sign(named("a.example"), KEY.public_key(), (-1, 90), x509.BasicConstraints(False, None))]
    assert names_of(chain[0]) == set()
    assert refusal_of(chain, names=["a.example"]) == (
        "the certificate does not cover a.example; have it issued for a.example"
    )


def test_a_certificate_that_has_expired_is_refused():
    assert refusal_of(CHAIN, now=NOW + 90 * DAY) == (
        f"the certificate expired on {when(NOW + 90 * DAY)} UTC; have it issued again"
    )
    check_chain(CHAIN, KEY.public_key(), NAMES, NOW + 90 * DAY - datetime.timedelta(seconds=1))


def test_a_certificate_that_is_not_valid_yet_is_refused():
    early = NOW - DAY - datetime.timedelta(seconds=1)
    assert refusal_of(CHAIN, now=early) == (
        f"the certificate is valid only from {when(NOW - DAY)} UTC, and the clock here says {when(early)}; "
        "set the clock of this host, or wait"
    )
    check_chain(CHAIN, KEY.public_key(), NAMES, NOW - DAY)


def test_a_ca_above_that_has_expired_or_is_not_valid_yet_is_refused():
    expired = Authority("Expired CA", above=ROOT, days=(-10, -1))
    assert refusal_of(expired.chain(NAMES, KEY)) == (
        f"the CA Expired CA expired on {when(NOW - DAY)} UTC; have it issued again"
    )
    early = Authority("Early CA", above=ROOT, days=(1, 10))
    assert refusal_of(early.chain(NAMES, KEY)).startswith(f"the CA Early CA is valid only from {when(NOW + DAY)} UTC")


def test_the_certificate_of_a_ca_is_refused():
    assert refusal_of(ROOT.chain(NAMES, KEY, is_authority=True)) == (
        "the certificate is one of a CA, not of a server; have it issued for a server"
    )


def test_what_openssl_req_x509_makes_is_called_self_signed(tmp_path):
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "30",
            ),
            *("-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-subj", "/CN=www.example.org"),
            *("-addext", "subjectAltName=DNS:www.example.org"),
        ],
        check=True,
        capture_output=True,
    )
    leaf = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    with pytest.raises(TlsError) as raised:
        check_chain([leaf], leaf.public_key(), ["www.example.org"], NOW)
    assert str(raised.value) == (
        "the certificate is self-signed, as openssl req -x509 makes it, and clients do not trust it; have it issued by a CA"
    )


def test_a_certificate_for_clients_alone_is_refused():
    chain = ROOT.chain(NAMES, KEY, usage=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING))
    assert refusal_of(chain) == "the certificate is not for servers (no serverAuth); have it issued for a server"


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_a_signature_that_clients_refuse_is_refused(tmp_path, digest):
    authority = Authority(key=some_key(1, "RSA"))
    try:
        leaf = signed_by_openssl(tmp_path, authority, ["www.example.org"], KEY, f"-{digest}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this openssl does not sign with {digest}: {error.stdout.decode()}")
    assert refusal_of([leaf], names=["www.example.org"]) == (
        f"the certificate is signed with {digest}, which clients refuse; have it issued again"
    )


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_a_chain_signed_with_rsa_pss_passes(tmp_path, digest):
    authority = Authority(key=some_key(1, "RSA"))
    options = (f"-{digest}", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1")
    leaf = signed_by_openssl(tmp_path, authority, ["www.example.org"], KEY, *options)
    check_chain([leaf], KEY.public_key(), ["www.example.org"], NOW + DAY, [authority.certificate])
    other_root = Authority(key=some_key(2, "RSA"))
    assert not is_signed_by(leaf, other_root.certificate)


def test_a_chain_in_the_wrong_order_is_refused():
    leaf, lowest, issuing = CHAIN
    assert refusal_of([leaf, issuing, lowest]) == (
        "Test Issuing CA did not sign the certificate before it; order the chain leaf first, without strangers"
    )
    assert refusal_of([lowest, leaf, issuing]).startswith("the certificate belongs to another private key")


def test_a_chain_with_a_hole_or_a_stranger_in_it_is_refused():
    leaf, lowest, issuing = CHAIN
    assert refusal_of([leaf, issuing]).startswith("Test Issuing CA did not sign the certificate before it")
    assert refusal_of([leaf, lowest, OTHER_ROOT.certificate]).startswith("Other root did not sign")
    assert refusal_of([leaf, leaf, lowest, issuing]).startswith("www.example.org did not sign")


def test_a_stranger_with_the_name_of_the_issuer_is_refused():
    impostor = Authority("Test Lowest CA")
    assert refusal_of([CHAIN[0], impostor.certificate]).startswith("Test Lowest CA did not sign the certificate")


def test_a_server_cannot_sign_for_others():
    server = Authority("Mere server", above=ROOT)
    server.certificate = ROOT.leaf(["server.example"], server.key, subject=named("Mere server"))
    assert not is_ca(server.certificate)
    assert is_signed_by(server.leaf(NAMES, KEY), server.certificate)
    assert refusal_of(server.chain(NAMES, KEY)) == (
        "the keyUsage of the CA Mere server is digitalSignature without keyCertSign, so clients do not accept what it signs; "
        "have the certificate issued by another CA"
    )


def test_a_chain_to_another_root_is_refused():
    assert refusal_of(CHAIN, roots=[OTHER_ROOT.certificate, ISSUING.certificate][:1]) == (
        "the chain ends at Test Root CA, which is not a root of the issuer (Other root); have it issued again"
    )
    assert refusal_of(CHAIN, roots=[]) == (
        "the chain ends at Test Root CA, which is not a root of the issuer (none); have it issued again"
    )


def test_a_root_that_only_has_the_right_name_is_another():
    assert refusal_of(CHAIN, roots=[Authority("Test Root CA").certificate]) == (
        "the chain ends at Test Root CA, which is not a root of the issuer (Test Root CA); have it issued again"
    )


def test_a_leaf_that_signed_itself_is_refused():
    itself = Authority("www.example.org", key=KEY)
    itself.certificate = itself.leaf(NAMES, KEY, subject=named("www.example.org"))
    assert "which is not a root of the issuer" in refusal_of([itself.certificate], roots=ROOTS)


@pytest.mark.parametrize("pem", [b"", b"MIIB", key_pem(KEY), b"-----BEGIN CERTIFICATE-----\n"])
def test_what_holds_no_certificate_is_refused(pem):
    with pytest.raises(TlsError) as caught:
        parse_chain(pem)
    assert str(caught.value) == "it holds no PEM certificate; have it issued again"


@pytest.mark.parametrize(
    "pem",
    [
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
        to_pem(CHAIN).replace(b"MII", b"MIX", 1),
        to_pem(CHAIN[:1]) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        garbled_pem(CHAIN[0], b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x06"),  # a version that there is not
        garbled_pem(
            CHAIN[0], b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x7f"
        ),  # a curve neither
    ],
)
def test_a_certificate_that_cannot_be_read_is_refused(pem):
    with pytest.raises(TlsError) as caught:
        parse_chain(pem)
    assert str(caught.value) == "it holds a PEM certificate that cannot be read; have it issued again"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x82\x0fwww.example.org", b"\x82\x0fwww.ex\xffmple.org"),
        (b"\x06\x03\x55\x1d\x25", b"\x06\x03\x55\x1d\x11"),  # the extended usages become a second list of names
    ],
)
def test_a_certificate_whose_names_cannot_be_read_is_refused(old, new):
    with pytest.raises(TlsError) as caught:
        parse_chain(garbled_pem(CHAIN[0], old, new))
    assert str(caught.value) == "it holds a PEM certificate that cannot be read; have it issued again"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x06\x03\x55\x1d\x0e", b"\x06\x03\x55\x1d\x0f"),  # the key identifier becomes a second key usage
        (b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x11"),  # the basic constraints become a list of names
    ],
)
def test_a_root_with_an_extension_that_clients_cannot_read_is_refused_as_openssl_does(tmp_path, old, new):
    pem = garbled_pem(ROOT.certificate, old, new)
    for name, content in (("root", pem), ("leaf", to_pem(CHAIN[:1])), ("chain", to_pem(CHAIN[1:]))):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(subprocess.CalledProcessError):
        openssl(tmp_path, "verify", "-CAfile", "root", "-untrusted", "chain", "leaf")
    with pytest.raises(TlsError, match="Test Root CA.*; have it issued again"):
        check_chain(CHAIN, KEY.public_key(), NAMES, NOW, parse_chain(pem))


def test_a_chain_is_read_past_what_people_write_around_it():
    pem = b"subject=CN = www\r\n" + to_pem(CHAIN).replace(b"\n", b"\r\n") + b"\n\n# the end \xff"
    assert parse_chain(pem) == CHAIN


def test_a_chain_survives_being_written():
    assert parse_chain(to_pem(CHAIN)) == CHAIN
    assert to_pem([]) == b""


def test_a_signature_needs_the_key_and_the_name():
    assert is_signed_by(CHAIN[0], LOWEST.certificate)
    assert not is_signed_by(CHAIN[0], ISSUING.certificate)
    assert not is_signed_by(CHAIN[0], Authority("Test Lowest CA").certificate)
    assert not is_signed_by(CHAIN[0], Authority("Another name", key=LOWEST.key).certificate)


@pytest.mark.parametrize("key", [ed448.Ed448PrivateKey.generate(), dsa.generate_private_key(2048)])
def test_a_signature_by_a_key_of_a_rare_kind_is_one(key):
    authority = Authority(key=key)
    leaf = authority.leaf(NAMES, KEY)
    assert is_signed_by(leaf, authority.certificate)
    authority.key = some_key(3)
    assert not is_signed_by(leaf, Authority(key=some_key(4)).certificate)


@pytest.mark.skipif(OLD_LIBRARY, reason="the library makes no such certificate")
def test_a_signature_by_a_key_that_can_make_none_is_none():
    certificate = ROOT.sign(
        named("Exchange"), x25519.X25519PrivateKey.generate().public_key(), (-1, 90), x509.BasicConstraints(True, None)
    )
    leaf = Authority("Exchange").leaf(NAMES, KEY)
    assert not is_signed_by(leaf, certificate)


def test_names_are_in_their_normal_form():
    assert names_of(CHAIN[0]) == set(NAMES)
    assert names_of(ROOT.leaf(["WWW.Example.ORG", "2001:db8:0:0::1"], KEY)) == {"www.example.org", "2001:db8::1"}


def test_a_chain_is_described_for_people(tmp_path):
    leaf = CHAIN[0]
    (tmp_path / "leaf.pem").write_bytes(to_pem([leaf]))
    printed = openssl(tmp_path, "x509", "-in", "leaf.pem", "-noout", "-serial", "-fingerprint", "-sha256").decode()
    assert describe_chain(CHAIN) == {
        "common_name": "www.example.org",
        "names": sorted(NAMES),
        "issuer": "Test Lowest CA",
        "chain": ["www.example.org", "Test Lowest CA", "Test Issuing CA"],
        "key": "ECC secp256r1",
        "serial_number": printed.split("serial=")[1].split()[0].lower().lstrip("0"),
        "fingerprint": printed.split("Fingerprint=")[1].strip().replace(":", "").lower(),
        "not_before": f"{NOW - DAY:%Y-%m-%dT%H:%M:%S}+00:00",
        "not_after": f"{NOW + 90 * DAY:%Y-%m-%dT%H:%M:%S}+00:00",
    }


def test_a_key_made_anew_fits_its_own_certificate_alone():
    key = new_key()
    chain = ROOT.chain(["a.example"], key)
    check_chain(chain, key.public_key(), ["a.example"], NOW, ROOTS)
    assert "belongs to another private key" in refusal_of(chain, names=["a.example"])
