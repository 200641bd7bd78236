# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies in an account: listed with its end and with what presents it, and without a change."""

from __future__ import annotations

import datetime

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import cloud_certificate_info
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import inventory
from ansible_collections.evergreen.tls.tests.cloud.tencent.free_ssl import FreeSsl
from ansible_collections.evergreen.tls.tests.unit.fake_alibaba import fake_alibaba
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import fake_tencent

NOW = datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    monkeypatch.setattr(inventory.time, "sleep", lambda _seconds: None)


@pytest.fixture
def cloud():
    ssl = FreeSsl(lambda *_record: True)
    order = {"looks": 0, "old": "", "completed": 0}
    ssl.orders = {
        "late": {
            "alias": "evergreen/static/1",
            "domain": "static.example.org",
            "status": 1,
            "at": NOW.timestamp(),
            **order,
        },
        "soon": {
            "alias": "by hand",
            "domain": "www.example.org",
            "status": 1,
            "at": NOW.timestamp() - 80 * 86400,
            **order,
        },
        "gone": {"alias": "", "domain": "old.example.org", "status": 3, "at": NOW.timestamp() - 100 * 86400, **order},
        "open": {"alias": "", "domain": "new.example.org", "status": 0, **order},
    }
    ssl.bound = lambda certificate: [("cdn", "static.example.org"), ("cdn", "b")] if certificate == "late" else []
    with fake_tencent(ssl) as started:
        yield started


def run(cloud, **arguments):
    task = Task()
    task.action, task.args = "evergreen.tls.cloud_certificate_info", arguments
    action = cloud_certificate_info.ActionModule(task, None, None, None, None, None)
    accounts = {"main": {"type": "tencent", **cloud.account()}} if cloud else {}
    accounts["other"] = {"type": "gcp"}
    return action.run(task_vars={"inventory_hostname": "cdn1", "cloud_accounts": accounts})


def test_each_certificate_is_listed_with_what_presents_it(cloud):
    result = run(cloud, account="main")
    assert (result["changed"], result["msg"]) == (False, "account main has 4 certificates")
    assert [one["certificate"] for one in result["certificates"]] == ["gone", "soon", "late", "open"]
    late = result["certificates"][2]
    assert late["bound_to"] == [{"service": "cdn", "region": "", "resources": 2}]
    assert (late["ours"], late["origin"], late["status"], late["domains"]) == (
        True,
        "free",
        "issued",
        ["static.example.org"],
    )
    assert late["days_left"] in (89, 90)
    assert datetime.datetime.fromisoformat(late["not_before"]) == NOW.replace(microsecond=0), "GMT+8 is converted"
    assert result["certificates"][3]["status"] == "pending" and result["certificates"][3]["not_after"] is None
    assert cloud.changes() == ["CreateCertificateBindResourceSyncTask"], "which only looks"


def test_what_expires_soon_is_selected(cloud):
    result = run(cloud, account="main", expires_within=30, bindings=False)
    assert [one["certificate"] for one in result["certificates"]] == ["soon"]
    assert result["msg"] == "account main has 1 certificate that expire within 30 days".replace("expire ", "expires ")
    assert cloud.actions() == ["DescribeCertificates"]


def test_without_permission_the_bindings_are_not_known(cloud):
    cloud.refusals["CreateCertificateBindResourceSyncTask"] = "UnauthorizedOperation"
    assert {one["bound_to"] for one in run(cloud, account="main")["certificates"]} == {None}


def test_a_region_that_cannot_be_looked_at_is_not_taken_for_empty():
    region = {"Region": "ap-guangzhou", "TotalCount": 0, "Error": "timeout"}
    kind = {"ResourceType": "clb", "BindResourceRegionResult": [region]}
    assert inventory.read_bound({"Status": 1, "BindResourceResult": [kind]}) is None
    assert inventory.read_bound({"Status": 2}) is None


def test_an_account_of_another_type_is_said(cloud):
    result = run(cloud, account="other")
    assert (
        result["failed"] and "cloud account other: there is no type 'gcp', only alibaba, aws, tencent" in result["msg"]
    )


def test_the_certificates_of_alibaba_cloud_are_listed_with_what_presents_them():
    soon, late = ((NOW + datetime.timedelta(days=days)).strftime("%Y-%m-%d") for days in (10, 80))
    with fake_alibaba() as cloud:
        cloud.uploads = {1: "evergreen/static/1", 2: "by hand"}
        cloud.details = {
            1: {"CommonName": "static.example.org", "Sans": "static.example.org,a.example.org", "EndDate": late},
            2: {"CommonName": "www.example.org", "EndDate": "2020-01-01", "StartDate": "2019-10-01", "Expired": True},
        }
        cloud.bought = [{"CertificateId": 9, "Name": "bought", "CommonName": "shop.example.org", "EndDate": soon}]
        cloud.domains["static.example.org"]["certificate"] = "1"
        cloud.resources = [
            {"CertId": 9, "CloudProduct": "SLB", "RegionId": "cn-hangzhou", "InstanceId": "lb-1"},
            {"CertId": 1, "CloudProduct": "CDN", "RegionId": "cn-hangzhou", "Domain": "static.example.org"},
        ]
        accounts = {"shop": cloud.account()}
        result = run(None, accounts=accounts)
        assert result["msg"] == "account shop has 3 certificates"
        assert [one["certificate"] for one in result["certificates"]] == ["2", "9", "1"]
        expired, bought, ours = result["certificates"]
        assert (expired["status"], expired["ours"], expired["bound_to"]) == ("expired", False, [])
        assert expired["not_before"] == "2019-10-01T00:00:00+00:00"
        assert bought["origin"] == "bought" and bought["bound_to"] == [
            {"service": "slb", "region": "cn-hangzhou", "resources": 1, "names": ["lb-1"]}
        ]
        assert (ours["ours"], ours["origin"], ours["status"]) == (True, "upload", "issued")
        assert ours["domains"] == ["static.example.org", "a.example.org"] and ours["days_left"] in (78, 79)
        assert ours["bound_to"] == [{"service": "cdn", "region": "", "resources": 1, "names": ["static.example.org"]}]
        assert cloud.changes() == []
        cloud.refusals["ListCloudResources"] = "NoPermission"
        assert {one["bound_to"] for one in run(None, accounts=accounts)["certificates"]} == {None}
        listed = run(None, accounts=accounts, expires_within=30, bindings=False)
        assert [one["certificate"] for one in listed["certificates"]] == ["9"]
