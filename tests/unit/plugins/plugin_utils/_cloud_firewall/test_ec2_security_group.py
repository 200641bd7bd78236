# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports of security groups of EC2. boto3 is the judge of what the groups have afterwards."""

from __future__ import annotations

import boto3
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.change import set_ports
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.registry import open_firewall
from ansible_collections.evergreen.tls.tests.cloud.aws.server import Refusal, aws_cloud

REGION = "eu-central-1"


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with aws_cloud() as started:
        yield started


@pytest.fixture
def person(cloud):
    keys = {"aws_access_key_id": "AKIAPERSON", "aws_secret_access_key": "secret"}
    return boto3.client("ec2", region_name=REGION, endpoint_url=cloud.url, **keys)


@pytest.fixture
def group(person, cloud):
    vpc = person.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    identifier = person.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    cloud.calls.clear()
    return identifier


def rules(person, group):
    """Return the rules for incoming connections: protocol, ports, source and description."""
    listed = person.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])[
        "SecurityGroupRules"
    ]
    return sorted(
        (one["IpProtocol"], one["FromPort"], one["ToPort"], one.get("CidrIpv4") or one.get("CidrIpv6") or "a group")
        for one in listed
        if not one["IsEgress"]
    )


def firewall(cloud, group, **settings):
    account = {
        "type": "aws",
        "access_key": "AKIAEXAMPLE",
        "secret_key": "secret",
        "endpoint": cloud.url,
        "region": REGION,
    }
    arguments = {"account": "shop", "security_group": group, "instance": None, "region": None, **settings}
    return open_firewall(arguments, {"shop": account})


def ports(cloud, group, *numbers, state="open", sources=(), check_mode=False):
    spec = {"ports": list(numbers), "protocol": "tcp", "sources": list(sources), "state": state}
    return set_ports(firewall(cloud, group), spec, check_mode)


def permit(person, group, **permission):
    person.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])


def test_ports_are_opened_for_both_versions_of_ip_once(cloud, person, group):
    result = ports(cloud, group, 80, 443)
    assert result["changed"] and result["opened"] == [80, 443]
    assert rules(person, group) == [
        ("tcp", 80, 80, "0.0.0.0/0"),
        ("tcp", 80, 80, "::/0"),
        ("tcp", 443, 443, "0.0.0.0/0"),
        ("tcp", 443, 443, "::/0"),
    ]
    assert cloud.changes() == ["AuthorizeSecurityGroupIngress"]
    assert not ports(cloud, group, 80, 443)["changed"]
    assert cloud.changes() == ["AuthorizeSecurityGroupIngress"]


def test_check_mode_changes_nothing_and_shows_the_rules(cloud, person, group):
    result = ports(cloud, group, 443, check_mode=True)
    assert result["changed"] and "tcp 443 from 0.0.0.0/0" in result["diff"]["after"]
    assert rules(person, group) == [] and cloud.changes() == []


@pytest.mark.parametrize(
    "permission",
    [
        {"IpProtocol": "-1"},
        {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535},
        {"IpProtocol": "tcp", "FromPort": 400, "ToPort": 500},
    ],
    ids=["all protocols", "all ports", "a range of ports"],
)
def test_a_wider_rule_is_enough(cloud, person, group, permission):
    permit(person, group, **permission, IpRanges=[{"CidrIp": "0.0.0.0/0"}], Ipv6Ranges=[{"CidrIpv6": "::/0"}])
    cloud.calls.clear()
    assert not ports(cloud, group, 443)["changed"]
    assert cloud.changes() == []


@pytest.mark.parametrize(
    "permission",
    [
        {"IpProtocol": "udp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": ["the group itself"]},
        {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
    ],
    ids=["another protocol", "a part of the addresses", "another group", "icmp"],
)
def test_another_rule_is_not_enough_and_stays(cloud, person, group, permission):
    if "UserIdGroupPairs" in permission:
        permission = {**permission, "UserIdGroupPairs": [{"GroupId": group}]}
    permit(person, group, **permission)
    before = rules(person, group)
    assert ports(cloud, group, 443, sources=["0.0.0.0/0"])["changed"]
    assert rules(person, group) == sorted([*before, ("tcp", 443, 443, "0.0.0.0/0")])


def test_udp_is_opened_with_tcp_and_closed_alone(cloud, person, group):
    before = rules(person, group)
    result = ports(cloud, group, 443, "443/udp", sources=["0.0.0.0/0", "::/0"])
    assert result["opened"] == [443, "443/udp"]
    opened = [(protocol, 443, 443, source) for protocol in ("tcp", "udp") for source in ("0.0.0.0/0", "::/0")]
    assert rules(person, group) == sorted([*before, *opened])
    assert ports(cloud, group, "443/udp", state="closed")["closed"] == ["443/udp"]
    assert rules(person, group) == sorted([*before, *opened[:2]])


def test_only_rules_for_just_these_ports_are_removed(cloud, person, group):
    permit(person, group, IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=[{"CidrIp": "10.0.0.0/8"}])
    permit(person, group, IpProtocol="tcp", FromPort=440, ToPort=450, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    before = rules(person, group)
    ports(cloud, group, 443, sources=["192.0.2.0/24"])
    permit(person, group, IpProtocol="tcp", FromPort=443, ToPort=443, IpRanges=[{"CidrIp": "192.0.2.128/25"}])
    result = ports(cloud, group, 443, sources=["192.0.2.0/24"], state="closed")
    assert result["closed"] == [443]
    assert "Some of it still comes in by `tcp 440-450 from 0.0.0.0/0`" in result["msg"]
    assert rules(person, group) == before
    assert cloud.changes()[-1] == "RevokeSecurityGroupIngress"


def test_a_rule_that_somebody_adds_at_the_same_time_is_no_error(cloud, person, group):
    def interfere():
        cloud.before.pop("AuthorizeSecurityGroupIngress")
        permit(person, group, IpProtocol="tcp", FromPort=443, ToPort=443, IpRanges=[{"CidrIp": "0.0.0.0/0"}])

    cloud.before["AuthorizeSecurityGroupIngress"] = interfere
    ports(cloud, group, 443)
    assert rules(person, group) == [("tcp", 443, 443, "0.0.0.0/0"), ("tcp", 443, 443, "::/0")]


def test_the_number_of_interfaces_behind_the_group_is_told(cloud, person, group):
    subnet = person.create_subnet(
        VpcId=person.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["VpcId"], CidrBlock="10.0.0.0/24"
    )
    for _number in range(2):
        person.create_network_interface(SubnetId=subnet["Subnet"]["SubnetId"], Groups=[group])
    result = ports(cloud, group, 443)
    assert result["instances"] == 2
    assert (
        f"The change is for all 2 instances that the security group {group} of account shop is bound to."
        in result["warnings"]
    )


def test_the_number_is_not_needed(cloud, group):
    cloud.refusals["DescribeNetworkInterfaces"] = Refusal("UnauthorizedOperation", "not allowed", 403)
    assert ports(cloud, group, 443)["instances"] is None


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("UnauthorizedOperation", "allow ec2:AuthorizeSecurityGroupIngress to this key or role"),
        ("RulesPerSecurityGroupLimitExceeded", "remove rules of the group that nobody needs"),
    ],
)
def test_a_refusal_is_told(cloud, group, code, remedy):
    cloud.refusals["AuthorizeSecurityGroupIngress"] = Refusal(code, "the words of AWS", 403)
    with pytest.raises(TlsError) as caught:
        ports(cloud, group, 443)
    assert remedy in str(caught.value)


def test_an_unknown_group_is_told(cloud):
    with pytest.raises(
        TlsError, match=r"InvalidGroup.NotFound .* correct security_group, and see that the account has the region"
    ):
        ports(cloud, "sg-0123456789abcdef0", 443)


def test_an_instance_is_no_firewall_of_aws(cloud):
    with pytest.raises(TlsError, match="an account of type aws takes one of security_group; name just one"):
        firewall(cloud, None, instance="i-1")
