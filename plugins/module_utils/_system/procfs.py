# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that run on this machine, as /proc tells of them."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
import time
import typing as t

LISTENING = "0A"
DELETED = " (deleted)"


class ListeningSocket(t.NamedTuple):
    """A socket that waits for connections."""

    address: str
    port: int
    inode: str


def program_name(pid: int) -> str:
    """Return the name of the program that a process runs, or nothing when the process is gone, whether or not its parent has noticed."""
    return "" if _fields(pid)[:1] == ["Z"] else _read(f"/proc/{pid}/comm").strip()


def command_line(pid: int) -> str:
    """Return the command line of a process, which some programs use to say what they are doing."""
    return _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()


def parent_pid(pid: int) -> int | None:
    """Return the process that started a process, or has inherited it, or None when it is gone."""
    return _number(_fields(pid), 1)


def is_stopped(pid: int) -> bool:
    """Say whether a process was stopped by a signal, and so takes no other until it goes on."""
    return _fields(pid)[:1] in (["T"], ["t"])


def executable_path(pid: int) -> str:
    """Return the file that a process runs, also when that has been replaced since."""
    link = _link(f"/proc/{pid}/exe")
    return link[: -len(DELETED)] if link.endswith(DELETED) else link


def start_time(pid: int) -> float | None:
    """Return the time at which a process started, in seconds since 1970, or None when it is gone.

    The kernel counts in hundredths of a second since boot and rounds down. The sum follows the clock of the machine
    when somebody sets it, as the times of files do not.
    """
    ticks = _number(_fields(pid), 19)
    if ticks is None:
        return None
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def child_pids(pid: int) -> list[int]:
    """Return the processes that *pid* has started and that still run."""
    return [child for child in _processes() if parent_pid(child) == pid]


def program_pids(name: str) -> list[int]:
    """Return the processes that run the program of a name, but not those in containers of this machine."""
    own = (_link("/proc/self/ns/pid"), "")  # inside a container, those of other users may not tell
    return [pid for pid in _processes() if program_name(pid) == name and _link(f"/proc/{pid}/ns/pid") in own]


def listening_sockets() -> list[ListeningSocket]:
    """Return the TCP sockets that wait for connections."""
    lines = [line for path in ("/proc/net/tcp", "/proc/net/tcp6") for line in _read(path).splitlines()[1:]]
    return [found for found in map(_listener, lines) if found]


def socket_holders(inode: str) -> list[int]:
    """Return the processes that hold a socket."""
    return [pid for pid in _processes() if f"socket:[{inode}]" in _descriptors(pid)]


def foreign_holder(listener: ListeningSocket, name: str) -> str | None:
    """Return who holds a socket, if that is another program than the one of a name."""
    holders = socket_holders(listener.inode)
    if any(program_name(pid) == name for pid in holders):
        return None
    return f"{program_name(holders[0])} (pid {holders[0]})" if holders else "a program that cannot be seen from here"


def _listener(line: str) -> ListeningSocket | None:
    """Return the listening socket of a line of the kernel's, or None for another one, or for what is no such line."""
    fields = line.split()
    if len(fields) < 10 or fields[3] != LISTENING:
        return None
    address, _colon, port = fields[1].partition(":")
    try:
        return ListeningSocket(_address(address), int(port, 16), fields[9])
    except (ValueError, struct.error):
        return None


def _processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name, which may hold blanks and parentheses itself."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _number(fields: list[str], at: int) -> int | None:
    """Return one of the fields, or None where there is no such number."""
    return int(fields[at]) if len(fields) > at and re.fullmatch("[0-9]{1,18}", fields[at]) else None


def _descriptors(pid: int) -> list[str]:
    found = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    except OSError:  # it ended, or belongs to somebody else
        pass
    return found


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # it ended, or belongs to somebody else
        return ""


def _address(text: str) -> str:
    """Return an address from the kernel's hexadecimal words, each in the byte order of the machine."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntoa(packed) if len(words) == 1 else ipaddress.IPv6Address(packed).compressed


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:  # a process may end between two looks
        return ""
