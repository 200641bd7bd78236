# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx gets a hash in which all server names have room."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.name_hash import name_hash_directives
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import MAIN

LONG = "ec2-203-0-113-203.us-west-2.compute.amazonaws.com"
MANY = {f"{number}.example.org" for number in range(600)}


@pytest.mark.parametrize(
    ("names", "http", "directives"),
    [
        ({"www.example.org"}, "", []),
        ({"www.example.org", LONG}, "", ["server_names_hash_bucket_size 128;"]),
        ({LONG}, "server_names_hash_bucket_size 128;", []),
        ({LONG}, "server_names_hash_bucket_size 100;", []),  # nginx rounds it up
        ({LONG}, "server_names_hash_bucket_size 1k;", []),
        (MANY, "", ["server_names_hash_max_size 1024;"]),
        (MANY, "server_names_hash_max_size 512;", []),  # nginx starts with it, and warns
        (MANY | {LONG}, "", ["server_names_hash_bucket_size 128;", "server_names_hash_max_size 1024;"]),
    ],
)
def test_what_the_names_need_is_written_once(names, http, directives):
    assert name_hash_directives(names, {MAIN: f"http {{ {http} }}"}, MAIN) == directives


def test_a_size_of_somebody_else_that_is_too_small_is_named_with_the_one_that_is_enough():
    with pytest.raises(TlsError) as caught:
        name_hash_directives({"a.org", LONG}, {MAIN: "http {\nserver_names_hash_bucket_size 64;\n}"}, MAIN)
    assert str(caught.value) == (
        f"{MAIN}:2 sets server_names_hash_bucket_size to 64, and the name {LONG} needs 128; write 'server_names_hash_bucket_size 128;' "
        "there, or take the line away, and run this again"
    )
