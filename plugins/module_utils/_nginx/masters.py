# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs and master processes of nginx on this machine, and the main file that each was started with.

The title of a master process is C(nginx: master process) with the command line behind it (https://nginx.org/en/docs/switches.html).
Any user can run a process with such a name and title, so those of other users do not count.
"""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import (
    command_line,
    executable_path,
    program_pids,
    user_ids,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    PathUse,
    check_folder,
    is_trusted,
)

PROGRAM_NAMES = ("nginx", "openresty", "angie")  # nginx, and what is built from it
PROGRAM_FOLDERS = [
    *("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/nginx/sbin"),
    *("/usr/local/openresty/nginx/sbin", "/usr/local/openresty/bin", "/opt/openresty/nginx/sbin"),
    *("/usr/local/angie/sbin", "/opt/angie/sbin"),
]
MASTER_TITLE = re.compile(r"(?:nginx|openresty|angie): master process ")
WORKER_TITLE = re.compile(r"(?:nginx|openresty|angie): worker process")
OPTION = re.compile(r" -([a-zA-Z])(?:\s+|(?=\S))")  # in a title, in which quotes are gone
OPTIONS_WITH_VALUE = "cepg"


class ProgramFinder(t.Protocol):
    """The part of AnsibleModule that finds programs."""

    def get_bin_path(self, arg: str, required: bool = False, opt_dirs: t.Any = None) -> t.Any:
        """Return the path of a program, or None if it is not installed."""


class Master(t.NamedTuple):
    """A master process, and the options of its command line."""

    pid: int  # 0 for a unit of systemd that does not run
    prefix: str | None
    config_path: str | None
    directives: str | None = None  # of the option -g


def find_program(module: ProgramFinder, folders: list[str]) -> str | None:
    """Return the path of nginx, OpenResty or Angie, or None if there is none.

    Of several that are installed, one that runs comes first. Where none is in a usual folder, it is one that runs from another.
    """
    installed = [path for name in PROGRAM_NAMES if (path := module.get_bin_path(name, opt_dirs=folders))]
    running = [path for path in installed if running_masters(path)]
    elsewhere = [] if installed else filter(_is_safe_program, _master_executables())
    return next((path for paths in (running, installed, elsewhere) for path in paths), None)


def nginx_pids() -> list[int]:
    """Return the processes of nginx, without those in containers of this machine."""
    return [pid for name in PROGRAM_NAMES for pid in program_pids(name)]


def is_ours(pid: int) -> bool:
    """Return whether a process belongs to root, or to the user that this runs as, with all its user IDs."""
    users = user_ids(pid)
    return bool(users) and users <= {0, os.geteuid()}


def running_masters(program: str) -> list[Master]:
    """Return the master processes that run the file *program*."""
    file = os.path.realpath(program)
    return [
        parse_title(pid, command_line(pid))
        for pid in nginx_pids()
        if is_master(pid) and is_ours(pid) and executable_path(pid) == file
    ]


def _master_executables() -> t.Iterator[str]:
    """Yield the files that master processes run."""
    for pid in nginx_pids():
        if is_master(pid) and is_ours(pid):
            yield executable_path(pid)


def _is_safe_program(path: str) -> bool:
    """Return whether a program is one that nobody but root can exchange."""
    try:
        status = os.stat(path)
        check_folder(os.path.dirname(path), PathUse("nginx"))
    except (OSError, TlsError):
        return False
    return (
        os.path.basename(path) in PROGRAM_NAMES
        and stat.S_ISREG(status.st_mode)
        and is_trusted(status)
        and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        and os.access(path, os.X_OK)
    )


# not a parser: it accepts any text
def is_master(pid: int) -> bool:
    """Return whether the title of a process of nginx is that of a master process."""
    return MASTER_TITLE.match(command_line(pid)) is not None


def parse_title(pid: int, title: str) -> Master:
    """Return the options in the title of a master process."""
    values: dict[str, str] = {}
    options = [option for option in OPTION.finditer(title) if option[1] in OPTIONS_WITH_VALUE]
    for option, following in zip(options, [*options[1:], None]):
        value = title[option.end() : following.start() if following else None].strip()
        values[option[1]] = value if option[1] == "g" else value.partition(" ")[0]
    return Master(pid, values.get("p"), values.get("c"), values.get("g"))


def main_file(masters: t.Sequence[Master], prefix: str, config_path: str) -> tuple[str, str]:
    """Return the prefix and the main file of the nginx that runs, or the arguments if none runs or one has this file.

    prefix, config_path: those that nginx was built with.
    Raises TlsError where several run and none of them has the file that nginx was built with.
    """
    pairs = {own_paths(master, prefix, config_path) for master in masters}
    if not pairs or (prefix, config_path) in pairs:
        return prefix, config_path
    if len(pairs) > 1:
        paths = ", ".join(sorted(path for _prefix, path in pairs))
        are_running = any(master.pid for master in masters)
        raise TlsError(
            f"several nginx run on this host, with the main files {paths}, and none with "
            f"{config_path}; end those that are not to be configured, and run this again"
            if are_running
            else f"several units of systemd start nginx on this host, with the main files {paths}, and none with {config_path}; start the one "
            "that is to be configured, or disable the others, and run this again"
        )
    return pairs.pop()


def main_files(masters: t.Sequence[Master], prefix: str, config_path: str) -> list[str]:
    """Return the main file that nginx starts with (*config_path*), and then those of the master processes that run."""
    running = (own_paths(master, prefix, config_path)[1] for master in masters)
    return list(dict.fromkeys([config_path, *running]))


def own_paths(master: Master, prefix: str, config_path: str) -> tuple[str, str]:
    """Return the prefix and the main file of a master process. A relative file begins in the prefix."""
    own_prefix = master.prefix.rstrip("/") if master.prefix else prefix
    if master.config_path:
        return own_prefix, os.path.normpath(os.path.join(own_prefix, master.config_path))
    inner = os.path.relpath(config_path, prefix) if config_path.startswith(f"{prefix}/") else config_path
    return own_prefix, os.path.join(own_prefix, inner)
