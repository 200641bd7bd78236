# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The package manager of a host, and the names that its packages have there."""

from __future__ import annotations

import os
import typing as t

# The programs of package managers and their commands that install a package, in the order in which they are looked for.
MANAGERS = {
    "/usr/bin/apt-get": "apt install",
    "/usr/bin/dnf": "dnf install",
    "/usr/bin/yum": "yum install",
    "/usr/bin/zypper": "zypper install",
    "/sbin/apk": "apk add",
    "/usr/bin/pacman": "pacman -S",
}
SYSTEM_PYTHON = "/usr/bin/python3"
# Minor versions of Python 3 for which a distribution may have a package of its own.
PYTHON_MINORS = range(9, 20)
CRYPTOGRAPHY_PACKAGES = [
    *("python3-cryptography", "py3-cryptography", "python-cryptography"),
    *(f"python3.{minor}-cryptography" for minor in PYTHON_MINORS),
    *(f"python3{minor}-cryptography" for minor in PYTHON_MINORS),
]


class Interpreter(t.NamedTuple):
    """The Python that runs a module."""

    path: str
    minor: int  # of its version: 12 for Python 3.12
    is_virtual: bool = False  # whether it belongs to a virtual environment


def install_command(package: str, has_file: t.Callable[[str], bool] = os.path.exists) -> str:
    """Return the command that installs a package on this host, or an empty text where no known package manager is there."""
    program = _manager(has_file)
    return f"{MANAGERS[program]} {package}" if program else ""


def cryptography_package(
    interpreter: Interpreter,
    has_file: t.Callable[[str], bool] = os.path.exists,
    real_path: t.Callable[[str], str] = os.path.realpath,
) -> str | None:
    """Return the package that has Python's cryptography for an interpreter, or None where no package of the host has it.

    None: the interpreter is in a virtual environment or outside of /usr/bin, or no known package manager is there.
    Red Hat has python3.12-cryptography for the Python beside the one of the system, SUSE python311-cryptography.
    """
    program = _manager(has_file)
    is_of_system = real_path(interpreter.path) == real_path(SYSTEM_PYTHON)
    if (
        program is None
        or interpreter.is_virtual
        or os.path.dirname(interpreter.path) not in ("/usr/bin", "/usr/libexec")
    ):
        return None
    if program in ("/usr/bin/dnf", "/usr/bin/yum"):
        return "python3-cryptography" if is_of_system else f"python3.{interpreter.minor}-cryptography"
    if program == "/usr/bin/zypper":
        return f"python3{interpreter.minor}-cryptography"
    if not is_of_system:
        return None
    return {"/sbin/apk": "py3-cryptography", "/usr/bin/pacman": "python-cryptography"}.get(
        program, "python3-cryptography"
    )


def _manager(has_file: t.Callable[[str], bool]) -> str | None:
    return next((program for program in MANAGERS if has_file(program)), None)
