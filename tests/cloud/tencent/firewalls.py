# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security groups (API vpc) and firewalls of Lighthouse instances. Their methods are the actions. Needs the standard library only."""

from __future__ import annotations

import ipaddress

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused

LIMIT = 100  # rules


class _Rules:
    """Rules in their order, with a version."""

    def __init__(self, rules=(), instances=1):
        self.rules, self.version, self.instances = [dict(rule) for rule in rules], 1, instances

    def admits(self, protocol, port, address):
        """Judge a packet, in code of its own: the first rule that matches decides, and what none matches is refused."""
        for rule in self.rules:
            if _matches(rule, protocol.upper(), port, ipaddress.ip_address(address)):
                return rule.get("Action", "ACCEPT") == "ACCEPT"
        return False


def _matches(rule, protocol, port, address):
    if rule.get("AddressTemplate") or rule.get("SecurityGroupId") or rule.get("ServiceTemplate"):
        return False
    if rule.get("Protocol", "ALL").upper() not in ("ALL", protocol):
        return False
    block = rule.get("CidrBlock") or rule.get("Ipv6CidrBlock") or "0.0.0.0/0"
    if address not in ipaddress.ip_network(block, strict=False):
        return False
    ports = (rule.get("Port") or "ALL").upper()
    if ports == "ALL":
        return True
    ranges = [one.partition("-")[::2] for one in ports.split(",")]
    return any(int(first) <= port <= int(last or first) for first, last in ranges)


def _same(one, other):
    fields = ("Protocol", "Port", "CidrBlock", "Ipv6CidrBlock", "Action")
    return all((one.get(field) or "") == (other.get(field) or "") for field in fields)


class SecurityGroups:
    """The API vpc, as far as security groups go. before_change: called before each change, as somebody else who is faster."""

    service = "vpc"

    def __init__(self, **groups):
        self.groups = {name.replace("_", "-"): _Rules(*value) for name, value in groups.items()}
        self.before_change = lambda: None

    def _group(self, name):
        if name not in self.groups:
            raise Refused("InvalidSecurityGroupID.NotFound", "The security group does not exist.")
        return self.groups[name]

    def DescribeSecurityGroupPolicies(self, SecurityGroupId):
        group = self._group(SecurityGroupId)
        empty = {"CidrBlock": "", "Ipv6CidrBlock": "", "SecurityGroupId": "", "AddressTemplate": {"AddressId": ""}}
        ingress = [
            {**empty, "ServiceTemplate": {"ServiceId": ""}, **rule, "PolicyIndex": index}
            for index, rule in enumerate(group.rules)
        ]
        return {"SecurityGroupPolicySet": {"Version": str(group.version), "Ingress": ingress, "Egress": []}}

    def CreateSecurityGroupPolicies(self, SecurityGroupId, SecurityGroupPolicySet):
        group = self._changing(SecurityGroupId, SecurityGroupPolicySet)
        rules = SecurityGroupPolicySet["Ingress"]
        if any(_same(rule, one) for rule in rules for one in group.rules):
            raise Refused("UnsupportedOperation.DuplicatePolicy", "The policy exists.")
        if len(group.rules) + len(rules) > LIMIT:
            raise Refused("LimitExceeded.SecurityGroupPolicySet", "There are too many policies.")
        if any("PolicyIndex" in rule for rule in rules):
            raise Refused("InvalidParameter", "The cloud of the tests only appends.")
        group.rules += rules
        group.version += 1
        return {}

    def DeleteSecurityGroupPolicies(self, SecurityGroupId, SecurityGroupPolicySet):
        group = self._changing(SecurityGroupId, SecurityGroupPolicySet)
        numbers = {rule["PolicyIndex"] for rule in SecurityGroupPolicySet["Ingress"]}
        if not numbers <= set(range(len(group.rules))):
            raise Refused("ResourceNotFound", "There is no such policy.")
        group.rules = [rule for index, rule in enumerate(group.rules) if index not in numbers]
        group.version += 1
        return {}

    def _changing(self, name, policy_set):
        self.before_change()
        group = self._group(name)
        if "Egress" in policy_set:
            raise Refused("InvalidParameter.Coexist", "One direction a call.")
        if str(policy_set.get("Version", group.version)) != str(group.version):
            raise Refused("UnsupportedOperation.VersionMismatch", "The version does not match.")
        return group

    def DescribeSecurityGroupAssociationStatistics(self, SecurityGroupIds):
        statistics = [{"SecurityGroupId": one, "TotalCount": self._group(one).instances} for one in SecurityGroupIds]
        return {"SecurityGroupAssociationStatisticsSet": statistics}


class Lighthouse:
    """The API lighthouse, as far as firewalls go."""

    service = "lighthouse"

    def __init__(self, **instances):
        self.instances = {name.replace("_", "-"): _Rules(*value) for name, value in instances.items()}
        self.before_change = lambda: None

    def _instance(self, name):
        if name not in self.instances:
            raise Refused("ResourceNotFound.InstanceIdNotFound", "The instance does not exist.")
        return self.instances[name]

    def DescribeFirewallRules(self, InstanceId, Offset=0, Limit=20):
        instance = self._instance(InstanceId)
        rules = [{"AppType": "custom", **rule} for rule in instance.rules[Offset : Offset + Limit]]
        return {"TotalCount": len(instance.rules), "FirewallRuleSet": rules, "FirewallVersion": instance.version}

    def CreateFirewallRules(self, InstanceId, FirewallRules, FirewallVersion=None):
        instance = self._changing(InstanceId, FirewallVersion)
        if any(_same(rule, one) for rule in FirewallRules for one in instance.rules):
            raise Refused("InvalidParameter.FirewallRulesExist", "The rules exist.")
        if any(len(rule.get("FirewallRuleDescription", "")) > 64 for rule in FirewallRules):
            raise Refused("InvalidParameterValue.TooLong", "The description is too long.")
        instance.rules += FirewallRules
        instance.version += 1
        return {}

    def DeleteFirewallRules(self, InstanceId, FirewallRules, FirewallVersion=None):
        instance = self._changing(InstanceId, FirewallVersion)
        for rule in FirewallRules:
            if not any(_same(rule, one) for one in instance.rules):
                raise Refused("ResourceNotFound.FirewallRulesNotFound", "There is no such rule.")
        instance.rules = [one for one in instance.rules if not any(_same(rule, one) for rule in FirewallRules)]
        instance.version += 1
        return {}

    def _changing(self, name, version):
        self.before_change()
        instance = self._instance(name)
        if version is not None and version != instance.version:
            raise Refused("UnsupportedOperation.FirewallVersionMismatch", "The version does not match.")
        return instance
