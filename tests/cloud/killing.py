# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kill the process at the other end of a connection on the loopback network, as a crash between two calls would."""

from __future__ import annotations

import os
import pathlib
import signal

TCP_ESTABLISHED = "01"


def kill_client(port):
    """Kill the process whose socket has this local port; return its identifier, None where none is found."""
    inode = _inode_of(port)
    own = os.getpid()
    for process in pathlib.Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == own:
            continue
        try:
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if f"socket:[{inode}]" in links:
            os.kill(int(process.name), signal.SIGKILL)
            return int(process.name)
    return None


def _inode_of(port):
    for line in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == TCP_ESTABLISHED:
            return fields[9]
    return None
