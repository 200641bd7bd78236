# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open the folders of paths in which root reads and writes files: the one place that resolves such paths.

The inventory names the path, and another user may own a folder on the way: whoever owns a folder can put a symbolic link, or
another folder, in the place of what is in it. So a path is walked folder by folder, each opened in the one before it.

- Each folder belongs to root, to the user that this runs as, or to the owner of the file. Others cannot write to it, but for
  folders with the sticky bit (/tmp), in which they cannot rename what belongs to somebody else.
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
    """
    with contextlib.ExitStack() as stack:
        folder = _walk(path, use, stack)
        with path_in_errors(path):
            descriptor = os.open(".", LIST_FOLDER, dir_fd=folder)
        stack.callback(os.close, descriptor)
        yield descriptor


def check_folder(path: str, use: PathUse) -> None:
    """Raise TlsError if a folder or link of somebody else is on the way to the folder *path*, as far as that exists."""
    with contextlib.ExitStack() as stack, contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _walk(path, use, stack)


def check_status(status: os.stat_result, path: str, use: PathUse) -> None:
    """Raise TlsError if the folder *path*, of this status, belongs to somebody else or can be written by others."""
    me = os.geteuid()
    if status.st_uid not in (0, me, use.owner):
        remedy = f"let {use.owner_option} name that user, or " if use.owner_option else ""
        raise TlsError(
            f"{use.option}: the folder {path} belongs to {user_name(status.st_uid)}, who could lead to other files from there; {remedy}"
            f"run chown {me} on it after a look at what is in it, or choose a path elsewhere"
        )
    if status.st_mode & WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
        others = "everybody" if status.st_mode & stat.S_IWOTH else "its group"
        raise TlsError(
            f"{use.option}: the folder {path} of {user_name(status.st_uid)} can be written by {others}, who could lead to other files from "
            "there; run chmod go-w on it after a look at what is in it, or choose a path elsewhere"
        )


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
        check_status(os.fstat(descriptor), where, use)
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


def _link_target(parent: int, name: str, where: str, use: PathUse) -> str | None:
    """Return the target of a symbolic link in a folder, or None for anything else. Raises TlsError unless root alone made it."""
    with path_in_errors(where):
        status = os.lstat(name, dir_fd=parent)
    if not stat.S_ISLNK(status.st_mode):
        return None
    folder, ours = os.fstat(parent), (0, os.geteuid())
    if folder.st_uid not in ours or folder.st_mode & WRITABLE_BY_OTHERS or status.st_uid not in ours:
        owner = user_name(status.st_uid if folder.st_uid in ours else folder.st_uid)
        raise TlsError(
            f"{use.option}: {where} is a symbolic link, which {owner} could lead to other files, in the folder {os.path.dirname(where)} of "
            f"{user_name(folder.st_uid)}; put a folder in its place, or choose a path elsewhere"
        )
    with path_in_errors(where):
        return os.readlink(name, dir_fd=parent)
