# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private CA whose work the openssl command accepts, and that says what is wrong with its folder."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import stat
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    fingerprint,
    not_after,
    not_before,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import subject_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import locked
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import local_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import subject_key_identifier
from ansible_collections.evergreen.tls.tests.unit.fake_ca import openssl, some_key

NAMES = ["www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
ISSUE = """
import sys
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import load_key, make_key
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import local_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
key = load_key(make_key({"type": "Ed25519"}))
ca = LocalCa(sys.argv[1], "Evergreen", "90d", None, None)
request = {"name": "web", "domains": ["www.example.org"], "lifetime": None}
answer = ca.issue(request, make_csr(key, ["www.example.org"], {}), "web1")
ca.record(request, parse_chain(answer), "web1")
sys.stdout.buffer.write(answer + ca.roots())
"""


def opened(folder, name="Evergreen", lifetime="90d", passphrase=None, crl_url=None, root=None):
    return LocalCa(str(folder), name, lifetime, passphrase, crl_url, root)


def request_for(**changes):
    return {"name": "web", "domains": NAMES, "lifetime": None, **changes}


def issue(ca, kind="ECC", **changes):
    """Have a certificate issued; return leaf and issuing CA."""
    request = request_for(**changes)
    csr = make_csr(some_key(kind=kind), request["domains"], {"common_name": "evil.example"})
    chain = parse_chain(ca.issue(request, csr, "web1"))
    ca.record(request, chain, "web1")
    return chain


def records(folder):
    return [json.loads(path.read_text()) for path in sorted((pathlib.Path(folder) / "issued").iterdir())]


def serial(certificate):
    return f"{certificate.serial_number:x}"


def refusal(function, *arguments):
    with pytest.raises(TlsError) as caught:
        function(*arguments)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pki"


def write_chain(folder, chain):
    (folder / "leaf.pem").write_bytes(to_pem(chain[:1]))
    (folder / "chain.pem").write_bytes(to_pem(chain[1:]))


def test_nothing_is_made_before_it_is_needed(folder):
    assert opened(folder).roots() is None
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["ECC", "RSA", "Ed25519"])
@pytest.mark.parametrize("name", ["www.example.org", "shop.example.org"])
def test_strict_verifiers_accept_what_it_issues(folder, kind, name):
    write_chain(folder, issue(opened(folder), kind))
    options = ("-x509_strict", "-purpose", "sslserver", "-CAfile", "root.pem", "-untrusted", "chain.pem")
    assert openssl(folder, "verify", *options, "-verify_hostname", name, "leaf.pem") == b"leaf.pem: OK\n"
    assert openssl(folder, "verify", *options, "-verify_ip", "2001:db8::1", "leaf.pem") == b"leaf.pem: OK\n"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        openssl(folder, "verify", *options, "-verify_hostname", "example.com", "leaf.pem")
    assert b"hostname mismatch" in caught.value.stdout.lower()


def test_root_and_issuing_ca_have_the_extensions_of_a_ca(folder):
    leaf, issuing = issue(opened(folder, name="Beispiel"))
    root = parse_chain(opened(folder).roots())[0]
    for authority, length in ((root, 1), (issuing, 0)):
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical and (constraints.value.ca, constraints.value.path_length) == (True, length)
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign
        assert not usage.value.digital_signature
        authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert root.subject.rfc4514_string().startswith("CN=Beispiel Root CA ")
    assert issuing.subject.rfc4514_string().startswith("CN=Beispiel Issuing CA ")
    assert not_after(root) > not_after(issuing) > not_after(leaf)
    assert not_before(root) <= not_before(issuing) <= not_before(leaf)


def test_a_leaf_has_the_names_of_the_request_and_the_key_of_the_csr(folder):
    leaf, _issuing = issue(opened(folder), organization_name="常青有限公司", country_name="CN", common_name="Shop")
    assert leaf.subject.rfc4514_string() == "CN=Shop,O=常青有限公司,C=CN"
    assert public_bytes(leaf.public_key()) == public_bytes(some_key().public_key())
    extensions = {extension.oid._name: extension for extension in leaf.extensions}
    assert {name for name, extension in extensions.items() if extension.critical} == {"basicConstraints", "keyUsage"}
    assert set(extensions) == {
        *("basicConstraints", "keyUsage", "extendedKeyUsage", "subjectAltName"),
        *("subjectKeyIdentifier", "authorityKeyIdentifier"),
    }
    assert list(extensions["extendedKeyUsage"].value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not extensions["basicConstraints"].value.ca
    assert "evil.example" not in str(list(extensions["subjectAltName"].value))


@pytest.mark.parametrize(("kind", "enciphers"), [("ECC", False), ("Ed25519", False), ("RSA", True)])
def test_only_an_rsa_key_enciphers_keys(folder, kind, enciphers):
    usage = issue(opened(folder), kind)[0].extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment is enciphers


def test_a_leaf_whose_names_are_too_long_for_a_subject_has_critical_names(folder):
    leaf, _issuing = issue(opened(folder), domains=["a" * 63 + ".example.org"])
    assert list(leaf.subject) == []
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize(
    ("configured", "requested", "lifetime", "backdated"),
    [
        ("90d", None, 90 * DAY, HOUR),
        ("90d", "47d", 47 * DAY, HOUR),
        ("90d", "400d", 400 * DAY, HOUR),
        ("12h", None, 12 * HOUR, HOUR),
        ("90d", "1h", HOUR, HOUR / 10),
        ("90d", "60s", HOUR / 60, HOUR / 600),
    ],
)
def test_a_leaf_has_the_lifetime_of_the_request(folder, configured, requested, lifetime, backdated):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    leaf, _issuing = issue(opened(folder, lifetime=configured), lifetime=requested)
    assert before <= not_after(leaf) - lifetime <= before + datetime.timedelta(seconds=10)
    assert abs(not_after(leaf) - not_before(leaf) - lifetime - backdated) <= datetime.timedelta(seconds=1)


def test_a_leaf_never_outlives_its_ca(folder):
    ca = opened(folder)
    _leaf, issuing = issue(ca)
    with pytest.raises(TlsError) as caught:
        issue(ca, lifetime="3651d")
    assert str(caught.value) == (
        f"the CA in {folder} expires on {not_after(issuing):%Y-%m-%d}, before a certificate of 3651 days would; "
        "ask for a shorter lifetime, or move the folder away and run evergreen.tls.deploy with -e certificate_new_authority=true"
    )
    assert len(records(folder)) == 1


@pytest.mark.parametrize("lifetime", ["", "90", "ever", "999999999w"])
def test_a_malformed_lifetime_is_refused(folder, lifetime):
    with pytest.raises(TlsError, match=r"is not a length of time; write|is longer than a hundred years; write"):
        opened(folder, lifetime=lifetime)


def test_serial_numbers_are_random_and_long(folder):
    ca = opened(folder)
    numbers = [issue(ca)[0].serial_number for _time in range(8)]
    assert len(set(numbers)) == 8
    assert all(0 < number < 2**159 for number in numbers)
    assert max(numbers) > 2**128
    assert max(abs(one - other) for one, other in zip(numbers, numbers[1:])) > 2**64


def test_every_certificate_is_recorded(folder):
    leaf, _issuing = issue(opened(folder))
    record = records(folder)[0]
    issued_at = datetime.datetime.fromisoformat(record.pop("issued_at"))
    assert abs(issued_at - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(seconds=10)
    assert record == {
        "serial_number": serial(leaf),
        "host": "web1",
        "request": "web",
        "names": NAMES,
        "not_after": not_after(leaf).isoformat(),
        "revoked_at": None,
        "reason": None,
        "certificate": to_pem([leaf]).decode(),
    }
    assert (folder / "issued" / f"{serial(leaf)}.json").exists()


def test_a_certificate_is_recorded_once(folder):
    ca = opened(folder)
    leaf, issuing = issue(ca)
    before = (folder / "issued" / f"{serial(leaf)}.json").read_bytes()
    ca.record(request_for(name="other"), [leaf, issuing], "web2")
    assert (folder / "issued" / f"{serial(leaf)}.json").read_bytes() == before
    assert len(records(folder)) == 1


@pytest.mark.parametrize(
    "changes", [{"domains": NAMES[:1]}, {"lifetime": "47d"}, {"organization_name": "Example"}, {"common_name": "web"}]
)
def test_options_that_decide_on_a_certificate_are_among_its_terms(folder, changes):
    assert opened(folder).terms(request_for(**changes)) != opened(folder).terms(request_for())
    assert opened(folder).terms(request_for(mode="0640", links={"/a": "cert.pem"})) == opened(folder).terms(
        request_for()
    )


@pytest.mark.parametrize("changes", [{"lifetime": "47d"}, {"crl_url": "http://pki.example.org/crl.pem"}])
def test_settings_that_decide_on_a_certificate_are_among_its_terms(folder, changes):
    assert opened(folder, **changes).terms(request_for()) != opened(folder).terms(request_for())
    assert opened(folder, lifetime="47d").terms(request_for()) == opened(folder).terms(request_for(lifetime="47d"))


def test_keys_are_closed_to_others(folder):
    before = os.umask(0)
    try:
        issue(opened(folder))
    finally:
        os.umask(before)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "root.key": 0o600,
        "issuing.key": 0o600,
        "lock": 0o600,
        "issuing.pem": 0o644,
        "root.pem": 0o644,
        "crl.pem": 0o644,
        "issued": 0o700,
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["root.key", "issuing.key"])
def test_a_key_that_others_can_read_signs_nothing(folder, name):
    ca = opened(folder)
    issue(ca)
    (folder / name).chmod(0o640)
    if name == "root.key":
        issue(ca)  # which the root has no part in
        return
    assert refusal(issue, ca) == (
        f"{folder}/issuing.key can be read by others; whoever did can sign for any name. Run chmod 0600 on it, "
        "or make a new CA"
    )


def test_a_second_run_uses_the_ca_of_the_first(folder):
    first, second = issue(opened(folder)), issue(opened(folder, name="Another name"))
    assert first[1] == second[1]


def test_many_processes_make_one_ca(folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", ISSUE, str(folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _number in range(20)]
    chains = [parse_chain(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0] * 20
    assert len({serial(leaf) for leaf, _issuing, _root in chains}) == 20 == len(records(folder))
    assert len({serial(issuing) for _leaf, issuing, _root in chains}) == 1
    assert len({serial(root) for _leaf, _issuing, root in chains}) == 1


@pytest.mark.parametrize(
    "left", [["root.key"], ["root.key", "issuing.key"], ["root.key", "issuing.key", "issuing.pem"]]
)
def test_an_incomplete_ca_of_a_killed_run_is_made_again(folder, left):
    ca = opened(folder)
    issue(ca)
    before = {name: (folder / name).read_bytes() for name in left}
    for path in [*folder.glob("*.pem"), *folder.glob("*.key")]:
        if path.name not in left:
            path.unlink()
    for path in (folder / "issued").iterdir():  # it was killed before it had issued anything
        path.unlink()
    chain = issue(ca)
    assert all((folder / name).read_bytes() != content for name, content in before.items())
    write_chain(folder, chain)
    assert openssl(folder, "verify", "-CAfile", "root.pem", "-untrusted", "chain.pem", "leaf.pem") == b"leaf.pem: OK\n"


@pytest.mark.parametrize(
    "lost",
    [
        ["root.key"],
        ["issuing.key"],
        ["issuing.pem"],
        ["root.key", "issuing.key", "issuing.pem"],
        ["root.pem"],
        ["root.key", "issuing.key", "issuing.pem", "root.pem"],
    ],
)
def test_a_ca_with_a_missing_file_is_never_made_again(folder, lost):
    ca = opened(folder)
    issue(ca)
    root = ca.roots() if "root.pem" not in lost else None
    for name in lost:
        (folder / name).unlink()
    left = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert refusal(issue, ca) == (
        f"the CA in {folder} lacks {', '.join(lost)}; restore it from a backup, or move the folder away "
        "and run evergreen.tls.deploy with -e certificate_new_authority=true"
    )
    assert ca.roots() == root
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == left


def test_a_root_of_another_ca_is_named_and_nothing_is_signed(folder, other_folder):
    ca = opened(folder)
    issue(ca)
    (folder / "root.pem").write_bytes((other_folder / "root.pem").read_bytes())
    assert refusal(issue, ca) == f"{folder}/root.pem has not signed {folder}/issuing.pem; restore both from a backup"
    assert len(records(folder)) == 1


@pytest.mark.parametrize("lost", ["root.pem", "issuing.pem", "issuing.key", "root.key"])
def test_a_link_that_leads_nowhere_is_no_reason_to_make_another_ca(folder, tmp_path, lost):
    folder.mkdir()
    (folder / lost).symlink_to(tmp_path / "not mounted" / lost)
    ca = opened(folder)
    told = refusal(issue, ca)
    assert str(folder) in told and "restore" in told
    assert (folder / lost).is_symlink() and not (tmp_path / "not mounted").exists()
    assert not [path for path in folder.glob("*.pem") if path.name != lost]


def test_keys_are_protected_by_a_passphrase_where_there_is_one(folder):
    ca = opened(folder, passphrase="correct horse")
    write_chain(folder, issue(ca))
    for name in ("root.key", "issuing.key"):
        assert (folder / name).read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        openssl(folder, "pkey", "-in", name, "-passin", "pass:correct horse", "-noout")
    assert openssl(folder, "verify", "-CAfile", "root.pem", "-untrusted", "chain.pem", "leaf.pem") == b"leaf.pem: OK\n"


@pytest.mark.parametrize(
    ("made", "used", "sentence"),
    [
        ("one", "two", "the passphrase does not open {}/issuing.key; correct it in certificate_issuers"),
        ("one", None, "{}/issuing.key is protected by a passphrase; set passphrase in certificate_issuers"),
        (None, "two", "{}/issuing.key is not protected by a passphrase; leave out passphrase in certificate_issuers"),
    ],
)
def test_another_passphrase_is_refused(folder, made, used, sentence):
    issue(opened(folder, passphrase=made))
    assert refusal(issue, opened(folder, passphrase=used)) == sentence.format(folder)
    assert len(records(folder)) == 1


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_that_cannot_be_read_is_named(folder, content):
    issue(opened(folder))
    (folder / "issuing.key").write_bytes(content)
    assert refusal(issue, opened(folder)) == (
        f"{folder}/issuing.key holds no private key that can be read; restore it from a backup"
    )


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
@pytest.mark.parametrize("name", ["issuing.pem", "root.pem"])
def test_a_certificate_that_cannot_be_read_is_named(folder, name, content):
    ca = opened(folder)
    issue(ca)
    (folder / name).write_bytes(content)
    sentence = f"{folder}/{name} holds no certificate that can be read; restore it from a backup"
    assert refusal(issue, ca) == sentence
    if name == "root.pem":
        assert refusal(ca.roots) == sentence


def test_an_issuing_certificate_of_another_ca_signs_nothing(folder, tmp_path):
    issue(opened(folder))
    issue(opened(tmp_path / "other"))
    (folder / "issuing.pem").write_bytes((tmp_path / "other/issuing.pem").read_bytes())
    assert refusal(issue, opened(folder)) == (
        f"{folder}/issuing.key does not belong to {folder}/issuing.pem; restore both from a backup"
    )


def test_a_name_that_is_too_long_for_a_certificate_is_refused(folder):
    assert refusal(opened, folder, "a" * 43) == (
        "the name of the CA has 43 bytes, and 42 are allowed; shorten it in certificate_issuers"
    )
    issue(opened(folder, name="常" * 14))


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_an_unprintable_name_is_refused(folder, name):
    assert refusal(opened, folder, name) == (
        f"the name of the CA is {name!r}, and it has to be printable text; correct it in certificate_issuers"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        issue(opened(tmp_path / "file/pki"))
    assert str(system_error(caught.value)) == (
        f"{tmp_path}/file/pki: Not a directory; move away what stands in the place of a folder and run this again"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        issue(opened(tmp_path / "pki"))
    assert str(system_error(caught.value)).endswith("Permission denied; run this as a user who may, or with become")


def test_a_lock_that_is_held_is_waited_for(folder, monkeypatch):
    monkeypatch.setattr(
        local_ca,
        "locked",
        lambda path: locked(path, timeout=0.1),
    )
    ca = opened(folder)
    issue(ca)
    with locked(str(folder / "lock")):
        assert refusal(issue, ca).startswith(f"another process has held {folder}/lock for 0 seconds; wait for it")


def revoked_by(folder):
    """Return the revocation list as the openssl command prints it, once its signature is verified."""
    checked = openssl(folder, "crl", "-in", "crl.pem", "-noout", "-text", "-CAfile", "issuing.pem").decode()
    assert "verify OK" in checked
    return checked


def test_a_new_ca_has_an_empty_revocation_list(folder):
    issue(opened(folder))
    assert "No Revoked Certificates." in revoked_by(folder)


@pytest.mark.parametrize(
    ("reason", "printed"),
    [
        ("unspecified", None),
        ("key_compromise", "Key Compromise"),
        ("affiliation_changed", "Affiliation Changed"),
        ("superseded", "Superseded"),
        ("cessation_of_operation", "Cessation Of Operation"),
    ],
)
def test_a_revoked_certificate_is_refused_by_verifiers(folder, reason, printed):
    ca = opened(folder)
    kept, revoked = issue(ca), issue(ca)
    assert ca.revoke(serial(revoked[0]), reason)
    assert not ca.revoke(serial(revoked[0]), "superseded")
    text = revoked_by(folder)
    assert f"Serial Number: {revoked[0].serial_number:X}" in text.replace("Number: 0", "Number: ")
    assert text.count("Serial Number") == 1
    assert (f"X509v3 CRL Reason Code: \n                {printed}" in text) is (printed is not None)
    options = ("-crl_check", "-CRLfile", "crl.pem", "-CAfile", "root.pem", "-untrusted", "chain.pem")
    write_chain(folder, kept)
    assert openssl(folder, "verify", *options, "leaf.pem") == b"leaf.pem: OK\n"
    write_chain(folder, revoked)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        openssl(folder, "verify", *options, "leaf.pem")
    assert b"certificate revoked" in caught.value.stdout
    record = json.loads((folder / "issued" / f"{serial(revoked[0])}.json").read_text())
    assert record["reason"] == reason and record["revoked_at"]
    assert [entry["revoked_at"] for entry in records(folder) if entry["serial_number"] == serial(kept[0])] == [None]


def test_a_revocation_can_be_tried_without_effect(folder):
    ca = opened(folder)
    leaf = issue(ca)[0]
    before = (folder / "crl.pem").read_bytes()
    assert ca.revoke(serial(leaf), "unspecified", pretend=True)
    assert (folder / "crl.pem").read_bytes() == before
    assert records(folder)[0]["revoked_at"] is None
    assert ca.revoke(serial(leaf), "unspecified")
    assert not ca.revoke(serial(leaf), "unspecified", pretend=True)


def test_a_revocation_whose_run_was_killed_comes_onto_the_list_with_the_next_one(folder):
    ca = opened(folder)
    leaf, before = issue(ca)[0], (folder / "crl.pem").read_bytes()
    assert ca.revoke(serial(leaf), "superseded")
    (folder / "crl.pem").write_bytes(before)
    assert not ca.revoke(serial(leaf), "superseded")
    assert "Serial Number" in revoked_by(folder) and ca.revocation(serial(leaf)) == "superseded"


def test_an_unknown_certificate_cannot_be_revoked(folder):
    ca = opened(folder)
    assert refusal(ca.revoke, "1f", "unspecified") == (
        f"there is no CA in {folder}; correct the directory of the issuer"
    )
    assert not folder.exists()
    issue(ca)
    assert refusal(ca.revoke, "1f", "unspecified") == (
        f"{folder} has issued no certificate with the serial number 1f; see {folder}/issued"
    )


def test_expired_certificates_are_left_out_of_the_revocation_list(folder):
    ca = opened(folder)
    leaf, other = issue(ca)[0], issue(ca)[0]
    ca.revoke(serial(leaf), "unspecified")
    path = folder / "issued" / f"{serial(leaf)}.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "not_after": "2020-01-01T00:00:00+00:00"}))
    ca.revoke(serial(other), "unspecified")
    assert revoked_by(folder).count("Serial Number") == 1


def test_revocation_lists_are_numbered_upwards(folder):
    ca = opened(folder)
    numbers = []
    for _time in range(3):
        ca.revoke(serial(issue(ca)[0]), "unspecified")
        crl = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
        numbers.append(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_a_revocation_list_that_is_lost_is_written_again(folder, content):
    ca = opened(folder)
    leaf = issue(ca)[0]
    ca.revoke(serial(leaf), "unspecified")
    (folder / "crl.pem").unlink()
    if content:
        (folder / "crl.pem").write_bytes(content)
    issue(ca)
    assert revoked_by(folder).count("Serial Number") == 1


def test_a_revocation_list_in_the_second_half_of_its_life_is_renewed(folder, monkeypatch):
    ca = opened(folder)
    issue(ca)
    before = (folder / "crl.pem").read_bytes()
    issue(ca)
    assert (folder / "crl.pem").read_bytes() == before
    monkeypatch.setattr(
        local_ca,
        "utc_now",
        lambda: datetime.datetime.now(datetime.timezone.utc) + 16 * DAY,
    )
    issue(ca)
    assert (folder / "crl.pem").read_bytes() != before


def test_a_record_that_cannot_be_read_is_named(folder):
    ca = opened(folder)
    leaf = issue(ca)[0]
    path = folder / "issued" / f"{serial(leaf)}.json"
    path.write_text('{"serial_number": ')
    assert refusal(ca.revoke, serial(leaf), "unspecified") == (
        f"{path} is no record of a certificate; restore it from a backup"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"certificate": "x"},
        {"issued_at": None},
        {"not_after": "2027-02-19"},
        {"serial_number": "../7b"},
        {"request": None},
        {"revoked_at": "yesterday"},
        {"revoked_at": "2026-11-21T10:00:00+00:00", "reason": "none"},
    ],
)
def test_a_malformed_record_is_named(folder, changes):
    ca = opened(folder)
    path = folder / "issued" / f"{serial(issue(ca)[0])}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert refusal(ca.revoke, path.stem, "unspecified") == (
        f"{path} is no record of a certificate; restore it from a backup"
    )


def test_a_leaf_has_the_url_of_the_revocation_list(folder):
    leaf, _issuing = issue(opened(folder, crl_url="http://pki.example.org/crl.pem"))
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [name.value for point in points for name in point.full_name] == ["http://pki.example.org/crl.pem"]


def test_a_csr_with_a_wrong_signature_is_not_signed(folder):
    csr = make_csr(some_key(), NAMES, {})
    with pytest.raises(TlsError, match="the signing request cannot be read"):
        opened(folder).issue(request_for(), csr[:-60], "web1")
    assert records(folder) == []


def pin_of(folder):
    """Return the setting that pins the CA in a folder."""
    root = parse_chain((folder / "root.pem").read_bytes())[0]
    return f"sha256:{fingerprint(root)}"


@pytest.fixture
def other_folder(tmp_path):
    """Return the folder of a CA of the same name."""
    folder = tmp_path / "other"
    issue(opened(folder))
    return folder


@pytest.mark.parametrize("as_path", [False, True])
def test_a_pinned_root_is_the_one_that_is_used(folder, as_path):
    issue(opened(folder))
    root = str(folder / "root.pem") if as_path else pin_of(folder)
    pinned = opened(folder, root=root)
    assert pinned.absence() is None and pinned.roots() == (folder / "root.pem").read_bytes()
    issue(pinned)


def test_a_fingerprint_is_read_as_openssl_prints_it(folder):
    issue(opened(folder))
    digits = pin_of(folder).partition(":")[2].upper()
    pairs = ":".join(digits[start : start + 2] for start in range(0, 64, 2))
    assert opened(folder, root=f"sha256:{pairs}").absence() is None


@pytest.mark.parametrize("as_path", [False, True])
def test_no_ca_is_made_where_a_root_is_pinned(folder, other_folder, as_path):
    root = str(other_folder / "root.pem") if as_path else pin_of(other_folder)
    pinned = opened(folder, root=root)
    assert refusal(issue, pinned) == (
        f"the issuer local has no CA in {folder} on this controller; run this where the CA is, or correct directory or root; "
        "none is made where root is set"
    )
    assert not folder.exists()
    # what hosts serve can be judged all the same
    assert pinned.roots() == ((other_folder / "root.pem").read_bytes() if as_path else None)


@pytest.mark.parametrize("as_path", [False, True])
def test_another_ca_than_the_pinned_one_is_refused(folder, other_folder, as_path):
    issue(opened(folder))
    before = sorted(path.name for path in (folder / "issued").iterdir())
    pinned = opened(folder, root=str(other_folder / "root.pem") if as_path else pin_of(other_folder))
    sentence = (
        f"the issuer local has a CA in {folder} on this controller with the root {pin_of(folder)}, and its root is set to {pin_of(other_folder)}; "
        "run this where the CA is, or correct directory or root; none is made where root is set"
    )
    assert refusal(issue, pinned) == sentence
    assert refusal(pinned.revoke, before[0].partition(".")[0], "superseded") == sentence
    assert sorted(path.name for path in (folder / "issued").iterdir()) == before
    if not as_path:
        assert refusal(pinned.roots) == sentence


def test_a_file_of_a_root_that_is_not_there_is_named(folder, tmp_path):
    issue(opened(folder))
    pinned = opened(folder, root=str(tmp_path / "root.pem"))
    assert refusal(issue, pinned).startswith(
        f"the issuer local has no root in {tmp_path}/root.pem on this controller; "
    )


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("sha256:12", "root is 'sha256:12', and a fingerprint is sha256: and 64 hexadecimal digits; correct it"),
        ("SHA256:" + "g" * 64, f"root is 'SHA256:{'g' * 64}', and a fingerprint is sha256: and 64"),
        ("root.pem", "root is 'root.pem', and it is another folder wherever Ansible is started; write a path that"),
        ("~nobody-here/root.pem", "root is '~nobody-here/root.pem', and there is no user 'nobody-here' here; correct"),
    ],
)
def test_a_root_that_is_neither_path_nor_fingerprint_is_refused(folder, root, sentence):
    assert refusal(lambda: opened(folder, root=root)).startswith(sentence)


def test_a_file_with_several_roots_pins_none(folder, other_folder):
    issue(opened(folder))
    both = folder.parent / "roots.pem"
    both.write_bytes((folder / "root.pem").read_bytes() + (other_folder / "root.pem").read_bytes())
    assert refusal(opened(folder, root=str(both)).roots) == (
        f"root: {both} holds 2 certificates, and a CA has one root; leave that one alone in it"
    )


def test_whoever_makes_a_ca_is_told_how_to_pin_it(folder):
    ca = opened(folder)
    issue(ca)
    (remark,) = ca.remarks
    assert remark.startswith(f"a private CA is made in {folder} for the issuer local; ")
    assert remark.endswith(f": root: {pin_of(folder)}")
    again = opened(folder)
    issue(again)
    assert again.remarks == []


def test_a_ca_is_not_made_where_the_controller_is_not_the_one(folder):
    ca = opened(folder)
    ca.why_not_make = lambda: "hosts serve certificates of one; run this elsewhere"
    assert refusal(issue, ca) == "hosts serve certificates of one; run this elsewhere"
    assert [path.name for path in folder.iterdir()] == ["lock"]
    issue(opened(folder))
    issue(ca)  # it is there by now, and nobody is asked


@pytest.mark.parametrize("name", ["Evergreen", "x" * 33, "x" * 34, "ü" * 21])
def test_the_names_of_a_ca_tell_it_from_another_of_the_same_day(folder, other_folder, name):
    issuing = issue(opened(folder, name=name))[1]
    root = parse_chain((folder / "root.pem").read_bytes())[0]
    for authority, role in ((root, "Root CA"), (issuing, "Issuing CA")):
        digits = subject_key_identifier(authority).hex()[:8]
        called = subject_name(authority)
        assert called.startswith(f"{name} {role} ") and called.endswith(f" {digits}") and len(called.encode()) <= 64
    assert subject_name(root) != subject_name(parse_chain((other_folder / "root.pem").read_bytes())[0])


def age(folder, certificate, days):
    """Make the record of a certificate say that it expired so many days ago."""
    path = folder / "issued" / f"{serial(certificate)}.json"
    end = datetime.datetime.now(datetime.timezone.utc) - days * DAY
    path.write_text(json.dumps({**json.loads(path.read_text()), "not_after": end.isoformat()}))


def test_records_of_what_expired_long_ago_are_removed_with_the_next_list(folder):
    ca = opened(folder)
    old, recent, valid = (issue(ca)[0] for _number in range(3))
    age(folder, old, 31)
    age(folder, recent, 29)
    ca.revoke(serial(valid), "superseded")
    assert {one["serial_number"] for one in records(folder)} == {serial(recent), serial(valid)}


def test_the_list_is_renewed_though_nothing_is_issued(folder, monkeypatch):
    ca = opened(folder)
    gone = issue(ca)[0]
    ca.revoke(serial(gone), "key_compromise")
    first = (folder / "crl.pem").read_bytes()
    ca.maintain()
    assert (folder / "crl.pem").read_bytes() == first
    now = datetime.datetime.now(datetime.timezone.utc)
    monkeypatch.setattr(local_ca, "utc_now", lambda: now + 16 * DAY)
    ca.maintain()
    crl = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
    assert crl.next_update_utc > now + 45 * DAY and [one.serial_number for one in crl] == [gone.serial_number]


def test_a_list_of_another_ca_or_of_a_clock_that_is_ahead_is_written_again(folder, other_folder, monkeypatch):
    ca = opened(folder)
    issue(ca)
    now = datetime.datetime.now(datetime.timezone.utc)
    monkeypatch.setattr(local_ca, "utc_now", lambda: now + 20 * DAY)
    ca.revoke(serial(issue(ca)[0]), "superseded")
    monkeypatch.setattr(local_ca, "utc_now", lambda: now)
    ca.maintain()
    openssl(folder, "crl", "-in", "crl.pem", "-noout", "-verify", "-CAfile", "issuing.pem")
    assert x509.load_pem_x509_crl((folder / "crl.pem").read_bytes()).last_update_utc <= now
    (folder / "crl.pem").write_bytes((other_folder / "crl.pem").read_bytes())
    ca.maintain()
    assert len(list(x509.load_pem_x509_crl((folder / "crl.pem").read_bytes()))) == 1


@pytest.mark.parametrize(
    "damage", ["half", "a folder", "a pipe", "a link that leads nowhere", "a link to something else"]
)
def test_a_record_that_cannot_be_read_spoils_neither_the_list_nor_what_is_issued(folder, damage, monkeypatch):
    ca = opened(folder)
    first, second = issue(ca)[0], issue(ca)[0]
    ca.revoke(serial(first), "key_compromise")
    path = folder / "issued" / f"{serial(first)}.json"
    path.unlink()
    if damage == "half":
        path.write_text('{"serial_number": ')
    elif damage == "a folder":
        path.mkdir()
    elif damage == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/nowhere" if "nowhere" in damage else "/etc/hostname")
    ca.revoke(serial(second), "superseded")
    revoked = revoked_by(folder)
    assert "Key Compromise" in revoked and "Superseded" in revoked
    now = datetime.datetime.now(datetime.timezone.utc)
    monkeypatch.setattr(local_ca, "utc_now", lambda: now + 16 * DAY)
    issue(ca)
    assert "Key Compromise" in revoked_by(folder)
    assert f"{path} is no record of a certificate; restore it from a backup" in ca.remarks


def test_there_is_nothing_to_maintain_before_there_is_a_ca(folder):
    opened(folder).maintain()
    assert not folder.exists()
