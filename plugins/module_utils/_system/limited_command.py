# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that may take long or print without end: each has a time limit, and only the end of its output is kept."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._system.command import EXHAUSTION_ERRNOS
from ansible_collections.evergreen.tls.plugins.module_utils._text import printable, shorten

MAX_OUTPUT_BYTES = 1 << 16
READ_INTERVAL_S = 0.05  # after which it is looked whether the program has ended


class Ended(t.NamedTuple):
    """How a program ended.

    status: its exit status; minus the number of the signal that ended it; None if it took too long and was killed.
    output: the end of its standard output and error.
    """

    status: int | None
    output: str

    @property
    def words(self) -> str:
        """Return the output on one line, short and without control characters."""
        return shorten(printable(" ".join(self.output.split())))


def run_limited(argv: list[str], timeout_s: float, environment: dict[str, str] | None = None) -> Ended:
    """Run a program without a terminal. Kill it with the programs that it has started after the time limit.

    environment: all of its variables; by default those of this process, in the C locale.
    A program that it leaves in the background may keep the output open: that is not waited for.
    The status of a program that is not there is 127.
    """
    if environment is None:
        environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}
    reader, writer = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            if error.errno in EXHAUSTION_ERRNOS:
                error.filename = argv[0]
                raise
            return Ended(127, f"{argv[0]}: {error.strerror}")
        finally:
            os.close(writer)
        return _followed(process, reader, time.monotonic() + timeout_s)
    finally:
        os.close(reader)


# not a parser: it only decodes what a program printed
def _followed(process: subprocess.Popen[bytes], reader: int, deadline: float) -> Ended:
    """Return how a program ended, the output of which is at *reader*. Kill its session at the deadline."""
    os.set_blocking(reader, False)
    output, is_open = b"", True
    with process:
        while True:
            has_ended = process.poll() is not None
            chunk = _read(reader) if is_open else b""
            is_open = chunk != b""
            output = (output + (chunk or b""))[-MAX_OUTPUT_BYTES:]
            if has_ended and (not chunk or time.monotonic() >= deadline):
                return Ended(process.returncode, output.decode(errors="replace").strip())
            if not has_ended and time.monotonic() >= deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return Ended(None, output.decode(errors="replace").strip())
            if not chunk:
                select.select([reader] if is_open else [], [], [], READ_INTERVAL_S)


def _read(reader: int) -> bytes | None:
    """Return what can be read; nothing at the end of the output, None where there is nothing yet."""
    try:
        return os.read(reader, MAX_OUTPUT_BYTES)
    except BlockingIOError:
        return None
