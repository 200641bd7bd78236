# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of single values, which requests and their exports share."""

from __future__ import annotations

import collections
import os
import re
import typing as t
import unicodedata

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

UNPRINTABLE_CATEGORIES = ("Cc", "Cs")  # of Unicode: control characters, and surrogates
MODE = re.compile("0?[0-7]{3}")
MAX_PATH_IN_SENTENCE = 100  # characters
PEM_BEGIN = "-----BEGIN "
BELOW_HOME = re.compile(r"^~(/|$)|\$HOME\b|\$\{HOME\}")


def is_printable(text: str) -> bool:
    """Return whether the text has neither control characters nor surrogates.

    Unlike str.isprintable(), it allows any blank, such as U+00A0.
    """
    return not any(unicodedata.category(character) in UNPRINTABLE_CATEGORIES for character in text)


def repeated(words: t.Iterable[str]) -> str:
    """Return the words that occur more than once, sorted and with commas; nothing if each occurs once."""
    return ", ".join(sorted(word for word, times in collections.Counter(words).items() if times > 1))


def check_names(names: t.Mapping[str, str | None]) -> None:
    """Raise TlsError unless each name, by its option, has no control characters and no blanks around it."""
    for option, name in names.items():
        if name and (name != name.strip() or not is_printable(name)):
            raise TlsError(
                f"{option} is {name!r}, and a name has no control characters, nor blanks around it; correct it"
            )


def check_path(option: str, path: str) -> None:
    """Raise TlsError unless the path is absolute and normalized."""
    if not os.path.isabs(path) or os.path.normpath(path) != path or not is_printable(path):
        raise TlsError(f"{option}: {path!r} is not an absolute path in its plain form; correct it")


def absolute_folder(option: str, path: str) -> str:
    """Return the folder of the controller that an option names, normalized, after ~ and variables were replaced.

    Raises TlsError unless it begins with C(/): it would be another folder for another user or in another place, and what is kept there would be made anew.
    """
    if path.startswith("/"):
        return os.path.normpath(path)
    first = path.partition("/")[0]
    if first == "~":
        why = "the home folder of ~ is not known here: HOME is not set, and this user has no entry in /etc/passwd; set HOME, or"
    elif first.startswith("~"):
        why = f"there is no user {shorten(first[1:], MAX_PATH_IN_SENTENCE)!r} here; correct it, or"
    elif "$" in first:
        why = f"{shorten(first, MAX_PATH_IN_SENTENCE)!r} is not set here; set it, or"
    else:
        why = "it is another folder wherever Ansible is started;"
    raise TlsError(f"{option} is {shorten(path, MAX_PATH_IN_SENTENCE)!r}, and {why} write a path that begins with /")


def check_home(option: str, path: t.Any) -> None:
    """Raise TlsError if a path of the controller is below the home folder, and HOME is set to something else than an absolute path.

    path: as it is written, before ~ and variables are replaced.
    """
    home = os.environ.get("HOME")
    if home is None or home.startswith("/") or not isinstance(path, str) or not BELOW_HOME.search(path):
        return
    raise TlsError(
        f"{option} is {path!r}, and HOME is {home!r} here, which is not an absolute path; set HOME to the home folder of this user, or "
        "write a path that begins with /"
    )


def check_no_pem(option: str, path: t.Any) -> None:
    """Raise TlsError if a value is the text of a PEM file, and not its path. The text is not repeated: it may be a private key."""
    if isinstance(path, str) and PEM_BEGIN in path:
        raise TlsError(
            f"{option} is the text of a PEM file, and its path is expected; write the text to a file, and the path of that file here"
        )


def check_key_mode(mode: str, where: str = "") -> None:
    """Raise TlsError unless the octal mode fits the file of a private key.

    where: the beginning of the message.
    """
    if not MODE.fullmatch(mode) or int(mode, 8) & 0o037 or not int(mode, 8) & 0o400:
        raise TlsError(
            f"{where}mode is {mode}, and the private key's file must be readable by its owner, at most readable by its group, "
            'and closed to all others; write "0600" or "0640"'
        )


def check_certificate_mode(mode: str, where: str = "") -> None:
    """Raise TlsError unless the octal mode fits the file of a certificate.

    where: the beginning of the message.
    """
    if not MODE.fullmatch(mode) or int(mode, 8) & 0o133:
        raise TlsError(f'{where}mode is {mode}, and others may at most read a certificate; write "0644" or "0640"')
