# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts have all their certificates presented by a cloud or an appliance."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.filter.remote_hosts import FilterModule

remote_hosts = FilterModule().filters()["remote_hosts"]


@pytest.mark.parametrize(
    ("servers", "is_remote"),
    [
        (["cloud"], True),
        (["cloud", "appliance"], True),
        (["cloud", "nginx"], False),
        (["cloud", None], False),
        ([None], False),
        ([], False),
    ],
)
def test_a_host_is_remote_if_nothing_of_it_presents_a_certificate(servers, is_remote):
    requests = [{"name": "a", **({"served_by": server} if server else {})} for server in servers]
    assert remote_hosts({"one": {"certificate_requests": requests}}, ["one"]) == (["one"] if is_remote else [])


@pytest.mark.parametrize("requests", [None, "www", ["www"], [1]])
def test_requests_that_cannot_be_read_are_left_to_the_role(requests):
    assert remote_hosts({"one": {"certificate_requests": requests}}, ["one"]) == []


def test_only_the_hosts_of_the_run_are_looked_at():
    cloud = {"certificate_requests": [{"name": "a", "served_by": "cloud"}]}
    assert remote_hosts({"one": cloud, "two": cloud, "three": {}}, ["two", "three", "four"]) == ["two"]
