# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read files, and write files and links atomically: the one place that does.

A file is a new inode with its final mode, and on the disk before it gets its name. nginx 1.27.4 and later continue to serve the old
certificate if the inode and mtime of its file are unchanged.

dir_fd: the descriptor of the folder of a path, from trusted_paths.py. The function then acts in this folder, wherever the path
leads meanwhile; the path is for errors. Without one, nobody else can change where the path leads.
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

READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # does not wait for the writer of a pipe
MAX_FILE_BYTES = 1 << 20  # of a key, a chain or a password, which another user may own
LOCK_TIMEOUT_S = 60.0
FOLDER_MODE = 0o755  # of what make_folder() makes
LOCK_INTERVAL_S = 0.05


def create_file(
    path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1, *, dir_fd: int | None = None
) -> None:
    """Write a new file, with its mode and owner from its first byte on, and sync it to the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with path_in_errors(path):
        descriptor = os.open(_name(path, dir_fd), flags, 0o600, dir_fd=dir_fd)
    with path_in_errors(path), open(descriptor, "wb") as stream:
        if (owner, group) != (-1, -1):
            os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def replace_file(
    path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1, *, dir_fd: int | None = None
) -> None:
    """Replace a file by one rename, so that nobody ever reads half of it, and sync its folder."""
    write_file(path, content, mode, owner, group, dir_fd=dir_fd)
    sync_folder(os.path.dirname(path), dir_fd)


def write_file(
    path: str, content: bytes, mode: int = 0o644, owner: int = -1, group: int = -1, *, dir_fd: int | None = None
) -> None:
    """Replace a file by one rename. The caller syncs the folder, once for several files."""
    folder, name = os.path.split(path)
    temporary = _unused_name(folder, name)
    try:
        create_file(temporary, content, mode, owner, group, dir_fd=dir_fd)
        _rename(temporary, path, dir_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_file(temporary, dir_fd)
        raise


# not a parser: it accepts any text, or raises TlsError
def remove_temporary_files(path: str, dir_fd: int | None = None) -> None:
    """Remove the temporary files that write_file() left beside *path* in runs that were killed.

    The caller makes sure, by a lock, that no other run is writing the file.
    """
    folder, name = os.path.split(path)
    for entry in os.listdir(folder if dir_fd is None else dir_fd):
        if re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}", entry):
            remove_file(os.path.join(folder, entry), dir_fd)


def remove_file(path: str, dir_fd: int | None = None) -> None:
    """Remove a file or a link. The caller syncs the folder."""
    with path_in_errors(path):
        os.unlink(_name(path, dir_fd), dir_fd=dir_fd)


def is_link(path: str, dir_fd: int | None = None) -> bool:
    """Return whether *path* is a symbolic link."""
    return read_link(path, dir_fd) is not None


def read_link(path: str, dir_fd: int | None = None) -> str | None:
    """Return the target of a symbolic link, or None if there is none."""
    try:
        return os.readlink(_name(path, dir_fd), dir_fd=dir_fd)
    except OSError:
        return None


def replace_link(target: str, path: str, dir_fd: int | None = None) -> None:
    """Replace *path*, by one rename, by a symbolic link to *target*, and sync its folder.

    In a folder of another user, the link belongs to that user, who could move a link of root to a folder like /tmp, where programs of root
    follow links of root (fs.protected_symlinks in proc_sys_fs(5)).
    """
    with effective_user(os.geteuid() if dir_fd is None else os.fstat(dir_fd).st_uid):
        _replace_link(target, path, dir_fd)
    sync_folder(os.path.dirname(path), dir_fd)


def set_attributes(path: str, mode: int, owner: int = -1, group: int = -1) -> None:
    """Give a file its mode and owner.

    Raises TlsError for anything but a regular file, and for a file with other names, which may be somebody else's.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise TlsError(
                f"{path} is not a regular file of its own, but a link or a device; move it away and run this again"
            )
        with path_in_errors(path):
            os.fchown(descriptor, owner, group)
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def temporary_link(path: str) -> str:
    """Return the path at which replace_link() makes a link before it renames it.

    It is always the same, so that the link of a run that was killed can be found in a folder that is not ours.
    """
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.new")


def make_folder(path: str) -> None:
    """Make a folder and those above it where they are missing, and sync the folders around them."""
    is_missing = bool(path) and not os.path.isdir(path)
    if is_missing:
        if not os.path.isdir(os.path.dirname(path) or "."):
            make_folder(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, FOLDER_MODE)
            open_folder(path)
    try:
        sync_folder(os.path.dirname(path))  # also for a run that was killed before it could
    except PermissionError:
        if is_missing:
            raise


def open_folder(path: str) -> None:
    """Let everybody list and pass a folder, whatever the umask was when it was made."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode | FOLDER_MODE != mode:
        os.chmod(path, mode | FOLDER_MODE)


def is_closed_folder(path: str) -> bool:
    """Return whether others cannot pass a folder of ours, as one that was made with a umask of 077 or 027.

    A folder of another group than that of this process was given to it by a person, and is not meant.
    """
    status = os.stat(path)
    is_ours = (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    return is_ours and status.st_mode & FOLDER_MODE != FOLDER_MODE


def remove_folder(path: str) -> None:
    """Remove a folder with its content."""
    with path_in_errors(path):
        shutil.rmtree(path)


def sync_folder(path: str, dir_fd: int | None = None) -> None:
    """Sync the names in a folder to the disk. dir_fd: a descriptor of this folder."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if dir_fd is None else dir_fd
    try:
        with path_in_errors(path):
            os.fsync(descriptor)
    finally:
        if dir_fd is None:
            os.close(descriptor)


@contextlib.contextmanager
def effective_user(user: int) -> t.Iterator[None]:
    """Act as another user, if this runs as root."""
    if os.geteuid() != 0 or user == 0:
        yield
        return
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def path_in_errors(path: str) -> t.Iterator[None]:
    """Set the file name of any OSError raised within: errors about descriptors and links lack it."""
    try:
        yield
    except OSError as error:
        error.filename = path
        raise


# not a parser: it reads what the collection has made or checked
def _lock_byte(descriptor: int, offset: int) -> None:
    """Lock one byte of a file, or raise OSError."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        return
    # struct flock: l_type, l_whence, l_start, l_len, l_pid (0 for locks of open files)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0))


@contextlib.contextmanager
def locked(path: str, timeout: float = LOCK_TIMEOUT_S, offset: int | None = None) -> t.Iterator[None]:
    """Hold a lock on a file, which is created where it is missing. Whoever can open the file could hold the lock, too.

    The kernel releases the lock if this process dies.

    timeout: seconds to wait for another process. Raises TlsError after them.
    offset: lock the byte at this offset alone, so that one file is any number of locks. On Linux these belong to the open file;
    elsewhere they belong to the process, which then holds one at a time.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                with path_in_errors(path):
                    if offset is None:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    else:
                        _lock_byte(descriptor, offset)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() > deadline:
                raise TlsError(
                    f"another process has held {path} for {timeout:.0f} seconds; wait for it, then run this again"
                )
            time.sleep(LOCK_INTERVAL_S)
        yield
    finally:
        os.close(descriptor)


def _replace_link(target: str, path: str, dir_fd: int | None) -> None:
    temporary = temporary_link(path)
    if is_link(temporary, dir_fd):
        remove_file(temporary, dir_fd)  # a run that was killed left it
    try:
        with path_in_errors(temporary):
            os.symlink(target, _name(temporary, dir_fd), dir_fd=dir_fd)
    except PermissionError as error:
        if error.errno != errno.EPERM:  # symlink(2): the file system has no symbolic links
            raise
        raise TlsError(
            f"the file system of {os.path.dirname(path)} has no symbolic links; choose a folder on another one, such as ext4 or xfs"
        ) from error
    try:
        _rename(temporary, path, dir_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_file(temporary, dir_fd)
        raise


def _name(path: str, dir_fd: int | None) -> str:
    """Return a path as the functions of os take it together with dir_fd."""
    return path if dir_fd is None else os.path.basename(path)


def _rename(old: str, new: str, dir_fd: int | None) -> None:
    with path_in_errors(old):
        os.rename(_name(old, dir_fd), _name(new, dir_fd), src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def _unused_name(folder: str, name: str) -> str:
    return os.path.join(folder, f".{name}.{secrets.token_hex(4)}")


def read_file(path: str, offset: int = 0, max_bytes: int = -1, *, is_cut: bool = False) -> bytes | None:
    """Return the content of a file from an offset on, or None if there is no file.

    Raises TlsError for a device or pipe, which might never end, and for more than max_bytes, unless that is -1 or is_cut says that
    the rest is left out.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder raises an error that names it
            raise TlsError(_not_regular(path))
        with open(path, "rb", opener=_open_at_once) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # it was exchanged since
                raise TlsError(_not_regular(path))
            stream.seek(offset)
            return stream.read(max_bytes) if is_cut else _read_at_most(stream, max_bytes, path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:  # a path that no file can have, such as one with a zero byte
        return None


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_file_in(
    path: str, dir_fd: int, check: t.Callable[[os.stat_result], None] = lambda _status: None
) -> bytes | None:
    """Return the content of a file in a folder, or None if there is no file.

    check: called with the status of the file that is open, before it is read, whatever has its name meanwhile.
    Raises TlsError for anything but a regular file, since a symbolic link is not followed, and for more than MAX_FILE_BYTES.
    """
    try:
        with path_in_errors(path):
            descriptor = os.open(_name(path, dir_fd), READ_FILE, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):  # a symbolic link, a socket
            raise
        raise TlsError(_not_regular(path)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise TlsError(_not_regular(path))
        check(status)
        with path_in_errors(path), open(descriptor, "rb", closefd=False) as stream:
            return _read_at_most(stream, MAX_FILE_BYTES, path)
    finally:
        os.close(descriptor)


def _read_at_most(stream: t.BinaryIO, max_bytes: int, path: str) -> bytes:
    """Return the rest of a file. Raises TlsError for more than max_bytes, unless that is -1."""
    content = stream.read(max_bytes + 1 if max_bytes >= 0 else -1)
    if 0 <= max_bytes < len(content):
        raise TlsError(
            f"{path} has more than {max_bytes} bytes, which no key, certificate or password has; move it away and run this again"
        )
    return content


def _not_regular(path: str) -> str:
    return f"{path} is not a regular file; move it away and run this again"
