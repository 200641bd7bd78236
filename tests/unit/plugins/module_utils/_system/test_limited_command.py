# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs with a time limit and a limit of what is kept of their output."""

from __future__ import annotations

import os
import time

from ansible_collections.evergreen.tls.plugins.module_utils._system.limited_command import (
    MAX_OUTPUT_BYTES,
    run_limited,
)


def sh(script, timeout_s=10.0, environment=None):
    """Run a script of the shell with the limit."""
    return run_limited(["/bin/sh", "-c", script], timeout_s, environment)


def test_exit_status_and_both_outputs_are_returned():
    assert sh("echo one; echo two >&2; exit 3") == (3, "one\ntwo")


def test_a_program_that_is_not_there_has_the_status_127():
    assert run_limited(["/nowhere/hook"], 1) == (127, "/nowhere/hook: No such file or directory")


def test_a_program_that_was_ended_by_a_signal_has_its_number():
    assert sh("kill -TERM $$").status == -15


def test_a_program_that_takes_too_long_is_killed_with_what_it_has_started(tmp_path):
    began = time.monotonic()
    ended = sh(f"echo begun; (sleep 0.8; touch {tmp_path}/late) & sleep 30", timeout_s=0.2)
    assert (ended.status, ended.output) == (None, "begun")
    assert time.monotonic() - began < 5
    time.sleep(0.9)
    assert not (tmp_path / "late").exists()


def test_a_program_that_closes_its_output_is_waited_for():
    assert sh("exec >&- 2>&-; sleep 0.3; exit 4").status == 4


def test_a_program_in_the_background_that_keeps_the_output_open_is_not_waited_for():
    began = time.monotonic()
    ended = sh("sleep 2 & echo $!; exit 0")
    assert ended.status == 0
    os.kill(int(ended.output), 9)
    assert time.monotonic() - began < 1.5


def test_only_the_end_of_a_long_output_is_kept():
    ended = sh("yes | head -c 300000; echo the end")
    assert ended.status == 0
    assert len(ended.output) <= MAX_OUTPUT_BYTES
    assert ended.output.endswith("the end")
    assert len(ended.words) <= 300


def test_the_words_of_a_program_have_no_control_characters():
    assert sh(r"printf 'red \033[31m\ntext'").words == "red ?[31m text"


def test_a_program_has_the_variables_that_it_is_given_and_no_others(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_TASK", "hidden")
    ended = run_limited(["/usr/bin/env"], 5, {"EVERGREEN_NAME": "www"})
    assert ended.output.splitlines() == ["EVERGREEN_NAME=www"]
