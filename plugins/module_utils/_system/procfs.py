# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes and listening sockets of this machine, from /proc (proc(5))."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
import time
import typing as t

TCP_LISTEN = "0A"  # a state in /proc/net/tcp
UDP_UNCONNECTED = "07"  # a state in /proc/net/udp: the socket receives from anybody
DELETED_SUFFIX = " (deleted)"


class ListeningSocket(t.NamedTuple):
    """A TCP socket that listens for connections, or a UDP socket that receives from anybody."""

    address: str
    port: int
    inode: str


def program_name(pid: int) -> str:
    """Return the name of the program of a process, or an empty string if it has ended or is a zombie."""
    return "" if _fields(pid)[:1] == ["Z"] else _read(f"/proc/{pid}/comm").strip()


def command_line(pid: int) -> str:
    """Return the command line of a process, which nginx replaces by what the process does."""
    return _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()


def user_ids(pid: int) -> set[int]:
    """Return the real, effective, saved and file system user of a process, or an empty set if it has ended.

    The owner of /proc/PID is another one for a process that is not dumpable (proc(5)).
    """
    match = re.search(r"^Uid:((?:\s+[0-9]{1,10}){4})$", _read(f"/proc/{pid}/status"), re.MULTILINE)
    return set(map(int, match[1].split())) if match else set()


def parent_pid(pid: int) -> int | None:
    """Return the parent of a process, or None if the process has ended."""
    return _number(_fields(pid), 1)


def is_stopped(pid: int) -> bool:
    """Say whether a process was stopped by a signal, and so handles no other until it continues."""
    return _fields(pid)[:1] in (["T"], ["t"])


def executable_path(pid: int) -> str:
    """Return the path of the file that a process runs, also if the file has been replaced since."""
    link = _link(f"/proc/{pid}/exe")
    return link[: -len(DELETED_SUFFIX)] if link.endswith(DELETED_SUFFIX) else link


def start_time(pid: int) -> float | None:
    """Return the time at which a process started, in seconds since 1970, or None if it has ended.

    The kernel counts in ticks (usually hundredths of a second) since boot and rounds down. When the clock of the machine is set,
    this time changes with it. The times of files do not.
    """
    ticks = _number(_fields(pid), 19)
    if ticks is None:
        return None
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def child_pids(pid: int) -> list[int]:
    """Return the running children of a process."""
    return [child for child in _processes() if parent_pid(child) == pid]


def program_pids(name: str) -> list[int]:
    """Return the processes that run a program, without those in containers of this machine."""
    own = (_link("/proc/self/ns/pid"), "")  # inside a container, the link of other users' processes cannot be read
    return [pid for pid in _processes() if program_name(pid) == name and _link(f"/proc/{pid}/ns/pid") in own]


def listening_sockets() -> list[ListeningSocket]:
    """Return the TCP sockets that listen for connections."""
    return _sockets("tcp", TCP_LISTEN)


def udp_sockets() -> list[ListeningSocket]:
    """Return the UDP sockets that receive from anybody."""
    return _sockets("udp", UDP_UNCONNECTED)


def socket_holders(inode: str) -> list[int]:
    """Return the processes that have a socket open."""
    return [pid for pid in _processes() if f"socket:[{inode}]" in _descriptors(pid)]


def foreign_holder(listening: ListeningSocket, *names: str) -> str | None:
    """Return which other program has a socket open, or None if a program of these names has."""
    holders = socket_holders(listening.inode)
    if any(program_name(pid) in names for pid in holders):
        return None
    return f"{program_name(holders[0])} (pid {holders[0]})" if holders else "a program that cannot be seen from here"


def _sockets(protocol: str, state: str) -> list[ListeningSocket]:
    paths = (f"/proc/net/{protocol}", f"/proc/net/{protocol}6")
    lines = [line for path in paths for line in _read(path).splitlines()[1:]]
    return [one for line in lines if (one := _parse_socket(line, state))]


def _parse_socket(line: str, state: str = TCP_LISTEN) -> ListeningSocket | None:
    """Return the socket in a line of /proc/net/tcp or /proc/net/udp, or None for a socket in another state or another line."""
    fields = line.split()
    if len(fields) < 10 or fields[3] != state:
        return None
    address, _colon, port = fields[1].partition(":")
    try:
        return ListeningSocket(_address(address), int(port, 16), fields[9])
    except (ValueError, struct.error):
        return None


def _processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may contain spaces and parentheses itself."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _number(fields: list[str], index: int) -> int | None:
    """Return the number in a field, or None if there is none."""
    return int(fields[index]) if len(fields) > index and re.fullmatch("[0-9]{1,18}", fields[index]) else None


def _descriptors(pid: int) -> list[str]:
    """Return what the file descriptors of a process refer to, such as C(socket:[INODE])."""
    targets = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            targets.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    except OSError:  # it ended, or belongs to somebody else
        pass
    return targets


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # it ended, or belongs to somebody else
        return ""


def _address(text: str) -> str:
    """Return the IP address in hexadecimal words of 32 bits, each in the byte order of the machine."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntoa(packed) if len(words) == 1 else ipaddress.IPv6Address(packed).compressed


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:  # a process may end at any time
        return ""
