# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a password takes is seen before it is tried."""

from __future__ import annotations

import base64
import subprocess
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ansible_collections.evergreen.tls.plugins.module_utils._certificates import keys
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import load_key
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.password_work import password_work
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.tests.unit.fake_ca import der_element, key_pem, some_key


def encrypted(folder, *options):
    """Return a private key in DER and PEM, as the openssl command encrypts it."""
    (folder / "plain.pem").write_bytes(key_pem(some_key()))
    argv = ["openssl", "pkcs8", "-topk8", "-in", "plain.pem", "-passout", "pass:correct horse", *options]
    run = [
        subprocess.run([*argv, "-outform", form], cwd=folder, check=True, capture_output=True)
        for form in ("DER", "PEM")
    ]
    return [one.stdout for one in run]


def test_iterations_are_those_of_the_file(tmp_path):
    der, pem = encrypted(tmp_path, "-iter", "12345")
    assert password_work(der) == 12345
    assert load_key(pem, passphrase=b"correct horse").private_numbers() == some_key().private_numbers()
    plain = some_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert password_work(plain) == 0


def test_scrypt_is_measured_by_its_parameters(tmp_path):
    der, pem = encrypted(tmp_path, "-scrypt", "-scrypt_N", "1024", "-scrypt_r", "8", "-scrypt_p", "16")
    assert 1024 * 8 * 16 <= password_work(der) <= 1024 * 8 * 16 * 32
    assert load_key(pem, passphrase=b"correct horse").private_numbers() == some_key().private_numbers()


def test_a_key_whose_passphrase_takes_minutes_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "MAX_PASSPHRASE_WORK", 2_000_000)
    der, _pem = encrypted(tmp_path, "-iter", "70000")
    old, new = b"\x02\x03\x01\x11\x70", b"\x02\x03\x7f\xff\xff"  # eight million
    assert old in der
    pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + base64.encodebytes(der.replace(old, new))
    start = time.process_time()
    with pytest.raises(TlsError, match="holds no private key that can be read"):
        load_key(pem + b"-----END ENCRYPTED PRIVATE KEY-----\n", passphrase=b"correct horse")
    assert time.process_time() - start < 0.5


def test_numbers_without_end_are_not_multiplied_without_end():
    scrypt = bytes.fromhex("06092b06010401da47040b")
    numbers = der_element(0x04, b"salt") + der_element(0x02, b"\x7f" * 1000) * 500
    start = time.process_time()
    assert password_work(der_element(0x30, scrypt + der_element(0x30, numbers))) >= 2**62
    assert time.process_time() - start < 1
