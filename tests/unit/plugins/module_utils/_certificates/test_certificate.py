# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates: parsed, and described."""

from __future__ import annotations

import datetime
import os
import re
import ssl
import subprocess
import sys
import warnings

import cryptography
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
    ignore_serial_number_warnings,
    not_after,
    not_before,
    parse_certificate,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    parse_library_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.tests.unit.fake_ca import (
    DAY,
    NOW,
    YEAR_ZERO,
    Authority,
    garbled_pem,
    openssl,
    pem_valid_until,
    some_key,
)

ROOT = Authority("Example CAs")
LEAF = ROOT.leaf(["www.example.org"], some_key())


def test_a_certificate_is_read():
    assert parse_certificate(LEAF.public_bytes(serialization.Encoding.DER)) == LEAF


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x06"),  # no version of X.509
        (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x7f"),  # no curve
        (b"\x30\x82", b"\x31\x82"),
    ],
)
def test_a_certificate_of_which_a_part_cannot_be_read_is_refused(old, new):
    with pytest.raises(TlsError) as caught:
        parse_certificate(ssl.PEM_cert_to_DER_cert(garbled_pem(LEAF, old, new).decode()))
    assert str(caught.value) == "it is a certificate that cannot be read; have it issued again"


@pytest.mark.parametrize("der", [b"", b"garbage", bytes(1000)])
def test_what_is_no_certificate_is_refused(der):
    with pytest.raises(TlsError, match="it is a certificate that cannot be read"):
        parse_certificate(der)


def test_a_certificate_is_described_by_subject_issuer_end_and_serial_number():
    assert describe_certificate(LEAF) == (
        f"www.example.org, issued by Example CAs, valid until {NOW + 90 * DAY:%Y-%m-%d %H:%M:%S} UTC, "
        f"serial number {LEAF.serial_number:x}"
    )


def test_a_name_is_shown_by_its_common_name_or_as_a_whole():
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Beispiel AG")
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")
    both = x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, "Beispiel CA")])
    assert parse_library_name(both).common_name == "Beispiel CA"
    assert parse_library_name(x509.Name([organization])).common_name == "O=Beispiel AG"
    assert set(parse_library_name(x509.Name([country, organization])).common_name.split(",")) == {
        "C=DE",
        "O=Beispiel AG",
    }
    assert parse_library_name(x509.Name([])).common_name == "(no name)"


def test_dates_are_aware():
    assert not_before(LEAF) == NOW - DAY
    assert not_after(LEAF) == NOW + 90 * DAY
    assert not_after(LEAF).utcoffset() == datetime.timedelta(0)


def test_a_fingerprint_is_the_one_that_openssl_prints(tmp_path):
    (tmp_path / "leaf.pem").write_bytes(to_pem([LEAF]))
    printed = openssl(tmp_path, "x509", "-in", "leaf.pem", "-noout", "-fingerprint", "-sha256").decode()
    assert fingerprint(LEAF) == printed.split("=")[1].strip().replace(":", "").lower()
    assert fingerprint(LEAF) != fingerprint(ROOT.certificate)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x13"),  # the key usage becomes other basic constraints
        (b"\x82\x0fwww.example.org", b"\x87\x0fwww.example.org"),  # an address of 15 bytes
        (b"\x82\x0fwww.example.org", b"\x82\x0fwww.ex\xffmple.org"),
    ],
)
def test_a_certificate_whose_extensions_cannot_be_read_is_refused(old, new):
    with pytest.raises(TlsError) as caught:
        parse_certificate(ssl.PEM_cert_to_DER_cert(garbled_pem(LEAF, old, new).decode()))
    assert re.fullmatch(
        r"(the extension subjectAltName of www.example.org cannot be read|www.example.org has the extension basicConstraints twice, "
        r"which clients refuse); have it issued again",
        str(caught.value),
    )


def test_a_name_that_is_no_utf_8_is_refused_as_by_openssl():
    """cryptography below 35 has OpenSSL read it, which refuses the certificate as a whole."""
    pem = garbled_pem(LEAF, b"Example CAs", b"Ex\xfemple CAs")
    is_read_by_openssl = int(cryptography.__version__.split(".")[0]) < 35
    part = "it is a certificate that" if is_read_by_openssl else "a name in the certificate"
    with pytest.raises(TlsError, match=f"{part} cannot be read; have it issued again"):
        parse_certificate(ssl.PEM_cert_to_DER_cert(pem.decode()))
    for certificate, status in ((pem, 1), (to_pem([LEAF]), 0)):
        done = subprocess.run(["openssl", "x509", "-noout"], input=certificate, capture_output=True, check=False)
        assert done.returncode == status


def test_a_date_that_there_is_not_is_refused():
    pem = pem_valid_until(ROOT, YEAR_ZERO, ["www.example.org"], some_key())
    with pytest.raises(TlsError, match="it is a certificate that cannot be read"):
        parse_certificate(ssl.PEM_cert_to_DER_cert(pem.decode()))


def test_a_certificate_without_a_defined_end_is_read():
    """The date of RFC 5280, section 4.1.2.5."""
    pem = pem_valid_until(ROOT, b"99991231235959Z", ["www.example.org"], some_key())
    certificate = parse_certificate(ssl.PEM_cert_to_DER_cert(pem.decode()))
    assert not_after(certificate).year == 9999 and "valid until 9999-12-31" in describe_certificate(certificate)


def test_a_serial_number_that_is_negative_is_read_as_clients_do_and_without_a_warning_of_the_library():
    odd = ROOT.leaf(["www.example.org"], some_key())
    number = odd.serial_number.to_bytes(odd.serial_number.bit_length() // 8 + 1, "big")
    pem = garbled_pem(odd, bytes([0x02, len(number)]) + number, bytes([0x02, len(number), 0x80]) + number[1:])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        ignore_serial_number_warnings()
        certificate = parse_certificate(ssl.PEM_cert_to_DER_cert(pem.decode()))
        assert "serial number -" in describe_certificate(certificate)
    assert shown == []


def test_no_reader_of_certificates_warns_of_a_serial_number_in_a_process_of_its_own():
    odd = ROOT.leaf(["www.example.org"], some_key())
    number = odd.serial_number.to_bytes(odd.serial_number.bit_length() // 8 + 1, "big")
    pem = garbled_pem(odd, bytes([0x02, len(number)]) + number, bytes([0x02, len(number), 0x80]) + number[1:])
    program = (
        "import sys; "
        f"from {parse_certificate.__module__} import describe_certificate, parse_certificate; "
        "print(describe_certificate(parse_certificate(sys.stdin.buffer.read())))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=ssl.PEM_cert_to_DER_cert(pem.decode()),
        capture_output=True,
        check=True,
        env=environment,
    )
    assert b"serial number -" in done.stdout
    assert b"Parsed a serial number" not in done.stderr


@pytest.mark.parametrize("error", [KeyError("k"), x509.InvalidVersion("v", 7), OverflowError(), RecursionError()])
@pytest.mark.parametrize("part", ["tbs_certificate_bytes", "public_key", "not_valid_after_utc", "serial_number"])
def test_whatever_the_library_raises_is_one_sentence(monkeypatch, part, error):
    class Certificate:
        def __getattr__(self, name):
            if name == part:
                raise error
            return getattr(LEAF, name)

    monkeypatch.setattr(x509, "load_der_x509_certificate", lambda _der: Certificate())
    with pytest.raises(TlsError) as caught:
        parse_certificate(b"")
    assert str(caught.value) == "it is a certificate that cannot be read; have it issued again"
