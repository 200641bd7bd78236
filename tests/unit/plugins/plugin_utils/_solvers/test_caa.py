# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which CAs may issue for a name. The name servers are real ones, on the loopback network."""

from __future__ import annotations

import dns.rcode
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.caa import (
    CaaRecord,
    CaaSet,
    check_caa,
    find_caa_set,
    may_issue,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

CA = ["sectigo.com"]


@pytest.fixture
def client(here):
    return DnsClient([f"{RESOLVER}:{here.port}"])


def caa(*values, owner="example.org"):
    return CaaSet(owner, [CaaRecord(int(flags), tag, text) for flags, tag, text in values])


def test_the_closest_set_counts_and_parents_of_it_do_not(here, client):
    here.zone(
        "example.org",
        ("example.org", "CAA", '0 issue "sectigo.com"'),
        ("sub.example.org", "CAA", '0 issue "letsencrypt.org"', '0 ISSUEWILD ";"'),
        ("www.sub.example.org", "A", "192.0.2.1"),
    )
    here.zone("org")
    assert find_caa_set(client, "www.example.org") == caa((0, "issue", "sectigo.com"))
    near = find_caa_set(client, "*.www.sub.example.org")
    assert near.owner == "sub.example.org"
    assert sorted(near.records) == [CaaRecord(0, "issue", "letsencrypt.org"), CaaRecord(0, "issuewild", ";")]


def test_a_name_without_records_may_have_certificates_of_any_ca(here, client):
    here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    here.zone("org")
    found = find_caa_set(client, "www.example.org")
    assert found == CaaSet("", []) and may_issue(found, CA, is_wildcard=False)


def test_an_alias_has_the_records_of_what_it_stands_for_and_not_those_of_the_parent_of_that(here, client):
    here.zone("example.org", ("www.example.org", "CNAME", "edge.example.net."))
    here.zone("example.net", ("edge.example.net", "A", "192.0.2.1"), ("example.net", "CAA", '0 issue ";"'))
    here.zone("org")
    assert find_caa_set(client, "www.example.org") == CaaSet("", [])
    here.zone("example.com", ("www.example.com", "CNAME", "own.example.net."))
    here.zone("own.example.net", ("own.example.net", "CAA", '0 issue "sectigo.com"'))
    assert find_caa_set(client, "www.example.com").records == [CaaRecord(0, "issue", "sectigo.com")]


def test_name_servers_that_cannot_say_are_told(here, client):
    here.zone("example.org", ("www.example.org", "A", "192.0.2.1"))
    here.resolver.status = dns.rcode.SERVFAIL
    with pytest.raises(TlsError, match="cannot find out about www.example.org: .*see that they run"):
        find_caa_set(client, "www.example.org")


@pytest.mark.parametrize(
    ("records", "is_wildcard", "is_allowed"),
    [
        ([(0, "issue", "sectigo.com")], False, True),
        ([(0, "issue", " sectigo.com ; policy=ev")], False, True),
        ([(0, "issue", "letsencrypt.org"), (0, "issue", "sectigo.com")], False, True),
        ([(0, "issue", "letsencrypt.org")], False, False),
        ([(0, "issue", ";")], False, False),
        ([(0, "issue", "")], False, False),
        ([(0, "issue", "SECTIGO.COM")], False, False),
        ([(0, "issue", "sectigo.com")], True, True),
        ([(0, "issue", "sectigo.com"), (0, "issuewild", ";")], True, False),
        ([(0, "issue", "sectigo.com"), (0, "issuewild", ";")], False, True),
        ([(0, "issue", ";"), (0, "issuewild", "sectigo.com")], True, True),
        ([(0, "issuewild", ";")], False, True),
        ([(0, "iodef", "mailto:a@example.org")], False, True),
        ([(128, "iodef", "mailto:a@example.org")], False, True),
        ([(128, "issuemail", ";")], False, True),
        ([(0, "unknown", "x")], False, True),
        ([(128, "unknown", "x"), (0, "issue", "sectigo.com")], False, False),
    ],
)
def test_records_are_judged_as_rfc_8659_says(records, is_wildcard, is_allowed):
    assert may_issue(caa(*records), CA, is_wildcard) is is_allowed


def test_a_refusal_shows_the_records_and_names_the_one_to_add():
    records = caa((0, "issue", "letsencrypt.org"), (0, "issuewild", ";\x1b[2J"))
    with pytest.raises(TlsError) as caught:
        check_caa(records, "*.example.org", CA, "free certificates")
    text = str(caught.value)
    assert text.startswith(
        "the CAA records of example.org do not let the CA of free certificates issue certificates for *.example.org ("
    )
    assert 'CAA 0 issue "letsencrypt.org"' in text and "\x1b" not in text
    assert text.endswith('; add: example.org. CAA 0 issuewild "sectigo.com"')
    with pytest.raises(TlsError, match='add: example.org. CAA 0 issue "sectigo.com"$'):
        check_caa(records, "www.example.org", CA, "free certificates")
