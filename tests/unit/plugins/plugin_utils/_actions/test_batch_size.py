# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many requests of a host are worked on side by side."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batch_size import orders_at_once


@pytest.mark.parametrize(
    ("solver", "forks", "hosts", "share"),
    [
        pytest.param("http", 5, 1, 20, id="all of them for one host"),
        pytest.param("http", 10, 10, 2, id="each host its share"),
        pytest.param("http", 10, 100, 2, id="of those that are worked on at a time"),
        pytest.param("http", 50, 30, 1, id="one at least"),
        pytest.param({"type": "command", "command": "/bin/dns"}, 5, 1, 1, id="commands one after the other"),
    ],
)
def test_the_orders_that_a_ca_allows_are_divided_among_the_hosts(tmp_path, solver, forks, hosts, share):
    issuers = {"le": {"type": "acme", "folder": str(tmp_path), "solver": solver, "at_once": 20}}
    arguments = {"requests": [{"name": "www", "domains": ["www.example.org"], "issuer": "le"}], "issuers": issuers}
    task_vars = {"ansible_forks": forks, "ansible_play_batch": [f"web{number}" for number in range(hosts)]}
    assert orders_at_once(arguments, task_vars) == share


def test_an_issuer_without_a_limit_of_orders_gets_one_at_a_time():
    requests = [{"name": issuer, "domains": ["www.example.org"], "issuer": issuer} for issuer in ("local", "nobody")]
    assert orders_at_once({"requests": requests, "issuers": {}}, {}) == 1
