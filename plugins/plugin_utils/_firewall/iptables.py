# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend iptables."""

from __future__ import annotations

import re
import shlex

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    Command,
    Firewall,
    InputFilter,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Question,
    Transcript,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    PortAccess,
)

IPTABLES_PROGRAMS = {4: "iptables", 6: "ip6tables"}
# Where a host keeps its rules: the program that brings them back, and the files by version of IP.
IPTABLES_FILES = (
    ("netfilter-persistent", {4: "/etc/iptables/rules.v4", 6: "/etc/iptables/rules.v6"}),
    ("iptables-restore", {4: "/etc/sysconfig/iptables", 6: "/etc/sysconfig/ip6tables"}),
)


class Iptables(Firewall):
    """iptables by itself, with the files from which netfilter-persistent or iptables.service bring its rules back."""

    name = "iptables"
    program = "iptables"
    asks = (
        *(("run", program, "-w", "-S") for program in IPTABLES_PROGRAMS.values()),
        *(("has", program) for program, _paths in IPTABLES_FILES),
        *(("read", path) for _program, paths in IPTABLES_FILES for path in paths.values()),
    )

    def __init__(self, filters: list[InputFilter], texts: dict[str, str]) -> None:
        super().__init__(filters)
        self.texts = texts  # what was read, by the layer's place

    @classmethod
    def look(cls, host: Transcript, accesses: list[PortAccess], zone: str | None = None) -> Iptables:
        """Read the rules of both versions of IP; a kernel without IPv6 has none to read."""
        filters, texts, warnings = [], {}, []
        for version, program in IPTABLES_PROGRAMS.items():
            status, listing = host.run([program, "-w", "-S"])
            if status and version == 4:
                raise TlsError(f"`iptables -S` failed ({listing}); put that right and run this again")
            if status:
                continue
            where = f"{program} now"
            filters.append(InputFilter(where, True, (version,), parse_iptables(listing), "INPUT"))
            texts[where] = listing
            path, text = stored_rules(host, version)
            if text is not None:
                filters.append(InputFilter(path, False, (version,), parse_iptables(text), "INPUT"))
                texts[path] = text
            elif version in {access.network.version for access in accesses} and re.search(
                r"^-(A INPUT|P INPUT (?!ACCEPT))", listing, re.MULTILINE
            ):
                remedy = (
                    f"run `netfilter-persistent save` to make {path}"
                    if path
                    else "install the package iptables-persistent"
                )
                warnings.append(
                    f"Nothing on this host brings the rules of {program} back after a restart; {remedy} and run this again."
                )
        firewall = cls(filters, texts)
        firewall.warnings = warnings
        return firewall

    def preconditions(self, steps: list[Command]) -> list[Question]:
        # Rules are counted and files are lines: nothing may have moved.
        return super().preconditions(steps) + [
            ("run", IPTABLES_PROGRAMS[input_filter.ip_versions[0]], "-w", "-S")
            for input_filter in self.filters
            if input_filter.now
        ]

    def plan_open(self, accesses: list[PortAccess]) -> list[Command]:
        steps = []
        for input_filter in sorted(self.filters, key=lambda input_filter: input_filter.now):
            lines = self.texts[input_filter.where].splitlines()
            end = find_commit_line(lines)
            missing = [
                (entry.decision.place.handle if entry.decision.place else end, entry.access)
                for entry in self.blocked(accesses)
                if entry.input_filter is input_filter
            ]
            if input_filter.now:  # from the last place to the first, so that none moves before it is used
                for place, access in sorted(missing, key=lambda wall: -wall[0]):
                    number = 1 + sum(line.startswith("-A INPUT ") for line in lines[:place])
                    where = ["-A", "INPUT"] if place == end else ["-I", "INPUT", str(number)]
                    argv = [IPTABLES_PROGRAMS[access.network.version], "-w", *where, *iptables_arguments(access)]
                    steps.append(Command(argv, added_rules=input_filter.lines(iptables_line(access))))
            elif missing:
                text = []
                for number, line in enumerate([*lines, None]):
                    text += [iptables_line(access) for place, access in missing if place == number]
                    text += [] if line is None else [line]
                added = [iptables_line(access) for _place, access in missing]
                steps.append(self._rewrite(input_filter, text, added_rules=input_filter.lines(*added)))
        return steps

    def plan_close(self, accesses: list[PortAccess]) -> list[Command]:
        steps = []
        for input_filter in sorted(self.filters, key=lambda input_filter: input_filter.now):
            rules = [rule for one, rule in self.removable_rules(accesses) if one is input_filter]
            if input_filter.now:
                for rule in rules:
                    argv = [IPTABLES_PROGRAMS[input_filter.ip_versions[0]], "-w", "-D", *shlex.split(rule.words)[1:]]
                    steps.append(Command(argv, removed_rules=input_filter.lines(rule.words)))
            elif rules:
                gone = {rule.handle for rule in rules}
                lines = [
                    line
                    for number, line in enumerate(self.texts[input_filter.where].splitlines())
                    if number not in gone
                ]
                steps.append(
                    self._rewrite(
                        input_filter, lines, removed_rules=input_filter.lines(*(rule.words for rule in rules))
                    )
                )
        return steps

    def _rewrite(self, input_filter: InputFilter, lines: list[str], **changes: tuple[str, ...]) -> Command:
        argv = [f"{IPTABLES_PROGRAMS[input_filter.ip_versions[0]]}-restore", "--test"]
        return Command(argv, "\n".join(lines) + "\n", input_filter.where, **changes)


def stored_rules(host: Transcript, version: int) -> tuple[str, str | None]:
    """Return the file that brings the rules back, and its text; no path where nothing does, no text where it is missing."""
    for program, paths in IPTABLES_FILES:
        text = host.read(paths[version])
        if host.has(program) and (text is not None or program == "netfilter-persistent"):
            return paths[version], text
    return "", None


def iptables_arguments(access: PortAccess) -> list[str]:
    """Return the words of iptables for letting in a door's network."""
    source = [] if access.network in ANY.values() else ["-s", str(access.network)]
    return [*source, "-p", access.protocol, "-m", access.protocol, "--dport", str(access.port), "-j", "ACCEPT"]


def iptables_line(access: PortAccess) -> str:
    """Return the same as iptables lists it."""
    return " ".join(["-A", "INPUT", *iptables_arguments(access)])


def find_commit_line(lines: list[str]) -> int:
    """Return the number of the line that ends the table filter in a file for iptables-restore."""
    table = ""
    for number, line in enumerate(lines):
        table = line.strip() if line.startswith("*") else table
        if line.strip() == "COMMIT" and table == "*filter":
            return number
    return len(lines)
