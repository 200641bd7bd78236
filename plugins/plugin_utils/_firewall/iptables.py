# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend iptables."""

from __future__ import annotations

import re
import shlex

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    Firewall,
    Layer,
    Step,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Question,
    Transcript,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Door,
)

IPTABLES = {4: "iptables", 6: "ip6tables"}
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
        *(("run", program, "-w", "-S") for program in IPTABLES.values()),
        *(("has", program) for program, _paths in IPTABLES_FILES),
        *(("read", path) for _program, paths in IPTABLES_FILES for path in paths.values()),
    )

    def __init__(self, layers: list[Layer], texts: dict[str, str]) -> None:
        super().__init__(layers)
        self.texts = texts  # what was read, by the layer's place

    @classmethod
    def look(cls, host: Transcript, doors: list[Door], zone: str | None = None) -> Iptables:
        """Read the rules of both versions of IP; a kernel without IPv6 has none to read."""
        layers, texts, warnings = [], {}, []
        for version, program in IPTABLES.items():
            status, listing = host.run([program, "-w", "-S"])
            if status and version == 4:
                raise TlsError(f"`iptables -S` failed ({listing}); put that right and run this again")
            if status:
                continue
            where = f"{program} now"
            layers.append(Layer(where, True, (version,), parse_iptables(listing), "INPUT"))
            texts[where] = listing
            path, text = iptables_file(host, version)
            if text is not None:
                layers.append(Layer(path, False, (version,), parse_iptables(text), "INPUT"))
                texts[path] = text
            elif version in {door.network.version for door in doors} and re.search(
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
        firewall = cls(layers, texts)
        firewall.warnings = warnings
        return firewall

    def basis(self, steps: list[Step]) -> list[Question]:
        # Rules are counted and files are lines: nothing may have moved.
        return super().basis(steps) + [
            ("run", IPTABLES[layer.versions[0]], "-w", "-S") for layer in self.layers if layer.now
        ]

    def opening(self, doors: list[Door]) -> list[Step]:
        steps = []
        for layer in sorted(self.layers, key=lambda layer: layer.now):
            lines = self.texts[layer.where].splitlines()
            end = commit_line(lines)
            walls = [
                (shut.judgement.place.handle if shut.judgement.place else end, shut.door)
                for shut in self.shut(doors)
                if shut.layer is layer
            ]
            if layer.now:  # from the last place to the first, so that none moves before it is used
                for place, door in sorted(walls, key=lambda wall: -wall[0]):
                    number = 1 + sum(line.startswith("-A INPUT ") for line in lines[:place])
                    where = ["-A", "INPUT"] if place == end else ["-I", "INPUT", str(number)]
                    argv = [IPTABLES[door.network.version], "-w", *where, *iptables_words(door)]
                    steps.append(Step(argv, adds=layer.lines(iptables_line(door))))
            elif walls:
                text = []
                for number, line in enumerate([*lines, None]):
                    text += [iptables_line(door) for place, door in walls if place == number]
                    text += [] if line is None else [line]
                added = [iptables_line(door) for _place, door in walls]
                steps.append(self._rewrite(layer, text, adds=layer.lines(*added)))
        return steps

    def closing(self, doors: list[Door]) -> list[Step]:
        steps = []
        for layer in sorted(self.layers, key=lambda layer: layer.now):
            rules = [rule for one, rule in self.removable(doors) if one is layer]
            if layer.now:
                for rule in rules:
                    argv = [IPTABLES[layer.versions[0]], "-w", "-D", *shlex.split(rule.words)[1:]]
                    steps.append(Step(argv, removes=layer.lines(rule.words)))
            elif rules:
                gone = {rule.handle for rule in rules}
                lines = [line for number, line in enumerate(self.texts[layer.where].splitlines()) if number not in gone]
                steps.append(self._rewrite(layer, lines, removes=layer.lines(*(rule.words for rule in rules))))
        return steps

    def _rewrite(self, layer: Layer, lines: list[str], **changes: tuple[str, ...]) -> Step:
        argv = [f"{IPTABLES[layer.versions[0]]}-restore", "--test"]
        return Step(argv, "\n".join(lines) + "\n", layer.where, **changes)


def iptables_file(host: Transcript, version: int) -> tuple[str, str | None]:
    """Return the file that brings the rules back, and its text; no path where nothing does, no text where it is missing."""
    for program, paths in IPTABLES_FILES:
        text = host.read(paths[version])
        if host.has(program) and (text is not None or program == "netfilter-persistent"):
            return paths[version], text
    return "", None


def iptables_words(door: Door) -> list[str]:
    """Return the words of iptables for letting in a door's network."""
    source = [] if door.network in ANY.values() else ["-s", str(door.network)]
    return [*source, "-p", door.protocol, "-m", door.protocol, "--dport", str(door.port), "-j", "ACCEPT"]


def iptables_line(door: Door) -> str:
    """Return the same as iptables lists it."""
    return " ".join(["-A", "INPUT", *iptables_words(door)])


def commit_line(lines: list[str]) -> int:
    """Return the number of the line that ends the table filter in a file for iptables-restore."""
    table = ""
    for number, line in enumerate(lines):
        table = line.strip() if line.startswith("*") else table
        if line.strip() == "COMMIT" and table == "*filter":
            return number
    return len(lines)
