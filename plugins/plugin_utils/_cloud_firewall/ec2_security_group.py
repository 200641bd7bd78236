# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security groups of Amazon EC2. Their rules only accept, so their order does not matter.

Rules are added and removed one by one: nothing here writes all rules of a group. Source: API reference of EC2 2016-11-15, data type
SecurityGroupRule.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.base import CloudRules, RulesChanged
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import PROTOCOL_NUMBERS, Rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import RefusedCall
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS

DESCRIPTION = "evergreen.tls"
ALL_PROTOCOLS = "-1"
CHANGED_CODES = ("InvalidPermission.Duplicate", "InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound")


class Ec2SecurityGroup:
    """The rules of a security group for incoming connections."""

    def __init__(self, account: Account, group: str, region: str | None) -> None:
        self.client = AwsSession(account.name, account.settings).client("ec2", region)
        self.group = group
        self.title = f"the security group {group} of account {account.name}"
        self._identifiers: list[str] = []  # of the rules as they were last read, by their number

    def read(self) -> CloudRules:
        """Return the rules for incoming connections. They have no numbers in EC2: those here are positions in the answer."""
        filters = [{"Name": "group-id", "Values": [self.group]}]
        listed = self.client.items("DescribeSecurityGroupRules", "SecurityGroupRules", Filters=filters)
        if not listed:
            self.client.call(
                "DescribeSecurityGroups", "SecurityGroups", GroupIds=[self.group]
            )  # refuses one that does not exist
        incoming = [one for one in listed if not one.get("IsEgress")]
        self._identifiers = [str(one.get("SecurityGroupRuleId")) for one in incoming]
        return CloudRules([read_rule(one, number) for number, one in enumerate(incoming)])

    def add(self, read: CloudRules, accesses: list[PortAccess]) -> None:
        """Add a rule for each access."""
        permissions = [_permission(access) for access in accesses]
        self._change("AuthorizeSecurityGroupIngress", IpPermissions=permissions)

    def remove(self, read: CloudRules, rules: list[Rule]) -> None:
        """Remove rules by their identifiers."""
        identifiers = [self._identifiers[rule.handle] for rule in rules if rule.handle is not None]
        self._change("RevokeSecurityGroupIngress", SecurityGroupRuleIds=identifiers)

    def instance_count(self) -> int | None:
        """Return for how many network interfaces the group is: those of instances, load balancers and others."""
        filters = [{"Name": "group-id", "Values": [self.group]}]
        try:
            return len(self.client.items("DescribeNetworkInterfaces", "NetworkInterfaces", Filters=filters))
        except TlsError:
            return None

    def rule_text(self, access: PortAccess) -> str:
        """Return the rule that add() appends, for people."""
        return f"{access.protocol} {access.port} from {access.network}"

    def _change(self, action: str, **parameters: t.Any) -> None:
        try:
            self.client.call_once(action, GroupId=self.group, **parameters)
        except RefusedCall as error:
            if error.code in CHANGED_CODES:
                raise RulesChanged(str(error)) from error
            raise


# not a parser: botocore has parsed it, and what cannot be read is an unknown match
def read_rule(rule: dict[str, t.Any], number: int) -> Rule:
    """Return a rule as it is judged. number: its position in the answer."""
    protocol = str(rule.get("IpProtocol") or ALL_PROTOCOLS)
    protocol = PROTOCOL_NUMBERS.get(protocol, protocol)
    source = rule.get("CidrIpv4") or rule.get("CidrIpv6")
    is_known = True
    sources = ports = None
    try:
        sources = (ipaddress.ip_network(str(source), strict=False),) if source else None
        if protocol in ("tcp", "udp"):
            ports = ((int(rule["FromPort"]), int(rule["ToPort"])),)
    except MALFORMED_INPUT_ERRORS:
        is_known = False
    return Rule(
        verdict="accept",
        text=_rule_text(rule, protocol, source),
        protocols=None if protocol == ALL_PROTOCOLS else (protocol,),
        ports=ports,
        sources=sources,
        has_unknown_match=not (is_known and sources),
        handle=number,
    )


# not a parser: it writes for people, whatever the values are
def _rule_text(rule: dict[str, t.Any], protocol: str, source: t.Any) -> str:
    group = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
    prefix_list = rule.get("PrefixListId")
    origin = source or (group and f"the security group {group}") or f"the prefix list {prefix_list or '?'}"
    first, last = rule.get("FromPort"), rule.get("ToPort")
    ports = (
        "all"
        if protocol == ALL_PROTOCOLS or first in (None, -1)
        else str(first)
        if first == last
        else f"{first}-{last}"
    )
    return shorten(f"{'all' if protocol == ALL_PROTOCOLS else protocol} {ports} from {origin}", 200)


def _permission(access: PortAccess) -> dict[str, t.Any]:
    """Return the permission that accepts just this."""
    key, name = ("IpRanges", "CidrIp") if access.network.version == 4 else ("Ipv6Ranges", "CidrIpv6")
    ranges = [{name: str(access.network), "Description": DESCRIPTION}]
    return {"IpProtocol": access.protocol, "FromPort": access.port, "ToPort": access.port, key: ranges}
