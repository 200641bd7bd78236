# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend ufw."""

from __future__ import annotations

import re

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    Firewall,
    Layer,
    Shut,
    Step,
    refuse_walls,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Transcript,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    ANY_IPV6,
    Door,
    Network,
    merge,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    Rule,
)

UFW_IS_ENABLED = ["grep", "-Eiq", "^ENABLED=[\"']?yes", "/etc/ufw/ufw.conf"]


class Ufw(Firewall):
    """ufw: its rules as iptables has them now, and as ufw's own files bring them back."""

    name = "ufw"
    program = "ufw"
    start = "ufw enable"
    signs = (("run", *UFW_IS_ENABLED),)
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
        return host.run(UFW_IS_ENABLED)[0] != 1

    @classmethod
    def is_active(cls, host: Transcript) -> bool:
        return "Status: active" in host.run(["ufw", "status"])[1]

    @classmethod
    def look(cls, host: Transcript, doors: list[Door], zone: str | None = None) -> Ufw:
        """Read the rules of both versions of IP, or of IPv4 where ufw refuses IPv6 as a whole."""
        settings = host.read("/etc/default/ufw") or ""
        policy = re.search(r'^DEFAULT_INPUT_POLICY="?(\w+)', settings, re.MULTILINE)
        versions = (4, 6) if re.search(r'^IPV6="?yes', settings, re.MULTILINE | re.IGNORECASE) else (4,)
        asked = {door.network for door in doors}
        if versions == (4,) and any(network.version == 6 for network in asked) and ANY_IPV6 not in asked:
            raise TlsError(
                "ufw refuses all of IPv6 (IPV6=no in /etc/default/ufw), but sources has an IPv6 network; set IPV6=yes there, or remove it"
            )
        layers = []
        for version in versions:
            program, infix = ("iptables", "") if version == 4 else ("ip6tables", "6")
            status, listing = host.run([program, "-w", "-S"])
            if status:
                raise TlsError(
                    f"`{program} -S` failed ({listing}); ufw cannot work without it, so put that right and run this again"
                )
            layers.append(Layer(f"ufw now, IPv{version}", True, (version,), parse_iptables(listing), "INPUT"))
            stored = [f"-P INPUT {policy[1] if policy else 'DROP'}"]
            stored += [f"-A INPUT -j ufw{infix}-{name}-input" for name in ("before", "user")]
            stored += [host.read(f"/etc/ufw/{name}{infix}.rules") or "" for name in ("before", "user")]
            ruleset = parse_iptables("\n".join(stored))
            layers.append(Layer(f"/etc/ufw/user{infix}.rules", False, (version,), ruleset, "INPUT"))
        firewall = cls(layers)
        if versions == (4,) and ANY_IPV6 in asked:
            firewall.notes.append("ufw refuses all of IPv6; set IPV6=yes in /etc/default/ufw if it shall not.")
        return firewall

    def opening(self, doors: list[Door]) -> list[Step]:
        shuts = self.shut(doors)
        missing = [shut for shut in shuts if not shut.layer.now]
        if shuts and not missing:
            return [Step(["ufw", "reload"])]
        refuse_walls(
            shut for shut in missing if shut.judgement.rule and not shut.judgement.rule.chain.endswith("user-input")
        )
        steps = []
        for protocol, port, network in merge(shut.door for shut in missing):
            words = ufw_words(protocol, str(port), network)
            own = [Door(protocol, port, one) for one in ([network] if network else ANY.values())]
            verb = ["allow"]
            if any(shut.is_walled and not self._is_opposite(shut) for shut in missing if shut.door in own):
                # Before the rule that refuses. ufw leaves a rule that it has where it is, so away with that first.
                verb = ["prepend", "allow"]
                steps += [Step(["ufw", "delete", "allow", *words])] if self._has(own) else []
            added = [
                line
                for layer in self.layers
                if not layer.now and layer.doors(own)
                for line in layer.lines(f"allow {' '.join(words)}")
            ]
            steps.append(Step(["ufw", *verb, *words], adds=tuple(added)))
        return steps

    def closing(self, doors: list[Door]) -> list[Step]:
        removable = self.removable(doors)
        stored = [(layer, rule) for layer, rule in removable if not layer.now]
        if removable and not stored:
            return [Step(["ufw", "reload"])]
        steps = []
        for layer, rule in stored:
            ports = ",".join(str(low) if low == high else f"{low}:{high}" for low, high in rule.ports or ())
            for source in rule.sources or (ANY[layer.versions[0]],):
                words = ufw_words(rule.protocols[0], ports, source)
                steps.append(Step(["ufw", "delete", "allow", *words], removes=layer.lines(rule.words)))
        return steps

    def lines(self, doors: list[Door]) -> list[str]:
        # What iptables has now is the same once more, in other words.
        return [line for layer, rule in self.openings(doors) if not layer.now for line in layer.lines(rule.words)]

    def removable(self, doors: list[Door]) -> list[tuple[Layer, Rule]]:
        # A rule of an application profile ("ufw allow OpenSSH") goes by the name of the profile, not by its ports.
        return [
            (layer, rule)
            for layer, rule in super().removable(doors)
            if rule.chain.endswith("user-input") and "dapp_" not in rule.words
        ]

    def _is_opposite(self, shut: Shut) -> bool:
        """Say whether the rule that refuses differs from the one wanted in nothing else; ufw then turns it around."""
        rule, (protocol, port, network) = shut.judgement.rule, shut.door
        wanted = ((protocol,), ((port, port),), None if network in ANY.values() else (network,))
        return rule is not None and (rule.protocols, rule.ports, rule.sources) == wanted

    def _has(self, doors: list[Door]) -> bool:
        """Say whether ufw's files have a rule for these doors, even if it comes too late to have an effect."""
        chains = [chain for layer in self.layers if not layer.now for chain in layer.ruleset.values()]
        return any(rule.opens_only(doors) for chain in chains for rule in chain.rules)


def ufw_words(protocol: str, ports: str, network: Network | None) -> list[str]:
    """Return ufw's words for a network that comes in; None stands for everybody."""
    return ["proto", protocol, "from", str(network or "any"), "to", "any", "port", ports]
