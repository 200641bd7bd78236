# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an order to the domains of a CDN that present the certificate, with the actions that playbooks run."""

from __future__ import annotations

import concurrent.futures
import datetime

import dns.rdatatype
import pytest

from ansible_collections.evergreen.tls.plugins.action import certificate_deploy, certificate_host
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.tests.unit.fake_internet import name_of
from ansible_collections.evergreen.tls.tests.unit.hosted_world import DOMAIN, hosted_world


@pytest.fixture
def world(monkeypatch, tmp_path):
    with hosted_world(monkeypatch, tmp_path) as started:
        yield started


def test_a_certificate_of_the_cloud_is_issued_and_bound_without_a_key(world):
    checked = world.run(certificate_host, check_mode=True)
    assert (checked["changed"], checked["msg"]) == (
        True,
        "would have the cloud issue a certificate: there is no certificate yet",
    )
    deployed = world.run(certificate_deploy, check_mode=True)
    assert deployed["msg"] == "would deploy the certificate of static once the cloud has issued it"
    assert world.cloud.changes() == []
    issued = world.run(certificate_host)
    assert (issued["changed"], issued["due"], issued["hosted"]) == (True, True, "free0001")
    bound = world.run(certificate_deploy)
    assert (bound["changed"], bound["uploaded"], bound["certificate"]) == (True, False, "free0001")
    assert world.cdn.domains[DOMAIN]["now"]["Https"]["CertInfo"]["CertId"] == "free0001"
    assert "UploadCertificate" not in world.cloud.actions()
    begin, end = (datetime.datetime.fromisoformat(bound["validity"][name]) for name in ("not_before", "not_after"))
    assert (begin.timestamp(), end - begin) == (int(world.ssl.orders["free0001"]["at"]), datetime.timedelta(days=90))
    world.cloud.calls.clear()
    for module in (certificate_host, certificate_deploy):
        result = world.run(module)
        assert not result["changed"], result
    assert world.cloud.changes() == []


def test_dates_that_the_cloud_does_not_say_are_no_part_of_the_proof(world, monkeypatch):
    world.run(certificate_host)
    monkeypatch.setattr(world.ssl, "ends", lambda _name: ())
    assert "validity" not in world.run(certificate_deploy)


def test_an_order_that_takes_longer_is_waiting_and_binds_nothing(world):
    world.ssl.reviews = 10_000
    waiting = world.run(certificate_host)
    assert waiting["changed"] and not waiting.get("failed")
    assert waiting["waiting"]["for"].startswith("the CDN of account main: the certificate free0001 is not issued yet (")
    assert waiting["waiting"]["for"].endswith("; the next run looks again")
    again = world.run(certificate_host)
    assert not again["changed"] and again["waiting"]["since"] == waiting["waiting"]["since"]
    assert world.cloud.actions().count("ApplyCertificate") == 1
    assert "not issued a certificate yet; run this again once it has" in world.run(certificate_deploy)["msg"]
    assert "UpdateDomainConfig" not in world.cloud.actions()


def test_an_order_that_waits_says_what_its_ca_does_not_see_yet(world):
    world.ssl.reviews = 10_000
    name = f"_26a5.{DOMAIN}"
    validation = {"type": "dns", "name": name, "record": "CNAME", "value": "abc.sectigo.com"}
    sentence = world.run(certificate_host, request={"validation": validation})["waiting"]["for"]
    assert f"; the next run looks again; the CNAME record {name} is missing in example.org" in sentence
    world.zone.records[name_of(name), dns.rdatatype.CNAME] = {"abc.sectigo.com."}
    sentence = world.run(certificate_host, request={"validation": validation})["waiting"]["for"]
    assert "the CA sees what it wants, and has not answered yet; usual for DV is" in sentence
    refused = world.run(certificate_host, request={"validation": {**validation, "name": "_26a5.example.com"}})
    assert refused["failed"] and "validation.name is '_26a5.example.com', which is not in a domain" in refused["msg"]


def test_two_runs_at_once_place_one_order(world):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _number: world.run(certificate_host), range(4)))
    assert [result.get("failed", False) for result in results] == [False] * 4
    assert world.cloud.actions().count("ApplyCertificate") == 1


def test_an_unfit_domain_costs_no_quota(world):
    world.cdn.domains.clear()
    result = world.run(certificate_host)
    assert result["failed"] and "it is not in the CDN; add it there first" in result["msg"]
    assert "ApplyCertificate" not in world.cloud.actions()


def test_a_refusal_is_remembered_and_the_next_run_does_not_ask(world):
    world.cloud.refusals["ApplyCertificate"] = "FailedOperation.ExceedsFreeLimit"
    first = world.run(certificate_host)
    assert first["failed"] and "the free certificates of account main are all in use" in first["msg"]
    assert "; nothing is ordered again before " in first["msg"]
    world.cloud.refusals.clear()
    world.cloud.calls.clear()
    for check_mode in (False, True):
        again = world.run(certificate_host, check_mode=check_mode)
        assert again["failed"] and again["msg"] == first["msg"]
    assert "ApplyCertificate" not in world.cloud.actions()
    assert world.run(certificate_host, force=True)["hosted"] == "free0001"


def set_caa(world, *texts, owner="example.org"):
    world.zone.records[name_of(owner), dns.rdatatype.CAA] = set(texts)


def test_records_that_forbid_the_ca_are_said_before_anything_is_ordered(world):
    set_caa(world, '0 issue "letsencrypt.org"')
    for check_mode in (True, False):
        result = world.run(certificate_host, check_mode=check_mode)
        assert result["failed"] and result["msg"] == (
            "the CAA records of example.org do not let the CA of free certificates of Tencent Cloud issue certificates for static.example.org "
            '(CAA 0 issue "letsencrypt.org"); add: example.org. CAA 0 issue "sectigo.com", or order one all the same with certificate_force=true'
        )
    assert "ApplyCertificate" not in world.cloud.actions()
    forced = world.run(certificate_host, force=True)
    assert forced["hosted"] == "free0001" and any("do not let the CA of free" in one for one in forced["warnings"])


def test_records_that_allow_the_ca_and_those_that_are_not_known_stop_nothing(world, monkeypatch):
    set_caa(world, '0 issue "letsencrypt.org"', '0 issue "sectigo.com"')
    assert not [one for one in world.run(certificate_host, check_mode=True)["warnings"] if "CAA" in one]

    def silent(*_arguments):
        raise TlsError("the resolvers cannot find out; see that they run")

    monkeypatch.setattr(certificate_host, "find_caa_set", silent)
    result = world.run(certificate_host)
    assert result["hosted"] == "free0001"
    assert (
        "the CAA records of static.example.org are not known: the resolvers cannot find out; see that they run"
        in result["warnings"]
    )


def test_a_word_that_cas_refuse_is_a_warning_before_an_order_and_not_afterwards(world):
    warning = "static.example.org has example in it, and CAs refuse many such names for free certificates; take an issuer of type acme if the review fails"
    assert world.run(certificate_host)["warnings"] == [warning]
    assert "warnings" not in world.run(certificate_host)


def test_a_revocation_is_refused_while_a_domain_presents_the_certificate(world):
    world.run(certificate_host)
    world.run(certificate_deploy)
    refused = world.run(certificate_host, state="revoked")
    assert refused["failed"] and f"is bound to {DOMAIN}, and is not revoked while it is" in refused["msg"]
    assert "RevokeCertificate" not in world.cloud.actions()


def test_a_revocation_that_the_cloud_refuses_names_what_presents_the_certificate(world):
    world.run(certificate_host)
    world.ssl.bound = lambda _certificate: [("clb", "lb-1")]
    refused = world.run(certificate_host, state="revoked")
    assert refused["failed"] and "FailedOperation.RevokeResourceFailed" in refused["msg"]
    assert refused["msg"].endswith(
        "; unbind the certificate first; evergreen.tls.cloud_certificate_info says what it is bound to. It is bound to clb (1)"
    )


@pytest.mark.parametrize(
    ("request_", "issuers", "sentence"),
    [
        ({"issuer": "local"}, None, "name an issuer of type acme whose solver adds them by issuer, in place of local"),
        ({}, {"le": {"type": "acme"}}, "the solver http adds no DNS records"),
        (
            {},
            {"le": {"type": "acme", "solver": "webroot"}},
            "the cloud validates a domain by a TXT or CNAME record here: a file would have to be on the origin behind the domain",
        ),
        (
            {"cloud": {"account": "main"}},
            None,
            "has its key on the controller; write served_by: cloud and cloud.hosted: true",
        ),
        ({"domains": ["a.example.org", "b.example.org"]}, None, "it is not in the CDN"),
    ],
)
def test_requests_that_the_cloud_cannot_make_a_certificate_for_are_said(world, request_, issuers, sentence):
    result = world.run(certificate_host, request=request_, **({"issuers": issuers} if issuers else {}))
    assert result["failed"] and sentence in result["msg"]
