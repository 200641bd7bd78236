# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that load a server while its certificate is renewed, and their results: wrk and curl."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import typing as t

# The name is asked for in the handshake, and need not be known to this machine. A pause (in ms) leaves others some of it.
SCRIPT = """\
wrk.resolve = function(_, service) wrk.addrs = wrk.lookup("{address}", service) end
function delay() return {pause} end
"""
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
FOREVER = "24h"


class LoadResult(t.NamedTuple):
    """Numbers of requests and of failed ones, and the 99th percentile of the response times in seconds."""

    requests: int
    failed: int
    slowest: float


class Client:
    """A program that runs until it is stopped, or until the end of a context."""

    process: subprocess.Popen

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.process.kill()
        self.process.wait()


class NewConnections(Client):
    """Open new connections to a host, *connections* at a time, until stop()."""

    def __init__(self, name: str, address: str, folder: pathlib.Path, connections: int = 2, pause: int = 0) -> None:
        descriptor, script = tempfile.mkstemp(suffix=".lua", dir=folder)  # of its own: wrk reads it in its own time
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(SCRIPT.format(address=address, pause=pause))
        self.process = subprocess.Popen(
            [*("wrk", "--threads", "1", "--connections", str(connections), "--duration", FOREVER, "--latency"),
             *("--timeout", "30s", "--script", script, "--header", "Connection: close", f"https://{name}/")],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def stop(self) -> LoadResult:
        """Stop the client and return its result."""
        self.process.send_signal(signal.SIGINT)
        return read_wrk(self.process.communicate()[0])


class OneConnection(Client):
    """Send requests on a connection that is kept alive, or on a new one after the server has closed it.

    A request that meets the closing is sent once more, as clients may (RFC 9112, section 9.3.1).
    """

    def __init__(self, name: str, address: str, folder: pathlib.Path, rate: int = 20) -> None:
        descriptor, path_of_log = tempfile.mkstemp(dir=folder)
        self.log = pathlib.Path(path_of_log)
        self.process = subprocess.Popen(
            ["curl", "--insecure", "--silent", "--rate", f"{rate}/s", "--resolve", f"{name}:443:{address}", "--output", "/dev/null",
             "--retry", "1", "--retry-all-errors", "--write-out", "%{stderr}%{http_code} %{exitcode} %{num_connects}\n", f"https://{name}/?[1-1000000]"],
            stdout=subprocess.DEVNULL, stderr=descriptor,
        )  # fmt: skip
        os.close(descriptor)

    def stop(self) -> tuple[LoadResult, int]:
        """Stop the client; return its result and the number of connections."""
        self.process.terminate()
        self.process.wait()
        lines = [
            line.split()
            for line in self.log.read_text(encoding="utf-8").splitlines(keepends=True)
            if line.endswith("\n")
        ]
        failed = sum(1 for code, status, _connects in lines if (code, status) != ("200", "0"))
        return LoadResult(len(lines), failed, 0.0), sum(int(connects) for _code, _status, connects in lines)


class Download(Client):
    """Download a large file slowly. What is smaller than the buffers of both kernels (10 MB) has left the server at once."""

    def __init__(self, name: str, address: str, folder: pathlib.Path, path: str, rate: str, version: str = "2") -> None:
        descriptor, path_of_log = tempfile.mkstemp(dir=folder)
        self.log = pathlib.Path(path_of_log)
        self.process = subprocess.Popen(
            ["curl", f"--http{version}", "--insecure", "--silent", "--show-error", "--fail", "--limit-rate", rate, "--resolve", f"{name}:443:{address}",
             "--write-out", "%{stderr}%{http_version}, %{size_download} bytes in %{time_total} s, exit status %{exitcode}",
             f"https://{name}/{path}"],
            stdout=subprocess.PIPE, stderr=descriptor,
        )  # fmt: skip
        os.close(descriptor)
        self.sum = subprocess.Popen(["sha256sum"], stdin=self.process.stdout, stdout=subprocess.PIPE, text=True)
        self.process.stdout.close()

    def digest(self) -> str:
        """Wait for the end of the download; return the SHA-256 digest of what arrived."""
        digest = self.sum.communicate()[0].split()[0]
        self.process.wait()
        return digest


def read_wrk(printed: str) -> LoadResult:
    r"""Parse the output of wrk.

    >>> read_wrk("  99%    1.50ms\n  100 requests in 1.0s\n  Socket errors: connect 0, read 1, write 0, timeout 2\n")
    LoadResult(requests=100, failed=3, slowest=0.0015)
    """
    requests = re.search(r"(\d+) requests in", printed)
    failed = [
        int(number) for line in re.findall(r"Socket errors: (.*)", printed) for number in re.findall(r"\d+", line)
    ]
    failed += [int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", printed)]
    slowest = re.search(r"99%\s+([0-9.]+)(us|ms|s|m)\b", printed)
    return LoadResult(
        int(requests[1]) if requests else 0, sum(failed), float(slowest[1]) * UNITS[slowest[2]] if slowest else 0.0
    )
