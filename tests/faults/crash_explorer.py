# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers with nginx and a firewall, each with an observer in another network."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import stat
import subprocess
import sys
import time
import typing as t

import ansible

from ansible_collections.evergreen.tls.tests.faults.observer import OBSERVER
from ansible_collections.evergreen.tls.tests.faults.programs import Programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ANSIBLE = os.path.dirname(ansible.__file__)
ADDRESS = "192.0.2.1"
TAKEN_PORT = 9999  # a port that is not nginx's to have
MACHINE_NUMBERS = itertools.count(1)

# The first process of a machine: answers on port 22, holds the port that is taken, has no zombies, and ends with its input.
INIT_PROGRAM = f"""
import signal, socket, sys, threading
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def accept_connections(listener):
    while True:
        listener.accept()[0].close()
for endpoint in (("", 22), ("127.0.0.1", {TAKEN_PORT})):
    listener = socket.create_server(endpoint)
    threading.Thread(target=accept_connections, args=(listener,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
# Whatever a module that was killed has started; it ends by itself.
CHILD_PROGRAMS = "nginx|nft|ufw|iptables|ip6tables|iptables-restor|ip6tables-resto|firewall-cmd"
ALL_PROGRAMS = f"{CHILD_PROGRAMS}|firewalld|dbus-daemon"
KILL_SCRIPT = (
    f"pkill -KILL -x '{ALL_PROGRAMS}' || true; while pgrep -x '{ALL_PROGRAMS}' > /dev/null; do sleep 0.01; done"
)
RESTORED_PATHS = (
    "/etc/nginx",
    "/etc/ufw",
    "/etc/default",
    "/etc/firewalld",
)  # what scenarios change that is there before
NETWORK_SCRIPT = f"""
ip addr add {ADDRESS}/24 dev inside
ip link set lo up
ip link set inside up
"""


class Machine:
    """A container without network but for its observer, who tries again and again whether it answers.

    It keeps its files in memory, and is brought back to its beginning with reset().
    """

    def __init__(self, folder: str, sabotage: str = "") -> None:
        """*folder* is where its modules leave their answers and strace its logs."""
        self.folder = os.path.join(folder, f"machine{next(MACHINE_NUMBERS)}")
        os.mkdir(self.folder)
        pid_file = os.path.join(self.folder, "pid")
        self.process = subprocess.Popen(
            [
                *("env", f"CONTAINERS_CONF={REPOSITORY}/dev/containers.conf", "podman", "run", "--rm", "--interactive"),
                *("--network", "none", "--pidfile", pid_file, "--name", f"evergreen-faults-{os.getpid()}-{id(self)}"),
                *("--volume", f"{REPOSITORY}:{REPOSITORY}:ro", "--volume", f"{self.folder}:{self.folder}"),
                *("--volume", f"{ANSIBLE}:/opt/evergreen/ansible:ro", "localhost/evergreen-bookworm"),
                *("python3", "-c", INIT_PROGRAM),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = int(pathlib.Path(pid_file).read_text(encoding="ascii"))
        self.inside = ("nsenter", "--target", str(self.pid), "--all", "--")
        self.observer = Observer(self.pid)
        self.command("sh", "-ec", NETWORK_SCRIPT)
        path = f"PYTHONPATH=/opt/evergreen:{REPOSITORY}/.build/collections"
        self.programs = Programs(sabotage, ("env", path, "PYTHONDONTWRITEBYTECODE=1", "python3"), self.inside)
        self.pristine = self.snapshot(*RESTORED_PATHS)

    def close(self) -> None:
        """Remove it."""
        self.programs.close()
        self.observer.close()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, module: str, strace: list[str] | None = None, traced: tuple[str, ...] = (), **arguments: t.Any):
        """Run a module; with *strace*, its options, under it."""
        internal = {"_ansible_diff": True, "_ansible_remote_tmp": self.folder}
        log = os.path.join(self.folder, "log") if strace is not None else ""
        output = os.path.join(self.folder, "output")
        return self.programs.run(module, {**arguments, **internal}, output, strace, log, traced)

    def command(self, *argv: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess:
        """Run a program there."""
        ended = subprocess.run([*self.inside, *argv], input=stdin, capture_output=True, text=True, check=False)
        assert not (check and ended.returncode), f"{argv}: {ended.stdout}{ended.stderr}"
        return ended

    def start_nginx(self) -> None:
        """Start nginx, with workers that are younger than all files; return once they work."""
        time.sleep(0.03)  # processes are as old as the hundredth of a second in which they began
        # Through files: it would hold a pipe open for as long as it runs.
        subprocess.run([*self.inside, "nginx"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        while "http:80 answers" not in self.observer.try_once({"http:80": None}):
            time.sleep(0.01)
        time.sleep(0.03)

    def settle(self) -> None:
        """Wait until all programs that a killed module has started have ended, except for nginx."""
        while self.command("pgrep", "-x", CHILD_PROGRAMS.partition("|")[2], check=False).stdout:
            time.sleep(0.01)

    def copy_disk(self, top: str, paths: tuple[str, ...], folder: str) -> None:
        """Copy what lies at some paths below *top* into a folder."""
        os.mkdir(folder)
        for path in filter(os.path.lexists, map(self.path, paths)):
            copy = os.path.join(folder, os.path.relpath(path, self.path(top)))
            subprocess.run(["cp", "--archive", "--no-target-directory", path, copy], check=True)

    def lose_power(self, top: str, paths: tuple[str, ...], folder: str) -> None:
        """End all programs, and replace these paths by the content of a folder."""
        self.command("sh", "-ec", f"{KILL_SCRIPT}\nnft flush ruleset; rm -rf /run/nginx.pid {' '.join(paths)}")
        subprocess.run(["cp", "--archive", f"{folder}/.", self.path(top)], check=True)

    def reset(self) -> None:
        """Restore the initial state: no programs, no firewall rules, and the original files."""
        self.command(
            "sh",
            "-ec",
            f"""
            {KILL_SCRIPT}
            rm -rf /run/nginx.pid /etc/evergreen /etc/sysconfig /etc/.[a-z]*.conf.*
            : > /var/log/nginx/error.log
            nft flush ruleset
            """,
        )
        self.restore(self.pristine, *RESTORED_PATHS)

    def path(self, path: str) -> str:
        """Return where one of its files lies as this process sees it."""
        return f"/proc/{self.pid}/root{path}"

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file there, with the folders above it."""
        os.makedirs(self.path(os.path.dirname(path)), exist_ok=True)
        with open(self.path(path), "wb") as stream:
            stream.write(content)
        os.chmod(self.path(path), mode)

    def link(self, target: str, path: str) -> None:
        """Put a link there, in the place of the one that is."""
        if os.path.lexists(self.path(path)):
            os.unlink(self.path(path))
        os.symlink(target, self.path(path))

    def snapshot(self, *tops: str) -> dict[str, tuple[int, bytes | str | None]]:
        """Return mode and content (of a link: its target) of folders and all that is below them, by path."""
        entries = {}
        for top in tops:
            inner = os.walk(self.path(top))
            paths = [os.path.join(folder, name) for folder, folders, files in inner for name in [*folders, *files]]
            for path in [self.path(top), *paths]:
                if os.path.lexists(path):
                    entries[path[len(self.path("")) :]] = _snapshot_entry(path)
        return entries

    def restore(self, expected: dict[str, tuple[int, bytes | str | None]], *tops: str) -> None:
        """Restore a snapshot of folders; paths that are equal already are not touched."""
        present = self.snapshot(*tops)
        for path in sorted(set(present) - set(expected), reverse=True):
            (os.rmdir if stat.S_ISDIR(present[path][0]) else os.unlink)(self.path(path))
        for path in sorted(expected):
            mode, content = expected[path]
            if present.get(path) == expected[path]:
                continue
            if isinstance(content, str):
                self.link(content, path)
            elif content is not None:
                self.put(path, content, stat.S_IMODE(mode))
            else:
                os.makedirs(self.path(path), stat.S_IMODE(mode), exist_ok=True)


class Observer:
    """A client in a network namespace of its own, connected to one machine."""

    def __init__(self, pid: int) -> None:
        self.process = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", OBSERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        own, other = str(self.process.pid), str(pid)
        wire = ["ip", "link", "add", "outside", "netns", own, "type", "veth", "peer", "name", "inside", "netns", other]
        subprocess.run(wire, check=True)
        words = "ip addr add 192.0.2.2/24 dev outside; ip link set outside up"
        subprocess.run(["nsenter", "--target", own, "--net", "--", "sh", "-ec", words], check=True)

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def watch(self, endpoints: dict[str, t.Any]) -> None:
        """Try endpoints again and again until end() is called.

        They are C(https:443:NAME), each with the root that it has to lead to, C(http:80), and C(tcp:22), each with whether
        it may be shut.
        """
        self.endpoints = endpoints
        self._say("watch", endpoints)

    def end(self) -> dict[str, int]:
        """Return the observations since watch(), with their counts; the last attempt begins after this call."""
        self._say("end", self.endpoints)
        return json.loads(self.process.stdout.readline())

    def try_once(self, endpoints: dict[str, t.Any]) -> dict[str, int]:
        """Try each endpoint once; return the observations with their counts."""
        self._say("try", endpoints)
        return json.loads(self.process.stdout.readline())

    def _say(self, command: str, endpoints: dict[str, t.Any]) -> None:
        self.process.stdin.write(json.dumps([command, endpoints]) + "\n")
        self.process.stdin.flush()


def _snapshot_entry(path: str) -> tuple[int, bytes | str | None]:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return status.st_mode, os.readlink(path)
    if stat.S_ISREG(status.st_mode):
        return status.st_mode, pathlib.Path(path).read_bytes()
    return status.st_mode, None
