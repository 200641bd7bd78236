# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend ufw: ufw(8), ufw-framework(8)."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    BlockedAccess,
    Command,
    Firewall,
    InputFilter,
    reject_denied,
    reject_explicitly_denied,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.interfaces import (
    is_for_interfaces,
    mark_elsewhere,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    ANY_IPV6,
    Network,
    PortAccess,
    merge_ip_versions,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import OWN_COMMENT, Chain, Rule, Ruleset

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

    def __init__(self, filters: list[InputFilter], zone: str | None = None) -> None:
        super().__init__(filters, zone)
        self.numbers: dict[tuple[str, int | None], int] = {}  # of the rules of ufw, by file and handle
        self.counts = {4: 0, 6: 0}  # of the rules of ufw, by the version of IP

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
        numbers: dict[tuple[str, int | None], int] = {}
        counts = {4: 0, 6: 0}
        for version in (4, 6) if has_ipv6 else (4,):
            program, infix = ("iptables", "") if version == 4 else ("ip6tables", "6")
            status, listing = host.command_result([program, "-w", "-S"])
            if status:
                raise TlsError(
                    f"`{program} -S` failed ({listing}); ufw cannot work without it, so put that right and run this again"
                )
            filters.append(InputFilter(f"ufw now, IPv{version}", True, (version,), parse_iptables(listing), "INPUT"))
            lines = [f"-P INPUT {policy[1] if policy else 'DROP'}"]
            lines += [f"-A INPUT -j ufw{infix}-{name}-input" for name in ("before", "user")]
            before, user = (host.file_text(f"/etc/ufw/{name}{infix}.rules") or "" for name in ("before", "user"))
            lines += before.splitlines()
            ruleset = parse_iptables("\n".join([*lines, user]))
            path = f"/etc/ufw/user{infix}.rules"
            filters.append(InputFilter(path, False, (version,), mark_own_rules(ruleset, user, len(lines)), "INPUT"))
            rule_numbers, _own_lines, counts[version] = user_rule_numbers(user)
            numbers.update({(path, len(lines) + line): number for line, number in rule_numbers.items()})
        mark_elsewhere([one.ruleset for one in filters], host)
        firewall = cls(filters)
        firewall.numbers, firewall.counts = numbers, counts
        if not has_ipv6 and ANY_IPV6 in networks:
            firewall.notes.append("ufw refuses all of IPv6; set IPV6=yes in /etc/default/ufw if it shall not.")
        return firewall

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        blocked = self.blocked(accesses)
        stored = [one for one in blocked if not one.input_filter.is_loaded]
        if blocked and not stored:
            return [Command(["ufw", "reload"])]
        # ufw can put its rules before other user rules, but not before those of before.rules.
        reject_denied(
            one
            for one in stored
            if one.decision.rule and (one.input_filter.location, one.decision.rule.handle) not in self.numbers
        )
        reject_explicitly_denied(stored)
        deleted = [pair for one in stored for pair in self._useless_rules(one)]
        commands = [
            Command(["ufw", "delete", "allow", *rule_arguments(rule.protocols[0], str(rule.ports[0][0]), source)])
            for one, rule in deleted
            if rule.protocols and rule.ports
            for source in rule.sources or (ANY[one.ip_versions[0]],)
        ]
        denied = [one for one in stored if one.is_denied]
        for position, access in sorted(
            self._positions(denied, deleted), reverse=True
        ):  # so that lower numbers stay right
            commands.append(self._allow(["insert", str(position)], *access))
        for protocol, port, network in merge_ip_versions(one.access for one in stored if not one.is_denied):
            commands.append(self._allow([], protocol, port, network))
        return commands

    def _allow(self, options: list[str], protocol: str, port: int, network: Network | None) -> Command:
        """Return the command that allows a port. Its comment marks the rule as one of this collection."""
        arguments = rule_arguments(protocol, str(port), network)
        accesses = [PortAccess(protocol, port, one) for one in ([network] if network else ANY.values())]
        added_rules = [
            line
            for one in self.filters
            if not one.is_loaded and one.relevant(accesses)
            for line in one.with_location(f"allow {' '.join(arguments)}")
        ]
        argv = ["ufw", *options, "allow", *arguments, "comment", OWN_COMMENT]
        return Command(argv, added_rules=tuple(added_rules))

    def _positions(
        self, denied: list[BlockedAccess], deleted: list[tuple[InputFilter, Rule]]
    ) -> list[tuple[int, PortAccess]]:
        """Return for each access the number before which `ufw insert` has to put its rule. ufw counts IPv4 first.

        deleted: rules that are gone then.
        """
        gone = {(one.ip_versions[0], self.numbers[one.location, rule.handle]) for one, rule in deleted}
        ipv4_rules = self.counts[4] - sum(version == 4 for version, _number in gone)
        positions = []
        for one in denied:
            version = one.access.network.version
            rule = one.decision.rule
            number = self.numbers[one.input_filter.location, rule.handle if rule else None]
            number -= sum(other < number for gone_version, other in gone if gone_version == version)
            positions.append((number + (ipv4_rules if version == 6 else 0), one.access))
        return positions

    def _useless_rules(self, blocked: BlockedAccess) -> list[tuple[InputFilter, Rule]]:
        """Return the rules of this collection for an access that a rule before them denies. ufw does not move a rule.

        Raises TlsError if such a rule is one of others, or denies: ufw would change it into ours.
        """
        protocol, port, network = blocked.access
        useless = []
        for rule in [
            rule for chain in blocked.input_filter.ruleset.values() for rule in chain.rules if is_user_rule(rule)
        ]:
            if is_for_interfaces(rule):  # which is another rule for ufw
                continue
            sources = rule.sources or (ANY[network.version],)
            if (rule.protocols, rule.ports, sources) == ((protocol,), ((port, port),), (network,)):
                if not rule.is_own:
                    raise TlsError(
                        f"{blocked.message}, and the rule `{rule.text}` stands behind it; remove one of the two and run this again"
                    )
                useless.append((blocked.input_filter, rule))
        return useless

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
        stored = [
            (one, rule)
            for one, rule in super().removable_rules(accesses)
            if (one.location, rule.handle) in self.numbers
        ]
        return [*stored, *self._forgotten_rules(accesses)]

    def _forgotten_rules(self, accesses: list[PortAccess]) -> list[tuple[InputFilter, Rule]]:
        """Return the rules in the kernel that ufw has deleted from its files, and that a reload will remove."""
        stored = {
            (one.ip_versions, rule.protocols, rule.ports, rule.sources)
            for one in self.filters
            if not one.is_loaded
            for chain in one.ruleset.values()
            for rule in chain.rules
        }
        return [
            (one, rule)
            for one, rule in self.allow_rules(accesses)
            if one.is_loaded
            and is_user_rule(rule)
            and rule.allows_only(accesses)
            and (one.ip_versions, rule.protocols, rule.ports, rule.sources) not in stored
        ]


def user_rule_numbers(text: str) -> tuple[dict[int, int], set[int], int]:
    """Return the number of the rule of ufw for each line of user.rules, the lines of our rules, and how many rules there are.

    A comment before the lines of a rule says what ufw was given; ufw writes the comment of a user in hexadecimal digits.
    """
    numbers: dict[int, int] = {}
    own_lines: set[int] = set()
    number, is_own = 0, False
    for line_number, line in enumerate(text.splitlines()):
        if line.startswith("### tuple ###"):
            number += 1
            is_own = line.endswith(f" comment={OWN_COMMENT.encode().hex()}")
        numbers[line_number] = number
        own_lines |= {line_number} if is_own else set()
    return numbers, own_lines, number


def mark_own_rules(ruleset: Ruleset, text: str, first_line: int) -> Ruleset:
    """Return a ruleset in which the rules of this collection are marked.

    text: of user.rules. first_line: the handle of a rule in its first line.
    """
    _numbers, own_lines, _count = user_rule_numbers(text)
    handles = {first_line + line for line in own_lines}
    return {
        name: Chain([dataclasses.replace(rule, is_own=rule.handle in handles) for rule in chain.rules], chain.policy)
        for name, chain in ruleset.items()
    }


def is_user_rule(rule: Rule) -> bool:
    """Say whether a rule is one that `ufw` manages, not one of before.rules or after.rules."""
    return rule.chain.endswith("user-input")


def rule_arguments(protocol: str, ports: str, network: Network | None) -> list[str]:
    """Return a rule as arguments of ufw. None stands for all networks."""
    return ["proto", protocol, "from", str(network or "any"), "to", "any", "port", ports]
