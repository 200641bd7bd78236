# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of issuers say what was issued for a request of a host; nothing that a host shows is among them."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.issued_records import key_digest
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import local_ca_records
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import RenewalRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issued import (
    recorded_certificates,
    revoked_certificates,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

NAMES = ["www.example.org"]
REQUEST = {"name": "www", "domains": NAMES, "type": "ECC", "size": 2048, "curve": "secp256r1", "lifetime": None}
ROOT = Authority("Records Root CA")


@pytest.fixture
def issuers(tmp_path):
    """Return one issuer of each type that can be tried without a server."""
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "chain.pem").write_bytes(to_pem(ROOT.chain(NAMES, some_key())))
    shared = {"roots": str(tmp_path / "root.pem")}
    inbox = tmp_path / "manual/inbox"
    inbox.mkdir(parents=True)
    (inbox / "answer.pem").write_bytes((tmp_path / "chain.pem").read_bytes())
    return {
        "local": {"type": "local_ca", "directory": str(tmp_path / "ca")},
        "program": {
            "type": "command",
            "argv": ["cat", str(tmp_path / "chain.pem")],
            "directory": str(tmp_path / "c"),
            **shared,
        },
        "people": {"type": "manual", "directory": str(tmp_path / "manual"), "rules": "private", **shared},
    }


def issue(issuers, name, host="web1"):
    """Return the serial number of a certificate that an issuer has issued."""
    csr = make_csr(some_key(), NAMES, {})
    issued = issue_once(open_issuer(name, issuers), {**REQUEST, "issuer": name}, csr, host, None, {"since": None})
    return f"{issued.chain[0].serial_number:x}"


@pytest.mark.parametrize("name", ["local", "program", "people"])
def test_what_was_issued_is_known_for_its_host_and_request(issuers, name):
    serial = issue(issuers, name)
    [one], problems = recorded_certificates("web1", "www", name, issuers)
    assert (one.issuer, one.serial_number, one.revoked, problems) == (name, serial, None, [])
    assert recorded_certificates("web2", "www", name, issuers) == ([], [])
    assert recorded_certificates("web1", "mail", name, issuers) == ([], [])


def test_an_issuer_of_before_is_asked_too(issuers):
    serials = [issue(issuers, "local"), issue(issuers, "program")]
    found, _problems = recorded_certificates("web1", "www", "people", issuers)
    assert [(one.issuer, one.serial_number) for one in found] == [("local", serials[0]), ("program", serials[1])]


def test_what_is_revoked_is_known(issuers):
    first, ca = issue(issuers, "local"), open_issuer("local", issuers)
    assert revoked_certificates("web1", "www", "local", issuers) == {}
    assert ca.revoke(first, "key_compromise")
    assert revoked_certificates("web1", "www", "local", issuers) == {first: "key_compromise"}
    assert revoked_certificates("web2", "www", "local", issuers) == {}
    assert ca.revocation(first) == "key_compromise" and ca.revocation("1") is None
    [one], _problems = recorded_certificates("web1", "www", "local", issuers)
    assert one.revoked == "key_compromise"


def test_what_is_revoked_is_known_without_the_revocation_list(issuers, tmp_path):
    first = issue(issuers, "local")
    open_issuer("local", issuers).revoke(first, "superseded")
    for damage in (lambda path: path.write_text("broken"), lambda path: path.unlink()):
        damage(tmp_path / "ca/crl.pem")
        assert revoked_certificates("web1", "www", "local", issuers) == {first: "superseded"}


@pytest.mark.parametrize("name", ["program", "people"])
def test_what_somebody_else_has_to_revoke_is_not_used_again_all_the_same(issuers, name):
    serial, issuer = issue(issuers, name), open_issuer(name, issuers)
    with pytest.raises(TlsError, match=f"{serial}"):
        issuer.revoke(serial, "key_compromise", pretend=True)
    assert issuer.revocation(serial) is None
    with pytest.raises(TlsError, match=f"{serial}"):
        issuer.revoke(serial, "key_compromise")
    assert issuer.revocation(serial) == "key_compromise"
    assert revoked_certificates("web1", "www", name, issuers) == {serial: "key_compromise"}


def test_a_record_that_is_broken_does_not_hide_others(issuers, tmp_path):
    serial = issue(issuers, "local")
    for number, content in enumerate(["{", "[]", "{}", '"text"']):
        (tmp_path / f"ca/issued/{number}.json").write_text(content)
    [one], problems = recorded_certificates("web1", "www", "local", issuers)
    sentence = f"issuer local: {tmp_path}/ca/issued/0.json and 3 more cannot be read; restore it from a backup"
    assert (one.serial_number, problems) == (serial, [sentence])


def read_files(monkeypatch):
    """Return the list of paths that the records of private CAs read from now on."""
    paths = []
    read_file = local_ca_records.read_file
    monkeypatch.setattr(local_ca_records, "read_file", lambda path: paths.append(path) or read_file(path))
    return paths


def test_records_of_a_private_ca_are_read_once_for_all_requests(issuers, tmp_path, monkeypatch):
    ca = open_issuer("local", issuers)
    for number in range(30):
        own = {**REQUEST, "name": f"www{number}", "issuer": "local"}
        ca.record(own, parse_chain(ca.issue(own, make_csr(some_key(), NAMES, {}), "web1")), "web1")
    paths = read_files(monkeypatch)
    for number in range(30):
        assert len(recorded_certificates("web1", f"www{number}", "local", issuers)[0]) == 1
    assert 30 <= len(paths) <= 60


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"certificates": {"a1": {}}}', '{"certificates": {"a1": "b"}}', "x", ""]
)
@pytest.mark.parametrize("name", ["program", "people"])
def test_a_record_of_a_request_that_cannot_be_read_is_no_empty_one(issuers, tmp_path, name, content):
    issue(issuers, name)
    (path,) = tmp_path.glob("*/issued/*.json")
    path.write_text(content)
    assert recorded_certificates("web1", "www", name, issuers) == (
        [],
        [f"issuer {name}: {path} is no record of certificates; restore it from a backup"],
    )
    assert revoked_certificates("web1", "www", name, issuers) == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"certificates": {"a1": {}}}', '{"certificates": {"a1": "b"}}', "x"])
def test_a_record_of_acme_that_cannot_be_read_is_no_empty_one(tmp_path, content):
    records = RenewalRecords(JsonRecords(str(tmp_path)))
    records.add("web1", "www", ROOT.leaf(NAMES, some_key()), {"issued": True})
    (path,) = tmp_path.glob("*.json")
    path.write_text(content)
    with pytest.raises(TlsError, match="is no record of certificates; restore it from a backup"):
        records.issued("web1", "www")
    assert records.advice("web1", "www") == {} and records.revocation("a1") is None and records.find("a1") is None
    records.mark_revoked("a1", "superseded")


def test_an_issuer_that_cannot_be_opened_is_told_of_and_hides_no_other(issuers):
    issue(issuers, "local")
    found, [problem] = recorded_certificates("web1", "www", "local", {**issuers, "odd": {"type": "nonsense"}})
    assert len(found) == 1 and "issuer odd: there is no type 'nonsense'" in problem


def test_a_certificate_that_was_seen_on_a_host_was_not_issued_to_it(tmp_path):
    own, other = (ROOT.leaf(NAMES, some_key(number)) for number in range(2))
    records = RenewalRecords(JsonRecords(str(tmp_path)))
    records.add("web1", "www", own, {"issued": True, "replaced": False})
    records.add("web2", "www", other, {"issued": True, "replaced": False})
    records.add("web1", "www", other)  # what web2 presents to everybody
    assert [one.serial_number for one in records.issued("web1", "www")] == [f"{own.serial_number:x}"]
    host, _request, _record = records.find(f"{other.serial_number:x}")
    assert host == "web2"
    records.mark_revoked(f"{own.serial_number:x}", "superseded")
    assert records.revoked("web1", "www") == {f"{own.serial_number:x}": "superseded"}
    assert records.revoked("web2", "www") == {}


def test_records_of_before_know_what_is_not_replaced(tmp_path):
    own, seen = (ROOT.leaf(NAMES, some_key(number)) for number in range(2))
    records = RenewalRecords(JsonRecords(str(tmp_path)))
    records.add("web1", "www", own, {"directory": "https://ca.example", "replaced": False})
    records.add("web1", "www", seen)
    assert [one.serial_number for one in records.issued("web1", "www")] == [f"{own.serial_number:x}"]


@pytest.mark.parametrize("name", ["local", "program", "people"])
def test_a_key_that_was_superseded_is_not_compromised(issuers, name):
    serial, issuer = issue(issuers, name), open_issuer(name, issuers)
    with contextlib.suppress(TlsError):
        issuer.revoke(serial, "superseded")
    assert issuer.compromised_keys("web1", "www") == set()


@pytest.mark.parametrize("name", ["local", "program", "people"])
def test_a_host_that_offers_a_compromised_key_again_is_refused(issuers, name):
    serial, issuer = issue(issuers, name), open_issuer(name, issuers)
    with contextlib.suppress(TlsError):
        issuer.revoke(serial, "key_compromise")
    with pytest.raises(
        TlsError,
        match="^web1 offers a key for www for which a certificate was revoked, since the key was compromised; ",
    ):
        issue(issuers, name)


def test_a_compromised_key_of_an_acme_ca_is_known(tmp_path):
    records, leaf = RenewalRecords(JsonRecords(str(tmp_path))), ROOT.leaf(NAMES, some_key())
    records.add("web1", "www", leaf, {"issued": True, "replaced": False})
    assert records.compromised_keys("web1", "www") == set()
    records.mark_revoked(f"{leaf.serial_number:x}", "key_compromise")
    assert records.compromised_keys("web1", "www") == {key_digest(leaf.public_key())}
