# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Warnings name the certificate, what it is, and the clients that refuse it; the judge is `openssl verify -x509_strict`."""

from __future__ import annotations

import subprocess

import pytest
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import parse_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.strict_clients import PYTHON, strict_warnings
from ansible_collections.evergreen.tls.tests.unit.chain_factory import certificate_chain
from ansible_collections.evergreen.tls.tests.unit.plugins.module_utils._certificates.test_path_validation import (
    LATIN_NAME,
    OLD_OPENSSL,
    PRINTABLE_NAME,
    UTF_8_NAME,
)

ADVICE = "and most clients do not; tell the CA, or have those clients leave out strict checks"
STRICT = {
    "a root without keyUsage": ({3: {"usages": None}}, "the root Root CA has no keyUsage"),
    "a root of version 1": ({3: {"version": 1}}, "the root Root CA is of version 1, without extensions"),
    "basicConstraints that are not critical": (
        {1: {"is_critical": False}},
        "the CA Issuing CA has basicConstraints that are not critical",
    ),
    "a leaf without identifiers": (
        {0: {"identifiers": False}},
        "the certificate has no authorityKeyIdentifier with the identifier of a key",
    ),
    "a root without identifiers": ({3: {"identifiers": False}}, "the root Root CA has no subjectKeyIdentifier"),
    "a leaf that may sign": (
        {0: {"usages": ["digital_signature", "key_cert_sign"]}},
        "the certificate has the keyUsage keyCertSign and is no CA",
    ),
    "a leaf with an empty subject": (
        {0: {"subject": x509.Name([])}},
        "the certificate has an empty subject and a subjectAltName that is not critical",
    ),
}
OTHERS = {
    "the serial number 0": ({0: {"serial": 0}}, "the certificate has the serial number 0: strict clients"),
    "a negative serial number": (
        {3: {"serial": -7}},
        "the root Root CA has a negative serial number: Go 1.23 and later",
    ),
    "another string type": (
        {1: {"subject": UTF_8_NAME}, 0: {"issuer": PRINTABLE_NAME}},
        "the certificate has an issuer that is written otherwise than the subject of the CA Issuing CA: Go and Rust",
    ),
    "Latin letters in T61String": (
        {3: {"subject": LATIN_NAME}, 2: {"issuer": LATIN_NAME}},
        "the root Autorité has a subject in T61String that is not ASCII: Rust and Python's cryptography",
    ),
}


def path_of(changes):
    return [parse_certificate(one.der) for one in certificate_chain("ECC", changes)]


def verify(folder, changes, *options):
    chain = certificate_chain("ECC", changes)
    for name, part in (("leaf", chain[:1]), ("rest", chain[1:-1]), ("root", chain[-1:])):
        (folder / name).write_bytes(b"".join(one.pem for one in part))
    command = ["openssl", "verify", *options, "-purpose", "sslserver", "-CAfile", "root", "-untrusted", "rest", "leaf"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def test_a_chain_by_the_book_has_no_warning(tmp_path):
    assert strict_warnings(path_of({})) == []
    assert verify(tmp_path, {}, "-x509_strict")


@pytest.mark.skipif(OLD_OPENSSL, reason="OpenSSL has these checks since version 3")
@pytest.mark.parametrize(("changes", "fault"), list(STRICT.values()), ids=list(STRICT))
def test_what_strict_openssl_refuses_is_warned_about_with_the_clients_that_do(tmp_path, changes, fault):
    assert strict_warnings(path_of(changes)) == [f"{fault}: {PYTHON} refuse it, {ADVICE}"]
    assert verify(tmp_path, changes) and not verify(tmp_path, changes, "-x509_strict")


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize(("changes", "fault"), list(OTHERS.values()), ids=list(OTHERS))
def test_what_other_clients_refuse_is_warned_about(tmp_path, changes, fault):
    assert strict_warnings(path_of(changes)) == [f"{fault} refuse it, {ADVICE}"]
    assert verify(tmp_path, changes)


def test_each_certificate_is_named():
    warnings = strict_warnings(path_of({number: {"usages": None} for number in (1, 2, 3)}))
    assert [one.partition(" has")[0] for one in warnings] == [
        "the CA Issuing CA",
        "the CA Upper CA",
        "the root Root CA",
    ]
