# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs all tests: it tells what failed, and cannot be green by mistake."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def run_steps(tmp_path):
    """Run steps in a checkout of their own; return the exit status and what is printed."""
    (tmp_path / "dev").mkdir()
    program = shutil.copy(ROOT / "dev/run-steps", tmp_path / "dev")

    def run(*words):
        ended = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        return ended.returncode, ended.stdout

    return run


def test_what_passes_is_counted(run_steps):
    status, printed = run_steps("echo one", "echo two")
    assert status == 0
    assert "── echo one\none\n" in printed and "── echo two\ntwo\n" in printed
    assert printed.endswith("\n2 passed, 0 failed\n")


def test_what_fails_does_not_stop_the_others_and_is_run_again_and_told(run_steps, tmp_path):
    status, printed = run_steps(f"echo broken; echo x >> {tmp_path}/tries; exit 3", "echo two")
    assert status == 1
    assert (tmp_path / "tries").read_text() == "x\nx\n"
    assert "two\n" in printed
    assert "── the end of .build/steps/1-again\nbroken\n" in printed
    assert "FAILED     0 s  echo broken" in printed
    assert printed.endswith("\n1 passed, 1 failed\n")


def test_what_passes_at_the_second_attempt_is_told_apart(run_steps, tmp_path):
    status, printed = run_steps(f"echo slipped; ! mkdir {tmp_path}/once 2>/dev/null")
    assert status == 0
    assert "(at the second attempt)" in printed
    assert "── the end of .build/steps/1\nslipped\n" in printed
    assert printed.endswith("\n1 passed, 0 failed (1 passed at the second attempt only)\n")


def test_a_second_attempt_knows_that_it_is_one(run_steps):
    status, printed = run_steps("echo again: $AGAIN.; exit 1")
    assert status == 1
    assert printed.count("\nagain: .\n") == 1
    assert printed.count("\nagain: yes.\n") == 2  # and at the end


def test_two_at_a_time_begin_at_both_ends(run_steps, tmp_path):
    pipe = tmp_path / "pipe"
    status, printed = run_steps(
        "--at-once", "2", f"mkfifo {pipe}; cat {pipe}", "true", f"until test -p {pipe}; do :; done; echo met > {pipe}"
    )
    assert status == 0
    assert "met\n" in printed
    assert printed.endswith("\n3 passed, 0 failed\n")


def test_three_at_a_time_run_side_by_side(run_steps, tmp_path):
    meet = f"touch {tmp_path}/$$.met; until [ $(ls {tmp_path} | grep -c met) = 3 ]; do :; done"
    status, printed = run_steps("--at-once", "3", meet, meet + " ", meet + "  ")
    assert status == 0
    assert printed.endswith("\n3 passed, 0 failed\n")


def test_what_failed_is_repeated_after_the_list_of_steps(run_steps):
    _status, printed = run_steps("echo broken; exit 3", "echo two")
    assert printed.index("passed     0 s  echo two") < printed.index("── the end of .build/steps/1-again\nbroken\n")


def test_nothing_to_run_is_no_success(run_steps):
    assert run_steps()[0] == 2


@pytest.fixture
def run_tests_twice(run_steps, tmp_path, monkeypatch):
    """Run tests in a checkout of their own, and a second time if they fail; return what run_steps() returns, and which tests ran."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take longer to load than these tests
    shutil.copy(ROOT / "dev/run-tests", tmp_path / "dev")
    (tmp_path / ".build/venv/bin").mkdir(parents=True)
    (tmp_path / ".build/venv/bin/pytest").symlink_to(pathlib.Path(sys.executable).parent / "pytest")

    def run(slip, *more):
        (tmp_path / "conftest.py").write_text(NOTE_WHAT_RUNS)
        (tmp_path / "test_one.py").write_text(f"{slip}\n\ndef test_other():\n    pass\n")
        (tmp_path / "test_two.py").write_text("def test_good():\n    pass\n")
        status, printed = run_steps("dev/run-tests unit", *more)
        return status, printed, (tmp_path / "ran").read_text().split()

    return run


NOTE_WHAT_RUNS = """
import pathlib

def pytest_runtest_call(item):
    with open(pathlib.Path(__file__).parent / "ran", "a") as stream:
        print(item.name, file=stream)
"""
ONCE = "import os\nIS_FIRST = not os.path.exists('once')\nopen('once', 'w').close()\n"
TESTS = ["test_slip", "test_other", "test_good"]


def test_only_the_tests_that_failed_run_at_the_second_attempt(run_tests_twice):
    status, printed, ran = run_tests_twice(f"{ONCE}def test_slip():\n    assert not IS_FIRST\n")
    assert (status, ran) == (0, [*TESTS, "test_slip"])
    assert printed.endswith("\n1 passed, 0 failed (1 passed at the second attempt only)\n")


def test_a_test_that_fails_twice_is_a_failure(run_tests_twice):
    status, printed, ran = run_tests_twice("def test_slip():\n    assert False\n")
    assert (status, ran) == (1, [*TESTS, "test_slip"])
    assert printed.endswith("\n0 passed, 1 failed\n")


def test_all_tests_run_again_after_a_crash_whatever_failed_before(run_tests_twice, tmp_path):
    assert run_tests_twice("def test_slip():\n    assert False\n")[0] == 1
    (tmp_path / "ran").unlink()
    crash = f"{ONCE}def test_slip():\n    if IS_FIRST:\n        os.kill(os.getpid(), 9)\n"
    status, _printed, ran = run_tests_twice(crash)
    assert (status, ran) == (0, ["test_slip", *TESTS])


def test_a_file_that_cannot_be_read_at_first_hides_no_other(run_tests_twice):
    status, printed, ran = run_tests_twice(f"{ONCE}assert not IS_FIRST\ndef test_slip():\n    pass\n")
    assert (status, sorted(ran)) == (0, sorted(TESTS))
    assert "(at the second attempt)" in printed
