# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nginx that runs on a host: its master process, what it was told, and what it says."""

from __future__ import annotations

import glob
import os
import re
import signal
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Server, load, servers, setting
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import (
    Nginx,
    first_error,
    load_error,
    parse_nginx,
    taken_port,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.command import run_command
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import read_file
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import (
    child_pids,
    command_line,
    executable_path,
    foreign_holder,
    is_stopped,
    listening_sockets,
    parent_pid,
    program_name,
    program_pids,
    start_time,
)

MASTER = "nginx: master process"
ONCE_MORE = 3.0  # seconds; nginx tries for two and a half to have its ports
SLOWER = 10  # times that a reload may take as long as a test
PID = re.compile(rb"[0-9]{1,9}")
FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/nginx/sbin"]


class Master:
    """The nginx of the host that a module runs on. Raises TlsError when it is not installed."""

    def __init__(self, module) -> None:
        self.module = module
        self.program = module.get_bin_path("nginx", opt_dirs=FOLDERS)
        if not self.program:
            raise TlsError(
                "nginx is not installed on this host; install it, for example with apt install nginx, and run this again"
            )
        self.nginx: Nginx = parse_nginx(run_command([self.program, "-V"])[1])
        self.gave_up: float | None = None  # when refusal() first saw it
        self.tested = 0.0  # seconds that the last test of the configuration took

    def files(self) -> dict[str, str]:
        """Return the configuration, each file's text by its path."""
        return load(self.nginx.configuration, _read_regular, _find)

    def complaint(self, configuration: str | None = None) -> str | None:
        """Return what nginx has against its configuration, or against another main file, or None."""
        begun = time.monotonic()
        status, output = run_command([self.program, "-t", "-c", configuration or self.nginx.configuration])
        self.tested = time.monotonic() - begun
        return (first_error(output) or output) if status else None

    def patience(self, least: float) -> float:
        """Return for how many seconds to wait for a reload: it takes about as long as the test of all that is configured."""
        return max(least, SLOWER * self.tested)

    def process(self) -> int | None:
        """Return the master process: the one that the pid file names or, where it names none, the only one there is."""
        words = (read_file(self._path("pid", self.nginx.pid_path)) or b"").split()
        pid = int(words[0]) if words and PID.fullmatch(words[0]) else None
        if pid and program_name(pid) == "nginx" and not _is_worker(pid):
            return pid
        found = [pid for pid in program_pids("nginx") if self._is_master(pid)]
        return found[0] if len(found) == 1 else None

    def is_newer(self, path: str) -> bool:
        """Say whether a file or link is newer than what nginx runs with; not where nginx does not run.

        A worker that died and was replaced has the old configuration in spite of its age, so all of them have to be younger.
        """
        process = self.process()
        if process is None or not os.path.lexists(path):
            return False
        working = [pid for pid in child_pids(process) if _is_working(pid)]
        begun = [start_time(pid) for pid in working or [process]]
        written = os.lstat(path).st_ctime
        if (
            written > time.time()
        ):  # the clock was set back since: all that is known is that it was there when this began
            written = start_time(os.getpid()) or written
        return any(moment is not None and moment < written for moment in begun)

    def check_orphans(self) -> None:
        """Make sure that no workers have outlived their master: they would keep the ports from another."""
        orphans = [
            pid for pid in program_pids("nginx") if _is_working(pid) and program_name(parent_pid(pid) or 0) != "nginx"
        ]
        if orphans:
            raise TlsError(
                f"the master process of nginx is gone, and workers of it go on with what they have (pid {', '.join(map(str, orphans))}); "
                f"end them, with kill -QUIT {' '.join(map(str, orphans))}, start nginx, with systemctl start nginx, and run this again"
            )

    def check_startable(self, port: int) -> None:
        """Make sure that nothing has the port that nginx would have if it ran."""
        self.check_orphans()
        holder = _stranger_at(port)
        if holder:
            raise TlsError(
                f"nginx does not run on this host, and port {port} is taken by {holder}; stop that, start nginx, "
                "with systemctl start nginx, and run this again"
            )

    def start(self) -> None:
        """Start nginx, by systemd where that runs."""
        argv = ["systemctl", "start", "nginx"] if os.path.isdir("/run/systemd/system") else [self.program]
        status, output = run_command(argv)
        if status:
            raise TlsError(
                f"nginx does not start: {output}; see its error log and systemctl status nginx, then run this again"
            )

    def reload(self) -> None:
        """Have the master process load its configuration; it does so some time after this returns.

        The signal needs neither systemd nor the name of a unit.
        """
        process = self.process()
        if process is None:
            raise TlsError("nginx does not run on this host; start it, with systemctl start nginx, and run this again")
        if is_stopped(process):
            raise TlsError(
                f"the master process of nginx (pid {process}) is stopped and takes no signals; have it go on, with kill -CONT {process}, "
                "and run this again"
            )
        os.kill(process, signal.SIGHUP)

    def refusal(self, since: int, is_over: bool = False) -> str | None:
        """Return why nginx gave up loading its configuration since log_end(), or None while it did not, or does not say.

        That may be what a run before this one had it load, which was killed meanwhile. So it may try once more, unless time *is_over*.
        """
        error = load_error(self.logged(since), self.process() or 0)
        if error and self.gave_up is None:
            self.gave_up = time.monotonic()
        if error and not is_over and time.monotonic() - self.gave_up < ONCE_MORE:
            return None
        port = taken_port(error) if error else None
        holder = _stranger_at(port) if port else None
        return f"{error}, and port {port} is taken by {holder}" if holder else error

    def error_log(self) -> str:
        """Return the path of the error log of the master process."""
        return self._path("error_log", self.nginx.error_log)

    def log_end(self) -> int:
        """Return how long the error log is now, for logged()."""
        path = self.error_log()
        return os.path.getsize(path) if os.path.isfile(path) else 0

    def logged(self, since: int) -> str:
        """Return what the error log has gained since log_end()."""
        return (read_file(self.error_log(), since) or b"").decode(errors="replace")

    def blocks_for(self, name: str, port: int) -> list[Server]:
        """Return the server blocks that answer to a name on a port, in the order in which nginx reads them."""
        found = servers(self.files(), self.nginx.configuration)
        return [server for server in found if _answers(server, name, port)]

    # not a parser: it accepts any text, or raises TlsError
    def _is_master(self, pid: int) -> bool:
        """Say whether a process of nginx is a master that was started with this configuration."""
        words = command_line(pid)
        given = re.search(r" -c\s*(\S+)", words)
        if not words.startswith(MASTER):
            return False
        if given:
            return os.path.join(self.nginx.prefix, given.group(1)) == self.nginx.configuration
        return executable_path(pid) == os.path.realpath(self.program)

    def _path(self, name: str, default: str) -> str:
        """Return a path that a directive of the main level may set; relative ones begin at nginx's prefix."""
        path = setting(self.files(), self.nginx.configuration, name) or default
        return os.path.join(self.nginx.prefix, path)


def _is_worker(pid: int) -> bool:
    """Say whether a process of nginx is a worker, or another helper of its master."""
    return command_line(pid).startswith("nginx: ") and not command_line(pid).startswith(MASTER)


def _is_working(pid: int) -> bool:
    """Say whether a process is a worker that takes new connections."""
    return command_line(pid).startswith("nginx: worker process") and "shutting down" not in command_line(pid)


def _stranger_at(port: int) -> str | None:
    """Return which other program than nginx has a port."""
    holders = [foreign_holder(listener, "nginx") for listener in listening_sockets() if listener.port == port]
    return next(filter(None, holders), None)


def _read_regular(path: str) -> bytes | None:
    """Return the content of a file. Nothing else is opened, as devices and pipes may have no end."""
    return read_file(path) if os.path.isfile(path) else None


def _find(pattern: str) -> list[str]:
    """Return the paths that fit what an include asks for; nothing fits what cannot be a path."""
    return [] if "\0" in pattern else sorted(glob.glob(pattern))


def _answers(server: Server, name: str, port: int) -> bool:
    wildcards: t.Iterable[str] = (name, f".{name}", f"*.{name.partition('.')[2]}", f".{name.partition('.')[2]}")
    return any(listen.port == port for listen in server.listens) and any(wanted in server.names for wanted in wildcards)
