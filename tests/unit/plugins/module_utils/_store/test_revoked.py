# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A revoked version is never used again, and a compromised key that is not in use is removed."""

from __future__ import annotations

import os

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import (
    certificate_install,
    certificate_request,
)
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store.pending_csr import matching_csr, reused_key
from ansible_collections.evergreen.tls.plugins.module_utils._store.revoked import (
    COMPROMISED_KEY,
    is_compromised,
    remove_compromised_keys,
    unusable_versions,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, key_pem, some_key

ROOT = Authority("Revoked Root CA")
NAMES = ["www.example.org"]
DEFAULTS = {name: option.get("default") for name, option in REQUEST_SPEC["options"].items()}
REQUEST = {**DEFAULTS, "name": "web", "domains": NAMES, "mode": "0600", "host": "web1"}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "evergreen"), "web")


def install(store, key_number, days=(-1, 90), is_new=True):
    """Put a version with a key in use; return the serial number of its certificate."""
    key = some_key(key_number)
    leaf = ROOT.leaf(NAMES, key, days=days)
    csr = make_csr(key, NAMES, {})
    with store.lock():
        store.prepare_next({"privkey.pem": key_pem(key), "request.csr": csr, "issuer": b"local"}, REQUEST)
        version = store.complete_next([leaf], REQUEST)
        if is_new:
            store.switch(version)
    return f"{leaf.serial_number:x}"


class Module:
    """A call of a module."""

    def __init__(self, options, store, check_mode=False, **params):
        defaults = {name: option.get("default") for name, option in options.items()}
        self.params = {**defaults, "request": REQUEST, "directory": os.path.dirname(store.path), **params}
        self.check_mode = check_mode


def run_install(store, **params):
    return certificate_install.decide(Module(certificate_install.OPTIONS, store, **params))


def run_request(store, **params):
    return certificate_request.decide(Module(certificate_request.OPTIONS, store, host="web1", **params))


@pytest.mark.parametrize("reason", ["key_compromise", "superseded"])
def test_the_way_back_leads_over_what_is_revoked(store, reason):
    serials = [install(store, number) for number in range(3)]
    assert unusable_versions(store, {serials[1]: reason}) == {"v0002"}
    result = run_install(store, state="previous", revoked={serials[1]: reason})
    assert result["put_back"] == "v0001" and store.current() == "v0001"


def test_without_another_version_there_is_no_way_back(store):
    serials = [install(store, number) for number in range(2)]
    result = run_install(store, state="previous", revoked={serials[0]: "superseded"})
    assert "put_back" not in result and store.current() == "v0002"
    assert result["msg"] == "web has no earlier version that could be served"


def test_a_version_with_a_compromised_key_is_none_either_whatever_its_certificate(store):
    serials = [install(store, 0), install(store, 0), install(store, 1)]
    revoked = {serials[1]: "key_compromise"}
    assert unusable_versions(store, revoked) == {"v0001", "v0002"}
    assert "put_back" not in run_install(store, state="previous", revoked=revoked)
    assert unusable_versions(store, {serials[1]: "superseded"}) == {"v0002"}


def test_a_compromised_key_is_removed_once_it_is_not_in_use(store):
    serials = [install(store, 0), install(store, 1)]
    key = os.path.join(store.path, "v0001", "privkey.pem")
    assert remove_compromised_keys(store, {serials[0]: "superseded"}, check_mode=False) == []
    checked = run_install(store, check_mode=True, revoked={serials[0]: "key_compromise"})
    assert checked["changed"] and os.path.exists(key)
    result = run_install(store, revoked={serials[0]: "key_compromise"})
    assert result["msg"] == "web is in use, the key of v0001 is removed, since it was compromised"
    assert result["changed"] and not os.path.exists(key)
    assert os.path.exists(os.path.join(store.path, "v0001", "cert.pem"))
    assert not run_install(store, revoked={serials[0]: "key_compromise"})["changed"]


def test_a_key_that_is_in_use_stays_whatever_is_revoked(store):
    serial = install(store, 0)
    assert remove_compromised_keys(store, {serial: "key_compromise"}, check_mode=False) == []
    assert os.path.exists(os.path.join(store.path, "v0001", "privkey.pem"))


def test_a_revoked_certificate_is_due_and_gets_another_key(store):
    serial = install(store, 0)
    assert run_request(store)["due"] is False
    result = run_request(store, revoked={serial: "key_compromise"}, request={**REQUEST, "reuse_key": True})
    assert result["due"] and result["reason"] == f"it is revoked (key compromise), serial number {serial}"
    assert not is_compromised(store, store.private_key("next").public_key(), {serial: "key_compromise"})


def test_a_certificate_for_a_compromised_key_is_due(store):
    serials = [install(store, 0), install(store, 0)]
    result = run_request(store, revoked={serials[0]: "key_compromise"})
    assert result["due"] and result["reason"] == COMPROMISED_KEY


def test_a_request_that_waits_with_a_compromised_key_is_made_anew(store):
    serial = install(store, 0)
    request = {**REQUEST, "reuse_key": True}
    with store.lock():
        files = {
            "privkey.pem": key_pem(some_key(0)),
            "request.csr": make_csr(some_key(0), NAMES, {}),
            "issuer": b"local",
        }
        store.prepare_next(files, REQUEST)
    assert matching_csr(store, request) is not None and reused_key(store, request) is not None
    request["revoked"] = {serial: "key_compromise"}
    assert matching_csr(store, request) is None and reused_key(store, request) is None


def test_what_a_killed_run_left_ready_is_not_used_where_it_is_revoked(store):
    install(store, 0)
    serial = install(store, 1, is_new=False)
    assert store.find_ready(REQUEST, NOW, None) == "v0002"
    assert store.find_ready({**REQUEST, "revoked": {serial: "superseded"}}, NOW, None) is None


def test_files_that_cannot_be_read_are_no_revoked_version(store):
    serials = [install(store, number) for number in range(2)]
    for name in ("cert.pem", "fullchain.pem"):
        with open(os.path.join(store.path, "v0001", name), "wb") as stream:
            stream.write(b"garbage")
    assert unusable_versions(store, {serials[0]: "superseded"}) == set()
    assert store.previous(NOW + DAY) is None
