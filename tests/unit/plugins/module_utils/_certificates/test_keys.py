# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of every kind: made, written, read and described."""

from __future__ import annotations

import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import (
    load_csr,
    make_csr,
    requested_names,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    describe_key,
    describe_requested_key,
    load_key,
    make_key,
    public_bytes,
    write_key,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import ECC_CURVES, RSA_KEY_SIZES
from ansible_collections.evergreen.tls.tests.unit.fake_ca import (
    endless_key,
    key_pem,
    new_key,
    openssl,
    rsa_key_pem,
    some_key,
)

NAMES = ["www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
KEY_OPTIONS = {"type": "ECC", "size": 2048, "curve": "secp256r1"}
KINDS = [
    *({**KEY_OPTIONS, "type": "RSA", "size": size} for size in RSA_KEY_SIZES),
    *({**KEY_OPTIONS, "curve": curve} for curve in ECC_CURVES),
    {**KEY_OPTIONS, "type": "Ed25519"},
]


@pytest.mark.parametrize("options", KINDS, ids=describe_requested_key)
def test_a_new_key_is_of_the_requested_kind_and_proves_itself(options):
    pem = make_key(options)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    key = load_key(pem)
    assert describe_key(key.public_key()) == describe_requested_key(options)
    request = load_csr(make_csr(key, NAMES, {}))
    assert public_bytes(request.public_key()) == public_bytes(key.public_key())
    assert requested_names(request) == set(NAMES)


def test_kinds_have_the_words_of_the_options():
    assert [describe_requested_key(options) for options in KINDS] == [
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
        make_csr(some_key(), NAMES, {}),
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


def large_key():
    """Return an RSA key of 8192 bits in PEM, from two primes that everybody knows, and its modulus; new primes take a minute."""
    p = known_prime(16 * arctangent(5) - 4 * arctangent(239), 240904)  # of pi: RFC 3526, section 5
    q = known_prime(euler_number(), 5736041)  # of e: RFC 7919, appendix A.3
    d = pow(65537, -1, (p - 1) * (q - 1))
    factors = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    return rsa_key_pem(p * q, 65537, d, p, q, *factors), p * q


ONE = 1 << 4200  # fractions are multiples of 1 / ONE


def known_prime(number, offset):
    """Return the prime of 4096 bits that begins with this number, which is pi or e."""
    return 2**4096 - 2**4032 - 1 + 2**64 * ((number * 2**3966) // ONE + offset)


def arctangent(inverse):
    power, divisor, total = ONE // inverse, 1, 0
    while power not in (0, -1):
        total += power // divisor
        power, divisor = power // -(inverse * inverse), divisor + 2
    return total


def euler_number():
    term, divisor, total = ONE, 1, 0
    while term:
        total += term
        term, divisor = term // divisor, divisor + 1
    return total


def test_the_largest_key_that_people_use_is_read():
    pem, modulus = large_key()
    key = load_key(pem)  # which OpenSSL checks for seconds
    assert (key.key_size, key.public_key().public_numbers().n) == (8192, modulus)


def test_a_key_is_read_in_either_form():
    key, plain = new_key("RSA"), serialization.NoEncryption()
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


def test_a_key_of_another_curve_is_another_kind():
    key = ec.generate_private_key(ec.SECP384R1())
    assert describe_key(key.public_key()) == "ECC secp384r1"
    assert describe_requested_key(KEY_OPTIONS) == "ECC secp256r1"


def test_a_key_over_which_the_library_itself_stumbles_is_refused():
    pem = b"-----BEGIN PRIVATE KEY-----\nMBICAQAwBQYDK2VwBAYEBAABCiQ=\n-----END PRIVATE KEY-----\n"
    with pytest.raises(TlsError, match="the private key holds no private key that can be read; move it away"):
        load_key(pem)
