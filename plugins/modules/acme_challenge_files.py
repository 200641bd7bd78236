#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import secrets
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import Module, ModuleResult, run_module
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    effective_user,
    path_in_errors,
    write_file,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    PathUse,
    check_inner_folder,
    is_trusted,
    trusted_folder,
    whose_folder,
    whose_folder_in,
)

CHALLENGE_FOLDERS = (".well-known", "acme-challenge")  # RFC 8555, section 8.3
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")  # RFC 8555, section 8.1
THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
TEMPORARY_NAME = re.compile(r"\.([A-Za-z0-9_-]+)\.[0-9a-f]{8}")  # of a file that write_file() leaves when it is killed
NAME_IS_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)  # of a rename, where another run was faster
MAX_FILE_BYTES = 256  # a correct file has less
MAX_AGE_S = 24 * 60 * 60  # after which no run waits for a file


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "str", "default": "/var/www/html"},
            "files": {"type": "dict", "required": True},
            "owner": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


# not a parser: check_file() looks at what it writes
def decide(module: Module) -> ModuleResult:
    """Write or remove the files, and remove old files of earlier runs."""
    path, files, is_present = module.params["path"], module.params["files"], module.params["state"] == "present"
    use = PathUse("path", user_id(module.params.get("owner")), "owner of the solver webroot")
    os.umask(0o022)  # so that any web server can read what is created
    for token, content in files.items():
        check_file(token, content)
    with open_challenge_folder(path, use, may_create=is_present and not module.check_mode) as folder:
        existing = {name: read_small_file(folder, name) for name in names_in(folder)}
        before = {name: content for name, content in existing.items() if name in files}
        after = files if is_present else {}
        if folder is not None and not module.check_mode:
            for name in set(before) - set(after):
                remove_file(folder, name)
            for name in after:
                if before.get(name) != after[name]:
                    where = os.path.join(path, *CHALLENGE_FOLDERS, name)
                    write_file(where, after[name].encode("ascii"), 0o644, use.owner, dir_fd=folder)
            for name in leftovers(existing, files):
                remove_old_file(folder, name)
    where = os.path.join(path, *CHALLENGE_FOLDERS)
    count = f"{len(files)} file{'s are' if len(files) > 1 else ' is'}" if files else "nothing is"
    return {
        "changed": before != after,
        "diff": {"before": listing(before), "after": listing(after), "before_header": where, "after_header": where},
        "msg": f"{count} {'shown in' if is_present else 'removed from'} {where}",
    }


# not a parser: it accepts any text, or raises TlsError
def check_file(token: str, content: t.Any) -> None:
    """Raise TlsError if this is no key authorization (RFC 8555, section 8.1): nothing else is written."""
    first, _dot, thumbprint = str(content).partition(".")
    if not TOKEN.fullmatch(token) or first != token or not THUMBPRINT.fullmatch(thumbprint):
        raise TlsError(f"files: {token!r} is no token with its key authorization; pass what acme_order returns")


def user_id(name: str | None) -> int:
    """Return the number of a user, or -1 for None. Raises TlsError if there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid if name else -1
    except KeyError as error:
        raise TlsError(
            f"owner: there is no user {name} on this host; create it, or correct owner of the solver webroot"
        ) from error


@contextlib.contextmanager
def open_challenge_folder(path: str, use: PathUse, may_create: bool) -> t.Iterator[int | None]:
    """Yield a descriptor of the folder of the files, or None if there is none.

    No symbolic link below *path* is followed: the owner of a folder on the way could redirect what root writes.
    """
    with contextlib.ExitStack() as stack:
        descriptor: int | None
        try:
            descriptor = stack.enter_context(trusted_folder(path, use))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise TlsError(
                f"{path} is no folder on this host{whose_folder_in(error)}; correct path of the solver webroot, or create it"
            ) from error
        for name in CHALLENGE_FOLDERS:
            path = os.path.join(path, name)
            if descriptor is None:
                break
            parent, descriptor = descriptor, open_folder_in(descriptor, path, use, may_create)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
                check_inner_folder(os.fstat(descriptor), path, use, os.fstat(parent))
        yield descriptor


def open_folder_in(parent: int, path: str, use: PathUse, may_create: bool) -> int | None:
    """Return a descriptor of the folder *path* in the one above it, or None if it does not exist."""
    name = os.path.basename(path)
    if may_create:
        make_folder_in(parent, path, use)
    try:
        descriptor = os.open(name, OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TlsError(
            f"{path} is a symbolic link or no folder, and root would write where its owner wants{whose_folder(path, parent)}; put a folder "
            "in its place"
        ) from error
    return descriptor


def make_folder_in(parent: int, path: str, use: PathUse) -> None:
    """Make the folder *path* in the one above it, unless its name is taken. It belongs to the owner once it has its name."""
    name = os.path.basename(path)
    with contextlib.suppress(FileNotFoundError):
        os.lstat(name, dir_fd=parent)
        return
    with path_in_errors(path), contextlib.suppress(FileExistsError):
        if not is_trusted(os.fstat(parent)):  # whose owner could put another folder there before a change of its owner
            with effective_user(use.owner):
                os.mkdir(name, 0o755, dir_fd=parent)
        elif use.owner == -1:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            make_folder_of_owner(parent, name, use.owner)


def make_folder_of_owner(parent: int, name: str, owner: int) -> None:
    """Make a folder of another user in a folder in which nobody else can exchange it."""
    staged = f".{name}.{secrets.token_hex(4)}"
    os.mkdir(staged, 0o755, dir_fd=parent)
    try:
        os.chown(staged, owner, -1, dir_fd=parent, follow_symlinks=False)
        os.rename(staged, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.rmdir(staged, dir_fd=parent)
        if not isinstance(error, OSError) or error.errno not in NAME_IS_TAKEN:
            raise


def names_in(folder: int | None) -> list[str]:
    """Return the names in a folder; none if there is no folder."""
    return [] if folder is None else sorted(os.listdir(folder))


# not a parser: it accepts any text, or raises TlsError
def read_small_file(folder: int | None, name: str) -> str | None:
    """Return the first MAX_FILE_BYTES of a file, or None for anything that cannot be read as one."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(name, "rb", opener=lambda path, _flags: os.open(path, flags, dir_fd=folder)) as stream:
            return stream.read(MAX_FILE_BYTES).decode("ascii", "replace")
    except OSError:
        return None


# not a parser: it accepts any text, or raises TlsError
def leftovers(existing: dict[str, str | None], files: dict[str, str]) -> list[str]:
    """Return the names of files that earlier runs of this ACME account may have left, whole or unfinished."""
    thumbprints = {content.partition(".")[2] for content in files.values()}
    names = []
    for name, content in existing.items():
        temporary = TEMPORARY_NAME.fullmatch(name)
        whole = {f"{temporary[1] if temporary else name}.{thumbprint}" for thumbprint in thumbprints}
        is_ours = content in whole or (temporary and any(one.startswith(content or "") for one in whole))
        if is_ours and name not in files and content is not None:
            names.append(name)
    return names


def remove_old_file(folder: int, name: str) -> None:
    """Remove a file that is older than MAX_AGE_S. Other runs may write and remove here at the same time."""
    with contextlib.suppress(OSError):
        if time.time() - os.lstat(name, dir_fd=folder).st_mtime > MAX_AGE_S:
            os.unlink(name, dir_fd=folder)


def remove_file(folder: int, name: str) -> None:
    """Remove a file, unless another run was faster."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def listing(names: t.Iterable[str]) -> str:
    """Return names for a diff, one a line."""
    return "".join(f"{name}\n" for name in sorted(names))


if __name__ == "__main__":
    main()
