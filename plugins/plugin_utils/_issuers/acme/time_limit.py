# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limit for how long responses are received, however slowly a server sends.

The timeout of a socket is one for each byte, and a server that sends one now and then is read for ever.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

Result = t.TypeVar("Result")

_limit = threading.local()  # deadline: by time.monotonic(), of the present thread


@contextlib.contextmanager
def receive_until(deadline: float) -> t.Iterator[None]:
    """Have reads of this thread from a LimitedSocket raise TimeoutError after a deadline by time.monotonic().

    Within another limit, the earlier one holds.
    """
    outer = getattr(_limit, "deadline", None)
    _limit.deadline = deadline if outer is None else min(outer, deadline)
    try:
        yield
    finally:
        _limit.deadline = outer


def run_until_deadline(function: t.Callable[[], Result]) -> Result:
    """Return what a function returns, within the deadline of this thread: its connections included, and the names that they look up.

    Raises TimeoutError after the deadline. The function then goes on in a daemon thread, whose reads from a LimitedSocket fail.
    """
    deadline: float = _limit.deadline

    def run() -> Result:
        with receive_until(deadline):
            return function()

    try:
        return run_with_timeout(max(0.0, deadline - time.monotonic()), run)
    except TimeoutError as error:
        raise TimeoutError("no whole answer in time") from error


def is_over() -> bool:
    """Say whether the deadline of this thread is over."""
    deadline = getattr(_limit, "deadline", None)
    return deadline is not None and time.monotonic() >= deadline


class LimitedSocket(ssl.SSLSocket):
    """A TLS connection that is read until the deadline of the thread that reads."""

    # not a parser: it passes on what it receives
    def recv_into(self, *arguments: t.Any, **options: t.Any) -> int:
        """Receive into a buffer, as http.client does for all that it reads."""
        deadline, timeout = getattr(_limit, "deadline", None), self.gettimeout()
        if deadline is None:
            return super().recv_into(*arguments, **options)
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left if timeout is None else min(timeout, left))
        try:
            return super().recv_into(*arguments, **options)
        finally:
            self.settimeout(timeout)
