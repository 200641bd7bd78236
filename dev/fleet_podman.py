# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the fleet asks podman: as root, with its own configuration, and with sentences for errors."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / ".build"

PROGRAMS = ("podman", "runc", "iptables", "ip", "mmdebstrap", "ssh", "ssh-keygen")
PACKAGES = "podman, netavark, aardvark-dns, runc, iptables, iproute2, mmdebstrap and openssh-client"


class FleetError(Exception):
    """A sentence that says what is wrong and ends in what to do."""


@functools.cache
def as_root(program: str) -> tuple[str, ...]:
    """Return the words that run *program* as root, with the fleet's own podman configuration."""
    # A user's PATH may lack the folders for administrators, where iptables lives.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        raise FleetError(f"{', '.join(missing)} not found; run `make setup`, or install {PACKAGES}")
    words = ("env", f"CONTAINERS_CONF={HERE / 'containers.conf'}", program)
    if os.geteuid() == 0:
        return words
    if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        raise FleetError(
            f"{program} has to run as root, and sudo does not let you without a password; "
            "run this as root, or run `sudo -v` first"
        )
    return ("sudo", "-n", *words)


def run(*argv: str, stdin: str | None = None, timeout: float | None = None) -> tuple[int, str, str]:
    """Run a program; return its exit status, what it printed and what it complained about."""
    try:
        done = subprocess.run(argv, input=stdin or "", capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return 124, "", f"no answer within {timeout:.0f} s"
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def try_podman(*words: str, stdin: str | None = None, timeout: float | None = None) -> tuple[int, str, str]:
    """Ask podman something that may well fail."""
    return run(*as_root("podman"), *words, stdin=stdin, timeout=timeout)


def podman(*words: str, stdin: str | None = None) -> str:
    """Ask podman; return what it printed, or raise what it complained about."""
    status, printed, complaint = try_podman(*words, stdin=stdin)
    if status:
        reason = complaint.splitlines()[-1] if complaint else f"exit status {status}"
        raise FleetError(f"`podman {' '.join(words[:2])}` failed: {reason}; put that right and run this again")
    return printed
