#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command, and kill it with all that it has started once a file is on a host: kill_run.py DEV_FLEET FLEET HOST FILE COMMAND…."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

TIMEOUT_S = 60.0
INTERVAL_S = 0.2


def main() -> None:
    program, fleet, host, path, *command = sys.argv[1:]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + TIMEOUT_S
    while subprocess.run(
        [program, "exec", fleet, host, "--", "test", "-e", path], capture_output=True, check=False
    ).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            kill_all(process.pid)
            sys.exit(f"{path} was never on {host}: {process.communicate()[0].decode(errors='replace')}")
        time.sleep(INTERVAL_S)
    kill_all(process.pid)
    process.wait()


def kill_all(pid: int) -> None:
    """Kill a process and all below it, the upper ones first, so that none of them sees another end."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    below = [
        int(child)
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
    ]
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in below:
        kill_all(child)


if __name__ == "__main__":
    main()
