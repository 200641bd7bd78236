# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The symbolic links of a request, which lead to files of the version in use."""

from __future__ import annotations

import os

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._store.layout import Versions
from ansible_collections.evergreen.tls.plugins.module_utils._system.files import replace_link, sync_folder


def link_target(versions: Versions, file: str) -> str:
    """Return the path of a file of the version in use, whichever that is."""
    return os.path.join(versions.path, "current", file)


def is_link_to(versions: Versions, path: str, file: str) -> bool:
    """Return whether *path* is a symbolic link to link_target()."""
    return os.path.islink(path) and os.readlink(path) == link_target(versions, file)


def check_links(versions: Versions, request: Request) -> None:
    """Raise TlsError if a link cannot be created: its path is taken, or its folder is missing."""
    for path in request["links"]:
        check_outside(versions, path, "links")
        if os.path.lexists(path) and not os.path.islink(path):
            raise TlsError(f"links: {path} is there and is not a symbolic link; move it away and run this again")
        if os.path.isdir(path):
            raise TlsError(f"links: {path} leads to a folder; choose another path, or remove it")
        if not os.path.isdir(os.path.dirname(path)):
            raise TlsError(f"links: the folder of {path} does not exist; create it or correct the path")


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
        replace_link(link_target(versions, request["links"][path]), path)


def remove_links(versions: Versions, request: Request) -> None:
    """Remove the links of a request that lead to its certificate."""
    for path, file in request["links"].items():
        if is_link_to(versions, path, file):
            os.unlink(path)
            sync_folder(os.path.dirname(path))  # before the folder that names the link is gone


def read_links(request: Request) -> dict[str, str | None]:
    """Return the target of each link, or None for one that does not exist; for restore_links()."""
    return {path: os.readlink(path) if os.path.islink(path) else None for path in request["links"]}


def restore_links(targets: dict[str, str | None]) -> None:
    """Give links the targets that read_links() returned."""
    for path, target in targets.items():
        if target is not None:
            replace_link(target, path)
        elif os.path.islink(path):
            os.unlink(path)
