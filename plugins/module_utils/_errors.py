# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors as sentences for the user."""

from __future__ import annotations

import errno
import typing as t

REMEDIES = {  # by errno
    errno.EACCES: "run this as a user who may, or with become",
    errno.EPERM: "run this as a user who may, or with become",
    errno.ENOSPC: "free some space there and run this again",
    errno.EDQUOT: "free some space there, or raise the quota, and run this again",
    errno.EROFS: "mount that file system writable and run this again",
    errno.EIO: "look after that disk, then run this again",
    errno.EEXIST: "move away what stands there and run this again",
    errno.ENOENT: "create what is missing and run this again",
    errno.ENOTDIR: "move away what stands in the place of a folder and run this again",
    errno.EISDIR: "move away the folder that stands in the place of a file and run this again",
    errno.ELOOP: "remove the symbolic link there and run this again",
    errno.EBUSY: "unmount what is mounted there, or end what uses it, and run this again",
    errno.ENOMEM: "free some memory and run this again",
    errno.EAGAIN: "end some processes, or raise their limit, and run this again",
    errno.EMFILE: "raise the limit of open files and run this again",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class TlsError(Exception):
    """A sentence that says what is wrong and ends in what to do.

    It is caught once per module or action, which returns the details, for programs, together with the sentence.
    """

    def __init__(self, sentence: str, **details: t.Any) -> None:
        super().__init__(sentence)
        self.details = details


def system_error(error: OSError) -> TlsError:
    """Return an error of the operating system as a sentence with what to do about it.

    >>> system_error(PermissionError(13, "Permission denied", "/etc/evergreen"))
    TlsError('/etc/evergreen: Permission denied; run this as a user who may, or with become')
    """
    where = f"{error.filename}: " if error.filename else ""
    what = error.strerror or str(error)
    return TlsError(f"{where}{what}; {REMEDIES.get(error.errno or 0, 'put that right and run this again')}")
