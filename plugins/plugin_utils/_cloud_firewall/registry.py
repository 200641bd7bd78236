# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewalls of clouds. A further one is one file, and one line in FIREWALLS."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.base import CloudFirewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.ec2_security_group import Ec2SecurityGroup
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.lighthouse import LighthouseFirewall
from ansible_collections.evergreen.tls.plugins.plugin_utils._cloud_firewall.security_group import SecurityGroup
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account, find_account

# By type of account, and by the option that names the firewall. Each takes the account, the value of the option and the region or None.
FIREWALLS: dict[str, dict[str, t.Callable[[Account, str, str | None], CloudFirewall]]] = {
    "tencent": {"security_group": SecurityGroup, "instance": LighthouseFirewall},
    "aws": {"security_group": Ec2SecurityGroup},
}
OPTIONS = ("security_group", "instance")


def open_firewall(arguments: dict[str, t.Any], accounts: t.Any) -> CloudFirewall:
    """Return the firewall that the arguments of cloud_firewall_port name. accounts: the value of cloud_accounts, unchecked."""
    account = find_account(arguments["account"], accounts, FIREWALLS)
    named = [option for option in OPTIONS if arguments.get(option)]
    known = FIREWALLS[account.type]
    if len(named) != 1 or named[0] not in known:
        given = ", ".join(named) or "none"
        raise TlsError(
            f"{given} is given, and an account of type {account.type} takes one of {', '.join(known)}; name just one"
        )
    return known[named[0]](account, arguments[named[0]], arguments.get("region"))
