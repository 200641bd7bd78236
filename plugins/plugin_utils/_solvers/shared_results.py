# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results that all threads of a run share, so that a host is asked once, however many requests and orders have its name."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import typing as t

Result = t.TypeVar("Result")


class SharedResults:
    """The results of functions by a key. Each function is called once; other threads wait for its result."""

    def __init__(self) -> None:
        self._futures: dict[t.Hashable, concurrent.futures.Future[t.Any]] = {}
        self._lock = threading.Lock()

    def get(self, key: t.Hashable, function: t.Callable[[], Result]) -> Result:
        """Return the result for a key, or raise what the function raised. function: is called for the first one of a key."""
        new: concurrent.futures.Future[t.Any] = concurrent.futures.Future()
        with self._lock:
            future = self._futures.setdefault(key, new)
        if future is new:
            try:
                new.set_result(function())
            except BaseException as error:
                new.set_exception(error)
        result: Result = future.result()
        return result


_shared: list[SharedResults] = []  # empty outside of share_results()


@contextlib.contextmanager
def share_results() -> t.Iterator[None]:
    """Share the results of all threads, such as those of a run for many requests."""
    _shared.append(SharedResults())
    try:
        yield
    finally:
        _shared.pop()


def shared_result(key: t.Hashable, function: t.Callable[[], Result]) -> Result:
    """Return the result of a function, once for each key inside of share_results(); of each call outside of it."""
    return _shared[-1].get(key, function) if _shared else function()
