# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import logging
import os
import stat

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import write_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance import sftp
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.open_files import open_files
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import Session
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.sftp import SftpFiles, parse_extensions
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.shell_files import ShellFiles
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key
from ansible_collections.evergreen.tls.tests.unit.ssh_appliance import WITHOUT_EXTENSIONS

WAYS = {"sftp": {}, "sftp without extensions": {"sftp": WITHOUT_EXTENSIONS}, "exec": {"sftp": None}}
HOSTILE = "a'b\"c $(touch planted) `touch planted` ;#\\ü.pem"


@pytest.fixture(params=WAYS)
def server(request, appliance):
    return appliance(**WAYS[request.param])


@contextlib.contextmanager
def files_of(server, transfer="auto"):
    with Session(server.options()) as session:
        yield open_files(session, transfer)


def test_the_way_is_that_which_the_appliance_has(appliance):
    with files_of(appliance()) as files:
        assert isinstance(files, SftpFiles)
        assert files.has_atomic_replace
    with files_of(appliance(sftp=WITHOUT_EXTENSIONS)) as files:
        assert not files.has_atomic_replace
    without = appliance(sftp=None)
    with files_of(without) as files:
        assert isinstance(files, ShellFiles)
    with (
        pytest.raises(TlsError, match="has no SFTP server; install or enable one, or write transfer: exec"),
        files_of(without, "sftp"),
    ):
        pass


def test_what_is_at_a_path_is_seen_without_following_a_link(server, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    os.mkfifo(tmp_path / "fifo")
    expected = {"file": "file", "link": "link", "dangling": "link", "fifo": "other", ".": "folder", "none": None}
    with files_of(server) as files:
        assert {name: files.kind(str(tmp_path / name)) for name in expected} == expected


@pytest.mark.parametrize("name", ["www.pem", HOSTILE], ids=["plain", "hostile"])
def test_a_file_is_written_with_its_mode_and_read_again(server, tmp_path, name):
    path, content = str(tmp_path / name), bytes(range(256)) * 300
    with files_of(server) as files:
        files.write_new(path, content, 0o640, str(tmp_path / "none"))
        assert files.read(path) == content
        assert os.listdir(tmp_path) == [name]
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
        files.remove(path)
        files.remove(path)
        assert os.listdir(tmp_path) == []


def test_a_file_is_private_from_the_first_moment(server, tmp_path, monkeypatch):
    path, umask = tmp_path / "key", os.umask(0)
    try:
        seen = []
        if server.sftp:
            create = sftp.ExtendedClient.create
            monkeypatch.setattr(
                sftp.ExtendedClient, "create", lambda *args: (create(*args), seen.append(os.stat(path)))[0]
            )
        else:
            (tmp_path / "bin").mkdir()
            cat = tmp_path / "bin/cat"
            cat.write_text(
                f"#!/bin/sh\n/bin/stat -c %a '{path}' > '{tmp_path}/seen'\nexec /bin/cat\n", encoding="utf-8"
            )
            cat.chmod(0o755)
            server.environment["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
        with files_of(server) as files:
            files.write_new(str(path), b"secret", 0o644, str(tmp_path / "none"))
        mode = stat.S_IMODE(seen[0].st_mode) if seen else int((tmp_path / "seen").read_text(), 8)
        assert mode == 0o600
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    finally:
        os.umask(umask)


def test_a_new_file_gets_owner_and_group_of_the_one_before(server, tmp_path):
    if os.geteuid():
        pytest.skip("only root gives files away")
    before = tmp_path / "before"
    before.write_text("before", encoding="utf-8")
    os.chown(before, 12, 34)
    with files_of(server) as files:
        files.write_new(str(tmp_path / "new"), b"new", 0o640, str(before))
    status = (tmp_path / "new").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o640)
    assert (tmp_path / "new").read_bytes() == b"new"


def test_a_link_that_another_user_planted_is_not_followed(server, tmp_path):
    (tmp_path / "victim").write_text("untouched", encoding="utf-8")
    (tmp_path / "new").symlink_to("victim")
    with files_of(server) as files:
        files.write_new(str(tmp_path / "new"), b"secret", 0o600, str(tmp_path / "none"))
    assert (tmp_path / "victim").read_text() == "untouched"
    assert not (tmp_path / "new").is_symlink()


def test_a_file_takes_the_place_of_another(server, tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    with files_of(server) as files:
        if files.has_atomic_replace:
            files.link(str(tmp_path / "old"), str(tmp_path / "before"))
            assert (tmp_path / "before").read_text() == "old"
        files.replace(str(tmp_path / "new"), str(tmp_path / "old"))
    assert (tmp_path / "old").read_text() == "new"
    assert not (tmp_path / "new").exists()


def test_the_key_is_in_no_command_line(appliance, tmp_path):
    server = appliance(sftp=None)
    with files_of(server) as files:
        files.write_new(str(tmp_path / "key"), b"-----BEGIN PRIVATE KEY-----", 0o600, str(tmp_path / "none"))
    assert server.ran
    assert not [line for line in server.ran if "PRIVATE" in line]


def test_the_key_is_in_no_log_of_paramiko(server, tmp_path, caplog):
    """All that paramiko logs at DEBUG is read, for each way in which a file gets there."""
    caplog.set_level(logging.DEBUG)
    pem = write_key(some_key(kind="RSA"))
    with files_of(server) as files:
        files.write_new(str(tmp_path / "key"), pem, 0o600, str(tmp_path / "none"))
    assert (tmp_path / "key").read_bytes() == pem
    assert "[chan " in caplog.text and "userauth is OK" in caplog.text, "the log was on"
    body = "".join(pem.decode().splitlines()[1:-1])
    pieces = ["PRIVATE KEY", *(body[start : start + 20] for start in range(40, len(body) - 20, 20))]
    assert [piece for piece in pieces if piece in caplog.text] == []


def test_a_full_disk_is_named_and_nothing_stays(server, tmp_path):
    full = full_file_system(tmp_path)
    try:
        with files_of(server) as files:
            with pytest.raises(TlsError) as error:
                files.write_new(f"{full}/key", bytes(200_000), 0o600, f"{full}/none")
            assert os.listdir(full) == []
    finally:
        os.system(f"umount {full}")
    sentence = str(error.value)
    assert f"writing {full}/key failed" in sentence
    assert "disk is full" in sentence or "bytes are free on the file system" in sentence


def full_file_system(tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {full} 2>/dev/null"):
        pytest.skip("only root mounts a small file system")
    return full


def test_a_folder_that_is_not_there_is_named(server, tmp_path):
    with files_of(server) as files, pytest.raises(TlsError, match=r"none/key.*folder"):
        files.write_new(str(tmp_path / "none/key"), b"secret", 0o600, str(tmp_path / "no"))


def test_a_large_file_is_not_read_whole(server, tmp_path):
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    with files_of(server) as files, pytest.raises(TlsError, match="more than 1048576 bytes"):
        files.read(str(tmp_path / "large"))


def test_the_extensions_of_a_server_are_read():
    assert parse_extensions(b"\0\0\0\x03a@b\0\0\0\x011\0\0\0\x03c@d\0\0\0\x012") == {"a@b", "c@d"}
    assert parse_extensions(b"") == frozenset()
