# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend iptables: iptables(8), iptables-restore(8), netfilter-persistent(8)."""

from __future__ import annotations

import re
import shlex

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    Command,
    Firewall,
    InputFilter,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState, Query
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.insertion import Insertion, plan_insertions
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.interfaces import mark_elsewhere
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY, PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import OWN_COMMENT

PROGRAMS = {4: "iptables", 6: "ip6tables"}  # by the version of IP
# Programs that load rules at boot, and the files from which they do, by the version of IP.
RULE_FILES = (
    ("netfilter-persistent", {4: "/etc/iptables/rules.v4", 6: "/etc/iptables/rules.v6"}),
    ("iptables-restore", {4: "/etc/sysconfig/iptables", 6: "/etc/sysconfig/ip6tables"}),
)


class Iptables(Firewall):
    """iptables without a frontend, and the files that netfilter-persistent or iptables.service loads."""

    name = "iptables"
    program = "iptables"
    queries = (
        *(("run", program, "-w", "-S") for program in PROGRAMS.values()),
        *(("has", program) for program, _paths in RULE_FILES),
        *(("read", path) for _program, paths in RULE_FILES for path in paths.values()),
    )

    def __init__(self, filters: list[InputFilter], texts: dict[str, str]) -> None:
        super().__init__(filters)
        self.texts = texts  # listings and files, by the location of their filter

    @classmethod
    def from_host_state(cls, host: HostState, accesses: list[PortAccess], zone: str | None = None) -> Iptables:
        """Read the rules of both versions of IP. Where ip6tables fails, the kernel has no IPv6."""
        filters, texts, warnings = [], {}, []
        for version, program in PROGRAMS.items():
            status, listing = host.command_result([program, "-w", "-S"])
            if status and version == 4:
                raise TlsError(f"`iptables -S` failed ({listing}); put that right and run this again")
            if status:
                continue
            location = f"{program} now"
            filters.append(InputFilter(location, True, (version,), parse_iptables(listing), "INPUT"))
            texts[location] = listing
            path, text = find_rule_file(host, version)
            is_filtering = re.search(r"^-(A INPUT|P INPUT (?!ACCEPT))", listing, re.MULTILINE)
            if text is not None:
                filters.append(InputFilter(path, False, (version,), parse_iptables(text), "INPUT"))
                texts[path] = text
            elif version in {access.network.version for access in accesses} and is_filtering:
                remedy = (
                    f"run `netfilter-persistent save` to make {path}"
                    if path
                    else "install the package iptables-persistent"
                )
                warnings.append(
                    f"Nothing on this host brings the rules of {program} back after a restart; {remedy} and run this again."
                )
        mark_elsewhere([one.ruleset for one in filters], host)
        firewall = cls(filters, texts)
        firewall.warnings = warnings
        return firewall

    def preconditions(self, commands: list[Command]) -> list[Query]:
        # The commands address rules by their number.
        loaded = [("run", PROGRAMS[one.ip_versions[0]], "-w", "-S") for one in self.filters if one.is_loaded]
        return super().preconditions(commands) + loaded

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        commands = []
        for input_filter in sorted(self.filters, key=lambda one: one.is_loaded):
            lines = self.texts[input_filter.location].splitlines()
            insertions, _expected = plan_insertions(input_filter, accesses, rule_line)
            added_rules = input_filter.with_location(*(rule_line(one.access, one.chain) for one in insertions))
            if input_filter.is_loaded:
                commands += loaded_commands(input_filter, lines, insertions)
            elif insertions:
                new_lines = insert_lines(lines, insertions)
                commands.append(replace_file(input_filter, new_lines)._replace(added_rules=added_rules))
        return commands

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        removable = self.removable_rules(accesses)
        commands = []
        for input_filter in sorted(self.filters, key=lambda one: one.is_loaded):
            rules = [rule for one, rule in removable if one is input_filter]
            if input_filter.is_loaded:
                for rule in rules:
                    argv = [PROGRAMS[input_filter.ip_versions[0]], "-w", "-D", *shlex.split(rule.text)[1:]]
                    commands.append(Command(argv, removed_rules=input_filter.with_location(rule.text)))
            elif rules:
                removed = {rule.handle for rule in rules}
                lines = self.texts[input_filter.location].splitlines()
                remaining = [line for line_number, line in enumerate(lines) if line_number not in removed]
                removed_rules = input_filter.with_location(*(rule.text for rule in rules))
                commands.append(replace_file(input_filter, remaining)._replace(removed_rules=removed_rules))
        return commands


def find_rule_file(host: HostState, version: int) -> tuple[str, str | None]:
    """Return path and text of the file that is loaded at boot.

    The path is empty if no file would be loaded. The text is None if the file does not exist.
    """
    for program, paths in RULE_FILES:
        text = host.file_text(paths[version])
        if host.has_program(program) and (text is not None or program == "netfilter-persistent"):
            return paths[version], text
    return "", None


def replace_file(input_filter: InputFilter, lines: list[str]) -> Command:
    """Return the command that replaces the file of a filter."""
    argv = [f"{PROGRAMS[input_filter.ip_versions[0]]}-restore", "--test"]
    return Command(argv, "\n".join(lines) + "\n", input_filter.location)


def loaded_commands(input_filter: InputFilter, lines: list[str], insertions: list[Insertion]) -> list[Command]:
    """Return the commands for the kernel, from the last place to the first, so that the numbers of rules stay right.

    lines: the output of `iptables -S`.
    """
    commands = []
    appended = [one for one in insertions if not one.before]
    inserted = [one for one in reversed(insertions) if one.before]
    for one in [*appended, *sorted(inserted, key=lambda one: -place_of(one, len(lines)))]:
        number = 1 + sum(line.startswith(f"-A {one.chain} ") for line in lines[: place_of(one, len(lines))])
        option = ["-I", one.chain, str(number)] if one.before else ["-A", one.chain]
        argv = [PROGRAMS[one.access.network.version], "-w", *option, *rule_arguments(one.access)]
        added_rules = input_filter.with_location(rule_line(one.access, one.chain))
        commands.append(Command(argv, added_rules=added_rules))
    return commands


def insert_lines(lines: list[str], insertions: list[Insertion]) -> list[str]:
    """Return the lines of a file for iptables-restore with new rules."""
    end = find_commit_line(lines)
    new_lines = []
    for number, line in enumerate([*lines, ""]):
        new_rules = [one for one in insertions if place_of(one, end) == number]
        if match := re.match(
            r"(\[\d+:\d+\]\s*)?-I (\S+)( \d+)?\s", line
        ):  # the rule before which to insert is at the top
            at_the_top = [rule_line(one.access, one.chain, f"-I {one.chain}{match[3] or ''}") for one in new_rules]
            new_lines += [line, *reversed(at_the_top)]
        else:
            new_lines += [*(rule_line(one.access, one.chain) for one in new_rules), line]
    return new_lines[:-1]


def place_of(insertion: Insertion, end: int) -> int:
    """Return the number of the line before which a rule belongs: that of a deny rule, or the end."""
    return end if insertion.before is None or insertion.before.handle is None else insertion.before.handle


def rule_arguments(access: PortAccess) -> list[str]:
    """Return the rule that accepts an access, as arguments of iptables."""
    source = [] if access.network in ANY.values() else ["-s", str(access.network)]
    words = ["-p", access.protocol, "-m", access.protocol, "--dport", str(access.port)]
    return [*source, *words, "-m", "comment", "--comment", OWN_COMMENT, "-j", "ACCEPT"]


def rule_line(access: PortAccess, chain: str = "INPUT", option: str = "") -> str:
    """Return the same rule as `iptables -S` lists it."""
    line = " ".join([option or f"-A {chain}", *rule_arguments(access)])
    return line.replace(OWN_COMMENT, f'"{OWN_COMMENT}"')


def find_commit_line(lines: list[str]) -> int:
    """Return the number of the line that ends the table filter in a file for iptables-restore."""
    table = ""
    for line_number, line in enumerate(lines):
        table = line.strip() if line.startswith("*") else table
        if line.strip() == "COMMIT" and table == "*filter":
            return line_number
    return len(lines)
