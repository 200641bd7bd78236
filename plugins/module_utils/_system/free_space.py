# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a file system has room for, before anything is written to it."""

from __future__ import annotations

import errno
import os

from ansible_collections.evergreen.tls.plugins.module_utils._errors import REMEDIES, TlsError

MIN_FREE_BYTES = 256 * 1024  # a key, a chain in four files, keystores and a configuration have less
MIN_FREE_INODES = 32


def check_free_space(folder: str, dir_fd: int | None = None) -> None:
    """Raise TlsError if the file system of a folder is read-only or full, or the folder cannot be written.

    folder: the nearest folder above counts where it is missing. dir_fd: a descriptor of this folder.
    """
    there = folder if dir_fd is not None else existing_folder(folder)
    status = os.statvfs(there if dir_fd is None else dir_fd)
    if status.f_flag & os.ST_RDONLY:
        raise TlsError(f"{there} is on a read-only file system; {REMEDIES[errno.EROFS]}")
    if not os.access(there if dir_fd is None else ".", os.W_OK, dir_fd=dir_fd):
        raise TlsError(
            f"{there} cannot be written, by its mode or by its attribute immutable; run this with become, or run chattr -i on it"
        )
    is_root = os.geteuid() == 0
    free_bytes = (status.f_bfree if is_root else status.f_bavail) * status.f_frsize
    if free_bytes < MIN_FREE_BYTES:
        raise TlsError(
            f"the file system of {there} has {free_bytes // 1024} KiB free, and {MIN_FREE_BYTES // 1024} KiB are needed; {REMEDIES[errno.ENOSPC]}"
        )
    free_inodes = status.f_ffree if is_root else status.f_favail
    if status.f_files and free_inodes < MIN_FREE_INODES:  # some file systems, such as Btrfs, count none
        raise TlsError(
            f"the file system of {there} has {free_inodes} inodes free, and {MIN_FREE_INODES} are needed; remove files there that nobody needs, "
            "and run this again"
        )


def existing_folder(path: str) -> str:
    """Return the nearest folder that exists, of *path* and those above it."""
    while not os.path.isdir(path) and path not in ("", "/"):
        path = os.path.dirname(path)
    return path or "/"
