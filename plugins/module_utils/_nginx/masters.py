# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The master processes of nginx on this machine, and the main file that each was started with.

The title of a master process is C(nginx: master process) with the command line behind it (https://nginx.org/en/docs/switches.html).
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import (
    command_line,
    executable_path,
    program_pids,
)

PROGRAM_NAMES = ("nginx", "openresty", "angie")  # nginx, and what is built from it
PROGRAM_FOLDERS = [
    *("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/nginx/sbin"),
    *("/usr/local/openresty/nginx/sbin", "/usr/local/openresty/bin", "/opt/openresty/nginx/sbin"),
]
MASTER_TITLE = re.compile(r"(?:nginx|openresty|angie): master process ")
WORKER_TITLE = re.compile(r"(?:nginx|openresty|angie): worker process")
CONFIG_OPTION = re.compile(r" -c\s*(\S+)")
PREFIX_OPTION = re.compile(r" -p\s*(\S+)")


class ProgramFinder(t.Protocol):
    """The part of AnsibleModule that finds programs."""

    def get_bin_path(self, arg: str, required: bool = False, opt_dirs: t.Any = None) -> t.Any:
        """Return the path of a program, or None if it is not installed."""


class Master(t.NamedTuple):
    """A master process, and the options of its command line."""

    pid: int
    prefix: str | None
    config_path: str | None


def find_program(module: ProgramFinder, folders: list[str]) -> str | None:
    """Return the path of nginx, OpenResty or Angie, or None if none is installed."""
    paths = (module.get_bin_path(name, opt_dirs=folders) for name in PROGRAM_NAMES)
    return next(filter(None, paths), None)


def nginx_pids() -> list[int]:
    """Return the processes of nginx, without those in containers of this machine."""
    return [pid for name in PROGRAM_NAMES for pid in program_pids(name)]


def running_masters(program: str) -> list[Master]:
    """Return the master processes that run the file *program*."""
    file = os.path.realpath(program)
    return [
        parse_title(pid, command_line(pid)) for pid in nginx_pids() if is_master(pid) and executable_path(pid) == file
    ]


# not a parser: it accepts any text
def is_master(pid: int) -> bool:
    """Return whether the title of a process of nginx is that of a master process."""
    return MASTER_TITLE.match(command_line(pid)) is not None


def parse_title(pid: int, title: str) -> Master:
    """Return the options in the title of a master process."""
    prefix, config = PREFIX_OPTION.search(title), CONFIG_OPTION.search(title)
    return Master(pid, prefix[1] if prefix else None, config[1] if config else None)


def main_file(masters: t.Sequence[Master], prefix: str, config_path: str) -> tuple[str, str]:
    """Return the prefix and the main file of the nginx that runs, or the arguments if none runs or one has this file.

    prefix, config_path: those that nginx was built with.
    Raises TlsError where several run and none of them has the file that nginx was built with.
    """
    pairs = {_paths(master, prefix, config_path) for master in masters}
    if not pairs or (prefix, config_path) in pairs:
        return prefix, config_path
    if len(pairs) > 1:
        raise TlsError(
            f"several nginx run on this host, with the main files {', '.join(sorted(path for _prefix, path in pairs))}, and none with "
            f"{config_path}; end those that are not to be configured, and run this again"
        )
    return pairs.pop()


def main_files(masters: t.Sequence[Master], prefix: str, config_path: str) -> list[str]:
    """Return the main file that nginx starts with (*config_path*), and then those of the master processes that run."""
    running = (_paths(master, prefix, config_path)[1] for master in masters)
    return list(dict.fromkeys([config_path, *running]))


def _paths(master: Master, prefix: str, config_path: str) -> tuple[str, str]:
    """Return the prefix and the main file of a master process. A relative file begins in the prefix."""
    own_prefix = master.prefix.rstrip("/") if master.prefix else prefix
    if master.config_path:
        return own_prefix, os.path.normpath(os.path.join(own_prefix, master.config_path))
    inner = os.path.relpath(config_path, prefix) if config_path.startswith(f"{prefix}/") else config_path
    return own_prefix, os.path.join(own_prefix, inner)
