# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules do, as root, where a path of the inventory leads through folders of another user."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import result_of
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import (
    certificate_install,
    certificate_request,
    nginx_sites,
)
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC
from ansible_collections.evergreen.tls.plugins.module_utils._store import adopt, exports, links
from ansible_collections.evergreen.tls.plugins.modules import (
    acme_challenge_files,
    certificate_export,
    certificate_info,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

ALICE = 65534  # nobody
ROOT = Authority("Root")
TOKEN = {"token": f"token.{'x' * 43}"}
EXPORT_OPTIONS = {
    "request": REQUEST_SPEC,
    "directory": {"type": "path"},
    "passwords": {"type": "dict", "default": {}, "no_log": True},
    "part": {"type": "str", "default": "all"},
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")


def no_program(_name, *_arguments, **_options):
    """Find no nginx, as the method get_bin_path of a module."""


class Host:
    """A host with the certificates of a bank, on which Alice has a home."""

    def __init__(self, top):
        self.store = top / "etc/evergreen"
        self.home = top / "home/alice"
        self.store.mkdir(parents=True)
        self.home.mkdir(parents=True)
        self.give(self.home)
        self.bank = self.version("bank", some_key(1))

    def version(self, name, key):
        """Put a certificate into the store; return the folder of its version."""
        folder = self.store / name / "v0001"
        folder.mkdir(parents=True)
        chain = [ROOT.leaf([f"{name}.example.org"], key)]
        files = {
            "privkey.pem": key_pem(key),
            "cert.pem": to_pem(chain),
            "chain.pem": b"",
            "fullchain.pem": to_pem(chain),
        }
        for file, content in {**files, "issuer": b"local"}.items():
            (folder / file).write_bytes(content)
        (folder / "privkey.pem").chmod(0o600)
        (self.store / name / "current").symlink_to("v0001")
        return folder

    def give(self, path):
        """Let a path belong to Alice."""
        os.chown(path, ALICE, ALICE, follow_symlinks=False)

    def folder(self, path="tls"):
        """Return a folder of Alice's in her home."""
        (self.home / path).mkdir(exist_ok=True)
        self.give(self.home / path)
        return self.home / path

    def lead(self, target, path="tls"):
        """Let Alice lead a path in her home to another folder; return the path."""
        (self.home / path).symlink_to(target)
        self.give(self.home / path)
        return self.home / path

    def pair(self, folder, key):
        """Put a pair that was made by hand into a folder of Alice's; return the value of adopt."""
        paths = {"key": folder / "privkey.pem", "certificate": folder / "fullchain.pem"}
        paths["key"].write_bytes(key_pem(key))
        paths["certificate"].write_bytes(to_pem([ROOT.leaf(["alice.example.org"], key)]))
        for path in paths.values():
            path.chmod(0o600)
            self.give(path)
        return {option: str(path) for option, path in paths.items()}

    def run(self, decide, options, check_mode=False, **arguments):
        """Run a module; return its result."""
        checked = ArgumentSpecValidator(options).validate(arguments)
        assert not checked.error_messages
        module = types.SimpleNamespace(
            params=checked.validated_parameters, check_mode=check_mode, get_bin_path=no_program
        )
        return result_of(module, decide)

    def request(self, owner="nobody", name="alice", **options):
        return {"name": name, "domains": ["alice.example.org"], "owner": owner, "encrypt_key": False, **options}

    def prepare(self, check_mode=False, **options):
        request = self.request(**options)
        return self.run(
            certificate_request.decide,
            certificate_request.OPTIONS,
            check_mode,
            directory=str(self.store),
            request=request,
        )

    def install(self, **options):
        request = self.request(**options)
        return self.run(
            certificate_install.decide, certificate_install.OPTIONS, directory=str(self.store), request=request
        )

    def export(self, *wanted, name="bank", check_mode=False):
        request = self.request(name=name, exports=list(wanted))
        return self.run(
            certificate_export.decide, EXPORT_OPTIONS, check_mode, directory=str(self.store), request=request
        )

    def picture(self):
        """Return what is in the bank's folder: the inode, owner and mode of each path."""
        status = {str(path): path.lstat() for path in sorted(self.bank.parent.rglob("*")) if path.name != "lock"}
        return {path: (one.st_ino, one.st_uid, one.st_mode, one.st_size) for path, one in status.items()}


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def link_sentence(option, path):
    return (
        f"{option}: {path} is a symbolic link, which nobody could lead to other files, in the folder {path.parent} of nobody; put a folder in "
        "its place, or choose a path elsewhere"
    )


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("linked", [False, True])
def test_a_pair_is_not_adopted_through_a_link_of_a_user(host, check_mode, linked):
    before = host.picture()
    folder = host.lead(host.bank)
    paths = {"key": str(folder / "privkey.pem"), "certificate": str(folder / "fullchain.pem")}
    wanted = {paths["key"]: "privkey.pem", paths["certificate"]: "fullchain.pem"} if linked else {}
    result = host.prepare(check_mode, adopt=paths, links=wanted)
    assert result == {"failed": True, "msg": link_sentence("links" if linked else "adopt", folder)}
    assert host.picture() == before
    assert not (host.store / "alice/v0001").exists()


def test_a_pair_in_a_folder_of_a_user_whom_the_request_does_not_name_is_refused(host):
    paths = host.pair(host.folder(), some_key(2))
    result = host.prepare(owner=None, adopt=paths)
    assert result["msg"].startswith(f"adopt: the folder {host.home} belongs to nobody, who could lead to other files")
    assert "let owner of the request name that user, or run chown 0 on it" in result["msg"]
    assert not os.path.islink(paths["key"])


def test_a_pair_in_a_folder_of_the_owner_of_the_request_is_adopted(host):
    paths = host.pair(host.folder(), some_key(2))
    result = host.prepare(adopt=paths)
    assert not result.get("failed"), result
    assert os.readlink(paths["key"]) == f"{host.store}/alice/current/privkey.pem"
    assert (host.store / "alice/v0001/privkey.pem").stat().st_uid == ALICE


def exchange_before(monkeypatch, module, name, host, target):
    """Have a folder of Alice's exchanged for a link right before a function of a module is called."""
    real = getattr(module, name)

    def exchanged(*arguments, **options):
        if not (host.home / "tls").is_symlink():
            (host.home / "tls").rename(host.home / "before")
            host.lead(target)
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, exchanged)


def test_a_folder_that_is_exchanged_before_links_replace_its_files_loses_its_own_files_only(host, monkeypatch):
    paths, before = host.pair(host.folder(), some_key(2)), host.picture()
    exchange_before(monkeypatch, adopt, "replace_link", host, host.bank)
    result = host.prepare(adopt=paths)
    assert result["msg"] == link_sentence("adopt", host.home / "tls")  # at the second file
    assert host.picture() == before
    assert (host.home / "before/privkey.pem").is_symlink() and not (host.home / "before/fullchain.pem").is_symlink()


def adopted_by(host):
    paths = host.pair(host.folder("pair"), some_key(2))
    assert not host.prepare(adopt=paths).get("failed")


@pytest.mark.parametrize("call", ["prepare", "install"])
def test_links_are_not_made_or_swept_through_a_link_of_a_user(host, call):
    adopted_by(host)
    (host.bank / ".privkey.pem.new").symlink_to("somebody needs this")
    folder, before = host.lead(host.bank), host.picture()
    wanted = {str(folder / "privkey.pem"): "privkey.pem", str(folder / "new.pem"): "fullchain.pem"}
    result = getattr(host, call)(links=wanted)
    assert result["msg"] == link_sentence("links", folder)
    assert host.picture() == before


def test_links_in_a_folder_of_the_owner_are_made_where_the_folder_was_when_it_was_checked(host, monkeypatch):
    adopted_by(host)
    path, before = host.folder() / "new.pem", host.picture()
    exchange_before(monkeypatch, links, "replace_link", host, host.bank)
    assert host.install(links={str(path): "fullchain.pem"})["changed"] is True
    assert (host.home / "before/new.pem").is_symlink()
    assert host.picture() == before


def test_a_link_in_a_folder_of_a_user_belongs_to_that_user_who_could_move_a_link_of_root(host):
    adopted_by(host)
    path = host.folder() / "new.pem"
    assert host.install(links={str(path): "fullchain.pem"})["changed"] is True
    assert host.install(links={str(path): "cert.pem"})["changed"] is True
    made = [path, host.home / "pair/privkey.pem", host.home / "pair/fullchain.pem"]
    assert [one.lstat().st_uid for one in made if one.is_symlink()] == [ALICE] * 3
    assert (host.store / "alice/current").lstat().st_uid == os.geteuid() == 0


def test_a_link_that_a_user_made_is_restored_as_a_link_of_that_user(host):
    adopted_by(host)
    path, wanted = host.folder() / "new.pem", host.request()
    host.lead("/etc/cron.d/anything", "tls/new.pem")
    wanted["links"] = {str(path): "fullchain.pem"}
    targets = links.read_links(wanted)
    path.unlink()
    links.restore_links(targets, wanted)
    assert os.readlink(path) == "/etc/cron.d/anything" and path.lstat().st_uid == ALICE


def test_a_removal_with_links_behind_a_link_of_a_user_removes_nothing(host):
    adopted_by(host)
    path = host.folder() / "new.pem"
    wanted = {str(path): "fullchain.pem"}
    assert host.install(links=wanted)["changed"] is True
    path.parent.rename(host.home / "before")
    host.lead(host.bank)
    result = host.run(
        certificate_install.decide,
        certificate_install.OPTIONS,
        directory=str(host.store),
        request=host.request(links=wanted),
        state="absent",
    )
    assert result["msg"] == link_sentence("links", path.parent)
    assert (host.store / "alice/current").is_symlink()


EXPORTS = {"a file": {"format": "pem"}, "a keystore": {"format": "pkcs12", "password_file": "{folder}/password"}}


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("check_mode", [False, True])
def test_exports_are_not_written_through_a_link_of_a_user(host, tmp_path, kind, check_mode):
    target = tmp_path / "cron.d"
    target.mkdir()
    folder = host.lead(target)
    wanted = {name: value.format(folder=folder) for name, value in EXPORTS[kind].items()}
    result = host.export({"path": str(folder / "job"), "owner": "nobody", **wanted}, check_mode=check_mode)
    assert result["msg"] == link_sentence("exports", folder)
    assert list(target.iterdir()) == []


def test_only_the_owner_of_an_export_may_own_its_folder(host):
    path = host.folder() / "bank.pem"
    result = host.export({"path": str(path), "format": "pem"})
    assert f"exports: the folder {host.home} belongs to nobody" in result["msg"]
    assert "let owner of the export name that user" in result["msg"]
    assert host.export({"path": str(path), "format": "pem", "owner": "nobody"})["changed"] is True
    assert path.stat().st_uid == ALICE


@pytest.mark.parametrize("moment", ["remove_temporary_files", "replace_file", "read_file_in"])
def test_exports_are_written_where_the_folder_was_when_it_was_checked(host, tmp_path, monkeypatch, moment):
    target = tmp_path / "cron.d"
    target.mkdir()
    (target / "password").write_text("a secret of root\n")
    path = host.folder() / "bank.p12"
    wanted = {"path": str(path), "owner": "nobody", "password_file": str(path.parent / "password")}
    wanted["encryption"] = "legacy"  # the oldest cryptography writes no other
    exchange_before(monkeypatch, exports, moment, host, target)
    assert host.export(wanted)["changed"] is True
    assert {one.name for one in (host.home / "before").iterdir()} == {"bank.p12", "password"}
    assert "a secret" not in (host.home / "before/password").read_text()
    assert [one.name for one in target.iterdir()] == ["password"]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("kind", ["somebody else's", "group-writable", "through a link", "open to everybody"])
def test_a_folder_of_an_export_is_refused_before_a_ca_is_asked_as_it_would_be_later(host, tmp_path, kind, check_mode):
    if kind == "somebody else's":
        wanted = {"path": str(host.folder() / "site.pem"), "format": "pem"}
    elif kind == "group-writable":
        (tmp_path / "shared").mkdir(mode=0o770)
        (tmp_path / "shared").chmod(0o770)
        wanted = {"path": str(tmp_path / "shared/site.pem"), "format": "pem"}
    elif kind == "open to everybody":
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared").chmod(0o1777)
        wanted = {"path": str(tmp_path / "site.p12"), "password_file": str(tmp_path / "shared/password")}
    else:
        wanted = {"path": str(host.lead(tmp_path) / "site.pem"), "format": "pem", "owner": "nobody"}
    result = host.prepare(check_mode, exports=[wanted])
    assert result == {"failed": True, "msg": host.export(wanted)["msg"]}
    assert result["msg"].startswith("exports: ")
    assert not (host.store / "alice").exists()
    absent = [{**wanted, "state": "absent"}]
    assert host.prepare(True, exports=absent)["due"] is True


def test_a_missing_folder_of_an_export_is_refused_before_a_ca_is_asked_and_a_warning_in_check_mode(host, tmp_path):
    exports = [{"path": str(tmp_path / "later/site.pem"), "format": "pem"}]
    sentence = f"exports: the folder of {tmp_path}/later/site.pem does not exist; create it or correct the path"
    result = host.prepare(True, exports=exports)
    assert result["due"] is True and result["warnings"] == [f"alice: {sentence}"]
    assert host.prepare(False, exports=exports) == {"failed": True, "msg": sentence}


def test_an_export_is_not_removed_through_a_link_of_a_user(host):
    path, before = host.folder() / "privkey.pem", host.picture()
    wanted = {"path": str(path), "format": "pem", "owner": "nobody"}
    assert host.export(wanted)["changed"] is True
    path.parent.rename(host.home / "before")
    host.lead(host.bank)
    assert host.export({**wanted, "state": "absent"})["msg"] == link_sentence("exports", path.parent)
    ours = {path: one for path, one in host.picture().items() if "v0001/" in path}
    assert ours == {path: one for path, one in before.items() if "v0001/" in path}


def test_a_hard_link_in_the_place_of_a_password_file_is_refused(host):
    secret = host.home.parent / "secret"
    secret.write_text("a secret of root\n")
    path = host.folder() / "bank.p12"
    os.link(secret, path.parent / "password")
    result = host.export({"path": str(path), "owner": "nobody", "password_file": str(path.parent / "password")})
    assert result["msg"].startswith(f"exports: {path.parent}/password has other names (hard links)")
    assert not path.exists()


@pytest.mark.parametrize("swapped", [False, True])
def test_a_file_of_root_that_a_user_moved_to_the_password_file_is_not_used(host, monkeypatch, swapped):
    path, secret = host.folder() / "bank.p12", host.home / "tls/secret"
    secret.write_text("a secret of root\n")
    password = path.parent / "password"
    secret.rename(password)
    if swapped:  # once it is open
        real, own = os.fstat, host.home / "own"
        own.write_text("a password of Alice's\n")
        host.give(own)

        def swap(descriptor):
            if own.exists() and os.path.samestat(real(descriptor), password.stat()):
                own.rename(password)
            return real(descriptor)

        monkeypatch.setattr(os, "fstat", swap)
    wanted = {"path": str(path), "owner": "nobody", "password_file": str(password), "encryption": "legacy"}
    assert host.export(wanted)["msg"] == (
        f"exports: {password} belongs to root, and may be a secret that was moved there, in the folder {path.parent} of nobody; have a look "
        "at it, and run chown nobody on it or remove it"
    )
    assert not path.exists()


def test_a_password_file_without_end_is_not_read(host):
    path = host.folder() / "bank.p12"
    (path.parent / "password").write_text("")
    os.truncate(path.parent / "password", 1 << 40)
    host.give(path.parent / "password")
    result = host.export({"path": str(path), "owner": "nobody", "password_file": str(path.parent / "password")})
    assert result["msg"].startswith(f"{path.parent}/password has more than 1048576 bytes")


def test_a_key_of_root_that_a_user_moved_to_a_path_of_adopt_is_not_adopted(host):
    folder = host.folder()
    paths = host.pair(folder, some_key(2))
    os.chown(paths["key"], 0, 0)
    assert host.prepare(adopt=paths)["msg"] == (
        f"adopt: {paths['key']} belongs to root, in the folder {folder} of nobody, who could move another file there; have a look at it, run "
        "chown nobody on it, and run this again"
    )
    assert not os.path.islink(paths["key"]) and not (host.store / "alice/v0001").exists()


def test_what_a_user_plants_at_a_path_of_adopt_is_refused_with_folder_and_owner(host):
    folder = host.folder()
    clause = f", in the folder {folder} of nobody; "

    def planted(plant):
        paths = host.pair(folder, some_key(2))
        os.unlink(paths["key"])
        plant(paths["key"])
        host.give(paths["key"])
        message = host.prepare(adopt=paths)["msg"]
        os.unlink(paths["key"])
        assert clause in message, message
        return message

    assert "privkey.pem is not a regular file," in planted(os.mkfifo)
    lead = planted(lambda path: os.symlink(host.bank / "privkey.pem", path))
    assert lead.endswith("; put the file itself there, or correct the path")

    def make_huge(path):
        with open(path, "wb") as stream:
            stream.truncate(1 << 40)

    assert "has more than 1048576 bytes" in planted(make_huge)


def shared_folder(host, mode):
    """Return a folder of root's, like /tmp, into which Alice moves files of root that are in her home."""
    (host.home.parent / "shared").mkdir()
    (host.home.parent / "shared").chmod(mode)
    return host.home.parent / "shared"


def move_as_alice(host, name, folder, group=ALICE):
    """Have Alice move a file from her home to a folder beside it; return its path."""
    command = ["setpriv", f"--reuid={ALICE}", f"--regid={group}", "--clear-groups", "mv", name, f"../{folder.name}"]
    subprocess.run(command, cwd=host.home, check=True)
    return str(folder / name)


@pytest.mark.parametrize(("mode", "others"), [(0o1777, "everybody"), (0o1770, "its group")])
def test_a_file_of_root_in_a_folder_that_others_can_write_to_is_not_adopted(host, mode, others):
    folder = shared_folder(host, mode)
    paths = host.pair(host.home, some_key(2))
    for option, path in paths.items():
        os.chown(path, 0, 0)
        paths[option] = move_as_alice(host, os.path.basename(path), folder, 0 if others == "its group" else ALICE)
    assert host.prepare(adopt=paths)["msg"] == (
        f"adopt: {paths['key']} belongs to root, in a folder that {others} can write to, and may be a secret that was moved there; have a look "
        "at it, move it to a folder that others cannot write to, and have adopt name that file"
    )
    assert not os.path.islink(paths["key"]) and not (host.store / "alice/v0001").exists()


def test_a_file_of_root_in_a_folder_that_others_can_write_to_is_no_password(host):
    folder = shared_folder(host, 0o1770)
    (host.home / "password").write_text("a secret of root\n")
    move_as_alice(host, "password", folder, 0)
    result = host.export(
        {"path": str(folder / "bank.p12"), "password_file": str(folder / "password"), "owner": "nobody"}
    )
    assert result["msg"].startswith(
        f"exports: {folder}/password belongs to root, in a folder that its group can write to, and may be a secret that was moved there"
    )
    assert not (folder / "bank.p12").exists()


def test_a_key_in_the_store_that_its_owner_has_made_without_end_is_not_read(host):
    adopted_by(host)
    os.truncate(host.store / "alice/v0001/privkey.pem", 1 << 40)
    message = host.prepare()["msg"]
    assert message.startswith(f"{host.store}/alice/v0001/privkey.pem has more than 1048576 bytes")


def challenge(path, **options):
    module = types.SimpleNamespace(
        params={"path": str(path), "files": TOKEN, "state": "present", "owner": None, **options}, check_mode=False
    )
    return result_of(module, acme_challenge_files.decide)


@pytest.mark.parametrize("state", ["present", "absent"])
def test_challenge_files_are_not_written_through_a_link_of_a_user(host, tmp_path, state):
    target = tmp_path / "www"
    (target / ".well-known/acme-challenge").mkdir(parents=True)
    (target / ".well-known/acme-challenge/token").write_text("somebody needs this")
    folder = host.lead(target)
    assert challenge(folder, owner="nobody", state=state)["msg"] == link_sentence("path", folder)
    assert (target / ".well-known/acme-challenge/token").read_text() == "somebody needs this"


def test_a_webroot_of_a_user_needs_the_name_of_the_user(host):
    folder = host.folder("www")
    result = challenge(folder)
    assert result["msg"].startswith(f"path: the folder {host.home} belongs to nobody, who could lead to other files")
    assert "let owner of the solver webroot name that user" in result["msg"]
    assert challenge(folder, owner="nobody")["changed"] is True
    shown = folder / ".well-known/acme-challenge"
    assert {path.stat().st_uid for path in (shown.parent, shown, shown / "token")} == {ALICE}
    assert challenge(folder, owner="nobody-knows")["msg"].startswith(
        "owner: there is no user nobody-knows on this host"
    )


@pytest.mark.parametrize("name", [".well-known", ".well-known/acme-challenge"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_folder_of_root_that_a_user_moved_into_a_webroot_is_left_as_it_is(host, name, state):
    folder = host.folder("www")
    if "/" in name:
        host.folder("www/.well-known")
    moved = folder / name
    (moved / "acme-challenge").mkdir(parents=True)
    (moved / "token").write_text("somebody needs this")
    result = challenge(folder, owner="nobody", state=state)
    assert result["msg"].startswith(
        f"path: the folder {moved} belongs to root, in the folder {moved.parent} of nobody, who could put another"
    )
    assert moved.stat().st_uid == 0 and (moved / "token").read_text() == "somebody needs this"
    assert sorted(path.name for path in moved.iterdir()) == ["acme-challenge", "token"]


def test_a_folder_in_a_webroot_of_a_user_is_made_as_that_user(host, monkeypatch):
    folder, makers, make = host.folder("www"), [], os.mkdir
    monkeypatch.setattr(
        os, "mkdir", lambda *arguments, **names: makers.append(os.geteuid()) or make(*arguments, **names)
    )
    assert challenge(folder, owner="nobody")["changed"] is True
    assert makers == [ALICE, ALICE] and os.geteuid() == 0


def test_a_folder_of_a_user_in_a_webroot_of_root_is_refused(host, tmp_path):
    (tmp_path / "www/.well-known").mkdir(parents=True)
    host.give(tmp_path / "www/.well-known")
    assert f"the folder {tmp_path}/www/.well-known belongs to nobody" in challenge(tmp_path / "www")["msg"]
    assert not (tmp_path / "www/.well-known/acme-challenge/token").exists()


@pytest.mark.parametrize("leads", [False, True])
def test_a_store_below_a_folder_of_a_user_is_refused(host, tmp_path, leads):
    folder = host.lead(host.store) if leads else host.folder()
    result = host.run(
        certificate_request.decide,
        certificate_request.OPTIONS,
        directory=str(folder / "evergreen"),
        request=host.request(owner="nobody"),
    )
    assert result["msg"].startswith(
        f"directory: the folder {host.home} belongs to nobody, who could lead to other files"
    )
    assert not (folder / "evergreen").exists()


def test_the_file_of_sites_is_not_written_below_a_folder_of_a_user(host):
    (host.home / "conf.d").mkdir()
    options = {"path": str(host.home / "conf.d/sites.conf"), "sites": [], "state": "absent", "domains": {}}
    (host.home / "conf.d/sites.conf").write_text("somebody needs this")
    module = types.SimpleNamespace(
        params={**options, "store": str(host.store)}, check_mode=False, get_bin_path=no_program
    )
    result = result_of(module, nginx_sites.decide)
    assert result["msg"].startswith(f"path: the folder {host.home} belongs to nobody, who could lead to other files")
    assert (host.home / "conf.d/sites.conf").exists()


def test_while_a_user_exchanges_folder_and_link_all_the_time_only_files_of_the_user_change(host, tmp_path):
    adopted_by(host)
    target, folder = tmp_path / "bank.d", host.folder()
    target.mkdir()
    for name in ("site.pem", "bank.pem", "token"):
        (target / name).write_text("somebody needs this")
    host.lead(target, "link")
    before = host.picture()
    pairs = (("tls", "aside"), ("link", "tls"), ("tls", "link"), ("aside", "tls"))
    code = (
        f"import os\nos.setgroups([])\nos.setgid({ALICE})\nos.setuid({ALICE})\nprint(flush=True)\n"
        f"while True:\n    for old, new in {pairs}:\n        os.rename(old, new)"
    )
    exchange = subprocess.Popen([sys.executable, "-c", code], cwd=host.home, stdout=subprocess.PIPE)
    exchange.stdout.readline()
    wanted = {"path": str(folder / "bank.pem"), "format": "pem", "owner": "nobody"}
    try:
        for number in range(40):
            file = ("fullchain.pem", "cert.pem")[number % 2]
            host.install(links={str(folder / "site.pem"): file})
            host.export({**wanted, "mode": ("0600", "0640")[number % 2]}, name="alice")
            challenge(folder, owner="nobody", state=("present", "absent")[number % 2])
    finally:
        is_alive = exchange.poll() is None
        exchange.kill()
        exchange.communicate()
    assert is_alive
    assert {path.name: path.read_text() for path in target.iterdir()} == dict.fromkeys(
        ("site.pem", "bank.pem", "token"), "somebody needs this"
    )
    assert host.picture() == before


INFO_OPTIONS = {"directory": {"type": "path"}, "name": {"type": "str"}}


def own_folder(host):
    host.give(host.store / "alice")


def own_version(host):
    host.give(host.store / "alice/v0001")


def own_what_waits(host):
    (host.store / "alice/next").mkdir()
    host.give(host.store / "alice/next")


def write_folder(host):
    (host.store / "alice").chmod(0o777)


def lead_version(host):
    (host.store / "alice/v0002").symlink_to(host.folder())


@pytest.mark.parametrize("trick", [own_folder, own_version, own_what_waits, write_folder, lead_version])
def test_a_certificate_whose_files_a_user_can_exchange_is_not_read_and_the_others_are(host, trick):
    host.version("alice", some_key(2))
    trick(host)
    result = host.run(certificate_info.decide, INFO_OPTIONS, directory=str(host.store))
    alice, bank = sorted(result["certificates"], key=lambda one: one["name"])
    assert str(host.store / "alice") in alice["problem"] and "run " in alice["problem"]
    assert alice["version"] is None and "chain" not in alice and "public_key" not in alice
    assert bank["version"] == "v0001" and bank["public_key"] and "problem" not in bank


def test_a_certificate_that_leads_elsewhere_hides_no_other(host):
    host.version("alice", some_key(2))
    (host.store / "alice/current").unlink()
    (host.store / "alice/current").symlink_to("/etc/shadow")
    result = host.run(certificate_info.decide, INFO_OPTIONS, directory=str(host.store))
    alice, bank = sorted(result["certificates"], key=lambda one: one["name"])
    assert "leads to /etc/shadow" in alice["problem"] and bank["version"] == "v0001"


@pytest.mark.parametrize("name", [None, "bank"])
def test_a_store_that_a_user_leads_to_is_not_read(host, name):
    path = host.lead(host.store)
    result = host.run(certificate_info.decide, INFO_OPTIONS, directory=str(path), **({"name": name} if name else {}))
    assert result["failed"] and str(host.home) in result["msg"] and "certificates" not in result
