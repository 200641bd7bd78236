# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a function, or a process, no longer than so many seconds."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import typing as t

Result = t.TypeVar("Result")


def run_with_timeout(seconds: float, function: t.Callable[[], Result]) -> Result:
    """Return what the function returns, or raise what it raises.

    Raises TimeoutError after so many seconds.

    The function then goes on in a daemon thread, which ends with this process at the latest.
    """
    results: queue.SimpleQueue[tuple[Result, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((function(), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return t.cast(Result, result)


def kill_process_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session of its own, and all processes in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
