# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nginx that runs on a host: its configuration, its processes, and its error log."""

from __future__ import annotations

import glob
import os
import pwd
import re
import signal
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    ServerBlock,
    directive_value,
    parse_config,
    read_config,
    server_blocks,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import (
    PROGRAM_FOLDERS,
    PROGRAM_NAMES,
    WORKER_TITLE,
    ProgramFinder,
    find_program,
    is_master,
    is_ours,
    main_file,
    nginx_pids,
    own_paths,
    parse_title,
    running_masters,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.selinux import denial_remedy
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.server_names import answers_at, blocks_for_name
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.units import nginx_units
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import (
    first_error,
    load_error,
    parse_build,
    taken_port,
)
from ansible_collections.evergreen.tls.plugins.module_utils._packages import install_command
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
    socket_holders,
    start_time,
    user_ids,
)

BIND_RETRY_S = 3.0  # nginx tries for 2.5 s to bind its ports
MAX_LOG_BYTES = 1 << 20  # of the begin and of the end of what the error log has gained
MAX_ERROR_CHARACTERS = 300  # of a line of the error log, in which others may write
RELOAD_PER_TEST = 10  # a reload may take this many times as long as a test of the configuration
DUMPED_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
PROCESS_DIRECTIVES = ("daemon", "master_process")
PID_PATTERN = re.compile(rb"[0-9]{1,9}")


def missing_nginx() -> str:
    """Return the sentence for a host without nginx. It names the command of the package manager that the host has."""
    command = install_command("nginx")
    by_hand = f"install it with {command}" if command else "install it"
    return f"nginx is not installed on this host; write nginx_install: true for evergreen.tls.deploy to install it, or {by_hand}"


class NginxProcess:
    """The nginx of the host that a module runs on, with the main file of the master process, or of the unit that would start it.

    Raises TlsError if it is not installed.
    """

    def __init__(self, module: ProgramFinder) -> None:
        program = find_program(module, PROGRAM_FOLDERS)
        if not program:
            raise TlsError(missing_nginx())
        self.program: str = program
        build = parse_build(run_command([self.program, "-V"])[1])
        running = running_masters(self.program)
        units = [] if running else nginx_units(self.program)
        options = running or [unit.options for unit in units]
        prefix, config_path = main_file(options, build.prefix, build.config_path)
        chosen = [one for one in options if own_paths(one, build.prefix, build.config_path) == (prefix, config_path)]
        self.directives = next((one.directives for one in chosen if has_settings(one.directives)), None)
        self.unit = next((unit.name for unit in units if unit.options in chosen), os.path.basename(self.program))
        self.build = build._replace(prefix=prefix, config_path=config_path)
        self.argv = [
            self.program,
            *(["-p", f"{prefix}/"] if prefix != build.prefix else []),
            *(["-g", self.directives] if self.directives else []),
        ]
        self.is_default_file = config_path == build.config_path
        self.gave_up_at: float | None = None  # time.monotonic() when reload_error() first found an error
        self.test_seconds = 0.0  # duration of the last test of the configuration

    def config_files(self) -> dict[str, str]:
        """Return the text of each file of the configuration, by its path."""
        return read_config(self.build.config_path, read_regular, find_paths)

    def test_error(self, configuration: str | None = None) -> str | None:
        """Return the error of C(nginx -t) for its configuration, or for another main file, or None."""
        begun = time.monotonic()
        status, output = run_command([*self.argv, "-t", "-c", configuration or self.build.config_path])
        self.test_seconds = time.monotonic() - begun
        return (first_error(output) or output) if status else None

    # not a parser: it accepts any text
    def read_paths(self) -> list[str]:
        """Return the files that nginx reads, as C(nginx -T) names them: none if it refuses its configuration."""
        status, output = run_command([*self.argv, "-T", "-q", "-c", self.build.config_path])
        return [] if status else DUMPED_FILE.findall(output)

    def reload_timeout(self, minimum: float) -> float:
        """Return for how many seconds to wait for a reload, at least *minimum*.

        A reload takes about as long as the test of the configuration, which test_error() has measured.
        """
        return max(minimum, RELOAD_PER_TEST * self.test_seconds)

    def master_pid(self) -> int | None:
        """Return the process ID of the master process, or None.

        It is the one in the pid file or, if that names none, the only one that runs.
        """
        words = (read_file(self._path("pid", self.build.pid_path)) or b"").split()
        pid = int(words[0]) if words and PID_PATTERN.fullmatch(words[0]) else None
        if pid and program_name(pid) in PROGRAM_NAMES and not _is_worker(pid) and self._may_be_ours(pid):
            return pid
        masters = [pid for pid in nginx_pids() if self._is_master(pid)]
        return masters[0] if len(masters) == 1 else None

    def is_newer_than_loaded(self, path: str) -> bool:
        """Return whether a file or link is newer than the configuration that nginx runs with. False if nginx does not run."""
        return bool(self.newer_than_loaded([path]))

    def newer_than_loaded(self, paths: t.Iterable[str]) -> list[str]:
        """Return the files and links that are newer than the configuration that nginx runs with; none if nginx does not run.

        All workers have to be younger than a file: one that died and was replaced has the old configuration all the same.
        """
        process = self.master_pid()
        if process is None:
            return []
        working = [pid for pid in child_pids(process) if _is_working(pid)]
        begun = [moment for moment in map(start_time, working or [process]) if moment is not None]
        oldest = min(begun, default=None)
        return [path for path in paths if oldest is not None and os.path.lexists(path) and oldest < _written(path)]

    def check_orphaned_workers(self) -> None:
        """Raise TlsError if workers have outlived their master process: they would keep its ports."""
        users = {0, os.geteuid(), self._worker_user()}
        orphans = [
            pid
            for pid in nginx_pids()
            if _is_working(pid) and program_name(parent_pid(pid) or 0) not in PROGRAM_NAMES and user_ids(pid) <= users
        ]
        if orphans:
            raise TlsError(
                f"the master process of nginx is gone, and workers of it go on with what they have (pid {', '.join(map(str, orphans))}); "
                f"end them, with kill -QUIT {' '.join(map(str, orphans))}, start nginx, with systemctl start {self.unit}, and run this again"
            )

    def check_startable(self, port: int) -> None:
        """Raise TlsError if orphaned workers or another program have the port that nginx needs."""
        self.check_orphaned_workers()
        holder = _other_program_at(port)
        if holder:
            raise TlsError(
                f"nginx does not run on this host, and port {port} is taken by {holder}; stop that, start nginx, "
                f"with systemctl start {self.unit}, and run this again"
            )

    def start(self) -> None:
        """Start nginx, by systemd or OpenRC if that runs. Raises TlsError if nginx does not start."""
        if os.path.isdir("/run/systemd/system"):
            argv = ["systemctl", "start", self.unit]
        elif os.path.isdir("/run/openrc"):
            argv = ["rc-service", self.unit, "start"]
        else:
            argv = [*self.argv, *([] if self.is_default_file else ["-c", self.build.config_path])]
        status, output = run_command(argv)
        if status:
            raise TlsError(
                f"nginx does not start: {output}; see its error log and systemctl status {self.unit}, then run this again"
            )

    def reload(self) -> None:
        """Tell the master process, by SIGHUP, to load its configuration.

        It does so some time after this returns.
        The signal needs neither systemd nor the name of a unit. Raises TlsError if nginx does not run, or is stopped.
        """
        process = self.master_pid()
        if process is None:
            raise TlsError(
                f"nginx does not run on this host; start it, with systemctl start {self.unit}, and run this again"
            )
        if is_stopped(process):
            raise TlsError(
                f"the master process of nginx (pid {process}) is stopped and takes no signals; have it go on, with kill -CONT {process}, "
                "and run this again"
            )
        os.kill(process, signal.SIGHUP)

    def reload_error(self, since: int, is_over: bool = False) -> str | None:
        """Return why nginx gave up loading its configuration, or None.

        since: the error_log_size() before the reload.

        The error may belong to a reload that a killed run requested. So an error counts if it is still there BIND_RETRY_S
        seconds later, or if the time *is_over*. What an application behind nginx writes ends up in the log as it is, line breaks
        included, so that any line may be forged. Before the time is over, an error counts only if this host confirms it.
        """
        error = load_error(self.error_log_since(since), self.master_pid() or 0)
        if not error:
            return None
        now = time.monotonic()
        if self.gave_up_at is None:
            self.gave_up_at = now
        if not is_over and now - self.gave_up_at < BIND_RETRY_S:
            return None
        if not is_over and not self._is_confirmed(error):
            self.gave_up_at = now  # a test of a large configuration takes seconds
            return None
        error = error[:MAX_ERROR_CHARACTERS]
        port = taken_port(error)
        holder = _other_program_at(port) if port else None
        return f"{error}, and port {port} is taken by {holder}" if holder else error + denial_remedy(error)

    def _is_confirmed(self, error: str) -> bool:
        """Return whether this host shows that nginx cannot load its configuration, whatever the error log says.

        Another program has a port that the configuration names and nginx does not have; or a test of the configuration fails.
        """
        port = taken_port(error)
        if port is None:
            return self.test_error() is not None
        blocks = server_blocks(self.config_files(), self.build.config_path)
        is_needed = any(listen.port == port for block in blocks for listen in block.listens)
        return (
            is_needed
            and _other_program_at(port) is not None
            and not any(_has_port(name, port) for name in PROGRAM_NAMES)
        )

    def error_log_path(self) -> str:
        """Return the path of the error log of the master process."""
        return self._path("error_log", self.build.error_log)

    def error_log_size(self) -> int:
        """Return the size of the error log in bytes, for error_log_since()."""
        path = self.error_log_path()
        return os.path.getsize(path) if os.path.isfile(path) else 0

    def error_log_since(self, since: int) -> str:
        """Return the text that the error log has gained since error_log_size(): its begin and its end, where that is a lot."""
        path = self.error_log_path()
        begin = read_file(path, since, MAX_LOG_BYTES, is_cut=True) or b""
        last = max(self.error_log_size() - MAX_LOG_BYTES, since + len(begin))
        end = read_file(path, last, MAX_LOG_BYTES, is_cut=True) if len(begin) == MAX_LOG_BYTES else None
        return (begin + (end or b"")).decode(errors="replace")

    def server_blocks_for(self, name: str, port: int) -> list[ServerBlock]:
        """Return the server blocks that may answer to a name on a port, first the one that nginx prefers at equal addresses."""
        return blocks_for_name(server_blocks(self.config_files(), self.build.config_path), name, port)

    def answers_at(self, name: str, address: str, port: int) -> bool:
        """Return whether a server block with a name answers at an address and port, as the configuration has it."""
        blocks = server_blocks(self.config_files(), self.build.config_path)
        return any(answers_at(blocks, one, address, port) for one in blocks_for_name(blocks, name, port))

    def proxy_protocol_place(self, port: int) -> str | None:
        """Return the place of a server block by which a port speaks the PROXY protocol, or None."""
        for block in server_blocks(self.config_files(), self.build.config_path):
            if any(one.port == port and "proxy_protocol" in one.parameters for one in block.listens):
                return block.place
        return None

    # not a parser: it accepts any text, or raises TlsError
    def _is_master(self, pid: int) -> bool:
        """Return whether a process of nginx is a master that was started with this configuration."""
        if not is_master(pid) or not is_ours(pid):
            return False
        given = parse_title(pid, command_line(pid)).config_path
        if given:
            return os.path.join(self.build.prefix, given) == self.build.config_path
        return executable_path(pid) == os.path.realpath(self.program)

    def _may_be_ours(self, pid: int) -> bool:
        """Return whether a process is of root or this user, or runs this program for another user, as a unit with User= does."""
        return is_ours(pid) or executable_path(pid) == os.path.realpath(self.program)

    # not a parser: it accepts any text
    def _worker_user(self) -> int:
        """Return the user of the workers, or -1 if there is none of that name."""
        try:
            return pwd.getpwnam(self._setting("user") or "nobody").pw_uid
        except KeyError:
            return -1

    def _setting(self, name: str) -> str | None:
        """Return the first argument of a directive of the main level, or of the option -g, or None if it is not set."""
        given = {self.build.config_path: self.directives or ""}
        return directive_value(given, self.build.config_path, name) or directive_value(
            self.config_files(), self.build.config_path, name
        )

    def _path(self, name: str, default: str) -> str:
        """Return the path that a directive of the main level sets, relative to nginx's prefix."""
        return os.path.join(self.build.prefix, self._setting(name) or default)


def _written(path: str) -> float:
    """Return when a file was written, in seconds since the epoch.

    Where the clock was set back since, all that is known is that the file was there when this process began.
    """
    written = os.lstat(path).st_ctime
    return (start_time(os.getpid()) or written) if written > time.time() else written


# not a parser: it accepts any text
def has_settings(directives: str | None) -> bool:
    """Return whether the option -g sets more than how the master process runs."""
    return any(statement.words[0] not in PROCESS_DIRECTIVES for statement in parse_config(directives or ""))


# not a parser: it accepts any text
def _is_worker(pid: int) -> bool:
    """Return whether a process of nginx is a worker, or another helper of its master."""
    name, colon, _rest = command_line(pid).partition(": ")
    return name in PROGRAM_NAMES and bool(colon) and not is_master(pid)


# not a parser: it accepts any text
def _is_working(pid: int) -> bool:
    """Return whether a process is a worker that takes new connections."""
    return WORKER_TITLE.match(command_line(pid)) is not None and "shutting down" not in command_line(pid)


def _other_program_at(port: int) -> str | None:
    """Return the program other than nginx that listens on a port, or None."""
    holders = [foreign_holder(listener, *PROGRAM_NAMES) for listener in listening_sockets() if listener.port == port]
    return next(filter(None, holders), None)


def _has_port(name: str, port: int) -> bool:
    """Return whether a program of a name listens on a port."""
    listeners = [listener for listener in listening_sockets() if listener.port == port]
    return any(program_name(pid) == name for listener in listeners for pid in socket_holders(listener.inode))


def read_regular(path: str) -> bytes | None:
    """Return the content of a regular file, or None: devices and pipes may have no end."""
    return read_file(path) if os.path.isfile(path) else None


def find_paths(pattern: str) -> list[str]:
    """Return the paths that the pattern of an include matches, in ascending order."""
    return [] if "\0" in pattern else sorted(glob.glob(pattern))
