# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of an appliance, as the collection sees them, whatever the way to them."""

from __future__ import annotations

import posixpath
import typing as t

MAX_FILE_BYTES = 1 << 20  # a larger file is no certificate

FileKind = t.Literal["file", "folder", "link", "other"]


class RemoteFiles(t.Protocol):
    """Files of an appliance. Each method raises TlsError, which names the appliance and the path."""

    has_atomic_replace: (
        bool  # whether replace() and link() are there; without them a file is absent for a moment while it is replaced
    )

    def kind(self, path: str) -> FileKind | None:
        """Return what is at a path, without following a link; None where there is nothing."""

    def read(self, path: str) -> bytes:
        """Return the content of a file of at most MAX_FILE_BYTES."""

    def write_new(self, path: str, content: bytes, mode: int, like: str) -> None:
        """Write a file that nobody else can read while it is written, and give it its mode in the end.

        A file of this path is removed before. like: the file whose owner and group it gets, where there is such a file.
        """

    def link(self, path: str, other: str) -> None:
        """Give a file a second name."""

    def replace(self, path: str, other: str) -> None:
        """Give a file the name of another, which is replaced."""

    def rename(self, path: str, other: str) -> None:
        """Give a file a name that is free."""

    def remove(self, path: str) -> None:
        """Remove a file; it need not be there."""


def new_name(path: str) -> str:
    """Return the name under which a file is uploaded. Servers that read whole folders leave out names that begin with a dot."""
    return _beside(path, "new")


def before_name(path: str) -> str:
    """Return the name that the file of before has until the new one is proved."""
    return _beside(path, "before")


def unproved_name(path: str) -> str:
    """Return the name of the file that is there while new files are not proved."""
    return _beside(path, "unproved")


# not a parser: it reads what the collection has made or checked
def _beside(path: str, ending: str) -> str:
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name}.evergreen-{ending}")
