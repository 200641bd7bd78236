# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts that a playbook is for."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.filter.requesting_hosts import FilterModule

requesting_hosts = FilterModule().filters()["requesting_hosts"]


class Broken(dict):
    """The variables of a host that refer to one that is undefined."""

    def __getitem__(self, name):
        raise ValueError(f"'{name}' is undefined")


def test_only_hosts_with_requests_are_chosen():
    hostvars = {"one": {"certificate_requests": [{"name": "a"}]}, "two": {}, "three": {"certificate_requests": []}}
    assert requesting_hosts(hostvars) == ["one"]


def test_a_host_whose_requests_cannot_be_read_is_chosen_so_that_it_fails():
    assert requesting_hosts({"one": Broken(certificate_requests=[])}) == ["one"]


def test_a_host_whose_facts_would_override_the_inventory_is_chosen_so_that_it_fails():
    facts = {"certificate_requests": []}
    assert requesting_hosts(
        {"one": {"ansible_facts": facts, **facts}, "two": {"ansible_facts": {"hostname": "two"}}}
    ) == ["one"]
