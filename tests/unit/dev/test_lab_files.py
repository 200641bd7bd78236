# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the name servers and CAs of a lab read."""

from __future__ import annotations

import json
import pathlib
import sys
import types

import dns.zone
import pytest

sys.path.append(str(pathlib.Path(__file__).parents[3] / "dev"))

import lab_files

HOSTS = [
    {"address": "10.89.0.11", "domains": ["web1.example.test", "www.example.test"]},
    {"address": "10.89.0.12", "domains": ["web2.example.test", "www.example.test", "shop.example.org"]},
]
ADDRESSES = {"names": "10.89.0.201", "resolver": "10.89.0.202"}
SECRETS = {"lab": "bGFi", "narrow": "bmFycm93"}
RECORDS = ["_acme-challenge.example.org CNAME a.dynamic.example.test", "mail.example.test A 192.0.2.1"]


@pytest.fixture(scope="module")
def files():
    return lab_files.name_server_files(ADDRESSES, lab_files.zones_of(HOSTS, RECORDS), SECRETS)


def records(files, zone, name, kind):
    found = dns.zone.from_text(files[f"{zone}.zone"], zone, relativize=False).get_rdataset(f"{name}.", kind)
    return sorted(record.to_text() for record in found or ())


def test_a_name_of_several_hosts_has_all_their_addresses(files):
    assert records(files, "example.test", "www.example.test", "A") == ["10.89.0.11", "10.89.0.12"]
    assert records(files, "example.test", "web1.example.test", "A") == ["10.89.0.11"]
    assert records(files, "example.org", "shop.example.org", "A") == ["10.89.0.12"]


def test_more_records_are_in_the_zones_that_they_belong_to(files):
    assert records(files, "example.test", "mail.example.test", "A") == ["192.0.2.1"]
    assert records(files, "example.org", "_acme-challenge.example.org", "CNAME") == ["a.dynamic.example.test."]


def test_the_zone_of_the_narrow_key_is_delegated_and_is_all_that_it_may_change(files):
    assert records(files, "example.test", "dynamic.example.test", "NS") == ["ns.dynamic.example.test."]
    assert records(files, "dynamic.example.test", "dynamic.example.test", "NS") == ["ns.dynamic.example.test."]
    assert (
        "domain: dynamic.example.test\n    file: dynamic.example.test.zone\n    acl: [all, some, look]"
        in files["knot.conf"]
    )
    assert files["knot.conf"].count("some, look") == 1


def test_the_resolver_follows_delegations_by_itself(files):
    stubs = [line.split()[-1] for line in files["unbound.conf"].splitlines() if line.startswith("    name:")]
    assert stubs == ["example.test.", "example.org."]


def test_pebble_is_told_what_was_asked_for():
    wish = types.SimpleNamespace(
        profiles=["short=600"], eab=["kid=c2VjcmV0"], blocked=["bad.example.test"], retry_after=3
    )
    told = json.loads(lab_files.pebble_file(wish))["pebble"]
    assert told["profiles"] == {"short": {"description": "short", "validityPeriod": 600}}
    assert (told["externalAccountBindingRequired"], told["externalAccountMACKeys"]) == (True, {"kid": "c2VjcmV0"})
    assert (told["domainBlocklist"], told["retryAfter"]) == (["bad.example.test"], {"authz": 3, "order": 3})


def test_nothing_is_valid_by_itself():
    wish = types.SimpleNamespace(reject_nonces=5, reuse_authorizations=0, alternate_roots=1)
    assert "PEBBLE_VA_ALWAYS_VALID" not in lab_files.pebble_environment(wish)
