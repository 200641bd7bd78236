# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Functions and processes that run no longer than so many seconds."""

from __future__ import annotations

import pathlib
import subprocess
import threading
import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import kill_process_group, run_with_timeout


def test_a_function_in_time_returns_its_result():
    assert run_with_timeout(60, lambda: "result") == "result"


def test_a_function_in_time_raises_its_error():
    def fail():
        raise KeyError("name")

    with pytest.raises(KeyError, match="name"):
        run_with_timeout(60, fail)


def test_a_function_beyond_its_time_is_left_alone():
    release = threading.Event()
    with pytest.raises(TimeoutError):
        run_with_timeout(0.05, release.wait)
    release.set()


def has_ended(stat):
    """Return whether a process is gone, or waits for its parent to take note of its end, from its file stat."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_process_is_killed_with_its_children():
    process = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    child = pathlib.Path("/proc", process.stdout.readline().strip(), "stat")
    kill_process_group(process)
    process.stdout.close()
    assert process.returncode == -9
    deadline = time.monotonic() + 10
    while not has_ended(child) and time.monotonic() < deadline:  # on a busy machine, a signal may take its time
        time.sleep(0.01)
    assert has_ended(child)


def test_a_process_that_has_ended_is_no_error():
    process = subprocess.Popen(["/bin/true"], start_new_session=True)
    process.wait()
    kill_process_group(process)
