# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server names are compared and stored as nginx does it."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import Listen, ServerBlock
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.server_names import (
    blocks_for_name,
    bucket_bytes,
    hash_max_size,
)
from ansible_collections.evergreen.tls.tests.unit.plugins.module_utils._nginx.test_process import REAL, needs_nginx

NAMES = {
    "a name of 46 characters": f"{'a' * 30}.{'b' * 11}.org",
    "a name of 47 characters": f"{'a' * 30}.{'b' * 12}.org",
    "a name of 110 characters": f"{'a' * 60}.{'b' * 45}.org",
    "a name of 111 characters": f"{'a' * 60}.{'b' * 46}.org",
    "the longest name": ".".join(["a" * 63] * 3 + ["b" * 61]),
    "a wildcard with short labels": f"*.{'a' * 40}.{'b' * 40}.org",
    "a wildcard with a long label": f"*.{'a' * 60}.org",
    "a name with a dot before it": f".{'a' * 30}.{'b' * 12}.org",
    "an IPv6 address": "[2001:db8::1]",
    "a regular expression": f"~^{'a' * 100}$",
}
CONFIGURATION = """
pid {folder}/nginx.pid; error_log stderr; events {{}}
http {{
    server_names_hash_bucket_size {size};
    server {{ listen 127.0.0.1:1; server_name x; }}
    server {{ listen 127.0.0.1:1; server_name {name}; }}
}}
"""


def accepts(folder, name, size):
    path = folder / "nginx.conf"
    path.write_text(CONFIGURATION.format(folder=folder, size=size, name=name))
    return subprocess.run([REAL, "-t", "-q", "-c", path], capture_output=True, check=False).returncode == 0


@needs_nginx
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_the_size_of_a_bucket_is_the_smallest_that_nginx_accepts(tmp_path, name):
    size = bucket_bytes([name, "example.org"])
    assert accepts(tmp_path, name, size)
    assert size == 64 or not accepts(tmp_path, name, size // 2)


def test_the_size_of_the_hash_grows_with_the_names():
    assert [hash_max_size(count) for count in (0, 1, 512, 513, 3000)] == [512, 512, 512, 1024, 4096]


@pytest.mark.parametrize(
    ("names", "places"),
    [
        ([["*.example.org"], ["www.example.org"]], [2, 1]),
        ([["~^www\\."], [".example.org"]], [2, 1]),
        ([["*.org"], ["*.example.org"], ["www.*"]], [2, 1, 3]),
        ([["~^(?<name>\\w+)\\.example\\.ORG$"], ["~("], ["~^ww$"]], [1]),
        ([["example.org"], ["_"], ["mail.example.org"], ["*.www.example.org"]], []),
    ],
)
def test_a_name_leads_to_the_server_block_that_nginx_prefers(names, places):
    blocks = [ServerBlock("/x", line, [Listen("*", 443, False)], some) for line, some in enumerate(names, 1)]
    assert [block.line for block in blocks_for_name(blocks, "www.example.org", 443)] == places
    assert blocks_for_name(blocks, "www.example.org", 80) == []
