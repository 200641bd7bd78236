# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and links that are never half there: the one place that writes them.

Everything written here is a new inode with its final mode, on the disk before it has its name. nginx 1.27.4 and
later go on serving the old certificate when inode and mtime of its file are unchanged.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import struct
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError


def create_file(path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1) -> None:
    """Write a new file, with its mode and owner from its first byte on, and on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with path_in_errors(path), open(descriptor, "wb") as stream:
        if (owner, group) != (-1, -1):
            os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def replace_file(path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1) -> None:
    """Put a new file in the place of *path* in one rename, so that nobody ever reads half of it."""
    write_file(path, content, mode, owner, group)
    sync_folder(os.path.dirname(path))


def write_file(path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1) -> None:
    """Do what replace_file() does, for several files of a folder that is synced once they are all there."""
    folder, name = os.path.split(path)
    temporary = _unused_name(folder, name)
    try:
        create_file(temporary, content, mode, owner, group)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


# not a parser: it accepts any text, or raises TlsError
def remove_temporary_files(path: str) -> None:
    """Remove what write_file() has left beside *path* in runs that were killed; only where no other run can be at it."""
    folder, name = os.path.split(path)
    for entry in os.listdir(folder):
        if re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}", entry):
            os.unlink(os.path.join(folder, entry))


def replace_link(target: str, path: str) -> None:
    """Make *path* a symbolic link to *target*, in the place of the link that was there, in one rename."""
    temporary = temporary_link(path)
    if os.path.islink(temporary):
        os.unlink(temporary)  # a run that was killed left it
    with path_in_errors(temporary):
        os.symlink(target, temporary)
    try:
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(path))


def set_attributes(path: str, mode: int, owner: int = -1, group: int = -1) -> None:
    """Give a file its mode and owner, once it is sure that no other name leads to it: that might be a file of somebody else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise TlsError(
                f"{path} is not a regular file of its own, but a link or a device; move it away and run this again"
            )
        with path_in_errors(path):
            os.fchown(descriptor, owner, group)
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def temporary_link(path: str) -> str:
    """Return where replace_link() makes a link before it renames it.

    Always the same, so that what a killed run leaves in a folder that is not ours can be found.
    """
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.new")


def make_folder(path: str) -> None:
    """Make a folder where it is missing, and those above it, all with their names on the disk when this returns."""
    is_missing = path and not os.path.isdir(path)
    if is_missing:
        if not os.path.isdir(os.path.dirname(path) or "."):
            make_folder(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o755)
    try:
        sync_folder(os.path.dirname(path))  # also for a run that was killed before it could
    except PermissionError:
        if is_missing:
            raise


def remove_folder(path: str) -> None:
    """Remove a folder with all that is in it."""
    with path_in_errors(path):
        shutil.rmtree(path)


def sync_folder(path: str) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with path_in_errors(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def path_in_errors(path: str) -> t.Iterator[None]:
    """Have an error of the system say where it happened, which one about a descriptor or a link does not."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


# not a parser: it reads what the collection has made or checked
def _lock_byte(descriptor: int, place: int) -> None:
    """Lock a byte of a file, or raise OSError."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        return
    # struct flock: kind, counted from where, start, length, process (of none)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))


@contextlib.contextmanager
def locked(path: str, patience: float = 60.0, place: int | None = None, is_folder: bool = False) -> t.Iterator[None]:
    """Hold the lock *path*, a file that is created where it is missing, or a folder; the kernel releases it if this process dies.

    With *place*, hold that byte of it alone: one file is any number of locks. A process holds one of them at a time where locks belong to
    processes; on Linux, they belong to who has opened the file.

    Raises TlsError when another process holds it for longer than *patience* seconds.
    """
    kind = os.O_RDONLY | os.O_DIRECTORY if is_folder else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, kind | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                with path_in_errors(path):
                    if place is None:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    else:
                        _lock_byte(descriptor, place)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() > deadline:
                raise TlsError(
                    f"another process has held {path} for {patience:.0f} seconds; wait for it, then run this again"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _unused_name(folder: str, name: str) -> str:
    return os.path.join(folder, f".{name}.{secrets.token_hex(4)}")


def read_file(path: str, since: int = 0) -> bytes | None:
    """Return the content of a file, or what comes after its first bytes, or None where there is none.

    Raises TlsError for what is no file, and might never end.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder says what it is
            raise TlsError(f"{path} is not a regular file; move it away and run this again")
        with open(path, "rb") as stream:
            stream.seek(since)
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:  # a path that none can be, with a zero byte say
        return None
