# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs all tests: it tells what failed, and cannot be green by mistake."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

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


def test_two_at_a_time_begin_at_both_ends(run_steps, tmp_path):
    pipe = tmp_path / "pipe"
    status, printed = run_steps(
        "--at-once", "2", f"mkfifo {pipe}; cat {pipe}", "true", f"until test -p {pipe}; do :; done; echo met > {pipe}"
    )
    assert status == 0
    assert "met\n" in printed
    assert printed.endswith("\n3 passed, 0 failed\n")


def test_nothing_to_run_is_no_success(run_steps):
    assert run_steps()[0] == 2
