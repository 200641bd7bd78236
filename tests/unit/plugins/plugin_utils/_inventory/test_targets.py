# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate in a cloud is looked for at the domains themselves, and proved at every address of each."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory import targets
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import (
    at_every_address,
    ip_addresses,
    request_targets,
    with_remote_advice,
)

DNS = {"a.example.org": ["192.0.2.1", "2001:db8::1"], "a.cdn.example": ["192.0.2.1", "192.0.2.9"]}


def request(served_by="cloud", domains=("a.example.org", "b.example.org"), **cloud):
    return {"served_by": served_by, "domains": [*domains], "port": 443, "cloud": cloud or None}


@pytest.fixture(autouse=True)
def dns(monkeypatch):
    routes = {"192.0.2.1", "192.0.2.9", "2001:db8::1"}

    def resolve(name, port, **_options):
        if name not in DNS:
            raise socket.gaierror("no such name")
        return [(None, None, None, "", (address, port)) for address in DNS[name]]

    monkeypatch.setattr(targets.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(targets, "_has_route", lambda address: address in routes)
    return routes


def test_a_cloud_is_looked_for_at_the_domains_and_not_at_the_controller():
    variables = {"ansible_host": "127.0.0.1"}
    assert request_targets(variables, "cdn", request()) == [
        ("a.example.org", 443, "a.example.org"),
        ("b.example.org", 443, "b.example.org"),
    ]


@pytest.mark.parametrize("served_by", ["nginx", "other", "appliance"])
def test_all_others_are_looked_for_at_their_host(served_by):
    found = request_targets({"ansible_host": "192.0.2.7"}, "web1", request(served_by))
    assert found == [("192.0.2.7", 443, "a.example.org"), ("192.0.2.7", 443, "b.example.org")]


def test_the_inventory_may_say_where_a_cloud_is():
    variables = {"certificate_endpoint": ["a.cdn.example", "192.0.2.9:8443"]}
    found = request_targets(variables, "cdn", request(domains=["a.example.org"]))
    assert found == [("a.cdn.example", 443, "a.example.org"), ("192.0.2.9", 8443, "a.example.org")]


def test_resources_that_the_certificate_covers_are_what_is_asked_for():
    wild = request(domains=["*.example.org"], resources=["A.example.org", "E123ABC"])
    assert request_targets({}, "cdn", wild) == [("a.example.org", 443, "a.example.org")]
    assert request_targets({}, "cdn", request(domains=["*.example.org"], resources=["E123ABC"])) == [
        ("evergreen-probe.example.org", 443, "*.example.org")
    ]


def test_every_address_of_the_name_and_of_its_canonical_name_is_looked_at_once():
    found = at_every_address([("a.example.org", 443, "a.example.org")], {"a.example.org": "a.cdn.example"})
    assert [address for address, _port, _domain in found] == ["192.0.2.1", "2001:db8::1", "192.0.2.9"]


def test_a_canonical_name_is_left_out_where_the_inventory_says_where_to_look():
    found = at_every_address([("192.0.2.1", 443, "a.example.org")], {"a.example.org": "a.cdn.example"})
    assert found == [("192.0.2.1", 443, "a.example.org")]


def test_a_name_that_the_dns_does_not_have_yet_is_proved_at_its_canonical_name():
    found = at_every_address([("new.example.org", 443, "new.example.org")], {"new.example.org": "a.cdn.example"})
    assert [address for address, _port, _domain in found] == ["192.0.2.1", "192.0.2.9"]


def test_a_name_without_any_address_stays_so_that_the_handshake_says_what_is_wrong():
    assert at_every_address([("no.example.org", 443, "no.example.org")], {}) == [
        ("no.example.org", 443, "no.example.org")
    ]


def test_addresses_without_a_route_are_left_out_where_others_remain(dns):
    dns.discard("2001:db8::1")
    assert ip_addresses("a.example.org", 443) == ["192.0.2.1"]
    dns.clear()
    assert ip_addresses("a.example.org", 443) == ["192.0.2.1", "2001:db8::1"]


def test_the_advice_of_a_handshake_is_about_the_service():
    sentence = "a at a port 443: the server answers to no such name; see that nginx_sites has a site for it, and run evergreen.tls.deploy"
    assert with_remote_advice(sentence).endswith(
        "; see in the settings of the service that it has this domain and a certificate for it"
    )
    nothing = "a at a port 443: nothing listens there; start nginx with a site on that port"
    assert "nginx" not in with_remote_advice(nothing)
