# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root acts in no folder that somebody else can exchange, and in the folder that it has checked."""

from __future__ import annotations

import contextlib
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, system_error
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    read_file_in,
    remove_file,
    remove_temporary_files,
    replace_file,
    replace_link,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    PathUse,
    check_folder,
    resolved_file,
    trusted_folder,
    whose_folder_in,
)

ALICE, NOBODY = 12345, 65534
USE = PathUse("links")
HERS = PathUse("links", ALICE, "owner of the request")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")


def given(path, owner=ALICE, mode=0o755):
    """Make a folder of a user; return it."""
    path.mkdir(exist_ok=True)
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def link(path, target, owner=0):
    """Make a symbolic link of a user; return it."""
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


def is_same(descriptor, path):
    return os.path.samestat(os.fstat(descriptor), os.stat(path))


def refused(path, use=USE):
    with pytest.raises(TlsError) as caught, trusted_folder(str(path), use):
        pass
    with pytest.raises(TlsError) as again:
        check_folder(str(path), use)
    assert str(again.value) == str(caught.value)
    return str(caught.value)


def opens(path, use=USE, as_folder=None):
    with trusted_folder(str(path), use) as descriptor:
        return is_same(descriptor, as_folder or path)


@pytest.mark.parametrize("path", ["/", "/etc", "/usr/../etc", "//etc/./", "/tmp", "/var/run", "/bin"])
def test_folders_of_the_system_are_opened_also_through_links_of_the_system(path):
    assert opens(path)


def test_a_folder_of_somebody_else_is_refused_with_its_owner_and_what_to_do(tmp_path):
    home = given(tmp_path / "home")
    (home / "tls").mkdir()
    sentence = (
        f"links: the folder {home} belongs to user {ALICE}, who could lead to other files from there; run chown 0 on it after a look at "
        "what is in it, or choose a path elsewhere"
    )
    assert refused(home) == refused(home / "tls") == refused(home / "missing") == sentence
    os.chown(home, NOBODY, 0)
    assert f"the folder {home} belongs to nobody, who could" in refused(home)
    assert "; let owner of the request name that user, or run chown 0 on it" in refused(home, HERS)


def test_folders_of_the_owner_of_the_file_are_opened(tmp_path):
    home = given(tmp_path / "home")
    given(home / "tls", mode=0o700)
    assert opens(home / "tls", HERS)
    given(home / "tls", NOBODY)
    assert f"the folder {home / 'tls'} belongs to nobody" in refused(home / "tls", HERS)


def test_a_folder_of_root_in_a_folder_of_the_owner_is_refused(tmp_path):
    home = given(tmp_path / "home")
    given(home / "tls", 0)
    sentence = (
        f"links: the folder {home}/tls belongs to root, in the folder {home} of user {ALICE}, who could put another folder in its place; "
        f"run chown user {ALICE} on it after a look at what is in it, or choose a path elsewhere"
    )
    assert (
        refused(home / "tls", HERS)
        == refused(home / "tls/inner", HERS)
        == sentence.replace("user 12345 on", "12345 on")
    )
    given(home / "tls")
    assert opens(home / "tls", HERS)
    link(tmp_path / "link", home / "tls")
    assert opens(tmp_path / "link", HERS, home / "tls")


def test_a_link_of_root_in_a_folder_of_root_below_one_of_the_owner_is_not_followed(tmp_path):
    home = given(tmp_path / "home")
    given(home / "backup", 0)
    link(home / "backup/latest", "/etc")
    assert f"the folder {home}/backup belongs to root, in the folder {home} of user {ALICE}" in refused(
        home / "backup/latest", HERS
    )


def test_errors_about_paths_in_a_folder_of_the_owner_name_folder_and_owner(tmp_path):
    home = given(tmp_path / "home")
    clause = f", in the folder {home} of user {ALICE}"
    with pytest.raises(FileNotFoundError) as missing, trusted_folder(str(home / "missing"), HERS):
        pass
    assert (missing.value.filename, missing.value.strerror) == (
        f"{home}/missing",
        f"No such file or directory{clause}",
    )
    assert whose_folder_in(missing.value) == clause
    (home / ".new.pem.new").mkdir()
    with pytest.raises(FileExistsError) as taken, trusted_folder(str(home), HERS) as descriptor:
        replace_link("target", str(home / "new.pem"), descriptor)
    assert str(system_error(taken.value)) == (
        f"{home}/.new.pem.new: File exists{clause}; move away what stands there and run this again"
    )
    with pytest.raises(FileNotFoundError) as ours, trusted_folder(str(tmp_path / "missing"), HERS):
        pass
    assert (ours.value.strerror, whose_folder_in(ours.value)) == ("No such file or directory", "")


def test_a_folder_that_an_access_control_list_opens_to_a_user_is_refused(tmp_path):
    folder = given(tmp_path / "shared", 0, 0o755)
    # acl_ea_header and acl_ea_entry of linux/posix_acl_xattr.h: tag, permissions, id
    entries = ((0x01, 7, -1), (0x02, 7, NOBODY), (0x04, 5, -1), (0x10, 7, -1), (0x20, 5, -1))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(folder, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert f"the folder {folder} of root can be written by its group" in refused(folder)
    folder.chmod(folder.stat().st_mode & ~0o022)
    assert opens(folder)


@pytest.mark.parametrize("path", ["/proc/self/cwd", "/proc/self/root/etc", "/dev/fd"])
def test_links_of_the_kernel_are_walked_as_the_paths_that_they_name(path):
    assert opens(path, as_folder=os.path.realpath(path))


def test_a_link_of_the_kernel_to_the_folder_of_a_process_of_somebody_else_is_not_followed():
    with subprocess.Popen(["sleep", "60"], user=ALICE) as process:
        try:
            assert f"belongs to user {ALICE}" in refused(f"/proc/{process.pid}/cwd")
            assert "a symbolic link" in refused(f"/proc/{process.pid}/root/etc", HERS)
        finally:
            process.kill()


def test_where_a_file_is_after_links_of_root(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    link(tmp_path / "one", "two")
    link(tmp_path / "two", tmp_path / "file")
    link(tmp_path / "hers", "file", ALICE)
    link(tmp_path / "round", "round")
    assert resolved_file(str(tmp_path / "one"), USE) == resolved_file(str(tmp_path / "file"), USE) == f"{tmp_path}/file"
    with pytest.raises(TlsError, match=f"^links: {tmp_path}/hers is a symbolic link, which user {ALICE} could lead"):
        resolved_file(str(tmp_path / "hers"), USE)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        resolved_file(str(tmp_path / "round"), USE)


@pytest.mark.parametrize(("mode", "others"), [(0o775, "its group"), (0o757, "everybody"), (0o777, "everybody")])
@pytest.mark.parametrize("owner", [0, ALICE])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path, owner, mode, others):
    given(tmp_path / "shared", owner, mode)
    (tmp_path / "shared/tls").mkdir()
    name = "root" if owner == 0 else f"user {ALICE}"
    assert refused(tmp_path / "shared/tls", HERS) == (
        f"links: the folder {tmp_path}/shared of {name} can be written by {others}, who could lead to other files from there; "
        "run chmod go-w on it after a look at what is in it, or choose a path elsewhere"
    )


def test_in_a_folder_like_tmp_only_folders_of_root_or_the_owner_are_passed(tmp_path):
    shared = given(tmp_path / "shared", 0, 0o1777)
    assert opens(shared)
    (shared / "ours").mkdir()
    assert opens(shared / "ours")
    given(shared / "theirs", NOBODY)
    assert "belongs to nobody" in refused(shared / "theirs")
    link(shared / "link", "ours")
    assert "a symbolic link" in refused(shared / "link")


@pytest.mark.parametrize("use", [USE, HERS], ids=["nobody's", "hers"])
@pytest.mark.parametrize("linker", [0, ALICE])
def test_a_link_in_a_folder_of_somebody_else_is_not_followed(tmp_path, use, linker):
    home = given(tmp_path / "home")
    (tmp_path / "bank").mkdir()
    link(home / "tls", tmp_path / "bank", linker)
    sentence = refused(home / "tls", use)
    if use is HERS:
        assert sentence == (
            f"links: {home}/tls is a symbolic link, which user {ALICE} could lead to other files, in the folder {home} of user {ALICE}; "
            "put a folder in its place, or choose a path elsewhere"
        )
    else:
        assert f"the folder {home} belongs to user {ALICE}" in sentence


def test_a_link_of_somebody_else_in_a_folder_of_root_is_not_followed(tmp_path):
    link(tmp_path / "tls", "/etc", ALICE)
    assert f"{tmp_path}/tls is a symbolic link, which user {ALICE} could lead" in refused(tmp_path / "tls", HERS)


def test_a_link_of_root_is_followed_by_walking_its_target(tmp_path):
    (tmp_path / "real/inner").mkdir(parents=True)
    given(tmp_path / "home")
    link(tmp_path / "absolute", tmp_path / "real")
    link(tmp_path / "relative", "real/../absolute/inner")
    link(tmp_path / "real/up", "..")
    link(tmp_path / "out", "home")
    link(tmp_path / "top", "../../../../../../../../../..")
    assert opens(tmp_path / "absolute/inner", as_folder=tmp_path / "real/inner")
    assert opens(tmp_path / "relative", as_folder=tmp_path / "real/inner")
    assert opens(tmp_path / "real/up/real", as_folder=tmp_path / "real")
    assert opens(tmp_path / "absolute/..", as_folder=tmp_path)
    assert opens(tmp_path / "top", as_folder="/")
    assert "belongs to" in refused(tmp_path / "out")
    assert opens(tmp_path / "out", HERS, tmp_path / "home")


def test_links_that_go_round_end_in_an_error(tmp_path):
    link(tmp_path / "one", "two")
    link(tmp_path / "two", "one")
    for function in (check_folder, lambda *arguments: trusted_folder(*arguments).__enter__()):
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            function(str(tmp_path / "one"), USE)


def test_a_folder_that_is_missing_is_told_and_those_above_it_are_checked(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for name, error in (
        ("missing/folder", FileNotFoundError),
        ("file", NotADirectoryError),
        ("file/x", NotADirectoryError),
    ):
        with pytest.raises(error, match=str(tmp_path)), trusted_folder(str(tmp_path / name), USE):
            pass
        check_folder(str(tmp_path / name), USE)


def test_no_descriptor_stays_open(tmp_path):
    before = os.listdir("/proc/self/fd")
    home = given(tmp_path / "home")
    for use in (USE, HERS):
        with contextlib.suppress(TlsError), trusted_folder(str(home), use):
            pass
    assert os.listdir("/proc/self/fd") == before


def test_whoever_is_not_root_takes_the_place_of_root():
    code = (
        f"import os, sys; os.setuid({ALICE})\n"
        "from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import *\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        check_folder(path, PathUse('links')); print('fine')\n"
        "    except Exception as error:\n        print(error)"
    )
    with tempfile.TemporaryDirectory() as name:  # that of pytest is closed to others
        top = pathlib.Path(name)
        top.chmod(0o755)
        mine, theirs = given(top / "mine", mode=0o300), given(top / "theirs", NOBODY)
        link(mine / "link", "/etc", ALICE)
        paths = ["/etc", str(mine), str(mine / "link"), str(theirs)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        argv = [sys.executable, "-c", code, *paths]
        output = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True).stdout.splitlines()
    assert output[:3] == ["fine"] * 3
    assert f"{theirs} belongs to nobody" in output[3] and f"run chown {ALICE} on it" in output[3]


@pytest.fixture
def swapped(tmp_path):
    """Return a folder of Alice's, and a function that puts a link to the folder bank in its place."""
    home, bank = given(tmp_path / "home"), tmp_path / "bank"
    folder = given(home / "tls")
    bank.mkdir()
    (bank / "key.pem").write_bytes(b"of the bank")

    def swap():
        (home / "tls").rename(home / "before")
        (home / "tls").symlink_to(bank)

    return folder, swap


@pytest.mark.parametrize(
    "act",
    [
        lambda path, folder: replace_link("target", path, folder),
        lambda path, folder: replace_file(path, b"new", dir_fd=folder),
        remove_temporary_files,
    ],
    ids=["link", "file", "sweep"],
)
def test_what_is_exchanged_after_the_check_is_not_touched(tmp_path, swapped, act):
    folder, swap = swapped
    bank = tmp_path / "bank"
    (bank / ".key.pem.01234567").write_bytes(b"")
    before = {path.name: path.lstat() for path in bank.iterdir()}
    with trusted_folder(str(folder), HERS) as descriptor:
        swap()
        act(str(folder / "key.pem"), descriptor)
    assert {path.name: path.lstat().st_ino for path in bank.iterdir()} == {
        name: status.st_ino for name, status in before.items()
    }
    assert (bank / "key.pem").read_bytes() == b"of the bank"


def test_while_a_folder_and_a_link_are_exchanged_all_the_time_only_the_folder_is_written_to(tmp_path, swapped):
    folder, _swap = swapped
    home, bank = folder.parent, tmp_path / "bank"
    link(home / "link", bank, ALICE)
    pairs = (("tls", "aside"), ("link", "tls"), ("tls", "link"), ("aside", "tls"))
    code = (
        f"import os\nos.setgroups([])\nos.setgid({ALICE})\nos.setuid({ALICE})\nprint(flush=True)\n"
        f"while True:\n    for old, new in {pairs}:\n        os.rename(old, new)"
    )
    exchange = subprocess.Popen([sys.executable, "-c", code], cwd=home, stdout=subprocess.PIPE)
    exchange.stdout.readline()
    written = refusals = 0
    try:
        for number in range(1500):
            try:
                with trusted_folder(str(folder), HERS) as descriptor:
                    replace_file(str(folder / "key.pem"), b"new", dir_fd=descriptor)
                    replace_link(f"target{number}", str(folder / "link.pem"), descriptor)
                    written += 1
            except (TlsError, FileNotFoundError, NotADirectoryError):
                refusals += 1
    finally:
        is_alive = exchange.poll() is None
        exchange.kill()
        exchange.communicate()
    assert is_alive
    assert written and refusals, "nothing was exchanged in time"
    assert [path.name for path in bank.iterdir()] == ["key.pem"]
    assert (bank / "key.pem").read_bytes() == b"of the bank"


def test_a_file_is_read_in_its_folder_and_a_link_is_not_followed(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with trusted_folder(str(tmp_path), USE) as folder:
        assert read_file_in(str(tmp_path / "file"), folder) == b"content"
        assert read_file_in(str(tmp_path / "missing"), folder) is None
        for name in ("link", "pipe"):
            with pytest.raises(TlsError, match=f"{name} is not a regular file; move it away"):
                read_file_in(str(tmp_path / name), folder)


def test_an_error_in_a_folder_that_is_open_twice_names_its_owner_once(tmp_path):
    home = given(tmp_path / "home")
    with (
        pytest.raises(FileNotFoundError) as caught,
        trusted_folder(str(home), HERS),
        trusted_folder(str(home), HERS) as folder,
    ):
        remove_file(str(home / "missing"), folder)
    assert caught.value.strerror == f"No such file or directory, in the folder {home} of user {ALICE}"
