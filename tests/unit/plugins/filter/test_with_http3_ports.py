# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The UDP ports that sites with HTTP/3 need."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.filter.with_http3_ports import with_http3_ports

WITH, WITHOUT = {"name": "a", "http3": True}, {"name": "b"}


@pytest.mark.parametrize(
    ("ports", "sites", "expected"),
    [
        ([80, 443], [WITHOUT, {**WITH, "http3": False}], [80, 443]),
        ([80, 443], [WITH, WITHOUT, {**WITH, "name": "c"}], [80, 443, "443/udp"]),
        ([443, "443/udp"], [WITH], [443, "443/udp"]),
        ([8443], [{**WITH, "https_port": 8443}, {**WITH, "http3": "yes"}], [8443, "8443/udp", "443/udp"]),
        ("80,443", [WITH], ["80", "443", "443/udp"]),
        ("80,443", [], "80,443"),
    ],
)
def test_each_site_with_http3_adds_its_port_for_udp(ports, sites, expected):
    assert with_http3_ports(ports, sites) == expected


@pytest.mark.parametrize("sites", [7, None, "a", [7], [None], {"a": 1}])
def test_what_are_no_sites_adds_nothing(sites):
    assert with_http3_ports([80], sites) == [80]
