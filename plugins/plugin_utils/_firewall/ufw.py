# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend ufw."""

from __future__ import annotations

import re

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    BlockedAccess,
    Command,
    Firewall,
    InputFilter,
    reject_denied,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Transcript,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    ANY_IPV6,
    Network,
    PortAccess,
    merge_ip_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Rule,
)

UFW_ENABLED_CHECK = ["grep", "-Eiq", "^ENABLED=[\"']?yes", "/etc/ufw/ufw.conf"]


class Ufw(Firewall):
    """ufw: its rules as iptables has them now, and as ufw's own files bring them back."""

    name = "ufw"
    program = "ufw"
    start = "ufw enable"
    signs = (("run", *UFW_ENABLED_CHECK),)
    needs = (("run", "ufw", "status"),)
    asks = (
        ("read", "/etc/default/ufw"),
        ("run", "iptables", "-w", "-S"),
        ("run", "ip6tables", "-w", "-S"),
        *(("read", f"/etc/ufw/{name}{infix}.rules") for infix in ("", "6") for name in ("before", "user")),
    )

    @classmethod
    def may_be_active(cls, host: Transcript) -> bool:
        """Look at what ufw itself looks at first: it is a program of Python."""
        return host.run(UFW_ENABLED_CHECK)[0] != 1

    @classmethod
    def is_active(cls, host: Transcript) -> bool:
        return "Status: active" in host.run(["ufw", "status"])[1]

    @classmethod
    def look(cls, host: Transcript, accesses: list[PortAccess], zone: str | None = None) -> Ufw:
        """Read the rules of both versions of IP, or of IPv4 where ufw refuses IPv6 as a whole."""
        settings = host.read("/etc/default/ufw") or ""
        policy = re.search(r'^DEFAULT_INPUT_POLICY="?(\w+)', settings, re.MULTILINE)
        ip_versions = (4, 6) if re.search(r'^IPV6="?yes', settings, re.MULTILINE | re.IGNORECASE) else (4,)
        asked = {access.network for access in accesses}
        if ip_versions == (4,) and any(network.version == 6 for network in asked) and ANY_IPV6 not in asked:
            raise TlsError(
                "ufw refuses all of IPv6 (IPV6=no in /etc/default/ufw), but sources has an IPv6 network; set IPV6=yes there, or remove it"
            )
        filters = []
        for version in ip_versions:
            program, infix = ("iptables", "") if version == 4 else ("ip6tables", "6")
            status, listing = host.run([program, "-w", "-S"])
            if status:
                raise TlsError(
                    f"`{program} -S` failed ({listing}); ufw cannot work without it, so put that right and run this again"
                )
            filters.append(InputFilter(f"ufw now, IPv{version}", True, (version,), parse_iptables(listing), "INPUT"))
            stored = [f"-P INPUT {policy[1] if policy else 'DROP'}"]
            stored += [f"-A INPUT -j ufw{infix}-{name}-input" for name in ("before", "user")]
            stored += [host.read(f"/etc/ufw/{name}{infix}.rules") or "" for name in ("before", "user")]
            ruleset = parse_iptables("\n".join(stored))
            filters.append(InputFilter(f"/etc/ufw/user{infix}.rules", False, (version,), ruleset, "INPUT"))
        firewall = cls(filters)
        if ip_versions == (4,) and ANY_IPV6 in asked:
            firewall.notes.append("ufw refuses all of IPv6; set IPV6=yes in /etc/default/ufw if it shall not.")
        return firewall

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        missing = [entry for entry in blocked if not entry.input_filter.now]
        if blocked and not missing:
            return [Command(["ufw", "reload"])]
        reject_denied(
            entry for entry in missing if entry.decision.rule and not entry.decision.rule.chain.endswith("user-input")
        )
        steps = []
        for protocol, port, network in merge_ip_versions(entry.access for entry in missing):
            words = ufw_arguments(protocol, str(port), network)
            own = [PortAccess(protocol, port, one) for one in ([network] if network else ANY.values())]
            verb = ["allow"]
            if any(entry.is_denied and not self._is_inverse(entry) for entry in missing if entry.access in own):
                # Before the rule that refuses. ufw leaves a rule that it has where it is, so away with that first.
                verb = ["prepend", "allow"]
                steps += [Command(["ufw", "delete", "allow", *words])] if self._has_rule(own) else []
            added = [
                line
                for input_filter in self.filters
                if not input_filter.now and input_filter.accesses(own)
                for line in input_filter.lines(f"allow {' '.join(words)}")
            ]
            steps.append(Command(["ufw", *verb, *words], added_rules=tuple(added)))
        return steps

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        removable_rules = self.removable_rules(accesses)
        stored = [(input_filter, rule) for input_filter, rule in removable_rules if not input_filter.now]
        if removable_rules and not stored:
            return [Command(["ufw", "reload"])]
        steps = []
        for input_filter, rule in stored:
            ports = ",".join(str(low) if low == high else f"{low}:{high}" for low, high in rule.ports or ())
            for source in rule.sources or (ANY[input_filter.ip_versions[0]],):
                words = ufw_arguments(rule.protocols[0], ports, source)
                steps.append(Command(["ufw", "delete", "allow", *words], removed_rules=input_filter.lines(rule.words)))
        return steps

    def lines(self, accesses: list[PortAccess]) -> list[str]:
        # What iptables has now is the same once more, in other words.
        return [
            line
            for input_filter, rule in self.allow_rules(accesses)
            if not input_filter.now
            for line in input_filter.lines(rule.words)
        ]

    def removable_rules(self, accesses: list[PortAccess]) -> list[tuple[InputFilter, Rule]]:
        # A rule of an application profile ("ufw allow OpenSSH") goes by the name of the profile, not by its ports.
        return [
            (input_filter, rule)
            for input_filter, rule in super().removable_rules(accesses)
            if rule.chain.endswith("user-input") and "dapp_" not in rule.words
        ]

    def _is_inverse(self, entry: BlockedAccess) -> bool:
        """Say whether the rule that refuses differs from the one wanted in nothing else; ufw then turns it around."""
        rule, (protocol, port, network) = entry.decision.rule, entry.access
        wanted = ((protocol,), ((port, port),), None if network in ANY.values() else (network,))
        return rule is not None and (rule.protocols, rule.ports, rule.sources) == wanted

    def _has_rule(self, accesses: list[PortAccess]) -> bool:
        """Say whether ufw's files have a rule for these doors, even if it comes too late to have an effect."""
        chains = [
            chain for input_filter in self.filters if not input_filter.now for chain in input_filter.ruleset.values()
        ]
        return any(rule.allows_only(accesses) for chain in chains for rule in chain.rules)


def ufw_arguments(protocol: str, ports: str, network: Network | None) -> list[str]:
    """Return ufw's words for a network that comes in; None stands for everybody."""
    return ["proto", protocol, "from", str(network or "any"), "to", "any", "port", ports]
