# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets Python find the collection under its full name, wherever the repository lies, and tests start servers."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


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


@pytest.fixture
def start(tmp_path):
    """Start servers on the loopback address, which are gone after the test."""
    from ansible_collections.evergreen.tls.tests.unit.servers import servers

    with servers(tmp_path) as started:
        yield started
