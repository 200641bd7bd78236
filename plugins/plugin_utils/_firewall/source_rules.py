# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find firewall rules by source that keep some of the internet from the ports that CAs connect to.

CAs validate from several networks at once (CA/Browser Forum, Baseline Requirements, section 3.2.2.9), and do not publish their addresses.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding, Severity
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import Firewall, InputFilter
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    PortAccess,
    is_within,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Rule, evaluate
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

HTTP_PORT = 80  # of http-01 (RFC 8555, section 8.3)
VALIDATION_PORTS = (HTTP_PORT, 443)  # with that of redirects
MAX_EVALUATED = 200  # networks of a filter; block lists have many thousands
MAX_NAMED = 5  # networks in a sentence
MAX_RULE_CHARACTERS = 200
SOURCE = "CA/Browser Forum, Baseline Requirements, section 3.2.2.9"
REMEDY = "CAs look from addresses of several continents that change, and rules by source break validation"
# Networks that are not on the internet: no CA connects from there.
INTERNAL_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
)

Verdict = t.Callable[[PortAccess], str]  # accept or deny


class SourceRule(t.NamedTuple):
    """A network for which a firewall decides otherwise than for the whole internet."""

    port: int
    network: Network
    is_refused: bool  # else it is one of the few that are let in
    rule: str


def firewall_source_findings(firewall: Firewall, ports: t.Iterable[int] = VALIDATION_PORTS) -> list[Finding]:
    """Return what the rules by source of a host's firewall do now, or after a restart, as source_findings() does."""
    ports = list(ports)
    found: list[SourceRule] = []
    for one in firewall.filters:
        versions = [version for version in one.ip_versions if one.networks is None or ANY[version] in one.networks]
        rules = [rule for chain in one.ruleset.values() for rule in chain.rules]
        found += source_rules(rules, _verdict_of(one), ports, versions)
    return source_findings(f"the firewall {firewall.name}", found)


def _verdict_of(one: InputFilter) -> Verdict:
    """Return what a filter does with an access: it goes on where no rule and no policy decides."""
    return lambda access: evaluate(one.ruleset, one.chain, access).verdict or "accept"


def source_findings(title: str, rules: t.Sequence[SourceRule]) -> list[Finding]:
    """Return a finding for the networks that are refused, and one for those that alone are let in. title: of the firewall."""
    kinds = [[one for one in rules if one.is_refused is is_refused] for is_refused in (True, False)]
    return [_finding(title, kind) for kind in kinds if kind]


def source_rules(
    rules: t.Sequence[Rule], verdict: Verdict, ports: t.Iterable[int], ip_versions: t.Iterable[int] = (4, 6)
) -> list[SourceRule]:
    """Return the networks for which the ports of CAs are not as for the whole internet.

    rules: all that a firewall has. verdict: what they do with an access, such as one from a whole network.
    """
    versions = list(ip_versions)
    return [
        found
        for port in ports
        if port in VALIDATION_PORTS
        for version in versions
        for found in _source_rules(rules, verdict, PortAccess("tcp", port, ANY[version]))
    ]


def requested_sources_finding(
    title: str, ports: t.Collection[tuple[str, int]], sources: t.Iterable[str]
) -> list[Finding]:
    """Return a finding where the inventory opens the port of http-01 for some networks of the internet only.

    ports: protocol and number. sources: networks that were checked.
    """
    networks = [ipaddress.ip_network(one) for one in sources]
    if ("tcp", HTTP_PORT) not in ports or any(one in ANY.values() for one in networks):
        return []
    if all(map(is_internal, networks)):  # of a host that is not on the internet
        return []
    sentence = (
        f"tcp {HTTP_PORT} of {title} is opened to {_shown(networks)} alone; {REMEDY}: "
        "leave the sources out for this port, or have names validated by DNS"
    )
    return [Finding("risk", "firewall.sources", sentence, source=SOURCE)]


def is_internal(network: Network) -> bool:
    """Say whether a network is not on the internet."""
    return any(is_within(network, one) for one in INTERNAL_NETWORKS)


def _source_rules(rules: t.Sequence[Rule], verdict: Verdict, everybody: PortAccess) -> list[SourceRule]:
    is_open = verdict(everybody) == "accept"
    networks: dict[Network, Rule] = {}
    for rule in rules:
        if not rule.overlaps(everybody):
            continue
        for network in (*(rule.sources or ()), *rule.excluded_sources):
            is_other_version = network.version != everybody.network.version
            if not is_other_version and network.prefixlen and not is_internal(network):
                networks.setdefault(network, rule)
    largest = sorted(networks, key=lambda network: network.prefixlen)[:MAX_EVALUATED]
    return [
        SourceRule(everybody.port, network, is_open, networks[network].text)
        for network in largest
        if (verdict(everybody._replace(network=network)) == "accept") is not is_open
    ]


def _finding(title: str, rules: list[SourceRule]) -> Finding:
    is_refused = rules[0].is_refused
    ports = ", ".join(str(port) for port in sorted({one.port for one in rules}))
    networks = list(dict.fromkeys(one.network for one in rules))
    evidence = tuple(dict.fromkeys(shorten(escape_as_one_line(one.rule), MAX_RULE_CHARACTERS) for one in rules))[
        :MAX_NAMED
    ]
    # Bans of single addresses come and go by themselves (fail2ban). CAs look from other addresses, too.
    is_ban = is_refused and all(network.prefixlen == network.max_prefixlen for network in networks)
    severity: Severity = "note" if is_ban else "risk"
    what = (
        f"refuses tcp {ports} from {_shown(networks)}"
        if is_refused
        else f"lets in tcp {ports} from {_shown(networks)} alone"
    )
    remedy = "remove these rules" if is_refused else "open the ports to everybody"
    sentence = f"{title} {what}; {REMEDY}: {remedy}, or have names validated by DNS"
    return Finding(severity, "firewall.refused" if is_refused else "firewall.sources", sentence, evidence, SOURCE)


def _shown(networks: t.Sequence[Network]) -> str:
    more = len(networks) - MAX_NAMED
    return ", ".join(map(str, networks[:MAX_NAMED])) + (f" and {more} more" if more > 0 else "")
