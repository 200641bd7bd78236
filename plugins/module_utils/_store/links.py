# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The symbolic links of a request, which lead to files of the version in use."""

from __future__ import annotations

import contextlib
import os
import stat

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.attributes import user_id
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import (
    is_link,
    read_link,
    remove_file,
    replace_link,
    sync_folder,
    temporary_link,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.trusted_paths import (
    PathUse,
    check_folder,
    trusted_folder,
    whose_folder,
    whose_folder_in,
)


def link_target(versions: Versions, file: str) -> str:
    """Return the path of a file of the version in use, whichever that is."""
    return os.path.join(versions.path, "current", file)


def is_link_to(versions: Versions, path: str, file: str, dir_fd: int | None = None) -> bool:
    """Return whether *path* is a symbolic link to link_target()."""
    return read_link(path, dir_fd) == link_target(versions, file)


def path_use(request: Request, option: str) -> PathUse:
    """Return the use of the paths of an *option*: their folders may belong to the owner of the request."""
    try:
        owner = user_id(request.get("owner"))
    except TlsError:  # a user who is gone owns nothing, and this is said when a key is written
        owner = -1
    return PathUse(option, owner, "owner of the request")


def check_links(versions: Versions, request: Request) -> None:
    """Raise TlsError if a link cannot be created.

    Its path is taken, or its folder is missing or can be exchanged by somebody else.
    """
    for path in request["links"]:
        check_outside(versions, path, "links")
        try:
            with trusted_folder(os.path.dirname(path), path_use(request, "links")) as folder:
                _check_free(path, folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise TlsError(
                f"links: the folder of {path} does not exist{whose_folder_in(error)}; create it or correct the path"
            ) from error


def check_link_folders(request: Request) -> None:
    """Raise TlsError if somebody else can exchange a folder on the way to a link. A folder may be missing."""
    for folder in dict.fromkeys(map(os.path.dirname, request["links"])):
        check_folder(folder, path_use(request, "links"))


def _check_free(path: str, folder: int) -> None:
    """Raise TlsError if anything but a link to a file is at a path."""
    name = os.path.basename(path)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            whose = whose_folder(path, folder)
            raise TlsError(f"links: {path} is there and is not a symbolic link{whose}; move it away and run this again")
    with contextlib.suppress(OSError):  # a link that leads nowhere
        if stat.S_ISDIR(os.stat(name, dir_fd=folder).st_mode):
            whose = whose_folder(path, folder)
            raise TlsError(f"links: {path} leads to a folder{whose}; choose another path, or remove it")


def check_outside(versions: Versions, path: str, option: str) -> None:
    """Raise TlsError if the path of an *option* is inside the folder of all certificates."""
    if os.path.commonpath([path, os.path.dirname(versions.path)]) == os.path.dirname(versions.path):
        raise TlsError(f"{option}: {path} lies among the certificates themselves; choose a path outside")


def missing_links(versions: Versions, request: Request) -> list[str]:
    """Return the paths of links that do not lead where the request says."""
    return [path for path, file in request["links"].items() if not is_link_to(versions, path, file)]


def create_links(versions: Versions, request: Request) -> None:
    """Create the missing_links()."""
    for path in missing_links(versions, request):
        with trusted_folder(os.path.dirname(path), path_use(request, "links")) as folder:
            replace_link(link_target(versions, request["links"][path]), path, folder)


def remove_links(versions: Versions, request: Request) -> None:
    """Remove the links of a request that lead to its certificate."""
    for path, file in request["links"].items():
        if is_link_to(versions, path, file):
            with trusted_folder(os.path.dirname(path), path_use(request, "links")) as folder:
                if is_link_to(versions, path, file, folder):
                    remove_file(path, folder)
                    sync_folder(os.path.dirname(path), folder)  # before the folder that names the link is gone


def read_links(request: Request) -> dict[str, str | None]:
    """Return the target of each link, or None for one that does not exist; for restore_links()."""
    return {path: read_link(path) for path in request["links"]}


def restore_links(targets: dict[str, str | None], request: Request) -> None:
    """Give links the targets that read_links() returned."""
    for path, target in targets.items():
        if target is None and not is_link(path):
            continue
        with trusted_folder(os.path.dirname(path), path_use(request, "links")) as folder:
            if target is not None:
                replace_link(target, path, folder)
            elif is_link(path, folder):
                remove_file(path, folder)


def left_over_links(request: Request) -> list[str]:
    """Return the links that replace_link() left in runs that were killed."""
    return [path for path in map(temporary_link, request["links"]) if is_link(path)]


def remove_left_over_links(request: Request) -> None:
    """Remove the left_over_links()."""
    for path in left_over_links(request):
        with trusted_folder(os.path.dirname(path), path_use(request, "links")) as folder:
            if is_link(path, folder):
                remove_file(path, folder)
