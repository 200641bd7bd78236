# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts that a playbook is for."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.filter.request_names import FilterModule as RequestNames
from ansible_collections.evergreen.tls.plugins.filter.requesting_hosts import FilterModule

requesting_hosts = FilterModule().filters()["requesting_hosts"]
request_names = RequestNames().filters()["request_names"]


class Broken(dict):
    """The variables of a host that refer to one that is undefined."""

    def __getitem__(self, name):
        raise ValueError(f"'{name}' is undefined")


def test_only_hosts_with_requests_are_chosen():
    hostvars = {"one": {"certificate_requests": [{"name": "a"}]}, "two": {}, "three": {"certificate_requests": []}}
    assert requesting_hosts(hostvars) == ["one"]


def test_the_implicit_localhost_has_no_requests_of_the_group_all():
    """ansible-core 2.18 puts it into hostvars, with the variables of that group."""
    requests = {"certificate_requests": [{"name": "a"}]}
    hostvars = {"one": requests, "localhost": requests, "two": {}}
    assert requesting_hosts(hostvars, ["one", "two"]) == ["one"]
    assert requesting_hosts({}, ["one", "two"]) == [], "while the syntax of a playbook is checked"


def test_a_host_whose_requests_cannot_be_read_is_chosen_so_that_it_fails():
    assert requesting_hosts({"one": Broken(certificate_requests=[])}) == ["one"]


def test_a_host_whose_facts_would_override_the_inventory_is_chosen_so_that_it_fails():
    facts = {"certificate_requests": []}
    assert requesting_hosts(
        {"one": {"ansible_facts": facts, **facts}, "two": {"ansible_facts": {"hostname": "two"}}}
    ) == ["one"]


TAMPERED = {"renew_waves": [9], "certificate_requests": [{"name": "bank"}]}


@pytest.mark.parametrize("odd", [7, "text", [1], {"a": 1}, [{}], [{"name": [1]}], [[{"name": "a"}]], None])
def test_requests_of_another_form_hide_the_names_of_no_other_host(odd):
    hostvars = {
        "one": {"certificate_requests": odd},
        "two": {"certificate_requests": [{"name": "b"}, {"name": "a"}]},
        "three": {"ansible_facts": TAMPERED, **TAMPERED},
        "four": Broken(certificate_requests=[]),
        "five": {},
    }
    assert request_names(hostvars, list(hostvars)) == ["a", "b"]


def test_an_empty_list_is_chosen_where_it_removes_the_last_and_an_undefined_one_is_not():
    hostvars = {
        "requests": {"certificate_requests": [{"name": "a"}]},
        "no requests": {"certificate_requests": []},
        "no sites": {"nginx_sites": []},
        "sites alone": {"nginx_sites": [{"name": "a"}]},
        "nothing": {"ansible_host": "192.0.2.1"},
        "none": {"certificate_requests": None},
    }
    assert requesting_hosts(hostvars, with_empty=True) == ["requests", "no requests", "no sites"]
    assert requesting_hosts(hostvars) == ["requests"]
