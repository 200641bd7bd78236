# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests of a host are counted, and those that share a name are refused, where Ansible asks for the filter."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.evergreen.tls.plugins.filter.request_numbers import FilterModule, request_numbers


def test_requests_are_numbered_from_nought_on():
    assert request_numbers([]) == []
    assert request_numbers([{"name": "web"}]) == [0]
    assert request_numbers([{"name": "a"}, {"name": "b"}, {"name": "c"}]) == [0, 1, 2]


def test_two_requests_of_one_name_are_refused_with_a_sentence():
    with pytest.raises(AnsibleFilterError) as caught:
        request_numbers([{"name": "web"}, {"name": "shop"}, {"name": "web"}])
    assert "two certificate requests are named web; give each request of a host a name of its own" in str(caught.value)


def test_the_filter_has_the_name_of_its_file():
    assert FilterModule().filters() == {"request_numbers": request_numbers}
