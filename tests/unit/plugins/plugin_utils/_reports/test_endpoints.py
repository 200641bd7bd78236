# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses of DNS at which the survey looks beside those of the inventory."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports import endpoints as endpoints_file
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.endpoints import (
    DNS,
    Endpoint,
    add_dns_addresses,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import survey_hosts
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key
from ansible_collections.evergreen.tls.tests.unit.served_sites import NAME


@pytest.fixture
def dns(monkeypatch):
    """The addresses of names."""
    known = {}

    def ip_addresses(name, _port):
        return [name] if name[0].isdigit() or ":" in name else known.get(name, [])

    monkeypatch.setattr(endpoints_file, "ip_addresses", ip_addresses)
    return known


def endpoint(host, address, domain=NAME, port=443, **options):
    return Endpoint(host, {"name": "www", "port": 443}, domain, address, port, None, None, **options)


def places(endpoints):
    return [(one.host, one.address, one.is_from_dns) for one in endpoints]


def test_an_address_of_dns_is_added_once_and_to_the_first_host(dns):
    dns[NAME] = ["192.0.2.1", "192.0.2.2", "2001:db8::9"]
    found = add_dns_addresses([endpoint("web1", "192.0.2.1"), endpoint("web2", "192.0.2.2")], 10)
    assert places(found) == [("web1", "192.0.2.1", False), ("web2", "192.0.2.2", False), ("web1", "2001:db8::9", True)]


def test_a_host_that_is_named_in_the_inventory_is_known_by_its_addresses(dns):
    dns.update({NAME: ["192.0.2.1"], "web1.example.org": ["192.0.2.1"]})
    assert places(add_dns_addresses([endpoint("web1", "web1.example.org")], 10)) == [
        ("web1", "web1.example.org", False)
    ]


def test_a_service_that_is_reached_at_its_domain_is_looked_at_everywhere(dns):
    dns[NAME] = ["192.0.2.1", "192.0.2.2"]
    found = add_dns_addresses([endpoint("cdn", NAME)], 10)
    assert places(found) == [("cdn", "192.0.2.1", False), ("cdn", "192.0.2.2", False)]


def test_a_wildcard_has_the_addresses_of_a_name_that_it_covers(dns):
    dns["evergreen-probe.example.org"] = ["192.0.2.3"]
    found = add_dns_addresses([endpoint("web1", "192.0.2.1", "*.example.org", proxy_protocol=True)], 10)
    assert places(found) == [("web1", "192.0.2.1", False), ("web1", "192.0.2.3", True)]
    assert not found[1].proxy_protocol


def test_a_name_that_dns_does_not_know_and_an_ip_address_add_nothing(dns):
    alone = [endpoint("web1", "192.0.2.1"), endpoint("web1", "192.0.2.1", "192.0.2.1")]
    assert add_dns_addresses(alone, 10) == alone
    assert add_dns_addresses([], 10) == []


@pytest.mark.parametrize("addresses", ["inventory", DNS])
def test_the_survey_finds_an_old_certificate_at_another_address(dns, site, tmp_path, addresses):
    """The address of the inventory presents the new one."""
    site.present("127.0.0.1")
    site.present("127.0.0.2", site.authority.chain([NAME], some_key(), days=(-89, 1)))
    dns[NAME] = site.dns.by_name[NAME]
    (tmp_path / "root.pem").write_bytes(site.authority.pem)
    variables = {
        "ansible_host": "127.0.0.1",
        "certificate_requests": [{"name": "www", "domains": [NAME], "port": site.port}],
        "certificate_issuers": {"local": {"type": "local_ca", "directory": str(tmp_path)}},
    }
    findings = survey_hosts(["web1"], {"web1": variables}.__getitem__, lambda *_progress: None, addresses=addresses)
    assert [(one.address, one.state) for one in findings] == [("127.0.0.2", "due")] * (addresses == DNS) + [
        ("127.0.0.1", "fine")
    ]
    if addresses == DNS:
        assert findings[0].reason.endswith(
            "The DNS leads to 127.0.0.2, which is not in certificate_endpoint of web1; see which server has that address, and add it, or correct "
            "the DNS record"
        )
