# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the inbox that make libraries fail: each is a sentence, and takes seconds at the most."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs7, pkcs12

from ansible_collections.evergreen.tls.plugins.module_utils._certificates import file_formats, text_forms
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import elements
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import (
    MAX_CERTIFICATES,
    MAX_MESSAGES,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import certificate_files
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.certificate_files import read_certificates
from ansible_collections.evergreen.tls.tests.unit.fake_ca import (
    YEAR_ZERO,
    Authority,
    der_element,
    pem_valid_until,
    some_key,
    with_indefinite_lengths,
)

NAMES = ["www.example.org"]
ROOT = Authority("Formats Root CA")
LEAF = ROOT.leaf(NAMES, some_key())
VERSION_3, VERSION_8 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"
TOO_MANY_ITERATIONS = "it is PKCS #12 that would take minutes to open, as nobody sends certificates; remove it"
SIGNED_REQUEST = x509.load_pem_x509_csr(make_csr(some_key(), NAMES, {})).public_bytes(Encoding.DER)


def rounds_of(iterations):
    """Return an INTEGER of so many."""
    return der_element(0x02, iterations.to_bytes(iterations.bit_length() // 8 + 1, "big"))


def keystore(iterations, password=b"other"):
    """Return PKCS #12 in DER, without a key, whose password goes through so many rounds in each part."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(7_000_000 // 100)
        .hmac_hash(hashes.SHA256())
        .build(password)
    )
    content = pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(LEAF, None)], encryption)
    old, new = rounds_of(7_000_000 // 100), rounds_of(iterations)
    assert old in content and len(old) == len(new)
    return content.replace(old, new)


def in_segments(der):
    """Return PKCS #12 in BER whose content comes as an octet string in segments, as NSS and old Java write it."""
    ((_tag, pfx),) = elements(der)
    version, auth_safe, mac_data = elements(pfx)
    data_type, content = elements(auth_safe.value)
    ((_tag, octets),) = elements(content.value)
    segments = b"".join(der_element(0x04, octets[at : at + 100]) for at in range(0, len(octets), 100))
    data = b"\xa0\x80\x24\x80" + segments + b"\0\0" + b"\0\0"
    safe = b"\x30\x80" + der_element(*data_type) + data + b"\0\0"
    return b"\x30\x80" + der_element(*version) + safe + der_element(*mac_data) + b"\0\0"


BER = {
    "DER": lambda der: der,
    "indefinite lengths": lambda der: with_indefinite_lengths(der, 2),
    "indefinite lengths down to the numbers": lambda der: with_indefinite_lengths(der, 9),
    "segments": in_segments,
}


@pytest.mark.parametrize("form", BER)
def test_a_keystore_is_read_in_ber_too(form):
    parsed = read_certificates(BER[form](keystore(70_000, b"correct horse")), ["correct horse"])
    assert (parsed.certificates, parsed.messages) == ([LEAF], [])


@pytest.mark.parametrize("form", BER)
@pytest.mark.parametrize("iterations", [certificate_files.MAX_PASSWORD_ITERATIONS - 1000, 8_000_000])
def test_a_keystore_that_takes_long_is_not_opened(form, iterations, monkeypatch):
    monkeypatch.setattr(certificate_files.pkcs12, "load_pkcs12", lambda *_arguments: pytest.fail("it is opened"))
    # Its other part has 2048 iterations: together they are what counts.
    assert read_certificates(BER[form](keystore(iterations))).messages == [TOO_MANY_ITERATIONS]


def test_all_passwords_together_are_limited(monkeypatch):
    tried = []

    def refuse(_der, password):
        tried.append(password)
        raise ValueError("another password")

    monkeypatch.setattr(certificate_files.pkcs12, "load_pkcs12", refuse)
    passwords = [str(number) for number in range(1000)]
    assert read_certificates(keystore(1_000_000), passwords).messages == [TOO_MANY_ITERATIONS]
    assert 2 < len(tried) < 20


def test_more_elements_than_keystores_have_are_not_looked_at():
    der = der_element(0x30, b"\x02\x01\x03" + der_element(0x30, b"\x05\0" * 400_000))
    start = time.process_time()
    assert read_certificates(der).messages == [TOO_MANY_ITERATIONS]
    assert time.process_time() - start < 3


ODD = {
    "a signing request of another version": (
        SIGNED_REQUEST.replace(b"\x02\x01\0", b"\x02\x01\x02", 1),
        "it is a signing request, which is what the CA gets; put in what the CA answers",
    ),
    "PKCS #7 with a certificate of another version": (
        pkcs7.serialize_certificates([LEAF, ROOT.certificate], Encoding.DER).replace(VERSION_3, VERSION_8, 1),
        "it is PKCS #7 that cannot be read (InvalidVersion: 7 is not a valid X509 version); convert it with openssl pkcs7 -print_certs",
    ),
    "a certificate of another version": (
        LEAF.public_bytes(Encoding.DER).replace(VERSION_3, VERSION_8, 1),
        "its certificate number 1 cannot be read; see it with openssl x509 -text, and leave it out, or copy it again from what the CA sent",
    ),
    "a certificate until the year 0": (
        pem_valid_until(ROOT, YEAR_ZERO, NAMES, some_key()),
        "its certificate number 1 cannot be read; see it with openssl x509 -text, and leave it out, or copy it again from what the CA sent",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), ODD.values(), ids=ODD)
def test_what_makes_a_library_fail_is_a_sentence(content, sentence):
    parsed = read_certificates(content)
    assert (parsed.certificates, parsed.messages) == ([], [sentence])


def test_a_certificate_that_cannot_be_read_hides_no_other_in_its_file():
    content = pem_valid_until(ROOT, YEAR_ZERO, NAMES, some_key()) + to_pem([LEAF]) + b"-----BEGIN PKCS7-----\nMIIB\n"
    parsed = read_certificates(content + ROOT.pem)
    assert parsed.certificates == [LEAF, ROOT.certificate]
    assert parsed.messages == [
        "its certificate number 1 cannot be read; see it with openssl x509 -text, and leave it out, or copy it again from what the CA sent",
        "its block PKCS7 is damaged; copy it again from what the CA sent",
    ]


@pytest.mark.parametrize("error", [KeyError("k"), OverflowError("large"), x509.InvalidVersion("v", 7), MemoryError()])
@pytest.mark.parametrize("library", ["pkcs7.load_der_pkcs7_certificates", "pkcs12.load_pkcs12", "base64.b64decode"])
def test_whatever_a_library_raises_is_a_message(monkeypatch, library, error):
    def fail(*_arguments):
        raise error

    module = {"pkcs7": file_formats, "pkcs12": certificate_files, "base64": text_forms}[library.partition(".")[0]]
    monkeypatch.setattr(getattr(module, library.partition(".")[0]), library.partition(".")[2], fail)
    contents = [
        pkcs7.serialize_certificates([LEAF], Encoding.DER),
        pkcs12.serialize_key_and_certificates(None, None, LEAF, [], BestAvailableEncryption(b"x")),
        to_pem([LEAF]),
    ]
    messages = [message for content in contents for message in read_certificates(content).messages]
    assert any(type(error).__name__ in message and ";" in message for message in messages)


def test_certificates_and_messages_of_a_file_are_counted():
    parsed = read_certificates(to_pem([LEAF]) * (MAX_CERTIFICATES + 100))
    assert len(parsed.certificates) == MAX_CERTIFICATES
    assert parsed.messages == [f"it holds more than {MAX_CERTIFICATES} certificates, as no CA sends them; remove it"]
    assert MAX_MESSAGES < 10
