# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of Tencent Cloud as they are judged: those of security groups (API vpc) and of Lighthouse have the same words."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY_IPV4, Network, PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Ports, Rule, port_ranges
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import MALFORMED_INPUT_ERRORS

DESCRIPTION = "evergreen.tls"


def read_rule(policy: dict[str, t.Any], number: int, has_default_source: bool) -> Rule:
    """Return a rule as it is judged.

    number: what people see. has_default_source: whether a rule without a source is for all of IPv4.
    """
    verdict = "accept" if str(policy.get("Action") or "ACCEPT").upper() == "ACCEPT" else "deny"
    protocol = str(policy.get("Protocol") or "").upper()
    sources, is_source_known = _sources(policy, has_default_source)
    ports, is_port_known = _ports(policy.get("Port"), protocol)
    return Rule(
        verdict=verdict,
        text=rule_text(policy),
        protocols=None if protocol in ("ALL", "") else (protocol.lower(),),
        ports=ports,
        sources=sources,
        has_unknown_match=not (is_source_known and is_port_known) or _has_value(policy.get("ServiceTemplate")),
        handle=number,
    )


def _sources(policy: dict[str, t.Any], has_default_source: bool) -> tuple[tuple[Network, ...] | None, bool]:
    """Return the networks of a rule, and whether they are known."""
    try:
        networks = tuple(
            ipaddress.ip_network(str(policy[name]), strict=False)
            for name in ("CidrBlock", "Ipv6CidrBlock")
            if policy.get(name)
        )
    except MALFORMED_INPUT_ERRORS:
        return None, False
    if _has_value(policy.get("SecurityGroupId")) or _has_value(policy.get("AddressTemplate")):
        return None, False
    if networks:
        return networks, True
    return ((ANY_IPV4,), True) if has_default_source else (None, False)


def _ports(value: t.Any, protocol: str) -> tuple[Ports | None, bool]:
    """Return the ranges of ports of a rule (None: all), and whether they are known."""
    text = str(value or "ALL").strip()
    if text.upper() == "ALL" or protocol not in ("TCP", "UDP", "ALL", ""):
        return None, True
    try:
        return port_ranges(text, "-"), True
    except MALFORMED_INPUT_ERRORS:
        return None, False


def _has_value(value: t.Any) -> bool:
    """Say whether a field is set: the API gives empty texts and objects with empty texts for those that are not."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def rule_text(policy: dict[str, t.Any]) -> str:
    """Return a rule as people read it."""
    template, group = policy.get("AddressTemplate"), policy.get("SecurityGroupId")
    if isinstance(template, dict) and any(template.values()):
        source = f"the address template {next(filter(None, template.values()))}"
    elif group:
        source = f"the security group {group}"
    else:
        source = policy.get("CidrBlock") or policy.get("Ipv6CidrBlock") or "0.0.0.0/0"
    service = policy.get("ServiceTemplate")
    if isinstance(service, dict) and any(service.values()):
        what = f"the service template {next(filter(None, service.values()))}"
    else:
        what = f"{policy.get('Protocol') or 'ALL'} {policy.get('Port') or 'ALL'}"
    return shorten(f"{policy.get('Action') or 'ACCEPT'} {what} from {source}", 200)


def new_rule(access: PortAccess) -> dict[str, t.Any]:
    """Return the rule that accepts just this."""
    return {
        "Protocol": access.protocol.upper(),
        "Port": str(access.port),
        "CidrBlock" if access.network.version == 4 else "Ipv6CidrBlock": str(access.network),
        "Action": "ACCEPT",
    }
