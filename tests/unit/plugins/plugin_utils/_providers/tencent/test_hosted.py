# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that the cloud makes and keeps: ordered once, validated by DNS, bound once they are issued."""

from __future__ import annotations

import datetime
import time

import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import client as client_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.free_certificates import (
    FreeCertificates,
    Record,
    check_domain,
    read_obstacles,
    read_records,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.hosted import (
    obtain_hosted,
    revoke_hosted,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.validation_records import SolverRecords
from ansible_collections.evergreen.tls.tests.cloud.tencent.free_ssl import FreeSsl
from ansible_collections.evergreen.tls.tests.unit.dnspod_zone import dnspod_of
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, name_of
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import fake_tencent

NOW = datetime.datetime.now(datetime.timezone.utc)
PREFIX = "evergreen/static/"
DOMAIN = "static.example.org"


class World:
    """An account with free certificates and a zone."""

    def __init__(self, here, cloud, ssl, zone):
        self.here, self.cloud, self.ssl, self.zone = here, cloud, ssl, zone
        self.orders = FreeCertificates(TencentClient("main", **cloud.account()))

    def records(self):
        setting = {"type": "dnspod", "resolvers": [f"{RESOLVER}:{self.here.port}"], **self.cloud.account()}
        return SolverRecords(open_solver(setting, AcmeAccount("")), "dnspod")

    def obtain(self, domains=(DOMAIN,), now=NOW, quota=20, patience_s=60.0, **options):
        passed = [0.0]
        clock = Clock(lambda: passed[0], lambda seconds: passed.__setitem__(0, passed[0] + seconds))
        request = {
            "name": "static",
            "domains": list(domains),
            "type": "ECC",
            "size": None,
            "curve": None,
            "renew_before": None,
        }
        return obtain_hosted(
            self.orders, self.records(), request, PREFIX, now, quota, patience_s, clock=clock, **options
        )

    def error(self, **options):
        with pytest.raises(TlsError) as caught:
            self.obtain(**options)
        return str(caught.value)

    def has_record(self, name, kind, value):
        values = self.zone.records.get((name_of(name), dns.rdatatype.from_text(kind)), set())
        return any(value.rstrip(".") in one for one in values)

    def validation_records(self):
        kinds = (dns.rdatatype.TXT, dns.rdatatype.CNAME)
        return [value for (_name, kind), values in self.zone.records.items() if kind in kinds for value in values]


@pytest.fixture
def world(here, monkeypatch):
    monkeypatch.setattr(client_module.time, "sleep", lambda _seconds: None)
    zone = here.zone("example.org", (DOMAIN, "A", "192.0.2.1"))

    dnspod = dnspod_of(zone)
    ssl = FreeSsl(None)
    with fake_tencent(ssl, dnspod) as cloud:
        started = World(here, cloud, ssl, zone)
        ssl.has_record = started.has_record
        yield started


@pytest.mark.parametrize("verify_type", ["TXT", "CNAME"])
def test_a_certificate_is_ordered_validated_and_issued(world, verify_type):
    world.ssl.verify_type = verify_type
    done = world.obtain()
    assert (done.is_ordered, done.is_waiting, done.reason) == (True, False, "there is no certificate yet")
    assert world.ssl.orders[done.order.certificate]["status"] == 1
    assert world.validation_records() == [], "the record is removed"
    assert {"ApplyCertificate", "CompleteCertificate", "DeleteRecord"} <= set(world.cloud.actions())


def test_a_wildcard_is_validated_below_its_parent(world):
    assert world.obtain(["*.example.org"]).order.certificate == "free0001"


def test_a_second_run_orders_nothing(world):
    first = world.obtain()
    world.cloud.calls.clear()
    second = world.obtain()
    assert (second.order.certificate, second.is_ordered, second.reason) == (first.order.certificate, False, "")
    assert world.cloud.actions() == ["DescribeCertificates"]


def test_an_upload_of_the_same_request_is_no_order(world):
    upload = {"alias": f"{PREFIX}ffff", "names": [DOMAIN], "chain": "", "key": "", "at": "2026-11-30 12:00:00"}
    world.ssl.certificates["upload"] = upload
    assert world.obtain().order.certificate == "free0001"


def test_an_order_of_another_request_of_a_host_with_the_same_name_is_no_order_of_this_one(world):
    order = {"domain": DOMAIN, "status": 1, "at": time.time(), "looks": 0, "old": "", "completed": 0}
    world.ssl.orders["other"] = {"alias": f"{PREFIX}img/2026-11-30T12:00:00Z", **order}
    assert world.obtain().order.certificate == "free0001"


def test_the_last_third_orders_another_one_that_names_the_first(world):
    first = world.obtain()
    done = world.obtain(now=NOW + datetime.timedelta(days=75))
    assert done.order.certificate != first.order.certificate and done.reason.startswith("it expires on ")
    assert world.ssl.orders[done.order.certificate]["old"] == first.order.certificate


def test_an_order_under_way_is_waited_for_and_never_placed_again(world):
    world.ssl.reviews = 1000
    for _run in range(3):
        done = world.obtain()
        assert done.is_waiting and done.order is None
    assert world.cloud.actions().count("ApplyCertificate") == 1
    assert (
        done.reason
        == "the certificate free0001 is not issued yet (static.example.org: the CA has not seen the record yet)"
    )
    assert world.validation_records() == ['"value-of-free0001"'], "the record stays"
    assert done.since.startswith(str(NOW.year))
    world.ssl.reviews = 0
    assert world.obtain().order.certificate == "free0001"
    assert world.validation_records() == []


def test_the_one_in_use_stays_while_its_successor_is_waited_for(world):
    first = world.obtain()
    world.ssl.reviews = 1000
    done = world.obtain(now=NOW + datetime.timedelta(days=75))
    assert done.is_waiting and done.order == first.order._replace(
        message="", begin=done.order.begin, end=done.order.end
    )


def test_a_lost_answer_does_not_place_a_second_order(world):
    world.ssl.lose_answer = True
    assert world.obtain().order.certificate == "free0001"
    assert world.cloud.actions().count("ApplyCertificate") == 1


def test_a_failed_review_is_said_and_not_repeated(world):
    world.ssl.fails = "The CAA record forbids it."
    assert (
        "could not issue the certificate free0001 (The CAA record forbids it.); correct that, and order another"
        in world.error()
    )
    world.ssl.fails = None
    assert "could not issue the certificate free0001" in world.error()
    assert world.cloud.actions().count("ApplyCertificate") == 1
    assert world.obtain(is_forced=True).order.certificate == "free0002"
    assert world.validation_records() == []


@pytest.mark.parametrize("status", range(16))
def test_each_state_of_an_order_is_waited_for_a_failure_or_a_certificate(world, status):
    """The states of DescribeCertificates: 0 in review to 15 being migrated."""
    world.ssl.reviews = 1000
    certificate = world.obtain().reason.split()[2]
    world.ssl.orders[certificate].update(status=status, at=time.time(), message="the words of the cloud")
    world.ssl.reviews = 0
    world.cloud.calls.clear()
    done = None
    try:
        done = world.obtain(patience_s=0)
    except TlsError as error:
        assert status == 2 and "could not issue" in str(error) and "the words of the cloud" in str(error)
    if status == 1:
        assert (done.order.certificate, done.is_waiting) == (certificate, False)
    elif status in (0, 4, 5, 8, 11, 13, 15):
        assert "ApplyCertificate" not in world.cloud.actions()
    elif status != 2:  # expired, cancelled, revoked, refunded: there is none any more
        assert done.is_ordered and "ApplyCertificate" in world.cloud.actions()


def test_check_mode_orders_nothing_and_adds_no_record(world):
    done = world.obtain(is_check=True)
    assert (done.is_ordered, done.reason) == (True, "there is no certificate yet")
    world.ssl.reviews = 1000
    world.obtain(patience_s=0)
    records = world.validation_records()
    assert world.obtain(is_check=True).is_waiting
    assert world.cloud.actions().count("ApplyCertificate") == 1 and world.validation_records() == records


def test_the_quota_of_the_account_is_counted_before_an_order(world):
    for number in range(3):
        world.ssl.orders[f"other{number}"] = {
            "alias": "of others",
            "domain": f"{number}.example.net",
            "status": 1,
            "at": time.time(),
            "looks": 0,
        }
    sentence = world.error(quota=3)
    assert "account main has 3 of 3 free certificates, and the next of them ends on " in sentence
    assert sentence.endswith(
        "revoke one that is not needed, raise cloud.free_quota if the account may have more, or take an issuer of type acme"
    )
    assert "ApplyCertificate" not in world.cloud.actions()
    for status in (2, 3, 7, 10):
        world.ssl.orders["other0"]["status"] = status
        assert world.obtain(quota=3, is_check=True).is_ordered


def test_the_quota_of_the_primary_domain_counts_revoked_ones(world):
    for number in range(3):
        world.ssl.orders[f"other{number}"] = {"alias": "", "domain": f"{number}.example.org", "status": 10, "looks": 0}
    sentence = world.error(quota=3)
    assert "account main has 3 of 3 free certificates for example.org; revoking does not help" in sentence
    world.ssl.orders["other0"]["status"] = 3
    assert world.obtain(quota=3, is_check=True).is_ordered


def test_a_revoked_certificate_counts_for_its_primary_domain_until_it_expires(world):
    begun = NOW.timestamp() - 86400
    for number in range(3):
        world.ssl.orders[f"other{number}"] = {
            "alias": "",
            "domain": f"{number}.example.org",
            "status": 10,
            "at": begun,
            "looks": 0,
        }
    assert "has 3 of 3 free certificates for example.org" in world.error(quota=3)
    later = NOW + datetime.timedelta(days=400)
    assert world.obtain(quota=3, is_check=True, now=later).is_ordered


def test_all_names_below_a_registered_domain_are_one_primary_domain(world, monkeypatch):
    monkeypatch.setattr(SolverRecords, "zone", lambda _records, _domain: "static.example.org")
    for number in range(3):
        world.ssl.orders[f"other{number}"] = {"alias": "", "domain": f"{number}.example.org", "status": 10, "looks": 0}
    assert "has 3 of 3 free certificates for example.org" in world.error(quota=3)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "FailedOperation.ExceedsFreeLimit",
            "; the free certificates of account main are all in use; revoke one that is not needed",
        ),
        ("FailedOperation.MainDomainCertificateCountLimit", "; revoking does not help"),
        ("FailedOperation.NoRealNameAuth", "; verify the identity of account main in the console first"),
        (
            "InvalidParameterValue.CertificateDomainMaxLengthInvalid",
            "; free certificates are for names of up to 64 characters",
        ),
    ],
)
def test_what_an_order_is_refused_for_is_said(world, code, sentence):
    world.cloud.refusals["ApplyCertificate"] = code
    assert sentence in world.error()


@pytest.mark.parametrize(
    ("domains", "more", "sentence"),
    [
        (
            ["a.example.org", "b.example.org"],
            {},
            "a free certificate is for one domain, and there are 2; give each a request",
        ),
        (["192.0.2.1"], {}, "no free certificate is issued for 192.0.2.1"),
        (["2001:db8::1"], {}, "no free certificate is issued for 2001:db8::1"),
        (["example.ru"], {}, "does not end in .ru; take an issuer of type acme"),
        ([f"{'a' * 60}.example.org"], {}, "has more than 64 characters"),
        (
            [DOMAIN],
            {"key_type": "Ed25519"},
            "have keys of RSA with 2048 bits, or ECC with secp256r1; correct type, size or curve",
        ),
        ([DOMAIN], {"key_type": "RSA", "size": 4096}, "have keys of RSA with 2048 bits"),
        ([DOMAIN], {"curve": "secp384r1"}, "have keys of RSA with 2048 bits"),
    ],
)
def test_what_no_free_certificate_is_issued_for_is_said(domains, more, sentence):
    with pytest.raises(TlsError, match=sentence):
        check_domain(domains, **{"key_type": "ECC", "size": None, "curve": None, **more})


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("www.example.org", "TXT", "v"),
        ("_dnsauth.example.net", "TXT", "v"),
        ("_dnsauth.org", "TXT", "v"),
        ("_a.other.example.org", "TXT", "v"),
        ("_a.example.org", "MX", "v"),
        ("_a.example.org", "TXT", ""),
        ("_a.example.org", "TXT", 'a"\n'),
        ("_a.example.org", "TXT", "v" * 256),
    ],
)
def test_a_cloud_gets_no_record_that_it_has_no_reason_for(name, kind, value):
    entry = {"DvAuthKey": name, "DvAuthVerifyType": kind, "DvAuthValue": value}
    with pytest.raises(
        TlsError, match="to validate static.example.org, which cannot be right; look at the order in its console"
    ):
        read_records([entry], DOMAIN)


def test_records_are_read_in_both_forms():
    entries = [
        {"DvAuthKey": "_dnsauth.example.org", "DvAuthValue": "v"},
        {"DvAuthKey": "_A.static.example.org.", "DvAuthValue": "t.", "DvAuthVerifyType": "CNAME"},
    ]
    assert read_records(entries, DOMAIN) == [
        Record("_dnsauth.example.org", "TXT", "v"),
        Record("_a.static.example.org", "CNAME", "t."),
    ]


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (-1, "no TXT record is found, or it was asked too often"),
        (-2, "the TXT record has another value"),
        (-3, "the domain has no name servers"),
        (-8, "the domain has no name servers"),
        (-6, "no CNAME record is found"),
        (-7, "the CNAME record leads elsewhere"),
        (-99, "why it failed"),
        (1, "the CA has not seen the record yet"),
    ],
)
def test_what_a_validation_lacks_is_said(check, sentence):
    one = {"Domain": DOMAIN, "LocalCheck": check, "CaCheck": -1, "LocalCheckFailReason": "why it failed"}
    assert read_obstacles({"VerificationResults": [one]}) == [f"{DOMAIN}: {sentence}"]


def test_a_revocation_is_refused_while_the_certificate_is_bound(world):
    certificate = world.obtain().order.certificate
    with pytest.raises(
        TlsError, match="is bound to cdn static.example.org, and is not revoked while it is; have another"
    ):
        revoke_hosted(world.orders, world.records(), certificate, DOMAIN, [f"cdn {DOMAIN}"], "")
    assert "RevokeCertificate" not in world.cloud.actions()
    needed = revoke_hosted(world.orders, world.records(), certificate, DOMAIN, [], "superseded")
    assert needed == [Record("_dnsauth.static.example.org", "TXT", "revoke-it")]
    assert world.validation_records() == ['"revoke-it"']


def test_a_solver_without_cname_records_says_so(world):
    settings = {"present": "true", "resolvers": [f"{RESOLVER}:{world.here.port}"]}
    command = SolverRecords(open_solver({"type": "command", **settings}, AcmeAccount("")), "command")
    with pytest.raises(
        TlsError, match="wants a CNAME record, which the solver command cannot add; name an issuer whose solver"
    ):
        command.add(Record(f"_a.{DOMAIN}", "CNAME", "t.example.net"))
    with pytest.raises(TlsError, match="the solver http adds no DNS records"):
        SolverRecords(open_solver("http", AcmeAccount("")), "http")
