#!/usr/bin/python3
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command until what stands before a CA (dev/lab_faults.py) holds requests of all these steps; then kill all of it.

kill_at.py CONTROL CA_FILE STEP:MOMENT[:NAMES],… COMMAND …

What is held is let go of when nothing is alive any more that could hear of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

WAIT_TIMEOUT_S = 240.0
PR_SET_CHILD_SUBREAPER = 36


def asked(url: str, ca_file: str, content: object = None) -> object:
    """Return what the control says."""
    data = None if content is None else json.dumps(content).encode()
    context = ssl.create_default_context(cafile=ca_file)
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30, context=context) as answer:
        return json.loads(answer.read())


def rule(text: str) -> dict[str, object]:
    """Return the rule that holds a request at a step."""
    step, moment, *names = text.split(":")
    return {"do": "hold", "times": 1, "step": step, "moment": moment, "names": "".join(names)}


def offspring() -> list[int]:
    """Return the processes that were started below this one, in whatever session and group they are by now."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    found, below = [], [os.getpid()]
    while below:
        above = below.pop()
        children = [process for process, parent in parents.items() if parent == above]
        found += children
        below += children
    return found


def kill_all() -> None:
    """Kill whatever was started, until nothing is left."""
    while processes := offspring():
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def main() -> str | None:
    """Do it, or say what went wrong."""
    control, ca_file, steps, *command = sys.argv[1:]
    rules = [rule(text) for text in steps.split(",")]
    # Orphans become children of this process, and are found.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    asked(f"{control}/rules", ca_file, rules)
    with pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "killed.log").open("w+", encoding="utf-8") as output:
        run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        deadline = time.monotonic() + WAIT_TIMEOUT_S
        try:
            while len(held := asked(f"{control}/held", ca_file)) < len(rules):
                if run.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    return f"of {steps} only {held} was reached:\n{output.read()}"
                time.sleep(0.05)
        finally:
            kill_all()
            asked(f"{control}/release", ca_file, [])
        return None if run.wait() == -signal.SIGKILL else f"it was not killed, but ended with {run.returncode}"


if __name__ == "__main__":
    sys.exit(main())
