# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports that sites need."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.filter.with_site_ports import with_site_ports

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
        (
            [443, 80],
            [{**WITHOUT, "https_port": 8443, "http_port": 8080}, {"https_port": "8443"}],
            [443, 80, 8080, 8443],
        ),
        (["80", "443"], [{"https_port": 8443, "http3": True}], ["80", "443", 8443, "8443/udp"]),
        ([80, 443], [{"https_port": 8443, "proxy_protocol": True}], [80, 443]),
        ([443], [{"https_port": 8443}], [443]),
        ([], [{"https_port": 8443}], []),
    ],
)
def test_each_site_adds_its_ports_to_the_default_and_that_for_udp_to_any_list(ports, sites, expected):
    assert with_site_ports(ports, sites) == expected


@pytest.mark.parametrize("sites", [7, None, "a", [7], [None], {"a": 1}])
def test_what_are_no_sites_adds_nothing(sites):
    assert with_site_ports([80], sites) == [80]
