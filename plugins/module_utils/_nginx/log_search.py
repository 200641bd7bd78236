# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count the requests for challenges of ACME at the end of an access log, of any format and size.

Nothing of a line is kept but its status, and how many addresses there are: lines hold what clients wrote.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import statistics
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.access_logs import AccessLog

CHALLENGE_PATH = b"/.well-known/acme-challenge/"  # RFC 8555, section 8.3
TOKEN = re.compile(rb"[A-Za-z0-9_-]{16,128}")
ADDRESS = re.compile(rb"(?<![0-9A-Fa-f:.])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]{2,39})(?![0-9A-Za-z:.])")
# Behind the quoted request line, as in the format combined; or as a member of JSON.
STATUS = re.compile(rb"""^[^"]*"\s*([1-5][0-9]{2})\b""")
JSON_STATUS = re.compile(rb"""status"?\s*[:=]\s*"?([1-5][0-9]{2})\b""")
OK_STATUS = "200"

CHUNK_BYTES = 4 << 20
MAX_LOG_BYTES = 128 << 20  # of the end of one file
MAX_TOTAL_BYTES = 512 << 20  # of all files
SEARCH_TIMEOUT_S = 10.0  # for all files
MAX_LINE_BYTES = 8192  # of a line on either side of the path
ROTATED_SUFFIX = ".1"  # of logrotate
ROTATED_AGE_S = 3600.0  # an older file was written before the order
MAX_ADDRESSES = 1000  # of a token that are counted
MAX_OTHER_TOKENS = 100  # the last ones, of earlier orders
MIN_OTHER_TOKENS = 2  # from which it is known from how many addresses CAs usually ask


class TokenCount:
    """The requests for one token."""

    def __init__(self) -> None:
        self.requests = 0
        self.addresses: set[bytes] = set()
        self.statuses: dict[str, int] = {}

    def add(self, address: bytes | None, status: str | None) -> None:
        """Count a request."""
        self.requests += 1
        if address and len(self.addresses) < MAX_ADDRESSES:
            self.addresses.add(address)
        if status:
            self.statuses[status] = self.statuses.get(status, 0) + 1


class LogSearch:
    """A search for tokens in several logs, with limits for all of them."""

    def __init__(self, tokens: t.Iterable[str], now: float) -> None:
        """Take tokens of RFC 8555. now: seconds since 1970."""
        self.counts = {token.encode(): TokenCount() for token in tokens}
        self.others: dict[bytes, TokenCount] = {}
        self.obstacles: list[str] = []  # why requests may have been missed
        self.now = now
        self.bytes_left = MAX_TOTAL_BYTES
        self.deadline = time.monotonic() + SEARCH_TIMEOUT_S

    def read(self, log: AccessLog) -> None:
        """Search a log, and the one before it where that was written lately."""
        if log.obstacle:
            self.obstacles.append(f"{log.path} {log.obstacle}")
        rotated = log.path + ROTATED_SUFFIX
        if self._was_written_lately(rotated):
            self._read_file(rotated)
        self._read_file(log.path)

    def usual_addresses(self) -> int:
        """Return from how many addresses CAs asked for tokens of earlier orders that nginx answered, 0 where that is not known.

        Checks of a controller come from one address alone, and do not count.
        """
        counts = [
            len(one.addresses) for one in self.others.values() if one.statuses.get(OK_STATUS) and len(one.addresses) > 1
        ]
        return statistics.median_low(counts) if len(counts) >= MIN_OTHER_TOKENS else 0

    def _was_written_lately(self, path: str) -> bool:
        try:
            return self.now - os.stat(path).st_mtime < ROTATED_AGE_S
        except (OSError, ValueError):
            return False

    def _read_file(self, path: str) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            self.obstacles.append(f"{path} cannot be read ({getattr(error, 'strerror', None) or 'no such path'})")
            return
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                self._read_tail(descriptor, status.st_size, path)
            else:
                self.obstacles.append(f"{path} is not a regular file")
        except OSError as error:
            self.obstacles.append(f"{path} cannot be read ({error.strerror})")
        finally:
            os.close(descriptor)

    def _read_tail(self, descriptor: int, size: int, path: str) -> None:
        """Search the end of a file, the last chunk first: an order is minutes old."""
        end, first = size, max(0, size - min(MAX_LOG_BYTES, self.bytes_left))
        behind = b""  # the begin of the chunk behind, into which a line may go on
        while end > first and time.monotonic() < self.deadline:
            start = max(first, end - CHUNK_BYTES)
            line_start = max(0, start - MAX_LINE_BYTES)  # where the first line of the chunk may begin
            content = os.pread(descriptor, end - line_start, line_start)
            self.bytes_left -= end - start
            self._count(content + behind, start - line_start, end - line_start)
            behind, end = content[start - line_start :][:MAX_LINE_BYTES], start
        if end > 0:
            self.obstacles.append(f"{path} has {size} bytes, of which the last {size - end} were searched")

    def _count(self, content: bytes, start: int, end: int) -> None:
        """Count the requests whose path begins between two positions of a content."""
        position = content.find(CHALLENGE_PATH, start)
        while 0 <= position < end:
            token = TOKEN.match(content, position + len(CHALLENGE_PATH))
            if token is not None:
                self._count_line(content, position, token)
            position = content.find(CHALLENGE_PATH, position + len(CHALLENGE_PATH))

    def _count_line(self, content: bytes, position: int, token: re.Match[bytes]) -> None:
        """Count the request of a line, once: its referrer may have the path as well."""
        begin = content.rfind(b"\n", max(0, position - MAX_LINE_BYTES), position) + 1
        begin = begin or max(0, position - MAX_LINE_BYTES)
        if content.find(CHALLENGE_PATH, begin, position) >= 0:
            return
        end = content.find(b"\n", token.end(), token.end() + MAX_LINE_BYTES)
        end = end if end >= 0 else min(len(content), token.end() + MAX_LINE_BYTES)
        count = self.counts.get(token[0])
        if count is None:
            if token[0] not in self.others and len(self.others) >= MAX_OTHER_TOKENS:
                return
            count = self.others.setdefault(token[0], TokenCount())
        line = content[begin:end]
        status = STATUS.match(content[token.end() : end]) or JSON_STATUS.search(line)
        count.add(_address(line), status[1].decode() if status else None)


def _address(line: bytes) -> bytes | None:
    """Return the first IP address of a line, in its packed form; None where there is none."""
    for match in ADDRESS.finditer(line):
        try:
            return ipaddress.ip_address(match[0].decode("ascii")).packed
        except ValueError:  # a time, such as 12:30:59
            continue
    return None
