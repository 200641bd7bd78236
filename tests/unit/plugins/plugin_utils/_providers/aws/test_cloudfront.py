# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Distributions of CloudFront: one leaf of a configuration is changed, by its ETag, and nothing else."""

from __future__ import annotations

import copy

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.cloudfront import CloudFront, security_policy
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal, distribution_config
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key

LABEL = "evergreen/www.example.org/0123456789abcdef"


@pytest.fixture
def person(boto):
    return boto("cloudfront", "us-east-1")


@pytest.fixture
def distribution(person, cloud):
    identifier = person.create_distribution(DistributionConfig=distribution_config("www.example.org"))["Distribution"][
        "Id"
    ]
    cloud.settle()
    cloud.calls.clear()
    return identifier


@pytest.fixture
def open_service(session):
    def service(*distributions, domains=("www.example.org",)):
        acm = AcmCertificates(
            session.client("acm", "us-east-1"), session.client("resourcegroupstaggingapi", "us-east-1")
        )
        return CloudFront(session.client("cloudfront", "us-east-1"), acm, list(distributions), list(domains))

    return service


@pytest.fixture
def uploaded(open_service, authority):
    def upload(number=0, names=("www.example.org",)):
        key = some_key(number)
        return open_service().upload(authority.chain(list(names), key), key, LABEL)

    return upload


def config_of(person, identifier):
    return person.get_distribution_config(Id=identifier)["DistributionConfig"]


def test_a_distribution_is_known_by_an_alias_or_named_by_its_id(open_service, distribution):
    for service in (open_service(), open_service(distribution)):
        (binding,) = service.bindings()
        assert (binding.resource, binding.certificate, binding.state) == (distribution, None, "ready")
        assert binding.address.endswith(".cloudfront.net")
        assert binding.settings["redirect"] is False


def test_two_aliases_of_one_distribution_are_one_resource(open_service, person):
    config = distribution_config("a.example.org", "b.example.org")
    identifier = person.create_distribution(DistributionConfig=config)["Distribution"]["Id"]
    service = open_service(domains=["a.example.org", "b.example.org"])
    assert [binding.resource for binding in service.bindings()] == [identifier]


def test_a_domain_without_a_distribution_is_told(open_service, distribution):
    with pytest.raises(TlsError) as caught:
        open_service(domains=["www.example.org", "img.example.org"]).bindings()
    assert "CloudFront of the account shop has no distribution with the alias img.example.org; name its ID" in str(
        caught.value
    )


def test_an_account_without_distributions_is_told(open_service):
    with pytest.raises(TlsError, match="has no distribution with the alias www.example.org"):
        open_service().bindings()


def test_an_unknown_id_is_told(open_service):
    with pytest.raises(TlsError, match="NoSuchDistribution .* each is the ID of a distribution, like E2EXAMPLE1DIST"):
        open_service("E2EXAMPLE1DIST").bindings()


def test_binding_changes_the_certificate_and_nothing_else(open_service, uploaded, person, distribution, cloud):
    arn, before = uploaded(), config_of(person, distribution)
    service = open_service()
    service.bind(service.bindings()[0], arn)
    after = config_of(person, distribution)
    viewer = after.pop("ViewerCertificate")
    assert viewer["ACMCertificateArn"] == arn
    assert viewer["SSLSupportMethod"] == "sni-only" and viewer["MinimumProtocolVersion"] == "TLSv1.2_2021"
    before.pop("ViewerCertificate")
    assert after == before
    assert service.bindings()[0].certificate == arn
    assert cloud.changes() == ["ImportCertificate", "UpdateDistribution"]


def test_a_security_policy_that_somebody_chose_stays(open_service, uploaded, person, distribution, cloud):
    service = open_service()
    service.bind(service.bindings()[0], uploaded(1))
    service.configure(service.bindings()[0], {"tls_versions": ["TLSv1.3"]})
    service.bind(service.bindings()[0], uploaded(2))
    assert config_of(person, distribution)["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.3_2025"
    assert service.bindings()[0].settings["tls_versions"] == ["TLSv1.3"]


def test_it_is_busy_until_the_edges_have_the_change(open_service, uploaded, distribution, cloud):
    cloud.deployment_s = 3600.0
    service = open_service()
    service.bind(service.bindings()[0], uploaded())
    busy = service.bindings()[0]
    assert busy.state == "busy" and "distributes a change" in busy.reason
    cloud.deployment_s = 0.0
    assert service.bindings()[0].state == "ready"


def test_a_change_of_somebody_else_in_between_is_kept(open_service, uploaded, person, distribution, cloud):
    service, arn = open_service(), uploaded()

    def interfere():
        cloud.before.pop("UpdateDistribution")
        current = person.get_distribution_config(Id=distribution)
        config = {**current["DistributionConfig"], "Comment": "changed by a person"}
        person.update_distribution(Id=distribution, DistributionConfig=config, IfMatch=current["ETag"])

    binding = service.bindings()[0]
    cloud.before["UpdateDistribution"] = interfere
    service.bind(binding, arn)
    config = config_of(person, distribution)
    assert config["Comment"] == "changed by a person"
    assert config["ViewerCertificate"]["ACMCertificateArn"] == arn


def test_changes_of_others_without_end_are_told(open_service, uploaded, distribution, cloud):
    service, arn = open_service(), uploaded()
    binding = service.bindings()[0]
    cloud.refusals["UpdateDistribution"] = Refusal("PreconditionFailed", "stale", 412)
    with pytest.raises(
        TlsError, match="PreconditionFailed .* somebody else changed it at the same time; run this again"
    ):
        service.bind(binding, arn)
    assert cloud.changes().count("UpdateDistribution") == 3


def test_a_certificate_of_another_region_is_told(open_service, distribution, session, authority):
    key = some_key()
    elsewhere = AcmCertificates(session.client("acm"), session.client("resourcegroupstaggingapi"))
    arn = elsewhere.upload(authority.chain(["www.example.org"], key), key, LABEL)
    service = open_service()
    with pytest.raises(TlsError, match="InvalidViewerCertificate .* see that the certificate is in us-east-1"):
        service.bind(service.bindings()[0], arn)


def test_the_redirect_is_set_for_each_behavior_that_answers_http(open_service, person, cloud):
    config = distribution_config("www.example.org", policies=["allow-all", "https-only", "allow-all"])
    identifier = person.create_distribution(DistributionConfig=config)["Distribution"]["Id"]
    service = open_service()
    before = copy.deepcopy(config_of(person, identifier))
    service.configure(service.bindings()[0], {"redirect": True})
    assert service.bindings()[0].settings["redirect"] is True
    after = config_of(person, identifier)
    policies = [
        one["ViewerProtocolPolicy"] for one in [after["DefaultCacheBehavior"], *after["CacheBehaviors"]["Items"]]
    ]
    assert policies == ["redirect-to-https", "https-only", "redirect-to-https"]
    service.configure(service.bindings()[0], {"redirect": False})
    assert service.bindings()[0].settings["redirect"] is False
    for one in [after["DefaultCacheBehavior"], *after["CacheBehaviors"]["Items"]]:
        one.pop("ViewerProtocolPolicy")
    for one in [before["DefaultCacheBehavior"], *before["CacheBehaviors"]["Items"]]:
        one.pop("ViewerProtocolPolicy")
    assert after == before


def test_what_is_set_already_is_not_written(open_service, distribution, cloud):
    service = open_service()
    service.configure(service.bindings()[0], {"redirect": False})
    assert cloud.changes() == []


@pytest.mark.parametrize(
    ("versions", "policy"),
    [
        (["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"], "TLSv1_2016"),
        (["TLSv1.1", "TLSv1.2", "TLSv1.3"], "TLSv1.1_2016"),
        (["TLSv1.3", "TLSv1.2"], "TLSv1.2_2021"),
        (["TLSv1.3"], "TLSv1.3_2025"),
    ],
)
def test_versions_of_tls_are_a_security_policy(versions, policy):
    import botocore.session

    shape = botocore.session.get_session().get_service_model("cloudfront").shape_for("MinimumProtocolVersion")
    assert security_policy(versions) == policy
    assert policy in shape.enum


def test_versions_that_no_security_policy_takes_alone_are_refused():
    with pytest.raises(
        TlsError, match=r"CloudFront takes TLSv1.2 with all newer versions alone, .* tls_versions: \[TLSv1.2, TLSv1.3\]"
    ):
        security_policy(["TLSv1.2"])


def test_there_is_no_setting_for_strict_transport_security(open_service, distribution):
    assert "hsts" not in open_service().bindings()[0].settings


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Enabled": False}, "the distribution is disabled; enable it in the console"),
        ({"Staging": True}, "it is a staging distribution, which serves no clients; name the primary one"),
    ],
)
def test_a_distribution_that_serves_nobody_is_unfit(open_service, person, cloud, change, reason):
    person.create_distribution(DistributionConfig={**distribution_config("www.example.org"), **change})
    (binding,) = open_service().bindings()
    assert binding.state == "unfit" and reason in binding.reason


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_curve_that_cloudfront_refuses_is_refused_before_anything_is_sent(open_service, cloud, curve):
    with pytest.raises(
        TlsError, match="and CloudFront takes RSA with .* and the curves secp256r1; set type, size or curve"
    ):
        open_service().check(Authority().chain(["www.example.org"], ec.generate_private_key(curve)))
    assert cloud.calls == []


def test_the_china_regions_are_refused(settings):
    from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession

    session = AwsSession("shop", {**settings, "region": "cn-north-1"})
    with pytest.raises(
        TlsError, match="is in the partition aws-cn, where CloudFront does not take certificates of ACM"
    ):
        CloudFront(session.client("cloudfront", "cn-northwest-1"), None, [], ["www.example.org"])


def test_an_empty_answer_is_told(open_service, cloud):
    cloud.answers["ListDistributions"] = b"<DistributionList></DistributionList>"
    with pytest.raises(TlsError, match="has no distribution with the alias|no DistributionList.Items"):
        open_service().bindings()
