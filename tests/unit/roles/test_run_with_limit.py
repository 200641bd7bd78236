# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script by which the role schedule limits its checks."""

from __future__ import annotations

import pathlib
import subprocess
import time

import pytest

SCRIPT = pathlib.Path(__file__).parents[3] / "roles/schedule/files/run_with_limit.sh"


def run(seconds, *command, script=""):
    return subprocess.run(
        ["sh", "-c", SCRIPT.read_text(), "sh", str(seconds), *command],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_it_is_a_shell_script_that_nobody_complains_about():
    subprocess.run(["shellcheck", str(SCRIPT)], check=True)


def test_it_has_nothing_that_systemd_run_replaces():
    assert "${" not in SCRIPT.read_text()


@pytest.mark.parametrize("status", [0, 7, 124])
def test_it_ends_as_its_command_ends(status):
    done = run(10, "sh", "-c", f"echo out; echo err >&2; exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "out\n", "err\n")


def test_its_command_reads_what_it_is_given():
    assert run(10, "sh", "-s", script="echo read").stdout == "read\n"


def test_arguments_keep_their_spaces():
    assert run(10, "printf", "%s|", "a b", "*", "").stdout == "a b|*||"


def test_what_hangs_is_named_without_its_arguments_and_killed(tmp_path):
    started = time.monotonic()
    done = run(
        1, "sh", "-s", script=f"echo first; (echo $$ > {tmp_path}/pid; exec cat /dev/zero | sleep 600.0); echo never"
    )
    assert done.returncode == 124
    first, last = done.stdout.splitlines()
    names = last.removeprefix("still running after 1 s: ").split(",")
    assert (first, names[0], sorted(names[1:])[-1]) == ("first", "sh", "sleep")
    assert "600" not in done.stdout
    assert time.monotonic() - started < 10
    stat = pathlib.Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    assert not stat.exists() or stat.read_text().rpartition(") ")[2].startswith("Z")
