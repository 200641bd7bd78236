# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller sees of names by the means of hosts. The name servers on the loopback network are dnspython's."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._network import name_view
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis import local_view
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.local_view import look_from_here
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER


@pytest.fixture
def look(here, monkeypatch):
    """Return a function that looks at names by the resolver of the loopback network."""
    monkeypatch.setattr(local_view, "system_resolvers", lambda: [(RESOLVER, here.port)])
    monkeypatch.setattr(name_view, "addresses_of", lambda _name: [])
    monkeypatch.setattr(name_view, "get_challenge", lambda name, _token: {"status": 404, "location": name, "body": ""})
    here.zone("org")
    return look_from_here


def test_records_are_read_as_another_library_writes_them(here, look):
    here.zone(
        "example.org",
        ("example.org", "CAA", '0 issue "letsencrypt.org; validationmethods=dns-01"', '128 issuewild ";"'),
        ("_acme-challenge.www.example.org", "CNAME", "challenges.example.org."),
        ("challenges.example.org", "TXT", '"one" " and two"', '"three"'),
    )
    view = look(["www.example.org"])["www.example.org"]
    assert view["caa"] == ['0 issue "letsencrypt.org; validationmethods=dns-01"', '128 issuewild ";"']
    assert view["txt"] == ["one and two", "three"]
    assert view["errors"] == {}


def test_an_alias_has_the_caa_records_of_its_target(here, look):
    here.zone(
        "example.org",
        ("www.example.org", "CNAME", "cdn.example.org."),
        ("cdn.example.org", "CAA", '0 issue "cdn.example"'),
        ("example.org", "CAA", '0 issue "other.example"'),
    )
    assert look(["www.example.org"])["www.example.org"]["caa"] == ['0 issue "cdn.example"']


def test_a_name_that_does_not_exist_has_no_records(here, look):
    here.zone("example.org")
    view = look(["no.example.org", "no.example.org"])["no.example.org"]
    assert (view["caa"], view["txt"], view["addresses"], view["errors"]) == ([], [], [], {})


def test_an_answer_that_does_not_fit_into_udp_is_an_error_and_no_value(here, look):
    here.zone("example.org", ("_acme-challenge.example.org", "TXT", *(f'"{number:0200}"' for number in range(20))))
    view = look(["example.org"])["example.org"]
    assert "txt" not in view and "the answer is too large for UDP" in view["errors"]["txt"]
