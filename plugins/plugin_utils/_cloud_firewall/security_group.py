# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security groups of Tencent Cloud (API vpc, version 2017-03-12).

ModifySecurityGroupPolicies is never called: it replaces all rules.
"""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.base import CloudRules, RulesChanged
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.tencent_rules import (
    DESCRIPTION,
    new_rule,
    read_rule,
    rule_text,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import TencentError
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

CHANGED_CODES = ("UnsupportedOperation.VersionMismatch", "UnsupportedOperation.DuplicatePolicy")


class SecurityGroup:
    """The rules of a security group for incoming connections."""

    def __init__(self, account: Account, group: str, region: str | None) -> None:
        self.client = TencentClient(account.name, **account.settings)
        self.group = group
        self.region = region
        self.title = f"the security group {group} of account {account.name}"

    def read(self) -> CloudRules:
        """Return the rules for incoming connections."""
        answer = self._call("DescribeSecurityGroupPolicies", {"SecurityGroupId": self.group})
        with reject_malformed_input(f"{self.title}: its rules cannot be read; try again later"):
            policies = answer["SecurityGroupPolicySet"]
            rules = [
                read_rule(policy, int(policy["PolicyIndex"]), has_default_source=False)
                for policy in policies.get("Ingress") or []
            ]
            return CloudRules(rules, str(policies["Version"]))

    def add(self, read: CloudRules, accesses: list[PortAccess]) -> None:
        """Append a rule for each access."""
        rules = [{**new_rule(access), "PolicyDescription": DESCRIPTION} for access in accesses]
        self._change("CreateSecurityGroupPolicies", read, rules)

    def remove(self, read: CloudRules, rules: list[Rule]) -> None:
        """Remove rules by their numbers, which hold for this version alone."""
        self._change("DeleteSecurityGroupPolicies", read, [{"PolicyIndex": rule.handle} for rule in rules])

    def instance_count(self) -> int | None:
        """Return for how many resources the group is."""
        try:
            answer = self._call("DescribeSecurityGroupAssociationStatistics", {"SecurityGroupIds": [self.group]})
            with reject_malformed_input(f"{self.title} has no statistics; try again later"):
                return int(answer["SecurityGroupAssociationStatisticsSet"][0]["TotalCount"])
        except TlsError:
            return None

    def rule_text(self, access: PortAccess) -> str:
        """Return the rule that add() appends, for people."""
        return rule_text(new_rule(access))

    def _change(self, action: str, read: CloudRules, policies: list[dict[str, t.Any]]) -> None:
        policy_set = {"Version": read.version, "Ingress": policies}
        try:
            self._call(action, {"SecurityGroupId": self.group, "SecurityGroupPolicySet": policy_set})
        except TencentError as error:
            if error.code in CHANGED_CODES:
                raise RulesChanged(str(error)) from error
            raise

    def _call(self, action: str, parameters: dict[str, t.Any]) -> dict[str, t.Any]:
        return self.client.call("vpc", action, parameters, self.region)
