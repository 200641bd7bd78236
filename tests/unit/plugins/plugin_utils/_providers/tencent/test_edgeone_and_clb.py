# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains of EdgeOne and listeners of load balancers, against a cloud that checks each call by the public description."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.settle import remove_old_uploads
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock, Pair, deploy_certificate
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import certificates, client
from ansible_collections.evergreen.tls.tests.cloud.tencent.certificate_service import Ssl
from ansible_collections.evergreen.tls.tests.cloud.tencent.clb import Clb
from ansible_collections.evergreen.tls.tests.cloud.tencent.teo import ZONE, Teo
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import fake_tencent

AUTHORITY = Authority()
DOMAINS = ["static.example.org", "img.example.org"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(client.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(certificates.time, "sleep", lambda _seconds: None)


class World:
    """An account with one service."""

    def __init__(self, cloud, ssl, fake, **options):
        self.cloud, self.ssl, self.fake, self.options = cloud, ssl, fake, options

    def service(self, **options):
        defaults = {"account": None, "resources": [], "keep": 1, "region": "ap-guangzhou"}
        request = {"name": "static", "domains": DOMAINS, "keep": 3, "cloud": {**defaults, **self.options, **options}}
        return open_service(request, {"main": {"type": "tencent", **self.cloud.account()}}, "evergreen/static/")

    def deploy(self, pair, settings=None, **options):
        service, passed = self.service(**options), [0.0]
        clock = Clock(lambda: passed[0], lambda seconds: passed.__setitem__(0, passed[0] + seconds))
        return deploy_certificate(service, pair, 900.0, clock=clock, settings=settings or {})

    def error(self, **options):
        with pytest.raises(TlsError) as caught:
            self.deploy(pair(), **options)
        assert "UploadCertificate" not in self.cloud.actions()
        return str(caught.value)

    def foreign(self, number, alias="of others"):
        one = pair(number)
        return self.service().upload(one.chain, one.read_key(), alias)


def pair(number=1, kind="ECC"):
    key = some_key(number, kind)
    return Pair([*AUTHORITY.chain(DOMAINS, key)], lambda: key, f"evergreen/static/{number}", contextlib.nullcontext)


@pytest.fixture
def edge():
    ssl = Ssl()
    teo = Teo(ssl, *DOMAINS)
    with fake_tencent(ssl, teo) as cloud:
        yield World(cloud, ssl, teo, service="teo", zone=ZONE)


@pytest.fixture
def balancer():
    ssl = Ssl()
    clb = Clb(ssl, lbl_1={"Certificate": None}, lbl_2={"Protocol": "TCP"})
    with fake_tencent(ssl, clb) as cloud:
        yield World(cloud, ssl, clb, service="clb", load_balancer="lb-1", listener="lbl-1")


def test_edgeone_presents_a_certificate_and_a_second_run_changes_nothing(edge):
    one = pair()
    done = edge.deploy(one)
    assert [edge.fake.domains[name]["list"] for name in DOMAINS] == [[done.certificate]] * 2
    assert edge.fake.domains[DOMAINS[0]]["mode"] == "sslcert"
    assert edge.cloud.changes() == ["UploadCertificate", *["ModifyHostsCertificate"] * 2]
    assert {binding.address for binding in done.bindings} == {f"{name}.eo.dnse1.test" for name in DOMAINS}
    edge.cloud.calls.clear()
    assert not edge.deploy(one).is_changed
    assert edge.cloud.changes() == []


def test_edgeone_replaces_our_certificate_and_keeps_that_with_another_key(edge):
    first = edge.deploy(pair(1)).certificate
    foreign = edge.foreign(7)
    for one in edge.fake.domains.values():
        one["list"] = [foreign, first]
    second = edge.deploy(pair(2)).certificate
    assert [one["list"] for one in edge.fake.domains.values()] == [[foreign, second]] * 2


def test_edgeone_takes_the_place_of_its_own_free_certificate(edge):
    free = edge.foreign(7, "free")
    for one in edge.fake.domains.values():
        one.update(mode="eofreecert", list=[free])
    done = edge.deploy(pair())
    assert [one["list"] for one in edge.fake.domains.values()] == [[done.certificate]] * 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": "offline"}, "static.example.org: its status is offline; activate it in the console of EdgeOne"),
        ({"status": "init"}, "its status is init; activate it in the console of EdgeOne"),
    ],
)
def test_a_domain_that_is_not_active_is_said_before_the_upload(edge, change, sentence):
    edge.fake.domains[DOMAINS[0]].update(change)
    assert sentence in edge.error()


def test_a_domain_with_several_certificates_of_others_is_not_guessed(edge):
    edge.fake.domains[DOMAINS[0]].update(mode="sslcert", list=[edge.foreign(7), edge.foreign(8)])
    edge.cloud.calls.clear()
    assert "it presents several certificates, and which of them to replace is open; leave one of them" in edge.error()


def test_a_domain_that_the_zone_does_not_have_is_said(edge):
    del edge.fake.domains[DOMAINS[1]]
    assert "img.example.org: it is not in the zone; add it there first" in edge.error()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"zone": None}, "EdgeOne of account main: there is no zone; write cloud.zone: zone-…"),
        ({"zone": "zone-9"}, "; correct zone; it is written zone-…, as in the console of EdgeOne"),
        (
            {"resources": ["other.example.org"]},
            "the certificate does not cover other.example.org; add it to the domains",
        ),
        ({"settings": {"redirect": True}}, "has no setting redirect that can be changed here; take cloud.redirect out"),
    ],
)
def test_what_edgeone_cannot_serve_is_said_before_the_upload(edge, options, sentence):
    assert sentence in edge.error(**options)


def test_a_certificate_that_edgeone_cannot_deploy_is_a_failure(edge):
    for one in edge.fake.domains.values():
        one["entry"] = "failed"
    with pytest.raises(
        TlsError, match="EdgeOne says that it could not deploy the certificate; look at it in the console"
    ):
        edge.deploy(pair())


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("InvalidParameter.CertNotMatchDomain", "; the certificate does not cover the domain; add it to the domains"),
        ("InvalidParameter.CertToExpire", "; renew the certificate first; EdgeOne takes none that ends soon"),
        ("FailedOperation.CertificateHasExpired", "; renew the certificate first; EdgeOne takes none that has ended"),
    ],
)
def test_what_edgeone_refuses_is_said(edge, code, sentence):
    edge.cloud.refusals["ModifyHostsCertificate"] = code
    with pytest.raises(TlsError, match=sentence):
        edge.deploy(pair())


def test_old_uploads_of_ours_are_removed_and_none_of_others(edge):
    edge.foreign(9)
    for number in range(1, 5):
        edge.deploy(pair(number))
    for number, one in enumerate(edge.ssl.certificates.values()):
        one["at"] = f"2026-11-{number + 10} 12:00:00"
    remove_old_uploads(edge.service(), "evergreen/static/", edge.service().find(pair(4).chain, ""), 1)
    assert sorted(one["alias"] for one in edge.ssl.certificates.values()) == [
        "evergreen/static/3",
        "evergreen/static/4",
        "of others",
    ]
    assert edge.ssl.deleted_while_bound == []


def test_a_listener_presents_a_certificate_and_a_second_run_changes_nothing(balancer):
    one = pair(kind="RSA")
    done = balancer.deploy(one)
    assert balancer.fake.listeners["lbl-1"]["Certificate"]["CertId"] == done.certificate
    assert balancer.cloud.changes() == ["UploadCertificate", "ModifyListener"]
    assert [binding.resource for binding in done.bindings] == ["lb-1/lbl-1"]
    assert set(balancer.cloud.regions) == {None, "ap-guangzhou"}
    balancer.cloud.calls.clear()
    assert not balancer.deploy(one).is_changed
    assert balancer.cloud.actions() == ["DescribeListeners", "CheckCertificateExist"]


def test_mutual_tls_stays(balancer):
    mutual = {"SSLMode": "MUTUAL", "CertId": balancer.foreign(7), "CertCaId": "ca-1", "SSLVerifyClient": "OPTIONAL"}
    balancer.fake.listeners["lbl-1"]["Certificate"] = dict(mutual)
    done = balancer.deploy(pair())
    after = balancer.fake.listeners["lbl-1"]["Certificate"]
    assert {key: after[key] for key in mutual} == {**mutual, "CertId": done.certificate}


def test_a_certificate_with_another_type_of_key_stays_beside_ours(balancer):
    first = balancer.deploy(pair(1)).certificate
    foreign = balancer.foreign(7)
    listener = balancer.fake.listeners["lbl-1"]
    listener["Certificate"] = {"SSLMode": "MUTUAL", "CertId": foreign, "ExtCertIds": [first], "CertCaId": "ca-1"}
    second = balancer.deploy(pair(2)).certificate
    after = listener["Certificate"]
    assert ({after["CertId"], *after["ExtCertIds"]}, after["CertCaId"]) == ({foreign, second}, "ca-1")


def test_several_certificates_of_others_are_not_guessed(balancer):
    listener = balancer.fake.listeners["lbl-1"]
    listener["Certificate"] = {"SSLMode": "UNIDIRECTIONAL", "CertId": "a", "ExtCertIds": ["b"]}
    assert "it presents several certificates, and which of them to replace is open; leave one" in balancer.error()


def test_with_sni_each_domain_is_bound_by_itself(balancer):
    rules = [{"Domain": name, "Certificate": None} for name in [*DOMAINS, "other.example.org"]]
    balancer.fake.listeners["lbl-1"].update(SniSwitch=1, Rules=rules)
    done = balancer.deploy(pair())
    assert [binding.resource for binding in done.bindings] == [f"lb-1/lbl-1/{name}" for name in DOMAINS]
    assert [bool(rule["Certificate"]) for rule in rules] == [True, True, False]
    assert balancer.cloud.changes() == ["UploadCertificate", *["ModifyDomainAttributes"] * 2]


def test_a_domain_without_a_rule_is_said_before_the_upload(balancer):
    balancer.fake.listeners["lbl-1"].update(SniSwitch=1, Rules=[{"Domain": DOMAINS[0], "Certificate": None}])
    assert "lb-1/lbl-1/img.example.org: the listener has no rule for this domain; add one" in balancer.error()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"listener": "lbl-9"}, "lb-1/lbl-9: there is no such listener; correct cloud.listener"),
        ({"listener": "lbl-2"}, "its protocol is TCP; name a listener for HTTPS, TCP_SSL, QUIC"),
        ({"listener": None}, "cloud.load_balancer and cloud.listener say which one; write lb-… and lbl-…"),
        ({"load_balancer": "lb-9"}, "; correct cloud.load_balancer, and the region"),
        ({"region": None}, "account main has no region, which clb needs; write for example region: ap-guangzhou"),
        ({"settings": {"tls_versions": ["TLSv1.3"]}}, "has no setting tls_versions that can be changed here"),
    ],
)
def test_what_a_load_balancer_cannot_serve_is_said_before_the_upload(balancer, options, sentence):
    assert sentence in balancer.error(**options)


def test_a_task_that_fails_is_a_failure(balancer):
    balancer.fake.fails = True
    with pytest.raises(TlsError, match="the load balancer says that the change failed; look at it in the console"):
        balancer.deploy(pair())


def test_another_change_is_waited_for(balancer):
    balancer.cloud.refusals["ModifyListener"] = [
        "FailedOperation.ResourceInOperating",
        "FailedOperation.ResourceInOperating",
    ]
    done = balancer.deploy(pair())
    assert done.pending == [] and balancer.cloud.changes().count("ModifyListener") == 3
