# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where clients reach a host, as the inventory says."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.endpoints import host_addresses


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, ("web1", 443)),
        ({"ansible_host": "192.0.2.7"}, ("192.0.2.7", 443)),
        ({"ansible_host": "192.0.2.7", "certificate_endpoint": "lb.example"}, ("lb.example", 443)),
        ({"certificate_endpoint": "192.0.2.1:8443"}, ("192.0.2.1", 8443)),
        ({"certificate_endpoint": "lb.example:8443"}, ("lb.example", 8443)),
        ({"certificate_endpoint": "2001:db8::1"}, ("2001:db8::1", 443)),
        ({"certificate_endpoint": "[2001:db8::1]"}, ("2001:db8::1", 443)),
        ({"certificate_endpoint": "[2001:db8::1]:8443"}, ("2001:db8::1", 8443)),
        ({"certificate_endpoint": "fe80::1%eth0"}, ("fe80::1%eth0", 443)),
        ({"ansible_host": "::1"}, ("::1", 443)),
    ],
)
def test_an_address_is_what_the_inventory_says(variables, endpoint):
    assert host_addresses(variables, "web1", 443) == [endpoint]


def test_a_host_may_have_several_addresses():
    variables = {"certificate_endpoint": ["192.0.2.1", "[2001:db8::1]:8443"], "ansible_host": "192.0.2.7"}
    assert host_addresses(variables, "web1", 443) == [("192.0.2.1", 443), ("2001:db8::1", 8443)]


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1:https",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:",
        "192.0.2.1:²",
        ":443",
        "[2001:db8::1",
        "[2001:db8::1]8443",
        "[2001:db8::1]:",
        "[]:443",
        "two words",
        " ",
        {"address": "192.0.2.1"},
        ["192.0.2.1"],
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(TlsError) as caught:
        host_addresses({"certificate_endpoint": ["192.0.2.2", text]}, "web1", 443)
    assert str(caught.value) == (
        f"{str(text)!r} is no address; write certificate_endpoint as 192.0.2.1, 192.0.2.1:8443 or [2001:db8::1]:8443"
    )


@pytest.mark.parametrize("option", ["certificate_endpoint", "ansible_host"])
@pytest.mark.parametrize("value", [443, "443", True, 1.5])
def test_a_bare_number_is_no_address(option, value):
    """A resolver takes 443 for 0.0.1.187."""
    with pytest.raises(TlsError) as caught:
        host_addresses({option: value}, "web1", 443)
    assert str(caught.value) == (
        f"certificate_endpoint, or else ansible_host, is {value!r}, a bare number; write an address, or one with a port: 192.0.2.1:8443"
    )
