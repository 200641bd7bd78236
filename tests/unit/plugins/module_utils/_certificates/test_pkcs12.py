# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keystores, as openssl reads them and as it writes them."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from ansible_collections.evergreen.tls.plugins.module_utils._certificates import pkcs12 as keystores
from ansible_collections.evergreen.tls.plugins.module_utils._certificates import pkcs12 as pkcs12_module
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.pkcs12 import (
    inspect_keystore,
    keystore_difference,
    make_keystore,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.pkcs12_openssl import (
    make_keystore_with_openssl,
)
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

NAMES = ["www.example.org"]
ROOT = Authority("Keystore Root CA")
ISSUING = Authority("Keystore Issuing CA", above=ROOT)
PASSWORD = "correct horse"
IS_OLD = not hasattr(serialization.PrivateFormat, "PKCS12")  # cryptography before 38
KINDS = ["legacy"] if IS_OLD else ["modern", "legacy"]
USUAL = KINDS[0]
SHOWN_BY_OPENSSL = {"modern": "PBES2, PBKDF2, AES-256-CBC", "legacy": "pbeWithSHA1And3-KeyTripleDES-CBC"}


def chain_for(key):
    return ISSUING.chain(NAMES, key)


def made(key=None, chain=None, password=PASSWORD, name="site", encryption=USUAL):
    key = key or some_key()
    return make_keystore(key, chain or chain_for(key), password, name, encryption)


def differs(der, key, chain, password=PASSWORD, name="site", encryption=USUAL):
    return keystore_difference(der, key, chain, password, name, encryption)


def openssl(folder, *arguments, password=PASSWORD):
    command = ["openssl", "pkcs12", *arguments, "-passin", f"pass:{password}", "-passout", f"pass:{password}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)


def written_by_openssl(folder, key, chain, *options):
    """Return a keystore that the openssl command has written."""
    (folder / "key.pem").write_bytes(key_pem(key))
    (folder / "cert.pem").write_bytes(to_pem(chain[:1]))
    (folder / "chain.pem").write_bytes(to_pem(chain[1:]))
    openssl(
        folder,
        *("-export", "-inkey", "key.pem", "-in", "cert.pem", "-certfile", "chain.pem", "-out", "site.p12", *options),
    )
    return (folder / "site.p12").read_bytes()


@pytest.mark.parametrize("kind", ["ECC", "RSA"])
@pytest.mark.parametrize("encryption", KINDS)
def test_openssl_finds_key_chain_name_and_encryption(tmp_path, encryption, kind):
    key = some_key(kind=kind)
    chain = chain_for(key)
    (tmp_path / "site.p12").write_bytes(made(key, chain, name="my site", encryption=encryption))
    shown = openssl(tmp_path, "-in", "site.p12", "-info", "-nodes")
    assert SHOWN_BY_OPENSSL[encryption] in shown.stderr
    assert "friendlyName: my site" in shown.stdout
    for certificate in to_pem(chain).decode().split("-----END CERTIFICATE-----\n")[:-1]:
        assert certificate in shown.stdout
    loaded = subprocess.run(
        ["openssl", "pkey", "-pubout"], input=shown.stdout, capture_output=True, text=True, check=True
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert loaded.stdout == public.decode()


@pytest.mark.parametrize("encryption", KINDS)
def test_what_was_made_is_as_wanted_although_no_two_are_alike(encryption):
    key = some_key()
    chain = chain_for(key)
    one, two = (made(key, chain, encryption=encryption) for _time in range(2))
    assert one != two
    assert differs(one, key, chain, encryption=encryption) is None
    assert differs(two, key, chain, encryption=encryption) is None


@pytest.mark.parametrize("name", ["site", "Büro 例子"])
def test_the_friendly_name_is_seen_without_the_password(name):
    assert inspect_keystore(made(name=name)).friendly_name == name


@pytest.mark.parametrize("encryption", KINDS)
def test_the_key_and_its_certificate_have_one_local_key_id(tmp_path, encryption):
    """cryptography 43.0.0 to 43.0.3 write none (Debian 13)."""
    (tmp_path / "site.p12").write_bytes(made(encryption=encryption))
    shown = openssl(tmp_path, "-in", "site.p12", "-info", "-nodes")
    identifiers = re.findall(r"localKeyID: ([0-9A-F ]+)", shown.stdout)
    assert len(identifiers) == 2 and len(set(identifiers)) == 1


@pytest.mark.parametrize("encryption", KINDS)
def test_openssl_writes_what_the_library_would(encryption):
    key = some_key()
    chain = chain_for(key)
    der = make_keystore_with_openssl(key, chain, PASSWORD, "Büro 例子", encryption)
    assert differs(der, key, chain, name="Büro 例子", encryption=encryption) is None


@pytest.mark.parametrize("kind", ["ECC", "RSA"])
def test_neither_key_nor_password_is_in_an_argument_a_variable_or_a_file_of_openssl(tmp_path, monkeypatch, kind):
    """The program is replaced by one that writes down how it was called, and becomes the real one."""
    seen, temporary, programs = (tmp_path / name for name in ("seen", "temporary", "programs"))
    for folder in (seen, temporary, programs):
        folder.mkdir()
    record = f'cat "/proc/$$/cmdline" "/proc/$$/environ" > {seen}/called; readlink /proc/$$/fd/* > {seen}/files'
    (programs / "openssl").write_text(f'#!/bin/sh\n{record}\nexec {shutil.which("openssl")} "$@"\n')
    (programs / "openssl").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.chdir(temporary)
    key = some_key(kind=kind)
    chain = chain_for(key)
    der = make_keystore_with_openssl(key, chain, PASSWORD, "site", USUAL)
    assert differs(der, key, chain) is None
    called = (seen / "called").read_bytes()
    assert b"-passout" in called and b"PATH=" in called
    number = getattr(key.private_numbers(), "private_value", None) or key.private_numbers().d
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    body = b"".join(key_pem(key).splitlines()[1:-1])
    forms = [
        PASSWORD.encode(),
        b"PRIVATE KEY",
        raw,
        raw.hex().encode(),
        *(body[i : i + 40] for i in range(80, 160, 40)),
    ]
    assert not [form for form in forms if form in called]
    files = (seen / "files").read_text(encoding="utf-8").splitlines()
    assert sum(file.startswith("/memfd:") for file in files) == 3, files
    own = {str(programs / "openssl"), str(seen / "files")}  # which the shell reads, and writes
    assert [
        file for file in files if not re.match(r"/memfd:|pipe:|/dev/null|socket:|/proc/", file) and file not in own
    ] == []
    assert list(temporary.iterdir()) == []


@pytest.fixture
def macos(monkeypatch):
    """Take away what macOS lacks."""
    monkeypatch.delattr("os.memfd_create")


@pytest.mark.usefixtures("macos")
@pytest.mark.parametrize("encryption", KINDS)
def test_openssl_writes_the_same_on_systems_without_files_in_memory(encryption):
    key = some_key(kind="RSA")
    chain = chain_for(key)
    der = make_keystore_with_openssl(key, chain, PASSWORD, "Büro 例子", encryption)
    assert differs(der, key, chain, name="Büro 例子", encryption=encryption) is None


@pytest.mark.usefixtures("macos")
def test_a_chain_larger_than_a_pipe_reaches_openssl():
    key = some_key()
    chain = chain_for(key)
    several = [*chain, *(Authority(f"Keystore CA {number} {'x' * 40}").certificate for number in range(120))]
    assert len(to_pem(several)) > 65536
    assert differs(make_keystore_with_openssl(key, several, PASSWORD, "site", USUAL), key, several) is None


@pytest.mark.usefixtures("macos")
def test_an_openssl_that_reads_nothing_is_a_failure_and_ends_at_once(tmp_path, monkeypatch):
    (tmp_path / "openssl").write_text("#!/bin/sh\necho no such algorithm >&2\nexit 1\n", encoding="utf-8")
    (tmp_path / "openssl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    key = some_key()
    with pytest.raises(
        TlsError, match=r"openssl writes none \(no such algorithm\); install openssl, or another version"
    ):
        make_keystore_with_openssl(key, chain_for(key) * 60, PASSWORD, "site", USUAL)


def test_a_keystore_without_local_key_id_is_not_as_wanted(monkeypatch):
    key = some_key()
    chain = chain_for(key)
    der = made(key, chain).replace(pkcs12_module.LOCAL_KEY_ID, pkcs12_module.LOCAL_KEY_ID[:-1] + b"\x7f")
    assert differs(der, key, chain) == "it has no localKeyID, by which some clients find the certificate of the key"
    monkeypatch.setattr(pkcs12_module.pkcs12, "serialize_key_and_certificates", lambda *_arguments: der)
    assert inspect_keystore(made(key, chain)).has_local_key_id
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        TlsError, match="writes PKCS #12 without localKeyID.* openssl writes none .*; install openssl, or another"
    ):
        made(key, chain)


def test_each_difference_is_told():
    key, other = some_key(), some_key(1)
    chain = chain_for(key)
    der = made(key, chain)
    assert differs(der, key, chain, password="another") == "it has another password, or is damaged"
    assert differs(der, key, chain, name="other") == "its friendly name is 'site'"
    assert differs(der, other, chain_for(other)) == "it holds another key"
    assert differs(der, key, chain_for(key)) == "it holds another certificate"
    assert differs(der, key, chain[:1]) == "it holds another certificate"
    assert differs(b"garbage", key, chain) == "it is no PKCS #12 that can be read"
    assert differs(der[:-1], key, chain) == "it is no PKCS #12 that can be read"
    damaged = der[:-60] + bytes([der[-60] ^ 1]) + der[-59:]
    assert differs(damaged, key, chain) is not None


@pytest.mark.skipif(IS_OLD, reason="this library writes one kind alone")
def test_another_encryption_is_a_difference():
    key = some_key()
    chain = chain_for(key)
    old, new = (made(key, chain, encryption=kind) for kind in ("legacy", "modern"))
    assert differs(old, key, chain) == ("it is encrypted with 3DES-CBC and SHA-1, and modern encryption is wanted")
    assert differs(new, key, chain, encryption="legacy") == (
        "it is encrypted with AES-256-CBC and SHA-256, and legacy encryption is wanted"
    )


@pytest.mark.skipif(not IS_OLD, reason="newer libraries write both kinds")
def test_an_old_library_says_that_it_writes_legacy_alone():
    with pytest.raises(TlsError, match="cannot write PKCS #12 with modern encryption; write encryption: legacy, or"):
        made(encryption="modern")


def test_a_key_that_the_library_cannot_write_is_named(monkeypatch):
    def refuse(*_arguments):
        raise TypeError("Key must be RSA, DSA, or EllipticCurve private key.")

    monkeypatch.setattr(keystores.pkcs12, "serialize_key_and_certificates", refuse)
    with pytest.raises(TlsError, match="cannot write this key as PKCS #12 .*; choose type: ECC or RSA for the request"):
        made()


def test_a_keystore_of_openssl_is_read_too(tmp_path):
    key = some_key()
    chain = chain_for(key)
    options = ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1", "-name", "site")
    der = written_by_openssl(tmp_path, key, chain, *options)
    assert differs(der, key, chain, encryption="legacy") is None
    options = ("-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC", "-macalg", "sha256", "-name", "site")
    assert "AES-256-CBC" in inspect_keystore(written_by_openssl(tmp_path, key, chain, *options)).algorithms


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-nomac", "-keypbe", "NONE", "-certpbe", "NONE"), {"nothing"}),
        (("-nomac", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"), {"3DES-CBC"}),
        (("-keypbe", "NONE", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"), {"nothing", "3DES-CBC", "SHA-1"}),
    ],
    ids=["neither encrypted nor authenticated", "not authenticated", "a key that is not encrypted"],
)
def test_a_keystore_that_protects_less_is_refused(tmp_path, options, expected):
    key = some_key()
    chain = chain_for(key)
    der = written_by_openssl(tmp_path, key, chain, *options)
    assert inspect_keystore(der).algorithms == expected
    assert "and legacy encryption is wanted" in differs(der, key, chain, encryption="legacy")


def test_a_keystore_that_would_take_minutes_is_not_opened(tmp_path, monkeypatch):
    key = some_key()
    chain = chain_for(key)
    der = made(key, chain)
    monkeypatch.setattr(keystores, "MAX_ITERATIONS", inspect_keystore(der).iterations - 1)
    assert differs(der, key, chain) == "it would take minutes to open"


def test_an_attribute_without_a_value_is_malformed():
    local_key_id = bytes.fromhex("300d 0609 2a864886f70d010915 3100")
    with pytest.raises(ValueError, match="not enough values to unpack"):
        keystores._attributes([keystores.Element(keystores.SET, local_key_id)])
