# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of runs, on a real file system."""

from __future__ import annotations

import concurrent.futures
import datetime
import json
import os
import stat

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.run_records import (
    remove_old_records,
    time_of_record,
    write_record,
)

NOW = datetime.datetime(2026, 11, 21, 12, 30, 5, 987654, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


@pytest.fixture(params=[0o022, 0o077, 0o000], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_record_is_a_json_file_named_after_its_time(tmp_path):
    path = write_record(str(tmp_path), {"user": "jürgen", "outcomes": []}, NOW)
    assert os.path.dirname(path) == str(tmp_path)
    assert os.path.basename(path).startswith("2026-11-21T12-30-05Z-") and path.endswith(".json")
    with open(path, encoding="utf-8") as stream:
        assert json.load(stream) == {"format": 1, "user": "jürgen", "outcomes": []}
    assert os.listdir(tmp_path) == [os.path.basename(path)]


def test_a_name_is_of_the_time_in_utc(tmp_path):
    elsewhere = NOW.astimezone(datetime.timezone(datetime.timedelta(hours=9)))
    path = write_record(str(tmp_path), {}, elsewhere)
    assert time_of_record(os.path.basename(path)) == NOW.replace(microsecond=0)


def test_strangers_can_read_neither_a_record_nor_its_folder(tmp_path, umask):
    folder = tmp_path / "evergreen" / "runs"
    path = write_record(f"{folder}/", {}, NOW)
    assert (mode(folder), mode(path)) == (0o750, 0o640)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path, umask):
    folder = tmp_path / "runs"
    folder.mkdir()
    folder.chmod(0o2770)
    write_record(str(folder), {}, NOW)
    assert mode(folder) == 0o2770


def test_records_that_are_written_at_once_do_not_meet(tmp_path):
    folder = tmp_path / "evergreen" / "runs"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda number: write_record(str(folder), {"number": number}, NOW), range(64)))
    assert sorted(paths) == sorted(str(path) for path in folder.iterdir())
    assert {json.loads(path.read_bytes())["number"] for path in folder.iterdir()} == set(range(64))


@pytest.mark.parametrize("place", ["runs", "runs/deeper"])
def test_a_file_in_the_place_of_the_folder_is_an_error_of_the_system_and_stays(tmp_path, place):
    (tmp_path / "runs").write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        write_record(str(tmp_path / place), {}, NOW)
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "mine"


def test_old_records_are_removed_and_younger_ones_kept(tmp_path):
    ages = [0, 1, 399, 401, 5000]
    paths = {age: write_record(str(tmp_path), {}, NOW - age * DAY) for age in ages}
    remove_old_records(str(tmp_path), 400 * DAY, NOW)
    assert [age for age in ages if os.path.exists(paths[age])] == [0, 1, 399]


def test_the_record_of_a_run_outlives_the_shortest_time(tmp_path):
    path = write_record(str(tmp_path), {}, NOW)
    remove_old_records(str(tmp_path), datetime.timedelta(seconds=1), NOW)
    assert os.path.exists(path)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "2020-01-01T00-00-00Z.json",
        "2020-01-01T00-00-00Z-report.json",
        "2020-01-01T00-00-00Z-0123456789abcdef.json.gz",
        "old-2020-01-01T00-00-00Z-0123456789abcdef.json",
        "2020-01-01T00-00-00Z-0123456789ABCDEF.json",
        "2020-02-31T00-00-00Z-0123456789abcdef.json",
        "2020-01-01T25-00-00Z-0123456789abcdef.json",
        "٢٠٢٠-01-01T00-00-00Z-0123456789abcdef.json",
        "2020-01-01T00-00-00Z-0123456789abcdef.json\n",
    ],
)
def test_other_files_are_left_alone(tmp_path, name):
    assert time_of_record(name) is None
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, 0))
    remove_old_records(str(tmp_path), DAY, NOW)
    assert os.listdir(tmp_path) == [name]


def test_what_is_no_file_is_left_alone_whatever_its_name(tmp_path):
    name = "2020-01-01T00-00-0{}Z-0123456789abcdef.json"
    (tmp_path / name.format(1)).mkdir()
    (tmp_path / name.format(2)).symlink_to(__file__)
    (tmp_path / name.format(3)).symlink_to(tmp_path / "nowhere")
    remove_old_records(str(tmp_path), DAY, NOW)
    assert sorted(os.listdir(tmp_path)) == [name.format(number) for number in (1, 2, 3)]
    assert os.path.exists(__file__)


def test_controllers_that_share_a_folder_may_clear_it_at_once(tmp_path):
    for second in range(200):
        write_record(str(tmp_path), {}, NOW - 10 * DAY + second * datetime.timedelta(seconds=1))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for cleared in [pool.submit(remove_old_records, str(tmp_path), DAY, NOW) for number in range(8)]:
            cleared.result()
    assert os.listdir(tmp_path) == []
