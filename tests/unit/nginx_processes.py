# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for the master process of an nginx that a test has started or stops."""

from __future__ import annotations

import os
import pathlib
import signal
import time

TIMEOUT_S = 5.0
PAUSE_S = 0.01


def wait_until_started(pid_file: pathlib.Path) -> None:
    """Wait until the process in the file is a master process: nginx ends before, and writes the file before it has its title."""
    deadline = time.monotonic() + TIMEOUT_S
    while b": master process" not in _title(_pid(pid_file)) and time.monotonic() < deadline:
        time.sleep(PAUSE_S)


def stop(pid_file: pathlib.Path) -> None:
    """Stop the nginx whose process is in the file, if there is one, and wait until it is gone: it removes the file before it ends."""
    pid = _pid(pid_file)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + TIMEOUT_S
    while _title(pid) and time.monotonic() < deadline:  # which is empty for what has ended and nobody has waited for
        time.sleep(PAUSE_S)


def _pid(pid_file: pathlib.Path) -> int | None:
    text = pid_file.read_text(encoding="ascii").strip() if pid_file.exists() else ""
    return int(text) if text else None


def _title(pid: int | None) -> bytes:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
