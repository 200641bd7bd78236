# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that the certificate requests of a host are for."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.evergreen.tls.plugins.filter.request_domains import FilterModule

request_domains = FilterModule().filters()["request_domains"]


def test_domains_are_in_their_normal_form():
    requests = [
        {"name": "a", "domains": ["WWW.Example.org", "bücher.example"]},
        {"name": "b", "domains": "one.example,two.example"},
    ]
    assert request_domains(requests) == {
        "a": ["www.example.org", "xn--bcher-kva.example"],
        "b": ["one.example", "two.example"],
    }


@pytest.mark.parametrize("domains", [["no name"], [], None, 7])
def test_a_request_that_makes_no_sense_keeps_no_other_from_being_served(domains):
    requests = [{"name": "bad", "domains": domains}, {"name": "bare"}, {"name": "good", "domains": ["good.example"]}]
    assert request_domains(requests) == {"bad": [], "bare": [], "good": ["good.example"]}


def test_two_requests_with_one_name_are_refused():
    with pytest.raises(AnsibleFilterError, match="two certificate requests are named a; give each"):
        request_domains([{"name": "a", "domains": ["one.example"]}, {"name": "a", "domains": ["two.example"]}])
