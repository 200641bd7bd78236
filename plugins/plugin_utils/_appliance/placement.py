# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How new files take the places of those of before on an appliance, and how these come back.

/etc/ssl/private/
├── www.key                             the file that the server reads
├── .www.key.evergreen-new              uploaded, not yet in its place
├── .www.key.evergreen-before           what was in its place, until the new one is proved
└── .www.key.evergreen-unproved         beside the first file, while not all files are proved: which of them were not there before

A run may be killed between any two steps. Whatever is there without a proof goes back when the next run starts.
"""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.remote_files import (
    RemoteFiles,
    before_name,
    new_name,
    unproved_name,
)

RECORD_MODE = 0o600


# not a parser: it writes what the collection has made or checked
def place_new_files(files: RemoteFiles, paths: list[str]) -> None:
    """Put all uploaded files into their places, and keep those of before."""
    settle_interrupted(files, paths)
    absent = [path for path in paths if files.kind(path) is None]
    files.write_new(unproved_name(paths[0]), "".join(f"{path}\n" for path in absent).encode(), RECORD_MODE, paths[0])
    for path in paths:
        if path in absent:
            continue
        if files.has_atomic_replace:
            files.link(path, before_name(path))
        else:
            files.rename(path, before_name(path))
    for path in paths:
        files.replace(new_name(path), path)


# not a parser: what is no path of these is left alone
def put_back(files: RemoteFiles, paths: list[str]) -> None:
    """Put the files of before back into their places, as far as they are not there yet. A file that was not there is removed."""
    absent = files.read(unproved_name(paths[0])).decode("utf-8", "replace").splitlines()
    for path in paths:
        if files.kind(before_name(path)) is not None:
            files.replace(before_name(path), path)
            files.remove(before_name(path))  # rename(2) leaves it where both are names of one file
        elif path in absent:
            files.remove(path)
    files.remove(unproved_name(paths[0]))


def accept_new_files(files: RemoteFiles, paths: list[str]) -> None:
    """Remove what is left of the files of before, once the new ones are proved."""
    for name in (unproved_name(paths[0]), *map(before_name, paths)):
        files.remove(name)


def has_leftovers(files: RemoteFiles, paths: list[str]) -> bool:
    """Return whether a run was killed, or failed, before it was done with these files."""
    names = (unproved_name(paths[0]), *map(new_name, paths), *map(before_name, paths))
    return any(files.kind(name) is not None for name in names)


def settle_interrupted(files: RemoteFiles, paths: list[str]) -> None:
    """Undo what a killed run has done and not proved. If it was killed after the proof, remove what it has left."""
    if files.kind(unproved_name(paths[0])) is not None:
        put_back(files, paths)
    else:
        accept_new_files(files, paths)
