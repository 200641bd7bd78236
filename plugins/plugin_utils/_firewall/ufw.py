# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend ufw: ufw(8), ufw-framework(8)."""

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
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    ANY_IPV6,
    Network,
    PortAccess,
    merge_ip_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import Rule

IS_ENABLED = ["grep", "-Eiq", "^ENABLED=[\"']?yes", "/etc/ufw/ufw.conf"]  # the condition under which ufw itself starts


class Ufw(Firewall):
    """ufw: its rules in the kernel, as iptables lists them, and in the files that ufw loads at boot."""

    name = "ufw"
    program = "ufw"
    start_command = "ufw enable"
    is_frontend = True
    quick_conditions = (("run", *IS_ENABLED),)
    conditions = (("run", "ufw", "status"),)
    queries = (
        ("read", "/etc/default/ufw"),
        ("run", "iptables", "-w", "-S"),
        ("run", "ip6tables", "-w", "-S"),
        *(("read", f"/etc/ufw/{name}{infix}.rules") for infix in ("", "6") for name in ("before", "user")),
    )

    @classmethod
    def may_be_active(cls, host: HostState) -> bool:
        """QuerySet into ufw.conf, since ufw is a slow program."""
        return host.command_result(IS_ENABLED)[0] != 1  # 1: no match; 2: grep failed, so ufw has to say it

    @classmethod
    def is_active(cls, host: HostState) -> bool:
        return "Status: active" in host.command_result(["ufw", "status"])[1]

    @classmethod
    def from_host_state(cls, host: HostState, accesses: list[PortAccess], zone: str | None = None) -> Ufw:
        """Read the rules of both versions of IP, or of IPv4 only if ufw denies all of IPv6 (IPV6=no)."""
        settings = host.file_text("/etc/default/ufw") or ""
        policy = re.search(r'^DEFAULT_INPUT_POLICY="?(\w+)', settings, re.MULTILINE)
        has_ipv6 = re.search(r'^IPV6="?yes', settings, re.MULTILINE | re.IGNORECASE)
        networks = {access.network for access in accesses}
        if not has_ipv6 and any(network.version == 6 for network in networks) and ANY_IPV6 not in networks:
            raise TlsError(
                "ufw refuses all of IPv6 (IPV6=no in /etc/default/ufw), but sources has an IPv6 network; set IPV6=yes there, or remove it"
            )
        filters = []
        for version in (4, 6) if has_ipv6 else (4,):
            program, infix = ("iptables", "") if version == 4 else ("ip6tables", "6")
            status, listing = host.command_result([program, "-w", "-S"])
            if status:
                raise TlsError(
                    f"`{program} -S` failed ({listing}); ufw cannot work without it, so put that right and run this again"
                )
            filters.append(InputFilter(f"ufw now, IPv{version}", True, (version,), parse_iptables(listing), "INPUT"))
            stored = [f"-P INPUT {policy[1] if policy else 'DROP'}"]
            stored += [f"-A INPUT -j ufw{infix}-{name}-input" for name in ("before", "user")]
            stored += [host.file_text(f"/etc/ufw/{name}{infix}.rules") or "" for name in ("before", "user")]
            ruleset = parse_iptables("\n".join(stored))
            filters.append(InputFilter(f"/etc/ufw/user{infix}.rules", False, (version,), ruleset, "INPUT"))
        firewall = cls(filters)
        if not has_ipv6 and ANY_IPV6 in networks:
            firewall.notes.append("ufw refuses all of IPv6; set IPV6=yes in /etc/default/ufw if it shall not.")
        return firewall

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        stored = [one for one in blocked if not one.input_filter.is_loaded]
        if blocked and not stored:
            return [Command(["ufw", "reload"])]
        # ufw can put its rules before other user rules, but not before those of before.rules.
        reject_denied(one for one in stored if one.decision.rule and not one.decision.rule.chain.endswith("user-input"))
        commands = []
        for protocol, port, network in merge_ip_versions(one.access for one in stored):
            arguments = rule_arguments(protocol, str(port), network)
            opened = [PortAccess(protocol, port, one) for one in ([network] if network else ANY.values())]
            subcommand = ["allow"]
            if any(one.is_denied and not is_inverse(one) for one in stored if one.access in opened):
                # The rule has to come before the deny rule. ufw does not move a rule that it already has: delete that.
                subcommand = ["prepend", "allow"]
                commands += [Command(["ufw", "delete", "allow", *arguments])] if self._has_rule(opened) else []
            added_rules = [
                line
                for one in self.filters
                if not one.is_loaded and one.relevant(opened)
                for line in one.with_location(f"allow {' '.join(arguments)}")
            ]
            commands.append(Command(["ufw", *subcommand, *arguments], added_rules=tuple(added_rules)))
        return commands

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        removable = self.removable_rules(accesses)
        stored = [(one, rule) for one, rule in removable if not one.is_loaded]
        if removable and not stored:
            return [Command(["ufw", "reload"])]
        commands = []
        for one, rule in stored:
            ports = ",".join(str(first) if first == last else f"{first}:{last}" for first, last in rule.ports or ())
            removed_rules = one.with_location(rule.text)
            for protocol in rule.protocols or ():
                for source in rule.sources or (ANY[one.ip_versions[0]],):
                    arguments = rule_arguments(protocol, ports, source)
                    commands.append(Command(["ufw", "delete", "allow", *arguments], removed_rules=removed_rules))
        return commands

    def rule_lines(self, accesses: list[PortAccess]) -> list[str]:
        # The loaded rules are the same as the stored ones.
        return [
            line
            for one, rule in self.allow_rules(accesses)
            if not one.is_loaded
            for line in one.with_location(rule.text)
        ]

    def removable_rules(self, accesses: list[PortAccess]) -> list[tuple[InputFilter, Rule]]:
        # ufw deletes a rule of an application profile (`ufw allow OpenSSH`) by the name of the profile only.
        return [
            (one, rule)
            for one, rule in super().removable_rules(accesses)
            if rule.chain.endswith("user-input") and "dapp_" not in rule.text
        ]

    def _has_rule(self, accesses: list[PortAccess]) -> bool:
        """Say whether ufw's files have an allow rule for just these accesses, in whatever place."""
        chains = [chain for one in self.filters if not one.is_loaded for chain in one.ruleset.values()]
        return any(rule.allows_only(accesses) for chain in chains for rule in chain.rules)


def is_inverse(blocked: BlockedAccess) -> bool:
    """Say whether the deny rule is for exactly this access: ufw then turns it into an allow rule."""
    rule, (protocol, port, network) = blocked.decision.rule, blocked.access
    match = ((protocol,), ((port, port),), None if network in ANY.values() else (network,))
    return rule is not None and (rule.protocols, rule.ports, rule.sources) == match


def rule_arguments(protocol: str, ports: str, network: Network | None) -> list[str]:
    """Return a rule as arguments of ufw. None stands for all networks."""
    return ["proto", protocol, "from", str(network or "any"), "to", "any", "port", ports]
