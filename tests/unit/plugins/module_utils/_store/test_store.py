# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of a certificate: what is switched, what is kept, and who may read it at every moment."""

from __future__ import annotations

import grp
import os
import pwd
import stat

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import public_bytes, write_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._store import store as store_module
from ansible_collections.evergreen.tls.plugins.module_utils._store.links import check_links, remove_links
from ansible_collections.evergreen.tls.plugins.module_utils._store.store import Store
from ansible_collections.evergreen.tls.plugins.module_utils._system import files
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, key_pem, some_key

NAMES = ["www.example.org"]
WANTED = {
    "name": "web",
    "host": "web1",
    "domains": NAMES,
    "issuer": "local",
    "type": "ECC",
    "curve": "secp256r1",
    "size": 2048,
    "renew_before": None,
    "owner": None,
    "group": None,
    "mode": "0600",
    "links": {},
}
ROOT = Authority()
ISSUING = Authority("Test Issuing CA", above=ROOT)
PARTS = ["cert.pem", "chain.pem", "fullchain.pem", "issuer", "privkey.pem"]


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "evergreen"), "web")


def files_for(key):
    return {
        "privkey.pem": key_pem(key),
        "request.csr": make_csr(key, NAMES, {}),
        "issuer": b"local",
    }


def prepared(store, key=None, request=None):
    key = key or some_key()
    with store.lock():
        store.prepare_next(files_for(key), request or WANTED)
    return key


def installed(store, number=0, days=(-1, 90), request=None):
    """Install a new version with the key of this number, and return its name."""
    key = prepared(store, some_key(number), request)
    with store.lock():
        version = store.complete_next(ISSUING.chain(NAMES, key, days=days), request or WANTED)
        store.switch(version)
    return version


def listing(path):
    return sorted(os.listdir(path))


def mode_of(*parts):
    return stat.S_IMODE(os.lstat(os.path.join(*parts)).st_mode)


def test_a_folder_in_which_nothing_is_has_nothing(store):
    assert store.current() is None
    assert store.versions() == []
    assert store.file("v0001", "privkey.pem") is None
    assert store.previous(NOW) is None
    assert store.find_ready(WANTED, NOW, None) is None
    assert store.why_renew(None, WANTED, NOW, None) == "there is no certificate yet"
    assert not os.path.exists(store.path)


@pytest.mark.parametrize("name", ["", "..", "../web", "a/b", ".web"])
def test_a_name_that_leads_elsewhere_has_no_folder(tmp_path, name):
    with pytest.raises(TlsError, match="cannot name a request"):
        Store(str(tmp_path), name)


def test_a_first_certificate_is_installed_as_a_whole(store):
    assert installed(store) == "v0001"
    assert listing(store.path) == ["current", "lock", "v0001"]
    assert os.readlink(os.path.join(store.path, "current")) == "v0001"
    assert listing(os.path.join(store.path, "current")) == PARTS
    chain = ISSUING.chain(NAMES, some_key())
    assert len(parse_chain(store.file("current", "fullchain.pem"))) == len(chain) == 2
    assert store.file("current", "cert.pem") + store.file("current", "chain.pem") == store.file(
        "current", "fullchain.pem"
    )
    assert store.file("current", "privkey.pem") == key_pem(some_key())
    assert store.why_renew("v0001", WANTED, NOW, [ROOT.certificate]) is None


def test_the_key_of_a_version_is_read_with_the_passphrase_beside_it(store):
    version = installed(store)
    assert store.passphrase(version) is None
    public = public_bytes(some_key().public_key())
    assert public_bytes(store.private_key(version).public_key()) == public

    folder = os.path.join(store.path, version)
    with open(os.path.join(folder, "privkey.pem"), "wb") as stream:
        stream.write(write_key(some_key(), b" correct horse "))
    with pytest.raises(TlsError, match="its key is protected by a passphrase"):
        store.private_key(version, "its key")
    with open(os.path.join(folder, "passphrase"), "wb") as stream:
        stream.write(b" correct horse \n")
    assert store.passphrase(version) == b" correct horse "
    assert public_bytes(store.private_key(version).public_key()) == public


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_a_file_without_a_passphrase_is_for_a_key_that_is_not_encrypted(store, content):
    version = installed(store)
    with open(os.path.join(store.path, version, "passphrase"), "wb") as stream:
        stream.write(content)
    assert store.passphrase(version) is None
    assert public_bytes(store.private_key(version).public_key()) == public_bytes(some_key().public_key())


def test_the_passphrase_is_for_root_alone_whoever_may_read_the_key(store):
    request = {**WANTED, "mode": "0640", "group": grp.getgrgid(os.getegid()).gr_name}
    files = {**files_for(some_key()), "privkey.pem": write_key(some_key(), b"correct horse")}
    with store.lock():
        store.prepare_next({**files, "passphrase": b"correct horse\n"}, request)
        assert (mode_of(store.next, "privkey.pem"), mode_of(store.next, "passphrase")) == (0o640, 0o600)
        version = store.complete_next(ISSUING.chain(NAMES, some_key()), request)
        store.switch(version)
    assert store.why_renew(version, request, NOW, [ROOT.certificate]) is None
    assert store.paths_to_correct(version, request) == []

    path = os.path.join(store.path, version, "passphrase")
    os.chmod(path, 0o644)
    assert store.paths_to_correct(version, request) == [path]
    with store.lock():
        store.correct_paths(version, request)
    assert mode_of(path) == 0o600


def test_a_version_after_one_with_a_passphrase_has_the_file_that_nginx_looks_for(store):
    plain, other = installed(store), installed(store)
    with open(os.path.join(store.path, other, "passphrase"), "wb") as stream:
        stream.write(b"correct horse\n")
    with store.lock():
        store.switch(plain)
    assert store.file(plain, "passphrase") == b"\n"
    assert mode_of(store.path, plain, "passphrase") == 0o600
    assert store.file(installed(store), "passphrase") == b"\n"
    with store.lock():
        store.switch(other)
    assert store.file(other, "passphrase") == b"correct horse\n"


def test_a_file_that_nginx_does_not_look_for_yet_says_so_in_the_next_version_too(store):
    first = installed(store)
    with open(os.path.join(store.path, first, "passphrase"), "wb"):
        pass
    assert store.file(installed(store), "passphrase") == b""


def test_a_certificate_without_a_chain_has_an_empty_one(store):
    key = prepared(store)
    with store.lock():
        version = store.complete_next(ROOT.chain(NAMES, key), WANTED)
    assert store.file(version, "chain.pem") == b""
    assert store.why_renew(version, WANTED, NOW, [ROOT.certificate]) is None


def test_versions_are_counted_on_and_sorted_by_number(store):
    assert [installed(store, number) for number in range(3)] == ["v0001", "v0002", "v0003"]
    os.rename(os.path.join(store.path, "v0003"), os.path.join(store.path, "v10000"))
    os.mkdir(os.path.join(store.path, "v9999"))
    for name in ("v1", "v0002.bak", "vacation", "v-001"):
        os.mkdir(os.path.join(store.path, name))
    assert store.versions() == ["v0001", "v0002", "v9999", "v10000"]
    assert installed(store) == "v10001"


@pytest.mark.parametrize("mode", ["0600", "0640"])
def test_the_key_is_closed_to_others_from_its_first_moment_on(store, monkeypatch, mode):
    """Whenever a file or folder is brought to the disk or renamed, the modes below are looked at."""
    request, seen = {**WANTED, "mode": mode}, set()
    before = os.umask(0)

    def watch(name):
        real = getattr(os, name)

        def watched(*arguments, **options):
            look()
            real(*arguments, **options)
            look()

        monkeypatch.setattr(os, name, watched)

    def look():
        for folder, _folders, names in os.walk(store.path):
            for file in names:
                if file.lstrip(".").startswith("privkey"):
                    seen.add(mode_of(folder, file))

    for name in ("fsync", "rename", "fchmod", "chmod", "unlink"):
        watch(name)
    try:
        installed(store, request=request)
    finally:
        os.umask(before)
    assert seen <= {0o600, int(mode, 8)} and int(mode, 8) in seen


def test_modes_are_what_servers_and_people_need(store):
    before = os.umask(0o077)
    try:
        version = installed(store)
    finally:
        os.umask(before)
    path = os.path.join(store.path, version)
    assert {name: mode_of(path, name) for name in PARTS} == {
        **dict.fromkeys(PARTS, 0o644),
        "privkey.pem": 0o600,
    }
    assert mode_of(path) == 0o755
    assert mode_of(store.path, "lock") == 0o600


@pytest.mark.parametrize("umask", [0o027, 0o077])
def test_the_readers_of_a_key_can_pass_the_folders_above_it_whatever_the_umask(store, umask):
    before = os.umask(umask)
    try:
        version = installed(store)
    finally:
        os.umask(before)
    assert [mode_of(path) for path in (os.path.dirname(store.path), store.path)] == [0o755, 0o755]
    assert store.paths_to_correct(version, WANTED) == []


@pytest.mark.parametrize("mode", [0o700, 0o750])
def test_folders_that_an_earlier_run_has_made_with_another_umask_are_opened(store, mode):
    version, folders = installed(store), [os.path.dirname(store.path), store.path]
    for path in folders:
        os.chmod(path, mode)
    assert store.paths_to_correct(version, WANTED) == folders
    with store.lock():
        store.correct_paths(version, WANTED)
    assert [mode_of(path) for path in folders] == [0o755, 0o755]
    assert store.paths_to_correct(version, WANTED) == []


def test_a_folder_that_a_person_has_given_to_another_group_stays_closed_to_others(store, monkeypatch):
    version = installed(store)
    os.chmod(os.path.dirname(store.path), 0o750)
    other = os.getegid() + 1
    monkeypatch.setattr(files.os, "getegid", lambda: other)
    assert store.paths_to_correct(version, WANTED) == []


def test_what_waits_is_closed_to_others(store):
    prepared(store)
    assert listing(store.next) == ["issuer", "privkey.pem", "request.csr"]
    assert mode_of(store.next) == 0o700
    assert mode_of(store.next, "privkey.pem") == 0o600


def test_a_new_request_takes_the_place_of_the_one_that_waited(store):
    prepared(store, some_key(1))
    prepared(store, some_key(2))
    assert store.file("next", "privkey.pem") == key_pem(some_key(2))
    assert listing(store.path) == ["lock", "next"]


def test_a_request_that_cannot_be_written_leaves_the_one_that_waits(store):
    prepared(store, some_key(1))
    with pytest.raises(TlsError) as caught, store.lock():
        store.prepare_next(files_for(some_key(2)), {**WANTED, "owner": "nobody-of-that-name"})
    assert str(caught.value) == (
        "owner: there is no user nobody-of-that-name on this host; create it or correct the request"
    )
    assert store.file("next", "privkey.pem") == key_pem(some_key(1))
    assert listing(store.path) == ["lock", "next"]


def test_a_group_has_to_be_there(store):
    with pytest.raises(TlsError) as caught:
        prepared(store, request={**WANTED, "group": "nobody-of-that-name"})
    assert str(caught.value) == (
        "group: there is no group nobody-of-that-name on this host; create it or correct the request"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_key_belongs_to_whom_the_request_says_and_the_rest_does_not(store):
    owner, group = pwd.getpwuid(1).pw_name, grp.getgrgid(2).gr_name
    version = installed(store, request={**WANTED, "owner": owner, "group": group, "mode": "0640"})
    found = {name: os.stat(os.path.join(store.path, version, name)) for name in PARTS}
    assert (found["privkey.pem"].st_uid, found["privkey.pem"].st_gid) == (1, 2)
    assert {found[name].st_uid for name in PARTS if name != "privkey.pem"} == {0}


def test_switching_replaces_one_symbolic_link(store):
    installed(store, 1)
    installed(store, 2)
    with store.lock():
        store.switch("v0001")
    assert os.path.islink(os.path.join(store.path, "current"))
    assert store.current() == "v0001"
    with store.lock():
        store.switch(None)
    assert store.current() is None
    assert listing(store.path) == ["lock", "v0001", "v0002"]


@pytest.mark.parametrize("make", [os.mkdir, lambda path: open(path, "wb").close()])
def test_a_current_that_is_no_link_is_refused(store, make):
    prepared(store)
    make(os.path.join(store.path, "current"))
    with pytest.raises(TlsError) as caught:
        store.current()
    assert str(caught.value) == (f"{store.path}/current is not a symbolic link; move it away and run this again")


def test_a_file_in_the_place_of_the_folder_is_named_as_what_it_is(tmp_path):
    (tmp_path / "web").write_bytes(b"")
    store = Store(str(tmp_path), "web")
    with pytest.raises(NotADirectoryError):
        store.current()
    with pytest.raises(TlsError) as caught, store.lock():
        pass
    assert str(caught.value) == f"{tmp_path}/web is not a folder; move it away and run this again"


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "web").symlink_to("elsewhere")
    with pytest.raises(TlsError, match="web is not a folder; move it away"), Store(str(tmp_path), "web").lock():
        pass
    assert listing(tmp_path / "elsewhere") == []


def test_a_folder_that_others_can_write_to_is_refused(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web").chmod(0o777)
    with pytest.raises(TlsError) as caught, Store(str(tmp_path), "web").lock():
        pass
    assert str(caught.value) == (
        f"{tmp_path}/web belongs to somebody else or can be written by others; run chown {os.geteuid()} and "
        "chmod 0755 on it, after a look at what is in it"
    )
    assert listing(tmp_path / "web") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "web").mkdir()
    os.chown(tmp_path / "web", 65534, 65534)
    with pytest.raises(TlsError, match="web belongs to somebody else"), Store(str(tmp_path), "web").lock():
        pass


def test_only_one_process_at_a_time_works_on_a_certificate(store, monkeypatch):
    monkeypatch.setattr(
        store_module,
        "locked",
        lambda path: files.locked(path, timeout=0.1),
    )
    with store.lock():
        with pytest.raises(TlsError, match=r"another process has held .*/web/lock for 0 seconds"):
            with Store(os.path.dirname(store.path), "web").lock():
                pass
        with Store(os.path.dirname(store.path), "shop").lock():
            pass


def test_older_versions_are_pruned_but_for_those_to_keep(store):
    for number in range(5):
        installed(store, number)
    with store.lock():
        assert store.prune(10) == []
        assert store.prune(3) == ["v0001"]
        assert store.prune(1) == ["v0002", "v0003"]
        assert store.prune(1) == []
    assert listing(store.path) == ["current", "lock", "v0004", "v0005"]


def test_what_is_newer_than_the_current_version_is_never_pruned(store):
    for number in range(4):
        installed(store, number)
    with store.lock():
        store.switch("v0002")
        assert store.prune(1) == []
        store.switch(None)
        assert store.prune(1) == []
    assert store.versions() == ["v0001", "v0002", "v0003", "v0004"]


def test_previous_is_the_newest_earlier_version_that_can_be_served(store):
    installed(store, 1)
    assert store.previous(NOW) is None
    installed(store, 2)
    installed(store, 3, days=(-9, 2))
    installed(store, 4)
    assert store.previous(NOW) == "v0003"
    assert store.previous(NOW + 3 * DAY) == "v0002"
    assert store.previous(NOW + 90 * DAY) is None
    with store.lock():
        store.switch("v0002")
    assert store.previous(NOW) == "v0001"


@pytest.mark.parametrize("name", ["privkey.pem", "fullchain.pem"])
@pytest.mark.parametrize("content", [None, b"", b"garbage", key_pem(some_key(8))])
def test_a_version_that_is_no_pair_is_no_way_back(store, name, content):
    installed(store, 1)
    installed(store, 2)
    path = os.path.join(store.path, "v0001", name)
    os.unlink(path)
    if content is not None:
        files.create_file(path, content)
    assert store.previous(NOW) is None


def test_a_version_for_other_names_is_a_way_back(store):
    key = prepared(store, some_key(1))
    with store.lock():
        store.switch(store.complete_next(ISSUING.chain(["old.example"], key), WANTED))
    installed(store, 2)
    assert store.previous(NOW) == "v0001"


def test_what_a_killed_run_left_complete_is_ready(store):
    installed(store, 1)
    assert store.find_ready(WANTED, NOW, [ROOT.certificate]) is None
    key = prepared(store, some_key(2))
    assert store.find_ready(WANTED, NOW, None) is None
    chain = ISSUING.chain(NAMES, key)
    for name, content in (("cert.pem", chain[:1]), ("chain.pem", chain[1:]), ("fullchain.pem", chain)):
        assert store.find_ready(WANTED, NOW, None) is None
        files.create_file(os.path.join(store.next, name), to_pem(content))
    assert store.find_ready(WANTED, NOW, [ROOT.certificate]) == "next"
    with store.lock():
        assert store.promote_next(WANTED) == "v0002"
    assert store.find_ready(WANTED, NOW, [ROOT.certificate]) == "v0002"
    with store.lock():
        store.switch("v0002")
    assert store.find_ready(WANTED, NOW, [ROOT.certificate]) is None
    assert not os.path.exists(os.path.join(store.path, "v0002", "request.csr"))


@pytest.mark.parametrize(
    "changes",
    [
        {"domains": ["other.example"]},
        {"issuer": "corporate"},
        {"type": "RSA"},
        {"renew_before": f"{89 * 86400}s"},
    ],
)
def test_what_does_not_do_is_not_ready(store, changes):
    installed(store)
    with store.lock():
        store.switch(None)
    assert store.find_ready(WANTED, NOW, None) == "v0001"
    assert store.find_ready({**WANTED, **changes}, NOW + 3 * DAY, None) is None
    assert store.find_ready(WANTED, NOW, [Authority("Another").certificate]) is None
    assert store.find_ready(WANTED, NOW + 90 * DAY, None) is None


def test_the_newest_of_what_is_ready_is_taken(store):
    for number in range(3):
        installed(store, number)
    with store.lock():
        store.switch("v0001")
    assert store.find_ready(WANTED, NOW, None) == "v0003"


def test_sweeping_removes_what_is_hidden_and_nothing_else(store, tmp_path):
    installed(store, 1)
    prepared(store, some_key(2))
    before = listing(store.path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_bytes(b"kept")
    os.makedirs(os.path.join(store.path, ".next.0badcafe"))
    files.create_file(os.path.join(store.path, ".next.0badcafe", "privkey.pem"), b"")
    files.create_file(os.path.join(store.path, ".privkey.pem.1"), b"")
    os.symlink(tmp_path / "elsewhere", os.path.join(store.path, ".current.2"))
    with store.lock():
        store.remove_left_over(WANTED)
    assert listing(store.path) == before
    assert (tmp_path / "elsewhere/file").read_bytes() == b"kept"


def test_nothing_of_another_name_is_touched(tmp_path):
    mine, theirs = Store(str(tmp_path), "web"), Store(str(tmp_path), "web2")
    installed(theirs, 7)
    with theirs.lock():
        theirs.prepare_next(files_for(some_key(8)), WANTED)

    def picture():
        return {
            os.path.join(folder, name): (os.lstat(os.path.join(folder, name)).st_ino, mode_of(folder, name))
            for folder, folders, files in os.walk(theirs.path)
            for name in [*folders, *files]
        }

    before = picture()
    for number in range(3):
        installed(mine, number)
    prepared(mine)
    with mine.lock():
        mine.prune(1)
        mine.remove_left_over(WANTED)
        mine.remove_version("next")
        mine.switch("v0002")
    assert picture() == before


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666, 0o777, 0o601])
def test_a_key_that_others_could_read_is_found_out(store, mode):
    version = installed(store)
    store.check_key_mode(version, WANTED)
    path = os.path.join(store.path, version, "privkey.pem")
    os.chmod(path, mode)
    with pytest.raises(TlsError) as caught:
        store.check_key_mode(version, WANTED)
    assert str(caught.value) == (
        f"{path} can be read by others (mode {mode:04o}): whoever did may hold a copy of the key. Have a new key made "
        "with certificate_force: true, or run chmod 0600 on it if nobody else was on this host"
    )


def test_a_group_that_the_request_names_may_read_the_key(store):
    version = installed(store, request={**WANTED, "mode": "0640"})
    store.check_key_mode(version, {**WANTED, "mode": "0640"})
    store.check_key_mode("v0099", WANTED)


def test_a_key_that_is_a_link_is_refused(store, tmp_path):
    version = installed(store)
    path = os.path.join(store.path, version, "privkey.pem")
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(TlsError) as caught:
        store.check_key_mode(version, WANTED)
    assert str(caught.value) == f"{path} is not a regular file; move it away to have a new key made"


def test_links_lead_into_the_current_version(store, tmp_path):
    link, other = str(tmp_path / "server.pem"), str(tmp_path / "server.key")
    request = {**WANTED, "links": {link: "fullchain.pem", other: "privkey.pem"}}
    version = installed(store)
    assert store.paths_to_correct(version, request) == [link, other]
    check_links(store, request)
    with store.lock():
        store.correct_paths(version, request)
    assert store.paths_to_correct(version, request) == []
    assert os.readlink(link) == os.path.join(store.path, "current", "fullchain.pem")
    installed(store, 2)
    with open(link, "rb") as stream:
        assert stream.read() == store.file("v0002", "fullchain.pem")
    remove_links(store, request)
    assert not os.path.lexists(link) and not os.path.lexists(other)


def test_a_link_that_leads_elsewhere_is_replaced_but_not_removed(store, tmp_path):
    link = str(tmp_path / "server.pem")
    request = {**WANTED, "links": {link: "fullchain.pem"}}
    os.symlink("/elsewhere", link)
    version = installed(store)
    remove_links(store, request)
    assert os.readlink(link) == "/elsewhere"
    check_links(store, request)
    assert store.paths_to_correct(version, request) == [link]
    with store.lock():
        store.correct_paths(version, request)
    assert os.readlink(link) == os.path.join(store.path, "current", "fullchain.pem")


def test_a_file_in_the_place_of_a_link_is_left_alone(store, tmp_path):
    path = tmp_path / "server.pem"
    path.write_bytes(b"kept")
    with pytest.raises(TlsError) as caught:
        check_links(store, {**WANTED, "links": {str(path): "fullchain.pem"}})
    assert str(caught.value) == (f"links: {path} is there and is not a symbolic link; move it away and run this again")


def test_the_folder_of_a_link_has_to_be_there(store, tmp_path):
    path = tmp_path / "missing/server.pem"
    with pytest.raises(TlsError) as caught:
        check_links(store, {**WANTED, "links": {str(path): "fullchain.pem"}})
    assert str(caught.value) == (f"links: the folder of {path} does not exist; create it or correct the path")


def test_the_mode_of_the_key_is_set_right(store):
    version = installed(store)
    request = {**WANTED, "mode": "0640"}
    path = os.path.join(store.path, version, "privkey.pem")
    assert store.paths_to_correct(version, WANTED) == []
    assert store.paths_to_correct(version, request) == [path]
    with store.lock():
        store.correct_paths(version, request)
    assert mode_of(path) == 0o640
    assert store.paths_to_correct(version, request) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_of_the_key_is_set_right(store):
    version = installed(store)
    request = {**WANTED, "owner": pwd.getpwuid(1).pw_name, "group": grp.getgrgid(2).gr_name}
    path = os.path.join(store.path, version, "privkey.pem")
    assert store.paths_to_correct(version, request) == [path]
    with store.lock():
        store.correct_paths(version, request)
    assert (os.stat(path).st_uid, os.stat(path).st_gid, mode_of(path)) == (1, 2, 0o600)


def test_discarding_what_is_not_there_is_no_error(store):
    prepared(store)
    with store.lock():
        store.remove_version("next")
        store.remove_version("next")
    assert listing(store.path) == ["lock"]
