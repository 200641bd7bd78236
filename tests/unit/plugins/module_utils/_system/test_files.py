# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files appear whole or not at all, and locks die with their holders."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    create_file,
    locked,
    make_folder,
    read_file,
    remove_folder,
    remove_temporary_files,
    replace_file,
    replace_link,
    sync_folder,
    write_file,
)

HOLDER = """
import sys, time
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import locked
with locked(sys.argv[1], offset=int(sys.argv[2]) if sys.argv[2:] else None):
    print("held", flush=True)
    time.sleep(60)
"""


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_a_new_file_has_its_mode_whatever_the_umask_is(tmp_path, mode):
    path = str(tmp_path / "file")
    before = os.umask(0o077)
    try:
        create_file(path, b"content", mode)
    finally:
        os.umask(before)
    assert mode_of(path) == mode
    assert read_file(path) == b"content"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_new_file_has_its_owner(tmp_path):
    create_file(str(tmp_path / "file"), b"", 0o640, 1, 2)
    status = os.stat(tmp_path / "file")
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1, 2, 0o640)


def test_a_new_file_takes_the_place_of_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "planted")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            create_file(str(tmp_path / name), b"new")
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert not (tmp_path / "planted").exists()


def test_a_file_is_read_where_there_is_one(tmp_path):
    (tmp_path / "file").write_bytes(b"\x00content")
    assert read_file(str(tmp_path / "file")) == b"\x00content"
    assert read_file(str(tmp_path / "file"), 3) == b"ntent"
    assert read_file(str(tmp_path / "missing")) is None
    assert read_file(str(tmp_path / "file/below")) is None
    with pytest.raises(IsADirectoryError):
        read_file(str(tmp_path))


def test_a_replaced_file_is_a_new_one_and_readers_keep_the_old(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old content")
    path.chmod(0o600)
    before = os.stat(path).st_ino
    with open(path, "rb") as reader:
        replace_file(str(path), b"new", 0o640)
        assert reader.read() == b"old content"
    assert path.read_bytes() == b"new"
    assert os.stat(path).st_ino != before
    assert mode_of(path) == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_a_replaced_link_is_a_file_and_what_it_led_to_is_left_alone(tmp_path):
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("target")
    replace_file(str(tmp_path / "link"), b"new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"kept"


def test_what_cannot_be_replaced_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder/full").mkdir(parents=True)
    with pytest.raises(OSError):
        replace_file(str(tmp_path / "folder"), b"new")
    with pytest.raises(OSError):
        replace_link("target", str(tmp_path / "folder"))
    with pytest.raises(FileNotFoundError):
        replace_file(str(tmp_path / "missing/file"), b"new")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_file_that_cannot_be_written_to_its_end_leaves_nothing_behind(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        replace_file(str(path), "text, which has no bytes")
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_a_link_is_replaced_in_one_step(tmp_path):
    link = tmp_path / "current"
    replace_link("v0001", str(link))
    assert os.readlink(link) == "v0001"
    replace_link("v0002", str(link))
    assert os.readlink(link) == "v0002"
    assert os.listdir(tmp_path) == ["current"]


def test_only_folders_are_synced(tmp_path):
    sync_folder(str(tmp_path))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(str(tmp_path / "file"))


def test_a_lock_is_made_for_its_owner_alone_and_is_free_afterwards(tmp_path):
    path = str(tmp_path / "lock")
    for _time in range(2):
        with locked(path, timeout=0):
            assert mode_of(path) == 0o600


def test_a_lock_is_free_after_an_error(tmp_path):
    path = str(tmp_path / "lock")
    with pytest.raises(ZeroDivisionError), locked(path):
        raise ZeroDivisionError
    with locked(path, timeout=0):
        pass


def test_what_killed_runs_left_beside_a_file_is_swept_and_nothing_else(tmp_path):
    kept = {"rules", ".rules.old", ".rules.0123456", ".other.01234567"}
    for name in {*kept, ".rules.01234567", ".rules.89abcdef"}:
        (tmp_path / name).touch()
    remove_temporary_files(str(tmp_path / "rules"))
    assert set(os.listdir(tmp_path)) == kept


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "lock").symlink_to("planted")
    with pytest.raises(OSError), locked(str(tmp_path / "lock")):
        pass
    assert not (tmp_path / "planted").exists()


def hold(path, offset=None):
    """Start a process that holds a lock, and return it once it does."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path, *filter(None, [offset])],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=os.path.dirname(path),
    )
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_lock_that_another_process_holds_is_waited_for_and_then_given_up(tmp_path):
    path = str(tmp_path / "lock")
    holder = hold(path)
    try:
        begin = time.monotonic()
        with pytest.raises(TlsError) as caught, locked(path, timeout=1):
            pass
        assert 1 <= time.monotonic() - begin < 10
        assert str(caught.value) == (f"another process has held {path} for 1 seconds; wait for it, then run this again")
    finally:
        holder.kill()
        holder.communicate()


def test_a_lock_is_gone_with_a_holder_that_is_killed(tmp_path):
    path = str(tmp_path / "lock")
    holder = hold(path)
    holder.kill()
    try:
        with locked(path, timeout=10):
            pass
    finally:
        holder.communicate()


def test_a_byte_of_a_lock_is_held_by_one_process_and_the_others_are_free(tmp_path):
    path = str(tmp_path / "lock")
    holder = hold(path, offset="77")
    try:
        with pytest.raises(TlsError), locked(path, timeout=0, offset=77):
            pass
        with locked(path, timeout=0, offset=78):
            pass
        holder.kill()
        with locked(path, timeout=10, offset=77):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_folder_is_made_with_those_above_it_and_only_once(tmp_path):
    path = tmp_path / "one/two/three"
    make_folder(str(path))
    status = path.stat()
    make_folder(str(path))
    assert path.stat().st_ino == status.st_ino and stat.S_IMODE(status.st_mode) == 0o755


def test_folders_have_the_same_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        make_folder(str(tmp_path / "one/two"))
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "one", tmp_path / "one/two")] == [0o755, 0o755]


def test_a_file_system_without_symbolic_links_is_named(tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(
        TlsError, match=f"the file system of {tmp_path} has no symbolic links; choose a folder on another"
    ):
        replace_link("v0001", str(tmp_path / "current"))


def test_a_folder_with_a_relative_path_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_folder("one")
    make_folder("two/three")
    assert (tmp_path / "one").is_dir() and (tmp_path / "two/three").is_dir()


def test_a_file_in_the_place_of_a_folder_is_told_of_by_what_comes_next(tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    make_folder(str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        make_folder(str(tmp_path / "file/folder"))
    assert (tmp_path / "file").read_bytes() == b"kept"


@pytest.mark.parametrize("function", [replace_file, write_file])
def test_files_that_are_put_replace_each_other(tmp_path, function):
    for content in (b"old", b"new"):
        function(str(tmp_path / "file"), content, 0o600)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: create_file(path, b"much"),
        lambda path: replace_link("v0001", os.path.join(path, "link")),
        lambda path: remove_folder(os.path.join(path, "missing")),
    ],
)
def test_an_error_says_where_it_happened(change):
    """Nothing can be made or removed below /proc."""
    with pytest.raises(OSError) as caught:
        change("/proc/self")
    assert str(caught.value.filename).startswith("/proc/self")


@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="locks belong to processes here")
def test_a_process_may_hold_several_bytes_of_a_file_and_release_each_alone(tmp_path):
    path = str(tmp_path / "lock")
    with locked(path, offset=1):
        with locked(path, offset=2):
            pass
        with pytest.raises(TlsError, match="another process has held"), locked(path, timeout=0, offset=1):
            pass
        assert [is_free(path, offset) for offset in (1, 2)] == [False, True]
    assert is_free(path, 1)


def is_free(path, offset):
    """Say whether another process, which knows nothing of ours, can lock a byte of a file."""
    script = (
        "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(sys.argv[2]))"
    )
    result = subprocess.run([sys.executable, "-c", script, path, str(offset)], capture_output=True, check=False)
    assert result.returncode == 0 or b"BlockingIOError" in result.stderr
    return result.returncode == 0


def test_no_more_is_read_of_a_file_than_a_key_can_have(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345678")
    assert read_file(str(path), max_bytes=8) == b"12345678"
    os.truncate(path, 1 << 40)  # which takes no space
    message = (
        f"{path} has more than 8 bytes, which no key, certificate or password has; move it away and run this again"
    )
    with pytest.raises(TlsError) as caught:
        read_file(str(path), max_bytes=8)
    assert str(caught.value) == message


def test_a_pipe_that_takes_the_place_of_a_file_after_the_look_at_it_is_not_waited_for(tmp_path, monkeypatch):
    path, look = tmp_path / "file", os.stat
    path.write_bytes(b"content")

    def exchange(name, *arguments, **options):
        status = look(name, *arguments, **options)
        if name == str(path) and path.is_file():
            path.unlink()
            os.mkfifo(path)
        return status

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", exchange)
        with pytest.raises(TlsError, match="file is not a regular file; move it away"):
            read_file(str(path))
