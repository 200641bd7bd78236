# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where copies of nginx's configuration are written for a test."""

from __future__ import annotations

import os
import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config_file import ConfigFile
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.snippets import SiteFiles, hidden_path

ALICE = 65534  # nobody


@pytest.fixture
def config_file(tmp_path):
    """Return the file of sites, which nginx reads through a file in a home."""
    for folder in ("nginx", "home", "conf.d"):
        (tmp_path / folder).mkdir()
    main, included = str(tmp_path / "nginx/nginx.conf"), str(tmp_path / "home/http.conf")
    files = {
        main: f"events {{}}\nhttp {{ include {tmp_path}/home/*.conf; }}\n",
        included: f"include {tmp_path}/conf.d/*.conf;\n",
    }
    tested = []
    nginx = types.SimpleNamespace(
        build=types.SimpleNamespace(config_path=main),
        config_files=lambda: files,
        test_error=lambda path: tested.append(sorted(str(one.name) for one in tmp_path.rglob(".*"))),
    )
    file = ConfigFile(str(tmp_path / "conf.d/sites.conf"), nginx)
    file.tested = tested
    return file


def test_copies_are_written_beside_each_file_on_the_way_and_removed_after_the_test(config_file, tmp_path):
    assert config_file.test_error(SiteFiles("server {}")) is None
    assert config_file.tested == [
        [".http.conf.evergreen-test", ".nginx.conf.evergreen-test", ".sites.conf.evergreen-test"]
    ]
    assert list(tmp_path.rglob(".*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_in_a_folder_of_a_user_nothing_is_written_or_removed(config_file, tmp_path):
    os.chown(tmp_path / "home", ALICE, ALICE)
    planted = tmp_path / "home" / os.path.basename(hidden_path("http.conf", "evergreen-test"))
    planted.write_text("of somebody else")
    with pytest.raises(TlsError) as caught:
        config_file.test_error(SiteFiles("server {}"))
    assert str(caught.value) == (
        f"include: the folder {tmp_path}/home belongs to nobody, who could lead to other files from there; run chown 0 on it after a look "
        "at what is in it, or choose a path elsewhere"
    )
    config_file.sweep()
    assert list(tmp_path.rglob(".*")) == [planted]
