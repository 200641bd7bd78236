# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpack ZIP archives of strangers, in bounded time and space: nothing that an archive says of itself is believed."""

from __future__ import annotations

import io
import typing as t
import zipfile

from ansible_collections.evergreen.tls.plugins.module_utils._errors import error_text, is_failure
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

MAX_ARCHIVE_BYTES = 8 * 1024 * 1024
MAX_UNPACKED_BYTES = 4 * MAX_ARCHIVE_BYTES  # of all files in an archive and in its archives
MAX_FILES_IN_ARCHIVE = 1000  # whatever they are, in an archive and in its archives
MAX_ARCHIVE_DEPTH = 3  # archives within archives
READ_BYTES = 64 * 1024
MAX_SHOWN_NAME_LENGTH = 100
# Others are unpacked by Python without any limit of what a few bytes may grow to.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1  # the bit of the flags of a file in an archive
ENTRY = b"PK\x01\x02"  # with which the entry of each file in the list of an archive begins
UNSUPPORTED_ARCHIVE = "that is archived in a way that is not read here; put what is in it into the inbox instead"


class ArchiveBudget:
    """What may be unpacked still of one file of the inbox. All of it counts, whether it turns out well or not."""

    def __init__(self) -> None:
        self.bytes_left = MAX_UNPACKED_BYTES
        self.files_left = MAX_FILES_IN_ARCHIVE

    @property
    def is_spent(self) -> bool:
        """Whether more was asked for than there is."""
        return self.bytes_left < 0 or self.files_left < 0


TOO_LARGE = (
    f"it is an archive of more than {MAX_FILES_IN_ARCHIVE} files or {MAX_UNPACKED_BYTES} bytes, as nobody sends certificates; "
    "remove it"
)


def unpack(content: bytes, depth: int, budget: ArchiveBudget, messages: list[str]) -> t.Iterator[bytes]:
    """Yield the files in an archive that can be unpacked, and add a sentence to *messages* about each that cannot.

    depth: the number of archives around it.
    """
    if depth >= MAX_ARCHIVE_DEPTH:
        messages.append(f"it has more than {MAX_ARCHIVE_DEPTH} archives within each other; unpack it yourself")
    elif len(content) > MAX_ARCHIVE_BYTES:
        messages.append(f"it is an archive of {len(content)} bytes, and {MAX_ARCHIVE_BYTES} are read; see what it is")
    elif content.count(ENTRY) > max(budget.files_left, 0):  # before the list is read, which takes as long as it is
        budget.files_left = -1
        messages.append(TOO_LARGE)
    else:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from _unpack_members(archive, len(content), budget, messages)
        except BaseException as error:
            if not is_failure(error):
                raise
            messages.append(f"it is an archive that cannot be read ({error_text(error)}); have it sent again")


def _unpack_members(
    archive: zipfile.ZipFile, size: int, budget: ArchiveBudget, messages: list[str]
) -> t.Iterator[bytes]:
    members = archive.infolist()
    if sum(member.compress_size for member in members) > size:  # files that share their bytes
        messages.append(TOO_LARGE)
        return
    for member in members:
        budget.files_left -= 1
        if budget.is_spent:
            messages.append(TOO_LARGE)
            return
        if member.is_dir() or member.filename.startswith("__MACOSX/"):
            continue
        part = _unpack_member(archive, member, budget, messages)
        if budget.is_spent:
            messages.append(TOO_LARGE)
            return
        if part:
            yield part


def _unpack_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: ArchiveBudget, messages: list[str]
) -> bytes | None:
    """Return a file of an archive; None when it cannot be read, or is too large."""
    name = escape_control_characters(member.filename[-MAX_SHOWN_NAME_LENGTH:])
    if member.flag_bits & ENCRYPTED:
        messages.append(f"{name} in it is protected by a password; unpack it yourself")
        return None
    if member.compress_type not in METHODS:
        messages.append(f"{name} in it is something {UNSUPPORTED_ARCHIVE}")
        return None
    part = bytearray()
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(READ_BYTES):
                part += chunk
                budget.bytes_left -= len(chunk)
                if len(part) > MAX_ARCHIVE_BYTES:
                    budget.bytes_left = -1
                if budget.is_spent:
                    return None
    except BaseException as error:
        if not is_failure(error):
            raise
        messages.append(f"{name} in it cannot be unpacked ({error_text(error)}); have it sent again")
        return None
    return bytes(part)
