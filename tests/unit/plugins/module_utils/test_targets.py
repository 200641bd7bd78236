# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module finds on its machine."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils.targets import read_file, run


def test_a_file_is_read_where_there_is_one(tmp_path):
    (tmp_path / "file").write_bytes(b"\x00content")
    assert read_file(str(tmp_path / "file")) == b"\x00content"
    assert read_file(str(tmp_path / "file"), 3) == b"ntent"
    assert read_file(str(tmp_path / "missing")) is None
    assert read_file(str(tmp_path / "file/below")) is None
    with pytest.raises(IsADirectoryError):
        read_file(str(tmp_path))


def test_a_program_speaks_english_and_on_both_channels():
    assert run(["sh", "-c", "echo $LC_ALL; cat; echo more >&2; exit 3"], "stdin\n") == (3, "C\nstdin\nmore")


def test_a_program_that_is_not_there_is_told_of():
    assert run(["/no/such/program"]) == (127, "/no/such/program: No such file or directory")
