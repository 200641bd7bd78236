# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kill the processes at the other ends of connections on the loopback network, as a crash between two calls would."""

from __future__ import annotations

import os
import pathlib
import signal
import threading

TCP_ESTABLISHED = "01"
MAX_WAIT_S = 30.0  # until all clients of a list have made their calls


class Killer:
    """Kills the clients that make certain calls, all of them at once, so that each has got as far as its own call."""

    def __init__(self):
        self.expected, self.ports, self.killed = [], [], []
        self._changed = threading.Condition()

    def expect(self, calls):
        """Take a list of calls: pairs of an action, and of a text in its parameters. Each is the last one of its client."""
        with self._changed:
            self.expected, self.ports, self.killed = [tuple(call) for call in calls], [], []

    def meet(self, action, parameters, port):
        """Kill all clients once the last of the expected calls is made. Raises ConnectionError for these; returns for any other."""
        with self._changed:
            call = next((one for one in self.expected if one[0] == action and one[1] in str(parameters)), None)
            if call is None:
                return
            self.expected.remove(call)
            self.ports.append(port)
            if not self.expected:
                self.killed = kill_clients(self.ports)
                self._changed.notify_all()
            self._changed.wait_for(lambda: self.killed, MAX_WAIT_S)
        raise ConnectionError("the client is gone")


def kill_clients(ports):
    """Kill the processes whose sockets have these local ports, at once; return their identifiers, None where none is found."""
    clients = [_client_of(port) for port in ports]
    for client in set(filter(None, clients)):
        os.kill(client, signal.SIGKILL)
    return clients


def _client_of(port):
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
            return int(process.name)
    return None


def _inode_of(port):
    for line in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == TCP_ESTABLISHED:
            return fields[9]
    return None
