# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets Python find the collection under its full name, wherever the repository lies."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]


def make_collections() -> pathlib.Path:
    """Return a folder in which this repository is ansible_collections/evergreen/tls."""
    collections = ROOT / ".build/collections"
    link = collections / "ansible_collections/evergreen/tls"
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../../../..")
    return collections


if importlib.util.find_spec("ansible_collections") is None:
    sys.path.insert(0, str(make_collections()))
