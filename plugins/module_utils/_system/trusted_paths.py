# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open the folders of paths in which root reads and writes files: the one place that resolves such paths.

The inventory names the path, and another user may own a folder on the way: whoever owns a folder can put a symbolic link, or
another folder, in the place of what is in it. So a path is walked folder by folder, each opened in the one before it.

- Each folder belongs to root, to the user that this runs as, or to the owner of the file. Others cannot write to it, but for
  folders with the sticky bit (/tmp), in which they cannot rename what belongs to somebody else.
- Below a folder of the owner of the file, all folders belong to that owner. A folder of root there may be any folder of root that
  the owner moved there, or a file system of the owner that gives root as the user of its files.
- A symbolic link is followed where root, or the user that this runs as, made it in a folder that nobody else can write to, such as
  /var/run or /bin. Its target is walked in the same way.

The caller acts in the folder through its descriptor (dir_fd), so that nothing can be exchanged after the check.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import path_in_errors

MAX_LINKS = 40  # as in Linux, path_resolution(7)
IN_FOLDER = ", in the folder"
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# With O_PATH a folder can be passed that may not be listed, such as a home.
PASS_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LIST_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PathUse(t.NamedTuple):
    """What a path is for.

    option: the option that names the path, for errors.
    owner: the number of the user to whom folders may belong besides root, or -1.
    owner_option: the option that names this user, for errors, or an empty text.
    """

    option: str
    owner: int = -1
    owner_option: str = ""


@contextlib.contextmanager
def trusted_folder(path: str, use: PathUse) -> t.Iterator[int]:
    """Yield a descriptor of the folder *path*, which can be listed and synced.

    Raises TlsError for a folder or link of somebody else on the way, and FileNotFoundError or NotADirectoryError if there is none.
    An OSError about a path in the folder of another user names this user.
    """
    with contextlib.ExitStack() as stack:
        folder = _walk(path, use, stack)
        with path_in_errors(path):
            descriptor = os.open(".", LIST_FOLDER, dir_fd=folder)
        stack.callback(os.close, descriptor)
        with _owner_in_errors(descriptor, path):
            yield descriptor


def check_folder(path: str, use: PathUse) -> None:
    """Raise TlsError if a folder or link of somebody else is on the way to the folder *path*, as far as that exists."""
    with contextlib.ExitStack() as stack, contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _walk(path, use, stack)


def resolved_file(path: str, use: PathUse) -> str:
    """Return where a file is, after the symbolic links in its place, each of which only root could make.

    Raises TlsError as trusted_folder() does.
    """
    for _count in range(MAX_LINKS):
        with trusted_folder(os.path.dirname(path), use) as folder:
            target = _link_target(folder, os.path.basename(path), path, use)
        if target is None:
            return path
        path = os.path.join(os.path.dirname(path), target)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def is_trusted(status: os.stat_result) -> bool:
    """Return whether a file belongs to root, or to the user that this runs as."""
    return status.st_uid in (0, os.geteuid())


def whose_folder(path: str, dir_fd: int) -> str:
    """Return a clause that names the folder of *path* and its owner; empty for a folder of root."""
    status = os.fstat(dir_fd)
    return "" if is_trusted(status) else f"{IN_FOLDER} {os.path.dirname(path)} of {user_name(status.st_uid)}"


# not a parser: it reads what the collection has made or checked
def whose_folder_in(error: OSError) -> str:
    """Return the clause of whose_folder() that an error of trusted_folder() has."""
    return "".join((error.strerror or "").partition(IN_FOLDER)[1:])


def check_inner_folder(status: os.stat_result, path: str, use: PathUse, above: os.stat_result) -> None:
    """Raise TlsError if the folder *path*, of this status, is not one that may be in a folder of the status *above*."""
    check_status(status, path, use)
    if not is_trusted(above) and status.st_uid != above.st_uid:
        owner, parent = user_name(above.st_uid), os.path.dirname(path)
        raise TlsError(
            f"{use.option}: the folder {path} belongs to {user_name(status.st_uid)}, in the folder {parent} of {owner}, who could put another "
            f"folder in its place; run chown {owner.split()[-1]} on it after a look at what is in it, or choose a path elsewhere"
        )


def check_status(status: os.stat_result, path: str, use: PathUse) -> None:
    """Raise TlsError if the folder *path*, of this status, belongs to somebody else or can be written by others."""
    me = os.geteuid()
    if not is_trusted(status) and status.st_uid != use.owner:
        remedy = f"let {use.owner_option} name that user, or " if use.owner_option else ""
        raise TlsError(
            f"{use.option}: the folder {path} belongs to {user_name(status.st_uid)}, who could lead to other files from there; {remedy}"
            f"run chown {me} on it after a look at what is in it, or choose a path elsewhere"
        )
    others = other_writers(status)
    if others and not status.st_mode & stat.S_ISVTX:
        raise TlsError(
            f"{use.option}: the folder {path} of {user_name(status.st_uid)} can be written by {others}, who could lead to other files from "
            "there; run chmod go-w on it after a look at what is in it, or choose a path elsewhere"
        )


def other_writers(status: os.stat_result) -> str | None:
    """Return who can write to a folder of this status besides its owner, or None.

    Into such a folder they can move any file that is in a folder of theirs, with the sticky bit as well, and whoever owns the file.
    """
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    return "its group" if status.st_mode & stat.S_IWGRP else None


def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one who has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _walk(path: str, use: PathUse, stack: contextlib.ExitStack) -> int:
    """Return a descriptor of the folder *path*, which the stack closes together with those of the folders above."""
    folders: list[tuple[int, str]] = []  # from the top to where the walk is

    def enter(name: str, where: str, parent: int | None) -> None:
        with path_in_errors(where):
            descriptor = os.open(name, PASS_FOLDER, dir_fd=parent)
        stack.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        check_inner_folder(status, where, use, status if parent is None else os.fstat(parent))
        folders.append((descriptor, where))

    enter("/", "/", None)
    names = os.path.join(os.getcwd(), path).split("/")[::-1]  # what is left, the next one last
    links = 0
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del folders[max(len(folders) - 1, 1) :]
            continue
        parent, above = folders[-1]
        where = os.path.join(above, name)
        with _owner_in_errors(parent, above):
            target = _link_target(parent, name, where, use)
            if target is None:
                enter(name, where, parent)
                continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), where)
        if target.startswith("/"):
            del folders[1:]
        names += target.split("/")[::-1]
    return folders[-1][0]


@contextlib.contextmanager
def _owner_in_errors(folder: int, path: str) -> t.Iterator[None]:
    """Name the owner of the folder *path* in any OSError about a path in it, unless the folder is root's."""
    try:
        yield
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else ""
        if os.path.dirname(name) == path and error.strerror and IN_FOLDER not in error.strerror:
            error.strerror += whose_folder(name, folder)
        raise


def _link_target(parent: int, name: str, where: str, use: PathUse) -> str | None:
    """Return the target of a symbolic link in a folder, or None for anything else. Raises TlsError unless root alone made it."""
    with path_in_errors(where):
        status = os.lstat(name, dir_fd=parent)
    if not stat.S_ISLNK(status.st_mode):
        return None
    folder = os.fstat(parent)
    if not is_trusted(folder) or folder.st_mode & WRITABLE_BY_OTHERS or not is_trusted(status):
        owner = user_name(status.st_uid if is_trusted(folder) else folder.st_uid)
        raise TlsError(
            f"{use.option}: {where} is a symbolic link, which {owner} could lead to other files, in the folder {os.path.dirname(where)} of "
            f"{user_name(folder.st_uid)}; put a folder in its place, or choose a path elsewhere"
        )
    with path_in_errors(where):
        return os.readlink(name, dir_fd=parent)
