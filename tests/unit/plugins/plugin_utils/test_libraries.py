# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The versions of libraries that sentences name."""

from __future__ import annotations

import pathlib
import re

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._libraries import VERSIONS, install_command

ROOT = pathlib.Path(__file__).parents[4]


@pytest.mark.parametrize("library", sorted(VERSIONS))
def test_a_sentence_names_the_versions_that_the_requirements_name(library):
    requirements = (ROOT / "requirements.txt").read_text() + (ROOT / "dev/requirements.txt").read_text()
    assert re.search(rf"\b{library} {VERSIONS[library]}", requirements)
    assert install_command(library).startswith(f"run pip install '{library} >= ")


def test_no_sentence_names_a_file_that_users_do_not_have():
    files = list((ROOT / "plugins").rglob("*.py"))
    assert len(files) > 100
    assert [path for path in files if "-r requirements.txt" in path.read_text(encoding="utf-8")] == []
