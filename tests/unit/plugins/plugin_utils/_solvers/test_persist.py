# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Standing records of dns-persist-01: which are good, and which to create."""

from __future__ import annotations

import time

import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns_client
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.persist import (
    account_names,
    in_strings,
    issuer_domains,
    why_not,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, fake_internet, name_of

ACCOUNT = "https://ca.example/acct/123"
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
HASHED = {"issuerDomainNames": ["authority.example"], "accountHashPrefix": "https://ca.example/account-hash/"}
PLAIN = {"caaIdentities": ["authority.example", "ca.example.net"]}
NOW = 1_800_000_000


@pytest.fixture
def here(monkeypatch):
    with fake_internet() as started:
        monkeypatch.setattr(dns_client, "PORT", started.port)
        yield started


def check(here, *domains, meta=None, **settings):
    setting = {"type": "persist", "resolvers": [f"{RESOLVER}:{here.port}"], **settings}
    open_solver(setting, AcmeAccount(THUMBPRINT, lambda: ACCOUNT, lambda: PLAIN if meta is None else meta)).check(
        list(domains)
    )


def error_text(here, *domains, **options):
    with pytest.raises(TlsError) as caught:
        check(here, *domains, **options)
    return str(caught.value)


def test_a_ca_that_does_not_answer_makes_the_record_unknown_and_blocks_nothing(here):
    def silent():
        raise TlsError("https://ca.example/directory does not answer; see that it runs")

    setting = {"type": "persist", "resolvers": [f"{RESOLVER}:{here.port}"]}
    solver = open_solver(setting, AcmeAccount(THUMBPRINT, lambda: ACCOUNT, silent))
    [finding] = solver.find_obstacles(["example.org"], time.monotonic() + 5)
    assert (finding.severity, finding.code) == ("unknown", "persist.record")
    assert finding.sentence == (
        "it is not known which persistent records the CA expects: https://ca.example/directory does not answer; see that it runs"
    )


def test_the_hash_of_an_account_is_that_of_the_examples_in_the_draft():
    """draft-ietf-acme-dns-persist-02, section 10.2, for a domain and for all of them."""
    assert account_names(HASHED, THUMBPRINT, ACCOUNT, "example.com") == [
        "https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw",
        "https://ca.example/account-hash/sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug",
    ]


def test_a_domain_passes_that_has_its_record(here):
    record = f'"authority.example; accounturi={ACCOUNT}"'
    here.zone("example.org", ("_validation-persist.example.org", "TXT", '"something else"', record))
    check(here, "example.org")


def test_a_record_may_be_that_of_an_alias(here):
    here.zone("example.org", ("_validation-persist.www.example.org", "CNAME", "all.example.net."))
    here.zone("example.net", ("all.example.net", "TXT", f'"ca.example.net;accounturi={ACCOUNT}"'))
    check(here, "www.example.org")


def test_a_domain_without_its_record_is_reported_which_one_to_create(here):
    here.zone("example.org")
    assert error_text(here, "www.example.org", "*.example.org", "example.org") == (
        "_validation-persist.www.example.org has no TXT record for the ACME account of the issuer; create this one, which stays: "
        f'_validation-persist.www.example.org. IN TXT "authority.example; accounturi={ACCOUNT}" · '
        "_validation-persist.example.org has no TXT record for the ACME account of the issuer; create this one, which stays: "
        f'_validation-persist.example.org. IN TXT "authority.example; accounturi={ACCOUNT}; policy=wildcard"'
    )


def test_what_is_reported_to_create_is_good(here):
    zone = here.zone("example.org")
    record = error_text(here, "*.example.org", meta=HASHED).partition(" IN TXT ")[2]
    assert "accounturi=https://ca.example/account-hash/sha-256/" in record and ACCOUNT not in record
    zone.records[name_of("_validation-persist.example.org"), dns.rdatatype.TXT] = {record}
    check(here, "*.example.org", "example.org", meta=HASHED)


def test_a_record_that_is_nearly_right_is_named(here):
    here.zone("example.org", ("_validation-persist.example.org", "TXT", f'"authority.example; accounturi={ACCOUNT}"'))
    assert "(the one that is there does not say policy=wildcard); create this one" in error_text(here, "*.example.org")
    assert "names another account, https://ca.example/acct/123)" in error_text(here, "example.org", meta=HASHED)


def test_the_domain_of_the_ca_may_be_said(here):
    here.zone("example.org")
    assert '"letsencrypt.org; accounturi=' in error_text(here, "example.org", meta={}, issuer_domain="letsencrypt.org")


def test_a_ca_that_does_not_say_its_domain_is_reported(here):
    message = error_text(here, "example.org", meta={})
    assert message == (
        "the CA does not announce by which domain records name it; say that in the solver by issuer_domain, as in letsencrypt.org"
    )


@pytest.mark.parametrize(
    ("text", "is_wildcard", "reason"),
    [
        (f"authority.example; accounturi={ACCOUNT}", False, None),
        (f" Authority.Example. ;accounturi={ACCOUNT} ; Policy=WILDCARD;future=1", True, None),
        (f"authority.example; accounturi={ACCOUNT}; policy=wildcard; persistUntil={NOW + 1}", True, None),
        (f"authority.example; accounturi={ACCOUNT}; policy=all", True, "does not say policy=wildcard"),
        (
            f"authority.example; accounturi={ACCOUNT}; persistUntil={NOW}",
            False,
            "persistUntil of the one that is there is over",
        ),
        (
            f"authority.example; accounturi={ACCOUNT}; persistUntil=soon",
            False,
            "persistUntil of the one that is there is over",
        ),
        (f"authority.example; accounturi={ACCOUNT}4", False, "names another account, https://ca.example/acct/1234"),
        (f"authority.example; accounturi={ACCOUNT.upper()}", False, "names another account"),
        ("authority.example", False, "names another account, or none"),
        (f"other.example; accounturi={ACCOUNT}", False, ""),
        ("v=spf1 -all", False, ""),
        ("", False, ""),
    ],
)
def test_records_are_read_as_cas_read_them(text, is_wildcard, reason):
    message = why_not(text, ["authority.example"], [ACCOUNT], is_wildcard, NOW)
    assert message == reason if not reason else reason in message


def test_long_records_are_written_in_strings_that_zone_files_can_hold():
    assert in_strings("x" * 300) == f'"{"x" * 255}" "{"x" * 45}"'


def test_names_of_cas_are_compared_in_their_normal_form():
    assert issuer_domains({"issuerDomainNames": ["CA.Example."]}, None) == ["ca.example"]


def test_the_check_can_be_disabled():
    open_solver({"type": "persist", "check": False}, AcmeAccount(THUMBPRINT)).check(["example.org"])


def test_addresses_have_no_records(here):
    assert "CAs believe IP addresses over HTTP alone" in error_text(here, "192.0.2.1")
