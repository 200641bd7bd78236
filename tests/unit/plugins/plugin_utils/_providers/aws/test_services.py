# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services of AWS out of what the inventory has, and the walk with them."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock, Pair, deploy_certificate
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal, distribution_config
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

PREFIX = "evergreen/www.example.org/"
CLOUD = {"account": None, "service": None, "resources": [], "region": None, "load_balancer": None, "listener": None}


@pytest.fixture
def accounts(settings):
    return {"shop": {"type": "aws", **settings}}


@pytest.fixture
def distribution(boto, cloud):
    config = distribution_config("www.example.org")
    identifier = boto("cloudfront", "us-east-1").create_distribution(DistributionConfig=config)["Distribution"]["Id"]
    cloud.settle()
    cloud.calls.clear()
    return identifier


def request(**cloud):
    return {"name": "www.example.org", "domains": ["www.example.org"], "cloud": {**CLOUD, **cloud}}


def pair(authority, number=0, kind="ECC"):
    key = some_key(number, kind)
    chain = authority.chain(["www.example.org"], key)
    return Pair(chain, lambda: key, f"evergreen/www.example.org/{number}", contextlib.nullcontext)


def deploy(accounts, installed, is_check=False, **cloud):
    clock = Clock(sleep=lambda _seconds: None)
    return deploy_certificate(open_service(request(**cloud), accounts, PREFIX), installed, 60.0, is_check, clock)


def test_the_first_deployment_uploads_and_binds_and_the_second_changes_nothing(
    accounts, authority, distribution, cloud
):
    installed = pair(authority)
    done = deploy(accounts, installed)
    assert done.is_uploaded and cloud.bound(distribution) == done.certificate
    assert cloud.changes() == ["ImportCertificate", "UpdateDistribution"]
    assert not deploy(accounts, installed).is_changed
    assert cloud.changes() == ["ImportCertificate", "UpdateDistribution"]


def test_check_mode_changes_nothing(accounts, authority, distribution, cloud):
    done = deploy(accounts, pair(authority), is_check=True)
    assert done.is_uploaded and [binding.resource for binding in done.bound] == [distribution]
    assert cloud.changes() == []


def test_a_run_that_died_before_it_bound_does_not_import_twice(accounts, authority, distribution, cloud):
    installed = pair(authority)
    cloud.refusals["UpdateDistribution"] = Refusal("AccessDenied", "not yet", 403)
    with pytest.raises(TlsError, match="allow cloudfront:UpdateDistribution to this key or role"):
        deploy(accounts, installed)
    cloud.refusals.clear()
    assert not deploy(accounts, installed).is_uploaded
    assert cloud.changes().count("ImportCertificate") == 1 and len(cloud.certificates()) == 1


def test_the_way_back_binds_the_earlier_import(accounts, authority, distribution, cloud):
    first, second = pair(authority, 1), pair(authority, 2)
    arn = deploy(accounts, first).certificate
    deploy(accounts, second)
    cloud.calls.clear()
    assert deploy(accounts, first).certificate == arn == cloud.bound(distribution)
    assert cloud.changes() == ["UpdateDistribution"]


def test_a_reimport_keeps_the_arn_and_changes_no_distribution(accounts, authority, distribution, cloud):
    first, second = pair(authority, 1), pair(authority, 2)
    arn = deploy(accounts, first, reimport=True).certificate
    cloud.calls.clear()
    done = deploy(accounts, second, reimport=True)
    assert done.is_uploaded and done.certificate == arn == cloud.bound(distribution)
    assert cloud.changes() == ["ImportCertificate", "AddTagsToCertificate"]
    cloud.calls.clear()
    assert not deploy(accounts, second, reimport=True).is_changed
    deploy(accounts, first, reimport=True)  # the way back
    assert cloud.changes() == ["ImportCertificate", "AddTagsToCertificate"]
    assert len(cloud.certificates()) == 1


def test_a_key_of_another_type_is_imported_by_itself(accounts, authority, distribution, cloud):
    arn = deploy(accounts, pair(authority, 1), reimport=True).certificate
    other = deploy(accounts, pair(authority, 2, "RSA"), reimport=True).certificate
    assert other != arn and cloud.bound(distribution) == other


def test_an_import_of_somebody_else_is_not_replaced(accounts, authority, distribution, cloud):
    foreign = pair(authority, 1)._replace(label="made by a person")
    arn = deploy(accounts, foreign).certificate
    assert deploy(accounts, pair(authority, 2), reimport=True).certificate != arn
    assert arn in cloud.certificates()


def test_nothing_is_sent_before_it_is_used(accounts, cloud):
    open_service(request(), accounts, PREFIX)
    open_service(request(service="elb", load_balancer="web"), accounts, PREFIX)
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"service": "elb"}, "is served by a load balancer of AWS that it does not name; write load_balancer in cloud"),
        ({"service": "cdn"}, "accounts of type aws have no service cdn, only cloudfront, elb; correct cloud.service"),
        (
            {"account": "main", "reimport": True},
            "reimport is for accounts of type aws, and account main is of type tencent",
        ),
        ({"tls_versions": ["TLSv1.2"]}, "CloudFront takes TLSv1.2 with all newer versions alone"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(accounts, cloud, options, sentence):
    accounts = {**accounts, "main": {"type": "tencent"}} if "account" in options else accounts
    with pytest.raises(TlsError) as caught:
        open_service(request(**options), accounts, PREFIX)
    assert sentence in str(caught.value)
    assert cloud.calls == []
