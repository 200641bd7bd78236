# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for somebody else, and no longer than that."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import typing as t

Answer = t.TypeVar("Answer")


def within(seconds: float, work: t.Callable[[], Answer]) -> Answer:
    """Return what *work* returns, or raise what it raises. Raises TimeoutError where it does neither in so many seconds.

    It is left alone then, in a thread that ends with this process at the latest.
    """
    ended: queue.SimpleQueue = queue.SimpleQueue()

    def attend() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:
            ended.put((None, error))

    threading.Thread(target=attend, daemon=True).start()
    try:
        answer, error = ended.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer


def end(process: subprocess.Popen) -> None:
    """End a process that leads a session of its own, and all that it has started, if any of it still runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
