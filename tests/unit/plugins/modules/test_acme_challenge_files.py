# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What acme_challenge_files writes and removes, in folders that may belong to anybody."""

from __future__ import annotations

import concurrent.futures
import os
import stat

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.modules import acme_challenge_files

THUMBPRINT, OTHER = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI", "x" * 43
FILES = {token: f"{token}.{THUMBPRINT}" for token in ("tokenA", "token-B_2")}
LINK = "is a symbolic link or no folder, and root would write where its owner wants; put a folder in its place"


class Module:
    """What the module needs of AnsibleModule."""

    def __init__(self, check_mode=False, **params):
        self.check_mode = check_mode
        self.params = {"files": FILES, "state": "present", **params}


def decide(path, **params):
    return acme_challenge_files.decide(Module(path=str(path), **params))


@pytest.fixture
def shown(tmp_path):
    """Return the folder that a CA reads."""
    return tmp_path / ".well-known" / "acme-challenge"


def put(folder, name, content, days=0):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    then = (folder / name).stat().st_mtime - days * 86400
    os.utime(folder / name, (then, then))


def names(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_anybody_can_read_the_files(tmp_path, shown, umask):
    before = os.umask(umask)
    try:
        result = decide(tmp_path)
    finally:
        os.umask(before)
    assert result["changed"] and result["msg"] == f"2 files are shown in {shown}"
    assert {name: (shown / name).read_text() for name in names(shown)} == FILES
    assert {stat.S_IMODE((shown / name).stat().st_mode) for name in FILES} == {0o644}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (shown, shown.parent)} == {0o755}


def test_a_second_time_changes_nothing(tmp_path, shown):
    decide(tmp_path)
    inodes = {name: (shown / name).stat().st_ino for name in FILES}
    result = decide(tmp_path)
    assert not result["changed"] and result["diff"]["before"] == result["diff"]["after"]
    assert inodes == {name: (shown / name).stat().st_ino for name in FILES}


def test_a_file_that_says_something_else_is_written_anew(tmp_path, shown):
    put(shown, "tokenA", "something else")
    assert decide(tmp_path)["changed"]
    assert (shown / "tokenA").read_text() == FILES["tokenA"]


def test_check_mode_writes_nothing_and_tells(tmp_path):
    result = decide(tmp_path, check_mode=True)
    assert result["changed"] and result["diff"]["after"] == "token-B_2\ntokenA\n"
    assert names(tmp_path) == []


def test_only_these_files_are_taken_away(tmp_path, shown):
    decide(tmp_path)
    put(shown, "foreign", "of somebody else")
    put(shown, "tokenC", f"tokenC.{THUMBPRINT}")
    assert decide(tmp_path, state="absent", check_mode=True)["changed"]
    assert len(names(shown)) == 4
    result = decide(tmp_path, state="absent")
    assert result["changed"] and result["msg"] == f"2 files are removed from {shown}"
    assert names(shown) == ["foreign", "tokenC"]
    assert not decide(tmp_path, state="absent")["changed"]


def test_nothing_is_made_to_take_away_what_is_not_there(tmp_path):
    assert not decide(tmp_path, state="absent")["changed"]
    assert names(tmp_path) == []


def test_what_killed_runs_of_this_account_have_left_is_removed_after_a_day(tmp_path, shown):
    put(shown, "old", f"old.{THUMBPRINT}", days=2)
    put(shown, ".old.0123abcd", "", days=2)
    put(shown, ".half.0123abcd", f"half.{THUMBPRINT[:9]}", days=2)
    put(shown, ".theirs.0123abcd", "of another program", days=2)
    put(shown, ".new.0123abcd", "")
    (shown / ".folder.0123abcd").mkdir()
    os.utime(shown / ".folder.0123abcd", (0, 0))
    put(shown, "new", f"new.{THUMBPRINT}")
    put(shown, "others", f"others.{OTHER}", days=2)
    put(shown, "renamed", f"old.{THUMBPRINT}", days=2)
    put(shown, "page.html", "<html>", days=2)
    decide(tmp_path)
    assert names(shown) == sorted(
        [".new.0123abcd", ".theirs.0123abcd", ".folder.0123abcd", "new", "others", "renamed", "page.html", *FILES]
    )


def test_what_another_run_removes_meanwhile_is_no_mistake(tmp_path, shown, monkeypatch):
    put(shown, "old", f"old.{THUMBPRINT}", days=2)
    monkeypatch.setattr(acme_challenge_files, "names_in", lambda _folder: ["gone", "old"])
    monkeypatch.setattr(acme_challenge_files, "read_small_file", lambda _folder, name: f"{name}.{THUMBPRINT}")
    decide(tmp_path)
    assert names(shown) == sorted(FILES)


def test_several_runs_at_once_do_not_disturb_each_other(tmp_path, shown):
    def one(number):
        files = {f"token{number}": f"token{number}.{THUMBPRINT}"}
        for _time in range(50):
            decide(tmp_path, files=files)
            assert (shown / f"token{number}").exists()
            decide(tmp_path, files=files, state="absent")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert names(shown) == []


@pytest.mark.parametrize("name", [".well-known", ".well-known/acme-challenge"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_link_of_whoever_owns_the_folder_leads_nowhere(tmp_path, name, state):
    target, root = tmp_path / "etc", tmp_path / "www"
    target.mkdir()
    put(target, "tokenA", "somebody needs this")
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(target)
    with pytest.raises(TlsError) as caught:
        decide(root, state=state)
    assert str(caught.value) == f"{root / name} {LINK}"
    assert names(target) == ["tokenA"]


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path, shown):
    put(tmp_path, "passwd", "root")
    shown.mkdir(parents=True)
    (shown / "tokenA").symlink_to(tmp_path / "passwd")
    os.mkfifo(shown / "pipe")
    decide(tmp_path)
    assert (tmp_path / "passwd").read_text() == "root"
    assert not (shown / "tokenA").is_symlink() and (shown / "tokenA").read_text() == FILES["tokenA"]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    put(tmp_path, ".well-known", "")
    with pytest.raises(TlsError) as caught:
        decide(tmp_path)
    assert str(caught.value) == f"{tmp_path}/.well-known {LINK}"


@pytest.mark.parametrize("missing", ["nowhere", "file"])
def test_a_folder_that_is_not_there_is_told(tmp_path, missing):
    put(tmp_path, "file", "")
    with pytest.raises(TlsError) as caught:
        decide(tmp_path / missing)
    assert str(caught.value) == (
        f"{tmp_path / missing} is no folder on this host; correct path of the solver webroot, or create it"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../../cron.d/job", f"../../cron.d/job.{THUMBPRINT}"),
        ("a/b", f"a/b.{THUMBPRINT}"),
        ("", f".{THUMBPRINT}"),
        (".", f"..{THUMBPRINT}"),
        ("token", "<script>"),
        ("token", f"other.{THUMBPRINT}"),
        ("token", f"token.{THUMBPRINT}\n* * * * * root sh"),
        ("token\n", f"token\n.{THUMBPRINT}"),
        ("t" * 200, f"{'t' * 200}.{THUMBPRINT}"),
        ("token", 5),
    ],
)
def test_nothing_is_written_but_what_a_ca_may_want_to_read(tmp_path, name, content):
    with pytest.raises(TlsError, match="is no token with its key authorization; pass what acme_order returns"):
        decide(tmp_path, files={name: content})
    assert names(tmp_path) == []


def test_what_cannot_be_written_is_told_with_its_place(tmp_path, shown, monkeypatch):
    def full(*_arguments, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        decide(tmp_path)
    assert caught.value.filename.startswith(str(shown))
    assert names(shown) == []
