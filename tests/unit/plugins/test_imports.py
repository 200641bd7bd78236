# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on hosts can be imported by their Python."""

from __future__ import annotations

import importlib
import pathlib

import pytest

PLUGINS = pathlib.Path(__file__).parents[3] / "plugins"
FOR_HOSTS = sorted([*PLUGINS.glob("modules/*.py"), *PLUGINS.glob("module_utils/**/*.py")])


@pytest.mark.parametrize("path", FOR_HOSTS, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_a_host_can_import_it(path):
    name = ".".join(path.relative_to(PLUGINS).with_suffix("").parts)
    importlib.import_module(f"ansible_collections.evergreen.tls.plugins.{name}")
