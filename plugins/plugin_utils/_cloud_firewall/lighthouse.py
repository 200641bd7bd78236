# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewall of a Lighthouse instance of Tencent Cloud (API lighthouse, version 2020-03-24).

ModifyFirewallRules is never called: it replaces all rules.
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

CHANGED_CODES = ("UnsupportedOperation.FirewallVersionMismatch", "InvalidParameter.FirewallRulesExist")
PAGE_SIZE = 100  # rules
MAX_PAGES = 10
RULE_FIELDS = ("Protocol", "Port", "CidrBlock", "Ipv6CidrBlock", "Action", "FirewallRuleDescription")


class LighthouseFirewall:
    """The firewall of one Lighthouse instance."""

    def __init__(self, account: Account, instance: str, region: str | None) -> None:
        self.client = TencentClient(account.name, **account.settings)
        self.instance = instance
        self.region = region
        self.title = f"the firewall of the Lighthouse instance {instance} of account {account.name}"
        self._rules: dict[Rule, dict[str, t.Any]] = {}  # as the API gives them, to remove them by their content

    def read(self) -> CloudRules:
        """Return the rules. Raises TlsError where they change while their pages are read."""
        rules: list[Rule] = []
        version: int | None = None
        for page in range(MAX_PAGES):
            parameters = {"InstanceId": self.instance, "Offset": page * PAGE_SIZE, "Limit": PAGE_SIZE}
            answer = self._call("DescribeFirewallRules", parameters)
            with reject_malformed_input(f"{self.title}: its rules cannot be read; try again later"):
                content = answer["FirewallRuleSet"] or []
                if version not in (None, int(answer["FirewallVersion"])):
                    raise ValueError
                version = int(answer["FirewallVersion"])
                for one in content:
                    rule = read_rule(one, len(rules) + 1, has_default_source=True)
                    self._rules[rule] = one
                    rules.append(rule)
            if len(content) < PAGE_SIZE:
                return CloudRules(rules, version)
        raise TlsError(f"{self.title} has more than {MAX_PAGES * PAGE_SIZE} rules; remove those that are not needed")

    def add(self, read: CloudRules, accesses: list[PortAccess]) -> None:
        """Append a rule for each access."""
        self._change(
            "CreateFirewallRules", read, [{**new_rule(one), "FirewallRuleDescription": DESCRIPTION} for one in accesses]
        )

    def remove(self, read: CloudRules, rules: list[Rule]) -> None:
        """Remove rules by their content, as the API takes them."""
        contents = [self._rules[rule] for rule in rules]
        self._change("DeleteFirewallRules", read, [{f: one[f] for f in RULE_FIELDS if one.get(f)} for one in contents])

    def instance_count(self) -> int | None:
        """Return one: each instance has a firewall of its own."""
        return 1

    def rule_text(self, access: PortAccess) -> str:
        """Return the rule that add() appends, for people."""
        return rule_text(new_rule(access))

    def _change(self, action: str, read: CloudRules, rules: list[dict[str, t.Any]]) -> None:
        parameters = {"InstanceId": self.instance, "FirewallRules": rules, "FirewallVersion": read.version}
        try:
            self._call(action, parameters)
        except TencentError as error:
            if error.code in CHANGED_CODES:
                raise RulesChanged(str(error)) from error
            raise

    def _call(self, action: str, parameters: dict[str, t.Any]) -> dict[str, t.Any]:
        return self.client.call("lighthouse", action, parameters, self.region)
