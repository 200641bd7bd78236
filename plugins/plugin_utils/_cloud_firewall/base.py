# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a firewall of a cloud is: rules in front of instances, which are read and changed by an API."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Rule


class RulesChanged(TlsError):
    """Something else has changed the rules since they were read, so nothing was done."""


class CloudRules(t.NamedTuple):
    """The rules for incoming connections, as they were read.

    rules: in their order; the first that matches decides, and what none matches is refused. Their verdict is accept or deny, and
    C(handle) is the number that people see. A source that cannot be judged (a template, another group) is an unknown match.
    version: of the rules, as the API counts it; None where it does not.
    """

    rules: list[Rule]
    version: str | int | None = None


class CloudFirewall(t.Protocol):
    """A firewall of a cloud. Each method raises TlsError."""

    title: str  # as people read it: "the security group sg-1 of account main"

    def read(self) -> CloudRules:
        """Return the rules for incoming connections."""

    def add(self, read: CloudRules, accesses: list[PortAccess]) -> None:
        """Append a rule that accepts just this for each access, and change no other. Raises RulesChanged."""

    def remove(self, read: CloudRules, rules: list[Rule]) -> None:
        """Remove these rules and no others. Raises RulesChanged."""

    def instance_count(self) -> int | None:
        """Return for how many instances the rules are; None where that is not known."""

    def rule_text(self, access: PortAccess) -> str:
        """Return the rule that add() would append, as read() would give its text."""
