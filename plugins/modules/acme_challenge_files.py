#!/usr/bin/python
# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.evergreen.tls.plugins.module_utils._ansible_module import run_module
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import path_in_errors

FOLDERS = (".well-known", "acme-challenge")
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")  # RFC 8555, section 8.1
THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
UNFINISHED = re.compile(r"\.([A-Za-z0-9_-]+)\.[0-9a-f]{8}")  # what put() leaves behind when it is killed
LARGEST = 256  # bytes of a file; a right one has less
OLD = 24 * 60 * 60  # seconds after which nobody waits for a file any more


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "str", "default": "/var/www/html"},
            "files": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, decide)


def decide(module):
    """Have the files there, or not there, and remove what earlier runs have left."""
    path, files, is_wanted = module.params["path"], module.params["files"], module.params["state"] == "present"
    os.umask(0o022)  # so that anybody can read what is made
    for token, content in files.items():
        check_file(token, content)
    with folder(path, is_made=is_wanted and not module.check_mode) as descriptor:
        there = {name: read(descriptor, name) for name in names_in(descriptor)}
        before = {name: content for name, content in there.items() if name in files}
        after = files if is_wanted else {}
        if not module.check_mode:
            for name in set(before) - set(after):
                remove(descriptor, name)
            for name in after:
                if before.get(name) != after[name]:
                    put(descriptor, path, name, after[name])
            for name in left_behind(there, files):
                remove_old(descriptor, name)
    where = os.path.join(path, *FOLDERS)
    count = f"{len(files)} file{'s are' if len(files) > 1 else ' is'}" if files else "nothing is"
    return {
        "changed": before != after,
        "diff": {"before": listed(before), "after": listed(after), "before_header": where, "after_header": where},
        "msg": f"{count} {'shown in' if is_wanted else 'removed from'} {where}",
    }


# not a parser: it accepts any text, or raises TlsError
def check_file(token, content):
    """Make sure that a file is what a CA may want to read (RFC 8555, section 8.1), so that nobody has anything else written."""
    said, _dot, thumbprint = str(content).partition(".")
    if not TOKEN.fullmatch(token) or said != token or not THUMBPRINT.fullmatch(thumbprint):
        raise TlsError(f"files: {token!r} is no token with its key authorization; pass what acme_order returns")


@contextlib.contextmanager
def folder(path, is_made):
    """Open the folder of the files, without following a link of whoever owns what lies above it; None where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(path, FOLDER)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise TlsError(
                f"{path} is no folder on this host; correct path of the solver webroot, or create it"
            ) from error
        stack.callback(os.close, descriptor)
        for name in FOLDERS:
            path = os.path.join(path, name)
            if descriptor is not None:
                descriptor = within(descriptor, path, name, is_made)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
        yield descriptor


def within(above, path, name, is_made):
    """Open a folder in another one, made where it is missing and *is_made* says so; None where it is missing still."""
    if is_made:
        with contextlib.suppress(FileExistsError), path_in_errors(path):
            os.mkdir(name, 0o755, dir_fd=above)
    try:
        return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=above)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TlsError(
            f"{path} is a symbolic link or no folder, and root would write where its owner wants; put a folder in its place"
        ) from error


def names_in(descriptor):
    """Return the names in a folder, if there is one."""
    return [] if descriptor is None else sorted(os.listdir(descriptor))


# not a parser: it accepts any text, or raises TlsError
def read(descriptor, name):
    """Return the content of a small file, or None for anything else."""
    try:
        with open(
            os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor), "rb"
        ) as stream:
            return stream.read(LARGEST).decode("ascii", "replace")
    except OSError:
        return None


# not a parser: it accepts any text, or raises TlsError
def left_behind(there, files):
    """Return the names of what runs of this ACME account may have left: whole files, and the beginnings of some."""
    endings = {content.partition(".")[2] for content in files.values()}
    found = []
    for name, content in there.items():
        unfinished = UNFINISHED.fullmatch(name)
        whole = {f"{unfinished[1] if unfinished else name}.{ending}" for ending in endings}
        is_ours = content in whole or (unfinished and any(one.startswith(content or "") for one in whole))
        if is_ours and name not in files and content is not None:
            found.append(name)
    return found


def remove_old(descriptor, name):
    """Remove a file for which no run waits any more. Other runs write and remove here meanwhile."""
    with contextlib.suppress(OSError):
        if time.time() - os.lstat(name, dir_fd=descriptor).st_mtime > OLD:
            os.unlink(name, dir_fd=descriptor)


def put(descriptor, path, name, content):
    """Write a file that anybody can read, in one rename."""
    temporary = f".{name}.{secrets.token_hex(4)}"
    with path_in_errors(os.path.join(path, *FOLDERS, name)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(temporary, flags, 0o644, dir_fd=descriptor), "w", encoding="ascii") as stream:
                os.fchmod(stream.fileno(), 0o644)
                stream.write(content)
            os.rename(temporary, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        except OSError:
            remove(descriptor, temporary)
            raise


def remove(descriptor, name):
    """Remove a file; somebody else may have been faster."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=descriptor)


def listed(names):
    """Return names as a diff shows them."""
    return "".join(f"{name}\n" for name in sorted(names))


if __name__ == "__main__":
    main()
