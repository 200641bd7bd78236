# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IAM policy in docs/aws.md allows each call that is made, and nothing that is not made. moto checks signatures and policies."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re

import botocore.exceptions
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.change import set_ports
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.registry import open_firewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Clock, Pair, deploy_certificate
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.route53 import Route53Zones
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.registry import open_service
from ansible_collections.evergreen.tls.tests.cloud.aws.server import distribution_config
from ansible_collections.evergreen.tls.tests.unit.fake_ca import some_key

PAGE = pathlib.Path(__file__).parents[6] / "docs/aws.md"
POLICY = json.loads(re.search("```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
ALLOWED = {action for one in POLICY["Statement"] if one["Effect"] == "Allow" for action in one["Action"]}
# Actions that AWS asks for with a call that creates something with tags. They are no calls of their own there.
WITH_ANOTHER_CALL = {"acm:AddTagsToCertificate", "elasticloadbalancing:AddTags"}
PREFIXES = {"tagging": "tag"}
CLOUD = {"account": None, "service": None, "resources": [], "region": None, "load_balancer": None, "listener": None}


@pytest.fixture
def key(boto):
    """Return the access key and secret key of a user with the policy."""
    iam = boto("iam", "us-east-1")
    iam.create_user(UserName="automation")
    iam.put_user_policy(UserName="automation", PolicyName="evergreen", PolicyDocument=json.dumps(POLICY))
    created = iam.create_access_key(UserName="automation")["AccessKey"]
    return created["AccessKeyId"], created["SecretAccessKey"]


@pytest.fixture
def world(boto):
    """Create a distribution, a load balancer, a security group and a hosted zone."""
    config = distribution_config("www.example.org")
    boto("cloudfront", "us-east-1").create_distribution(DistributionConfig=config)
    ec2, elb = boto("ec2"), boto("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"eu-central-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    arn = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
    certificate = boto("acm").request_certificate(DomainName="other.example.com")["CertificateArn"]
    elb.create_listener(
        LoadBalancerArn=arn,
        Port=443,
        Protocol="HTTPS",
        DefaultActions=[action],
        Certificates=[{"CertificateArn": certificate}],
    )
    boto("route53", "us-east-1").create_hosted_zone(Name="example.org", CallerReference="1")
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.revoke_security_group_egress(
        GroupId=group, IpPermissions=[everything]
    )  # a group without rules is looked up by itself
    return group


def use_everything(account, group, authority):
    """Do all that this collection does in AWS."""
    accounts = {"shop": {"type": "aws", **account}}
    for options in ({}, {"service": "elb", "load_balancer": "web"}):
        service = open_service(
            {"name": "web", "domains": ["www.example.org"], "cloud": {**CLOUD, **options}}, accounts, "evergreen/web/"
        )
        for number in range(2):
            pair_key = some_key(number)
            chain = authority.chain(["www.example.org"], pair_key)
            label = f"evergreen/web/{number}"
            pair = Pair(chain, lambda pair_key=pair_key: pair_key, label, contextlib.nullcontext)
            deploy_certificate(service, pair, 60.0, False, Clock(sleep=lambda _seconds: None))
            service.find(chain, label)
        settings = {"redirect": True, "tls_versions": ["TLSv1.2", "TLSv1.3"], **({"hsts": 60} if options else {})}
        service.configure(service.bindings()[0], settings)
        service.configure(service.bindings()[0], {"redirect": False})
        for upload in service.uploads("evergreen/web/"):
            if not upload.is_bound:
                service.remove(upload.certificate)
    for state in ("open", "closed", "open"):
        firewall = open_firewall({"account": None, "security_group": group, "instance": None}, accounts)
        set_ports(firewall, {"ports": [443], "protocol": "tcp", "sources": [], "state": state}, check_mode=False)
    zones = Route53Zones(AwsSession("shop", account).client("route53", "us-east-1"), None, None)
    zones.check_permission("example.org", "_acme-challenge.example.org")
    zones.add("example.org", "_acme-challenge.example.org", '"value"', 10.0)
    zones.remove("example.org", "_acme-challenge.example.org", '"value"')


def test_each_call_is_allowed_and_each_allowed_action_is_called(cloud, settings, key, world, authority):
    account = {**settings, "access_key": key[0], "secret_key": key[1]}
    cloud.calls.clear()
    cloud.check_policies(0)
    use_everything(account, world, authority)
    called = {f"{PREFIXES.get(service, service)}:{action}" for service, action in cloud.calls}
    assert called == ALLOWED - WITH_ANOTHER_CALL
    assert WITH_ANOTHER_CALL <= ALLOWED


@pytest.mark.parametrize(
    ("service", "call", "arguments"),
    [
        (
            "acm",
            "export_certificate",
            {"CertificateArn": f"arn:aws:acm:us-east-1:123456789012:certificate/{'1' * 36}", "Passphrase": b"1234"},
        ),
        ("acm", "request_certificate", {"DomainName": "example.org"}),
        ("cloudfront", "delete_distribution", {"Id": "E1", "IfMatch": "x"}),
        ("elbv2", "delete_load_balancer", {"LoadBalancerArn": "arn:x"}),
        ("ec2", "delete_security_group", {"GroupId": "sg-1"}),
        ("route53", "delete_hosted_zone", {"Id": "Z1"}),
        ("iam", "list_users", {}),
    ],
)
def test_other_calls_are_refused(cloud, boto, key, service, call, arguments):
    cloud.check_policies(0)
    client = boto(service, "us-east-1", aws_access_key_id=key[0], aws_secret_access_key=key[1])
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        getattr(client, call)(**arguments)
    assert caught.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def test_a_wrong_secret_is_told(cloud, settings, key):
    cloud.check_policies(0)
    session = AwsSession("shop", {**settings, "access_key": key[0], "secret_key": "wrong"})
    with pytest.raises(TlsError, match="correct access_key and secret_key of the account in cloud_accounts"):
        session.client("acm").call("ListCertificates")


def test_a_missing_permission_is_told(cloud, settings, key, boto):
    boto("iam", "us-east-1").delete_user_policy(UserName="automation", PolicyName="evergreen")
    cloud.check_policies(0)
    session = AwsSession("shop", {**settings, "access_key": key[0], "secret_key": key[1]})
    with pytest.raises(
        TlsError, match="allow acm:ListCertificates to this key or role; the policy .* is in docs/aws.md"
    ):
        session.client("acm").call("ListCertificates")
