# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many checks end at one deadline, whatever they do."""

from __future__ import annotations

import functools
import threading
import time

from ansible_collections.evergreen.tls.plugins.module_utils._deadline import run_until


def no_progress(done, total):
    """Say nothing."""


def test_results_come_in_the_order_of_the_tasks():
    tasks = [functools.partial(lambda number: number * 2, number) for number in range(50)]
    steps = []
    assert run_until(time.monotonic() + 10, tasks, 7, lambda *step: steps.append(step)) == list(range(0, 100, 2))
    assert steps == [(number, 50) for number in range(1, 51)]
    assert run_until(time.monotonic() + 10, [], 7, no_progress) == []


def test_what_has_not_ended_at_the_deadline_has_no_result():
    release, ended = threading.Event(), threading.Event()

    def hang():
        release.wait(10)
        ended.set()
        return "late"

    began = time.monotonic()
    results = run_until(began + 0.3, [lambda: "in time", hang, *[hang] * 5], 2, no_progress)
    assert results == ["in time", None, None, None, None, None, None]
    assert 0.3 <= time.monotonic() - began < 3
    release.set()
    assert ended.wait(5)


def test_no_task_begins_after_the_deadline():
    begun = []
    assert run_until(time.monotonic() - 1, [lambda: begun.append(1)], 3, no_progress) == [None]
    assert begun == []
