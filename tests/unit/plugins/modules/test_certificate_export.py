# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports on a host: written once, right, and only where they may be; and those who read them are told."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import types

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from cryptography.hazmat.primitives import serialization

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store import attributes, exports
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system import systemd
from ansible_collections.evergreen.tls.plugins.modules import certificate_export
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

NAMES = ["www.example.org"]
ROOT = Authority("Export Root CA")
ISSUING = Authority("Export Issuing CA", above=ROOT)
PASSWORD = "correct horse battery staple"
IS_OLD = not hasattr(serialization.PrivateFormat, "PKCS12")  # cryptography before 38
USUAL = "legacy" if IS_OLD else "modern"

# Tells what it was called with, together with what the export holds at that moment, and plays units in the states that files say.
SYSTEMCTL = """#!/bin/sh
folder=$(dirname "$0")
for unit; do :; done
if [ "$1" = show ]; then
    cat "$folder/$unit"
else
    echo "$1 $unit $(sha256sum < "$folder/../out/site.p12" 2>/dev/null)" >> "$folder/log"
    [ ! -e "$folder/$unit.fails" ] || { echo "Job for $unit.service failed."; exit 1; }
fi
"""
RUNNING = "LoadState=loaded\nActiveState=active\nCanReload=yes\n"


class Host:
    """A host with a certificate, and a folder for its exports."""

    def __init__(self, folder):
        self.folder = folder
        self.out = folder / "out"
        self.programs = folder / "programs"
        for path in (self.out, self.programs):
            path.mkdir()
        (self.programs / "systemctl").write_text(SYSTEMCTL)
        (self.programs / "systemctl").chmod(0o755)
        self.store = Store(str(folder / "evergreen"), "web")
        self.keystore = self.out / "site.p12"
        self.number = 0
        for unit in ("tomcat10", "haproxy"):
            self.unit(unit)

    def unit(self, name, state=RUNNING, fails=False):
        """Have a unit in a state."""
        (self.programs / name).write_text(state)
        (self.programs / f"{name}.fails").unlink(missing_ok=True)
        if fails:
            (self.programs / f"{name}.fails").touch()

    def told(self):
        """Return what systemctl was asked to do since this was asked last."""
        log = self.programs / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [" ".join(line.split()[:2]) for line in lines]

    def install(self):
        """Install a certificate for a new key."""
        key = some_key(self.number)
        self.number += 1
        request = self.request([])
        with self.store.lock():
            self.store.prepare_next(
                {"privkey.pem": key_pem(key), "request.csr": make_csr(key, NAMES, {}), "issuer": b"local"}, request
            )
            self.store.switch(self.store.complete_next(ISSUING.chain(NAMES, key), request))

    def request(self, wanted):
        """Return a complete request with these exports."""
        checked = ArgumentSpecValidator({"request": REQUEST_SPEC}).validate(
            {"request": {"name": "web", "domains": NAMES, "exports": wanted}}
        )
        assert checked.error_messages == []
        return checked.validated_parameters["request"]

    def export(self, *wanted, check=False):
        """Run the module."""
        directory = os.path.dirname(self.store.path)
        passwords = {one["path"]: one["password"] for one in wanted if one.get("password")}
        bare = [{word: value for word, value in one.items() if word != "password"} for one in wanted]
        params = {"request": self.request(bare), "directory": directory, "passwords": passwords, "part": "all"}
        return certificate_export.decide(types.SimpleNamespace(params=params, check_mode=check))

    def p12(self, **changes):
        """Return the keystore as it is wanted."""
        usual = {"path": str(self.keystore), "password": PASSWORD, "encryption": USUAL}
        return {key: value for key, value in {**usual, **changes}.items() if value is not None}

    def picture(self):
        """Return all that is in the folder for exports, and what is remembered of it."""
        paths = [*sorted(self.out.iterdir()), self.folder / "evergreen/web/exports.json"]
        return {str(path): (os.lstat(path).st_ino, os.lstat(path).st_mode) for path in paths if path.exists()}

    def holds_what_is_installed(self, password=PASSWORD):
        """Say whether openssl finds the installed certificate in the keystore."""
        argv = ["openssl", "pkcs12", "-in", self.keystore, "-passin", f"pass:{password}", "-nokeys", "-clcerts"]
        seen = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        return (self.store.file(self.store.current(), "cert.pem") or b"").decode() in seen


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    made.install()
    return made


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_a_keystore_is_written_once_and_again_when_the_certificate_is_another(host):
    first = host.export(host.p12())
    assert first["changed"] is True
    assert first["msg"] == f"{host.keystore} is written (it is not there)"
    assert host.holds_what_is_installed()
    assert mode_of(host.keystore) == 0o600

    before = host.picture()
    again = host.export(host.p12())
    assert (again["changed"], again["msg"]) == (False, "the exports of web are as they should be")
    assert "diff" not in again
    assert host.picture() == before

    host.install()
    renewed = host.export(host.p12())
    assert (renewed["changed"], renewed["fresh"]) == (True, True)
    assert renewed["diff"]["before"] == f"{host.keystore}: it holds another key\n"
    assert renewed["diff"]["after"].startswith(
        f"{host.keystore}: it holds www.example.org, issued by Export Issuing CA"
    )
    assert host.holds_what_is_installed()


def test_check_mode_says_what_would_be_done_and_does_nothing(host):
    before = host.picture()
    said = host.export(host.p12(restart=["tomcat10"]), check=True)
    assert said["msg"] == f"{host.keystore} would be written (it is not there), tomcat10 would be restarted"
    assert (said["changed"], host.told(), host.picture()) == (True, [], before)


def test_every_form_holds_the_same(host):
    paths = {form: host.out / form for form in ("pem", "der", "der_key")}
    wanted = [{"path": str(path), "format": form} for form, path in paths.items()]
    assert host.export(*wanted)["changed"] is True
    assert host.export(*wanted)["changed"] is False
    assert {form: mode_of(path) for form, path in paths.items()} == {"pem": 0o600, "der": 0o644, "der_key": 0o600}

    def public(*argv):
        return subprocess.run(["openssl", *argv], capture_output=True, text=True, check=True).stdout

    keys = {
        public("x509", "-inform", "DER", "-in", paths["der"], "-noout", "-pubkey"),
        public("pkey", "-inform", "DER", "-in", paths["der_key"], "-pubout"),
        public("pkey", "-in", paths["pem"], "-pubout"),
        public("x509", "-in", paths["pem"], "-noout", "-pubkey"),
    }
    assert len(keys) == 1
    assert paths["pem"].read_bytes().startswith(host.store.file("v0001", "fullchain.pem"))


def test_a_password_is_made_once_and_kept(host):
    path = host.out / "keystorePass.txt"
    wanted = host.p12(password=None, password_file=str(path), mode="0640")
    assert host.export(wanted)["changed"] is True
    password = path.read_text()
    assert len(password.strip()) == 32
    assert (mode_of(path), mode_of(host.keystore)) == (0o640, 0o640)
    assert host.holds_what_is_installed(password.strip())
    assert host.export(wanted)["changed"] is False
    host.install()
    host.export(wanted)
    assert path.read_text() == password

    path.unlink()
    again = host.export(wanted)
    assert again["msg"] == f"{host.keystore} is written (its password is not there)"
    assert host.holds_what_is_installed(path.read_text().strip())


def test_a_password_of_a_person_is_left_alone(host):
    path = host.out / "keystorePass.txt"
    path.write_text("of a person\r\nand more\n")
    wanted = host.p12(password=None, password_file=str(path))
    host.export(wanted)
    assert host.holds_what_is_installed("of a person")
    host.export({**wanted, "state": "absent"})
    assert path.exists()


@pytest.mark.parametrize("content", ["", "\nsecond line\n", "Ünicode\n", "\0\n"])
def test_a_file_without_a_password_is_refused(host, content):
    path = host.out / "keystorePass.txt"
    path.write_text(content)
    with pytest.raises(TlsError, match="the first line of .* is no password, .*; write one into it, or remove it"):
        host.export(host.p12(password=None, password_file=str(path)))
    assert not host.keystore.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "another"}, "it has another password, or is damaged"),
        ({"friendly_name": "tomcat"}, "its friendly name is 'web'"),
        ({"mode": "0640"}, "its mode is 0600"),
    ],
)
def test_what_is_wanted_otherwise_is_written_again(host, changes, reason):
    host.export(host.p12())
    answer = host.export(host.p12(**changes))
    assert (answer["msg"], answer["fresh"]) == (f"{host.keystore} is written ({reason})", False)
    assert host.export(host.p12(**changes))["changed"] is False


@pytest.mark.skipif(IS_OLD, reason="this library writes one kind alone")
def test_another_encryption_is_written_again(host):
    host.export(host.p12(encryption="modern"))
    assert "legacy encryption is wanted" in host.export(host.p12(encryption="legacy"))["msg"]
    argv = ["openssl", "pkcs12", "-in", host.keystore, "-passin", f"pass:{PASSWORD}", "-info", "-nokeys"]
    assert "pbeWithSHA1And3-KeyTripleDES-CBC" in subprocess.run(argv, capture_output=True, text=True, check=True).stderr


def test_garbage_in_the_place_of_what_was_written_is_replaced(host):
    host.export(host.p12())
    for garbage in (b"", b"garbage", host.keystore.read_bytes()[:-1], bytes(exports.MAX_EXPORT_BYTES + 1)):
        host.keystore.write_bytes(garbage)
        assert host.export(host.p12())["changed"] is True
        assert host.holds_what_is_installed()


@pytest.mark.parametrize("content", [b"", b"of somebody else"])
def test_a_file_that_somebody_else_has_made_is_refused(host, content):
    host.keystore.write_bytes(content)
    with pytest.raises(TlsError, match="was not made by this module: .*; move it away and run this again"):
        host.export(host.p12())
    with pytest.raises(TlsError, match="was not made by this module: .*; move it away and run this again"):
        host.export(host.p12(), check=True)
    assert host.keystore.read_bytes() == content
    with pytest.raises(TlsError, match="was not made by this module; remove it by hand if nobody needs it"):
        host.export(host.p12(state="absent"))


def test_what_is_just_as_wanted_is_taken_over(host):
    host.export(host.p12())
    (host.folder / "evergreen/web/exports.json").unlink()  # as after a restore of the exports alone
    assert host.export(host.p12())["changed"] is False
    host.install()
    assert host.export(host.p12())["changed"] is True


def test_a_planted_link_is_not_followed(host):
    victim = host.folder / "victim"
    victim.write_text("precious")
    host.keystore.symlink_to(victim)
    with pytest.raises(TlsError, match="is not a regular file; move it away and run this again"):
        host.export(host.p12())
    host.keystore.unlink()
    password = host.out / "keystorePass.txt"
    password.symlink_to(victim)
    with pytest.raises(TlsError, match="is not a regular file; move it away and run this again"):
        host.export(host.p12(password=None, password_file=str(password)))
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("{store}/web/site.p12", "lies among the certificates themselves; choose a path outside"),
        ("{out}/missing/site.p12", "the folder of .* does not exist; create it or correct the path"),
        ("{out}", "is not a regular file; move it away"),
    ],
)
def test_a_path_that_cannot_be_is_named(host, path, sentence):
    path = path.format(store=host.folder / "evergreen", out=host.out)
    with pytest.raises(TlsError, match=sentence):
        host.export(host.p12(path=path))


def test_all_missing_folders_are_named_and_nothing_is_written(host):
    bundle = {"path": str(host.out / "haproxy" / "site.pem"), "format": "pem"}
    with pytest.raises(
        TlsError, match=f"these folders do not exist: {host.out}/haproxy, {host.out}/tomcat; create them"
    ):
        host.export(bundle, host.p12(path=str(host.out / "tomcat" / "site.p12")), host.p12())
    assert list(host.out.iterdir()) == []


def test_a_folder_that_everybody_can_write_to_is_refused(host):
    host.out.chmod(0o777)
    with pytest.raises(TlsError, match="can be written by everybody; choose another one"):
        host.export(host.p12())


def test_an_unknown_owner_is_named_before_anything_is_written(host):
    with pytest.raises(TlsError, match="group: there is no group nobody-knows on this host"):
        host.export({"path": str(host.out / "site.pem"), "format": "pem"}, host.p12(group="nobody-knows"))
    assert list(host.out.iterdir()) == []


def test_what_cannot_be_made_keeps_everything_from_being_written(host, monkeypatch):
    def refuse(*_arguments):
        raise TlsError("cannot write this key; choose another one")

    monkeypatch.setattr(exports, "make_keystore", refuse)
    bundle = {"path": str(host.out / "site.pem"), "format": "pem"}
    with pytest.raises(TlsError, match="cannot write this key"):
        host.export(bundle, host.p12(password=None, password_file=str(host.out / "keystorePass.txt")))
    assert host.picture() == {}


def test_units_are_told_once_of_all_that_they_read(host):
    bundle = {"path": str(host.out / "site.pem"), "format": "pem", "reload": ["haproxy", "tomcat10"]}
    wanted = [host.p12(restart=["tomcat10"]), bundle]
    answer = host.export(*wanted)
    assert answer["units"] == {"tomcat10": "was restarted", "haproxy": "was reloaded"}
    assert host.told() == ["restart tomcat10", "reload-or-restart haproxy"]
    assert host.export(*wanted)["changed"] is False
    assert host.told() == []


@pytest.mark.parametrize(
    ("state", "told", "sentence"),
    [
        ("LoadState=loaded\nActiveState=inactive\nCanReload=yes\n", [], "is stopped, and reads it once it is started"),
        (
            "LoadState=loaded\nActiveState=failed\nCanReload=yes\n",
            ["reset-failed haproxy", "restart haproxy"],
            "was started, since it did not run",
        ),
        (
            "LoadState=loaded\nActiveState=activating\nCanReload=yes\n",
            ["reset-failed haproxy", "restart haproxy"],
            "was started, since it did not run",
        ),
    ],
)
def test_what_is_stopped_stays_so_and_what_has_failed_is_started(host, state, told, sentence):
    host.unit("haproxy", state)
    assert host.export(host.p12(reload=["haproxy"]))["units"] == {"haproxy": sentence}
    assert host.told() == told


@pytest.mark.parametrize(
    ("state", "verb", "sentence"),
    [
        (
            "LoadState=not-found\nActiveState=inactive\n",
            "restart",
            "there is no unit haproxy on this host; correct restart",
        ),
        ("LoadState=loaded\nActiveState=active\nCanReload=no\n", "reload", "haproxy cannot be reloaded; write restart"),
    ],
)
def test_a_unit_that_cannot_be_told_is_named_and_told_later(host, state, verb, sentence):
    host.unit("haproxy", state)
    with pytest.raises(TlsError, match=sentence) as caught:
        host.export(host.p12(**{verb: ["haproxy"]}))
    assert caught.value.details["changed"] is True
    assert host.holds_what_is_installed()
    host.unit("haproxy")
    assert host.export(host.p12(**{verb: ["haproxy"]}))["units"] == {"haproxy": f"was {verb}ed"}


def test_a_restart_that_fails_is_done_again_by_the_next_run_and_the_others_are_not(host):
    wanted = host.p12(restart=["tomcat10", "haproxy"])
    host.unit("tomcat10", fails=True)
    with pytest.raises(
        TlsError, match="tomcat10 could not be restarted: Job for .* failed.; see journalctl --unit tomcat10"
    ):
        host.export(wanted)
    assert host.told() == ["restart tomcat10", "restart haproxy"]
    host.unit("tomcat10")
    again = host.export(wanted)
    assert (again["msg"], again["fresh"]) == ("tomcat10 was restarted", True)
    assert host.told() == ["restart tomcat10"]
    assert host.export(wanted)["changed"] is False


def test_a_name_that_was_wrong_is_not_told_for_ever(host):
    host.unit("tomcatt", "LoadState=not-found\nActiveState=inactive\n")
    with pytest.raises(TlsError, match="there is no unit tomcatt"):
        host.export(host.p12(restart=["tomcatt"]))
    assert host.export(host.p12(restart=["tomcat10"]))["units"] == {"tomcat10": "was restarted"}
    assert host.export(host.p12(restart=["tomcat10"]))["changed"] is False


def test_a_host_without_systemd_says_what_to_do(host, monkeypatch):
    monkeypatch.setattr(systemd, "SYSTEMCTL", "no-such-program")
    with pytest.raises(TlsError, match="systemd cannot be asked for tomcat10: .*; leave out restart where there is no"):
        host.export(host.p12(restart=["tomcat10"]))


def test_a_key_with_a_passphrase_is_exported_with_the_password_of_the_export(host):
    version = os.path.join(host.store.path, host.store.current())
    argv = ["openssl", "pkcs8", "-topk8", "-in", "privkey.pem", "-passout", "pass:of the key", "-out", "encrypted.pem"]
    subprocess.run(argv, cwd=version, check=True)
    os.rename(os.path.join(version, "encrypted.pem"), os.path.join(version, "privkey.pem"))
    with open(os.path.join(version, "passphrase"), "w", encoding="ascii") as stream:
        stream.write("of the key\n")
    host.export(host.p12())
    assert host.holds_what_is_installed()


def test_a_failure_keeps_the_file_before(host, monkeypatch):
    host.export(host.p12())
    before = host.keystore.read_bytes()
    host.install()

    def refuse(*_arguments, **_folder):
        raise OSError(28, "No space left on device", str(host.out))

    with monkeypatch.context() as patched:
        patched.setattr(exports, "replace_file", refuse)
        with pytest.raises(OSError, match="No space left"):
            host.export(host.p12())
    assert host.keystore.read_bytes() == before
    assert host.export(host.p12())["changed"] is True
    assert host.holds_what_is_installed()


def test_a_removal_takes_what_was_made(host):
    password = host.out / "keystorePass.txt"
    wanted = host.p12(password=None, password_file=str(password), restart=["tomcat10"])
    host.export(wanted)
    host.told()
    assert host.export({**wanted, "state": "absent"}, check=True)["changed"] is True
    assert host.export({**wanted, "state": "absent"})["msg"] == (
        f"{host.keystore} is removed (it is not wanted any more)"
    )
    assert (list(host.out.iterdir()), host.told()) == ([], [])
    assert host.export({**wanted, "state": "absent"})["changed"] is False


def test_a_password_that_is_shared_stays_as_long_as_it_is_needed(host):
    shared = {"password": None, "password_file": str(host.out / "keystorePass.txt")}
    one, two = host.p12(**shared), host.p12(**shared, path=str(host.out / "other.p12"))
    host.export(one, two)
    host.export({**one, "state": "absent"}, two)
    assert sorted(path.name for path in host.out.iterdir()) == ["keystorePass.txt", "other.p12"]
    assert host.export({**one, "state": "absent"}, two)["changed"] is False


def test_nothing_is_exported_before_something_is_installed(tmp_path):
    bare = Host(tmp_path)
    assert bare.export(bare.p12(), check=True)["msg"] == "web is not installed yet"
    assert bare.export(bare.p12(state="absent"))["changed"] is False
    with pytest.raises(
        TlsError, match="no certificate of web is installed; install it first, with certificate_install"
    ):
        bare.export(bare.p12())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        pytest.param("[" * 100_000, id="without end"),
        '{"written": []}',
        '{"written": {"/x": 1}, "pending": {}}',
        '{"written": {}, "pending": {"/x": [1]}}',
    ],
)
def test_a_ledger_that_cannot_be_read_is_named(host, content):
    host.export(host.p12())
    (host.folder / "evergreen/web/exports.json").write_text(content)
    with pytest.raises(TlsError, match="exports.json cannot be read; remove it, and the exports that it is about"):
        host.export(host.p12())


def test_the_ledger_is_for_its_owner_and_holds_no_secret(host):
    host.export(host.p12(restart=["tomcat10"]))
    path = host.folder / "evergreen/web/exports.json"
    assert mode_of(path) == 0o600
    assert json.loads(path.read_text()) == {"written": {str(host.keystore): None}, "pending": {}}


def test_what_belongs_to_somebody_else_is_given_back(host, monkeypatch):
    host.export(host.p12())
    monkeypatch.setattr(exports, "user_id", lambda _name: os.getuid() + 1)
    given = []
    monkeypatch.setattr(
        exports, "replace_file", lambda _path, _content, *mode_and_owner, **_folder: given.append(mode_and_owner)
    )
    assert host.export(host.p12(owner="tomcat"))["msg"] == f"{host.keystore} is written (it belongs to somebody else)"
    assert (0o600, os.getuid() + 1, -1) in given
    assert attributes.user_id(None) == -1
