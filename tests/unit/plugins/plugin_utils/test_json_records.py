# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders of JSON records."""

from __future__ import annotations

import datetime
import os

from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name


def test_a_malformed_record_is_read_as_an_empty_one(tmp_path):
    folder = JsonRecords(str(tmp_path / "folder"))
    assert folder.read("one") == {}
    folder.write("one", {"a": 1})
    assert folder.read("one") == {"a": 1}
    for content in (b"{", b"[]", b"\xff"):
        (tmp_path / "folder/one.json").write_bytes(content)
        assert folder.read("one") == {}


def test_old_records_are_removed(tmp_path):
    folder, now = JsonRecords(str(tmp_path)), datetime.datetime.now(datetime.timezone.utc)
    for name in ("old", "new"):
        folder.write(name, {})
    os.utime(folder.path_of("old"), (1, 1))
    folder.remove_older(datetime.timedelta(days=60), now)
    assert os.listdir(tmp_path) == ["new.json"]
    JsonRecords(str(tmp_path / "missing")).remove_older(datetime.timedelta(days=60), now)


def test_file_names_end_with_a_digest_and_are_safe():
    assert file_name("web1", "www.example.org").startswith("www.example.org-")
    assert file_name("web1", "www") != file_name("web", "1www")
    assert "/" not in file_name("../../x", "../../etc/passwd")
