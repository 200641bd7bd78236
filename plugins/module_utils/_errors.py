# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors as sentences for the user."""

from __future__ import annotations

import contextlib
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
    errno.EXDEV: "let that folder and what is in it be on one file system, and run this again",
    errno.EMLINK: "remove folders there that nobody needs, and run this again",
}


MAX_ERROR_LENGTH = 200  # characters of what a library says


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


@contextlib.contextmanager
def errors_as(sentence_of: t.Callable[[str], str]) -> t.Iterator[None]:
    """Raise TlsError for whatever the code within raises: libraries raise more than they document.

    sentence_of: returns the sentence, given what the library says on one line. TlsError and OSError pass as they are.
    A panic of the Rust in cryptography is no Exception, and is caught by its name.
    """
    try:
        yield
    except (TlsError, OSError):
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        raise TlsError(sentence_of(error_text(error))) from error


def is_failure(error: BaseException) -> bool:
    """Say whether an error is a failure of the code, and not a wish to end, such as an interrupt."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def error_text(error: BaseException) -> str:
    """Return the type and the text of an error on one line, escaped and no longer than MAX_ERROR_LENGTH.

    >>> error_text(ValueError("year 0 is out of range"))
    'ValueError: year 0 is out of range'
    """
    words = " ".join(f"{type(error).__name__}: {error}"[: 2 * MAX_ERROR_LENGTH].split()).rstrip(": ")
    return "".join(character if character.isprintable() else "?" for character in words)[:MAX_ERROR_LENGTH]


def unexpected_error(error: BaseException) -> str:
    """Return a sentence about an error that nobody thought of. Its traceback is for whoever shows it at C(-vvv)."""
    return f"it ended in an error that is not foreseen ({error_text(error)}); run this again with -vvv, and report what that shows"
