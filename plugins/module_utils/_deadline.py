# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run many checks side by side until one deadline for all of them."""

from __future__ import annotations

import queue
import threading
import time
import typing as t

Result = t.TypeVar("Result")


def run_until(
    deadline: float,
    tasks: t.Sequence[t.Callable[[], Result]],
    threads: int,
    progress: t.Callable[[int, int], None],
) -> list[Result | None]:
    """Return the results of the tasks in their order, None for those that have not ended at the deadline.

    deadline: by time.monotonic(). progress: is called with how many have ended, and how many there are.
    A task must raise nothing. What runs at the deadline goes on in a daemon thread, which ends with this process at the latest.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[int, Result]] = queue.SimpleQueue()
    for number in range(len(tasks)):
        waiting.put(number)

    def work() -> None:
        while time.monotonic() < deadline:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            ended.put((number, tasks[number]()))

    for _number in range(min(threads, len(tasks))):
        threading.Thread(target=work, daemon=True).start()
    results: list[Result | None] = [None] * len(tasks)
    for count in range(1, len(tasks) + 1):
        try:
            number, result = ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        results[number] = result
        progress(count, len(tasks))
    return results
