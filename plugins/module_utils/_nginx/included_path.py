# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The path of the file of the sites, where the http block of this nginx includes none at the default path."""

from __future__ import annotations

import os

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import http_includes, is_included
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS

DEFAULT_PATH = OPTIONS["path"]["default"]
FOLDER_NAMES = ("conf.d", "http.d")  # for such files, by nginx's own packages and by those of Alpine and Angie


def included_path(path: str, files: dict[str, str], main: str) -> str:
    """Return the path of a file that the http block includes, if *path* is the default and is not one; else *path*.

    files: the configuration, text by path. main: the main file.
    """
    if path != DEFAULT_PATH or is_included(files, main, path):
        return path
    folders = [os.path.dirname(pattern) for pattern in http_includes(files, main)]
    folders.sort(key=lambda folder: os.path.basename(folder) not in FOLDER_NAMES)
    candidates = (os.path.join(folder, os.path.basename(path)) for folder in folders if os.path.isdir(folder))
    return next((candidate for candidate in candidates if is_included(files, main, candidate)), path)


# not a parser: it accepts any text, or raises TlsError
def check_config_folder(path: str, is_needed: bool) -> None:
    """Raise TlsError if the folder of the configuration file does not exist and is needed."""
    folder = os.path.dirname(path)
    if is_needed and not os.path.isdir(folder):
        raise TlsError(
            f"there is no folder {folder} for {path}; create it, with mkdir {folder}, or let path (nginx_path of the role) name a file "
            "in a folder that the http block of nginx includes"
        )
