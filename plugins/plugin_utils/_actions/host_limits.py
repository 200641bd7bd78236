# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a host may take for one call, and how much it may answer.

Ansible waits for a host without end and keeps all that it prints. All hosts of a play wait for the slowest one after each task, so a host
that stays busy would keep the certificates of a fleet from being renewed.
"""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import threading
import time
import types
import typing as t

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

TIMEOUT_VARIABLE = "certificate_host_timeout"
DEFAULT_TIMEOUT_S = 600.0  # for one call: a module, or an installation of a package
CLEANUP_TIMEOUT_S = 30.0  # for the removal of the temporary folder of Ansible
MAX_ANSWER_MEMORY_BYTES = 512 * 1024 * 1024  # by which this process may grow during one call
CHECK_INTERVAL_S = 0.5


class HostLimitError(AnsibleConnectionFailure):
    """A host took too long, or answered too much. The message is a whole sentence."""


# not a parser: it reads a variable of the inventory
def host_timeout_s(variables: t.Mapping[str, t.Any], render: t.Callable[[t.Any], t.Any]) -> float:
    """Return the seconds that a call to the host may take, from the variables of the host.

    render: evaluates a template of the inventory. Raises TlsError for a value that is no number of seconds.
    """
    value = variables.get(TIMEOUT_VARIABLE, DEFAULT_TIMEOUT_S)
    if isinstance(value, str):
        value = render(value)
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise TlsError(f"{TIMEOUT_VARIABLE} is {value!r}, which is no number of seconds; correct it in the inventory")
    return seconds


@contextlib.contextmanager
def limited_host_call(timeout_s: float, call: str) -> t.Iterator[None]:
    """Raise HostLimitError in the code within after so many seconds, or when this process has grown too large.

    The programs that the code has started meanwhile, such as ssh, are ended then. A time limit of Ansible (C(timeout) of a task) goes on
    to count. Without effect outside the main thread, where Python delivers no signals. call: what is done on the host.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    began, memory, children = time.monotonic(), _memory_bytes(), _children()
    outer_handler = signal.getsignal(signal.SIGALRM)
    outer_s, _interval = signal.getitimer(signal.ITIMER_REAL)

    def check(number: int, frame: types.FrameType | None) -> None:
        passed = time.monotonic() - began
        if outer_s and passed >= outer_s and callable(outer_handler):
            outer_handler(number, frame)
        if passed >= timeout_s:
            raise HostLimitError(
                f"{call} has not ended within {timeout_s:g} seconds on the host; see what keeps it there, or allow more with "
                f"{TIMEOUT_VARIABLE}, and run this again"
            )
        if _memory_bytes() - memory > MAX_ANSWER_MEMORY_BYTES:
            raise HostLimitError(f"the host answers {call} without end; look at what it is doing")

    signal.signal(signal.SIGALRM, check)
    signal.setitimer(signal.ITIMER_REAL, min(CHECK_INTERVAL_S, timeout_s), CHECK_INTERVAL_S)
    try:
        yield
    except HostLimitError:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _end(_children() - children)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, outer_handler)
        if outer_s:
            signal.setitimer(signal.ITIMER_REAL, max(outer_s - (time.monotonic() - began), 0.001))


# not a parser: it reads what the kernel writes
def _memory_bytes() -> int:
    """Return how much memory this process has in use, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


# not a parser: it reads what the kernel writes
def _children(process: int | str = "self") -> set[int]:
    """Return the processes that one has started, none where the system does not tell."""
    children: set[int] = set()
    for path in glob.glob(f"/proc/{process}/task/*/children"):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as stream:
            children.update(int(number) for number in stream.read().split())
    return children


def _end(processes: t.Iterable[int]) -> None:
    """End processes, and those that they have started."""
    for process in processes:
        started = _children(process)
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGTERM)
        _end(started)
