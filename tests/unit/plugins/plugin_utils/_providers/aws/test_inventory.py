# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies in ACM: listed with its end and with what presents it, and without a change."""

from __future__ import annotations

import datetime

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.acm import AcmCertificates
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.inventory import (
    list_certificates,
    read_entry,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal, distribution_config
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

NOW = datetime.datetime.now(datetime.timezone.utc)
ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/1"


@pytest.fixture
def imported(session, authority):
    """Import a certificate with each type of key into both regions; return ARNs and chains."""
    arns = []
    for region, kind in (("us-east-1", "ECC"), ("eu-central-1", "RSA")):
        acm = AcmCertificates(session.client("acm", region), session.client("resourcegroupstaggingapi", region))
        key = some_key(kind=kind)
        chain = authority.chain(["www.example.org", "a.example.org"], key)
        arns.append((acm.upload(chain, key, f"evergreen/web/{kind}"), chain))
    return arns


def test_the_certificates_of_both_regions_are_listed_with_what_presents_them(cloud, session, boto, imported):
    (edge, chain), (regional, _chain) = imported
    config = distribution_config("www.example.org")
    config["ViewerCertificate"] = {
        "ACMCertificateArn": edge,
        "SSLSupportMethod": "sni-only",
        "MinimumProtocolVersion": "TLSv1.2_2021",
    }
    identifier = boto("cloudfront", "us-east-1").create_distribution(DistributionConfig=config)["Distribution"]["Id"]
    issued = boto("acm").request_certificate(DomainName="amazon.example.org")["CertificateArn"]
    cloud.calls.clear()
    entries = {one["certificate"]: one for one in list_certificates(session, NOW, has_bindings=True)}
    assert set(entries) == {edge, regional, issued}
    ours = entries[edge]
    assert (ours["alias"], ours["ours"], ours["origin"], ours["status"]) == (
        "evergreen/web/ECC",
        True,
        "upload",
        "issued",
    )
    assert set(ours["domains"]) == {"www.example.org", "a.example.org"}
    assert datetime.datetime.fromisoformat(ours["not_after"]) == not_after(chain[0])
    assert ours["days_left"] == (not_after(chain[0]) - NOW).days
    assert ours["bound_to"] == [
        {"service": "cloudfront", "region": "", "resources": 1, "names": [f"distribution/{identifier}"]}
    ]
    assert entries[regional]["bound_to"] == []
    assert (entries[issued]["origin"], entries[issued]["ours"]) == ("free", False)
    assert cloud.changes() == []


def test_one_region_is_listed_once(settings, cloud, imported):
    (edge, _chain), _regional = imported
    session = AwsSession("shop", {**settings, "region": "us-east-1"})
    cloud.calls.clear()
    assert [one["certificate"] for one in list_certificates(session, NOW, has_bindings=False)] == [edge]
    assert cloud.actions() == ["ListCertificates", "GetResources"]


def test_without_permission_the_bindings_are_not_known(cloud, session, imported):
    cloud.refusals["DescribeCertificate"] = Refusal("AccessDeniedException", "no", 403)
    entries = list_certificates(session, NOW, has_bindings=True)
    assert len(entries) == 2 and {one["bound_to"] for one in entries} == {None}


def test_a_certificate_that_goes_meanwhile_is_listed_without_resources(cloud, session, imported):
    cloud.refusals["DescribeCertificate"] = Refusal("ResourceNotFoundException", "gone")
    assert [one["bound_to"] for one in list_certificates(session, NOW, has_bindings=True)] == [[], []]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("PENDING_VALIDATION", "pending"),
        ("ISSUED", "issued"),
        ("INACTIVE", "cancelled"),
        ("EXPIRED", "expired"),
        ("VALIDATION_TIMED_OUT", "failed"),
        ("REVOKED", "revoked"),
        ("FAILED", "failed"),
        ("ELSE", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_status_is_a_word_of_this_collection(status, shown):
    assert read_entry({"CertificateArn": ARN, "Status": status}, {}, NOW, has_bindings=False)["status"] == shown


def test_what_uses_a_certificate_is_counted_by_service_and_region():
    users = [
        "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/web/1",
        "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/api/2",
        "arn:aws:cloudfront::123456789012:distribution/E1",
        "nonsense",
    ]
    entry = read_entry({"CertificateArn": ARN, "InUseBy": users}, {}, NOW, has_bindings=True)
    assert entry["bound_to"] == [
        {"service": "", "region": "", "resources": 1, "names": ["nonsense"]},
        {"service": "cloudfront", "region": "", "resources": 1, "names": ["distribution/E1"]},
        {
            "service": "elb",
            "region": "eu-central-1",
            "resources": 2,
            "names": ["loadbalancer/app/api/2", "loadbalancer/app/web/1"],
        },
    ]
