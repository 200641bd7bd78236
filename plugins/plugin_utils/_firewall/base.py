# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which firewall is here, and its words for "open this port".

A firewall is looked at through a transcript of its host, answers questions from what it then knows, and says in steps
what would have to be done. Nothing is done here.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import (
    Look,
    Question,
    Transcript,
    to_wire,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    ANY,
    ANY_IPV4,
    ANY_IPV6,
    Base,
    Chain,
    Door,
    Judgement,
    Network,
    Rule,
    Ruleset,
    describe,
    judge,
    openers,
    parse_iptables,
    parse_nft_door,
    parse_nft_file,
    parse_nftables,
    port_ranges,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import shaped


class Step(t.NamedTuple):
    """Something to be done: a program to run, or a file to replace once that program has accepted its new content."""

    argv: list[str]
    stdin: str | None = None
    path: str | None = None
    adds: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()

    def on_wire(self) -> dict[str, t.Any]:
        """Return the step as an argument of firewall_transcript."""
        texts = {"stdin": self.stdin, "path": self.path}
        return {"argv": list(map(to_wire, self.argv)), **{name: text and to_wire(text) for name, text in texts.items()}}


class Layer(t.NamedTuple):
    """One way into the host as a firewall has it: now, or after a restart."""

    where: str
    now: bool
    versions: tuple[int, ...]
    ruleset: Ruleset
    chain: str

    def doors(self, doors: t.Iterable[Door]) -> list[Door]:
        """Return those of the doors that come by here."""
        return [door for door in doors if door.network.version in self.versions]

    def unaided(self, doors: t.Iterable[Door]) -> set[str | None]:
        """Return what becomes of doors when no rule lets them in."""
        return {judge(self.ruleset, self.chain, door, True).verdict for door in self.doors(doors)}

    def lines(self, *words: str) -> tuple[str, ...]:
        """Return rules as people are shown them."""
        return tuple(f"{self.where}: {one}" for one in words)


class Shut(t.NamedTuple):
    """A door that a layer does not let in, and why."""

    layer: Layer
    door: Door
    judgement: Judgement

    @property
    def is_walled(self) -> bool:
        """Say whether a rule refuses the door, and not just the lack of one."""
        return self.judgement.verdict == "refuse" and self.judgement.rule is not None

    @property
    def sentence(self) -> str:
        """Say what keeps the door shut."""
        rule = self.judgement.rule if self.is_walled else None
        cause = f"the rule `{rule.words}` refuses" if rule else "no rule lets in"
        return f"{self.layer.where}: {cause} {self.door.protocol} {self.door.port} from {self.door.network}"


def make_doors(ports: list[int], protocol: str, sources: list[str]) -> list[Door]:
    """Return the doors that a person asked for; no sources stand for everybody."""
    networks: list[Network] = []
    for source in sources:
        try:
            networks.append(ipaddress.ip_network(source))
        except ValueError as error:
            hint = "write it like 192.0.2.0/24, 192.0.2.7 or 2001:db8::/32"
            raise TlsError(f"{source!r} in sources is no network ({error}); {hint}") from error
    for port in ports:
        if not 1 <= port <= 65535:
            raise TlsError(f"{port} is no port; give a number between 1 and 65535")
    if not ports:
        raise TlsError("ports is empty; name at least one port")
    wanted = networks or [ANY_IPV4, ANY_IPV6]
    return [Door(protocol, port, network) for port in dict.fromkeys(ports) for network in dict.fromkeys(wanted)]


def merge(doors: t.Iterable[Door]) -> list[tuple[str, int, Network | None]]:
    """Return protocol, port and network of each door, with None in place of a pair of networks that is everybody."""
    doors = list(dict.fromkeys(doors))
    merged = []
    for protocol, port, network in doors:
        everybody = all(Door(protocol, port, one) in doors for one in ANY.values())
        merged.append((protocol, port, None if everybody and network in ANY.values() else network))
    return list(dict.fromkeys(merged))


class Firewall:
    """What all firewalls have in common: layers of rules that a door is judged by."""

    name = ""
    program = ""
    start = ""  # how somebody starts it
    signs: tuple[Question, ...] = ()  # that it may be active; they take no slow program
    needs: tuple[Question, ...] = ()  # what holds where it is active
    asks: tuple[Question, ...] = ()  # what look() wants to know

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers
        self.warnings: list[str] = []  # why something would not be the same after a restart
        self.notes: list[str] = []

    @classmethod
    def may_be_active(cls, host: Transcript) -> bool:
        """Say, without a slow program, whether it is worth asking is_active()."""
        return True

    @classmethod
    def is_active(cls, host: Transcript) -> bool:
        """Say whether it runs."""
        return True

    @property
    def has_rules(self) -> bool:
        """Say whether anything is filtered now."""
        chains = [layer.ruleset[layer.chain] for layer in self.layers if layer.now]
        return any(chain.rules or chain.policy == "refuse" for chain in chains)

    def shut(self, doors: t.Iterable[Door]) -> list[Shut]:
        """Return what is not open, now or after a restart."""
        return [
            Shut(layer, door, judgement)
            for layer in self.layers
            for door in layer.doors(doors)
            if (judgement := judge(layer.ruleset, layer.chain, door)).verdict != "accept"
        ]

    def removable(self, doors: list[Door]) -> list[tuple[Layer, Rule]]:
        """Return the rules that open these doors and nothing else."""
        return [(layer, rule) for layer, rule in self.openings(doors) if rule.opens_only(doors)]

    def openings(self, doors: list[Door]) -> list[tuple[Layer, Rule]]:
        """Return the rules that let in at least some of what these doors are for."""
        found: list[tuple[Layer, Rule]] = []
        for layer in self.layers:
            rules = [rule for door in layer.doors(doors) for rule in openers(layer.ruleset, layer.chain, door)]
            found += [(layer, rule) for rule in dict.fromkeys(rules)]
        return found

    def unguarded(self, doors: list[Door]) -> list[Layer]:
        """Return the layers that would let in some of these doors without any rule for them."""
        return [layer for layer in self.layers if "accept" in layer.unaided(doors)]

    def refuses(self, doors: list[Door]) -> bool:
        """Say whether any of these doors would be refused now, were there no rule for it."""
        return any("refuse" in layer.unaided(doors) for layer in self.layers if layer.now)

    def closable(self, doors: list[Door]) -> list[int]:
        """Return the ports of the rules that closing removes."""
        return _ports([rule for _layer, rule in self.removable(doors)])

    def lines(self, doors: list[Door]) -> list[str]:
        """Return the rules that concern these doors, for people."""
        return [line for layer, rule in self.openings(doors) for line in layer.lines(rule.words)]

    def basis(self, steps: list[Step]) -> list[Question]:
        """Return what must not have changed when these steps are taken."""
        return [("read", step.path) for step in steps if step.path]

    def opening(self, doors: list[Door]) -> list[Step]:
        """Return what has to be done until the doors are open."""
        raise NotImplementedError

    def closing(self, doors: list[Door]) -> list[Step]:
        """Return what has to be done until no rule opens just these doors."""
        raise NotImplementedError


def _ports(rules: t.Iterable[Rule]) -> list[int]:
    """Return all ports of some rules."""
    return sorted({port for rule in rules for low, high in rule.ports or () for port in range(low, high + 1)})


def refuse_walls(shuts: t.Iterable[Shut]) -> None:
    """Give up before anything is changed where a rule of ours would come behind one that refuses."""
    for shut in shuts:
        if shut.is_walled:
            raise TlsError(f"{shut.sentence}, whatever is opened; remove that rule and run this again")


# -- firewalld -------------------------------------------------------------------------------------------------------


class Firewalld(Firewall):
    """firewalld: a zone of ports, services and rich rules, at runtime and in the permanent configuration."""

    name = "firewalld"
    program = "firewall-cmd"
    start = "systemctl enable --now firewalld"
    signs = (("run", "systemctl", "is-active", "firewalld"),)
    needs = (("run", "firewall-cmd", "--state"),)
    asks = (
        ("run", "firewall-cmd", "--get-default-zone"),
        ("run", "firewall-cmd", "--list-all-zones"),
        ("run", "firewall-cmd", "--permanent", "--list-all-zones"),
        ("read", "/proc/net/route"),
        ("read", "/proc/net/ipv6_route"),
    )

    def __init__(self, layers: list[Layer], zone: str) -> None:
        super().__init__(layers)
        self.zone = zone

    @classmethod
    def may_be_active(cls, host: Transcript) -> bool:
        """Ask systemd, where there is one: firewall-cmd is a program of Python."""
        return host.run(["systemctl", "is-active", "firewalld"])[1] != "inactive"

    @classmethod
    def is_active(cls, host: Transcript) -> bool:
        return host.run(["firewall-cmd", "--state"])[0] == 0

    @classmethod
    def look(cls, host: Transcript, doors: list[Door], zone: str | None = None) -> Firewalld:
        """Read a zone: the one named, else that of the interface with the default route, else the default zone."""
        listings = {}
        for permanent in ([], ["--permanent"]):
            status, text = host.run(["firewall-cmd", *permanent, "--list-all-zones"])
            zones = zone_listings(text)
            zone = zone or firewalld_zone(host, zones)
            if status or zone not in zones:
                why = text if status else f"but for {', '.join(zones)}"
                raise TlsError(
                    f"firewalld does not answer for its zone {zone} ({why}); "
                    "choose one that `firewall-cmd --permanent --get-zones` names, and run `firewall-cmd --reload` if it is new"
                )
            listings[not permanent] = zones[zone]
        firewall = cls(zone_layers(listings, {}), zone)
        if firewall.shut(doors):  # only then what a service stands for may matter: each is a program to start
            names = sorted({name for listing in listings.values() for name in service_names(listing)})
            told = host.run_each([["firewall-cmd", f"--info-service={name}"] for name in names])
            definitions = {name: listing for name, (_status, listing) in zip(names, told)}
            firewall.layers = zone_layers(listings, definitions)
        return firewall

    def opening(self, doors: list[Door]) -> list[Step]:
        shuts = self.shut(doors)
        refuse_walls(shuts)  # firewalld asks what refuses before what lets in
        steps = []
        for layer in reversed(self.layers):  # the permanent configuration first: it is the one that may be unwritable
            missing = merge(shut.door for shut in shuts if shut.layer is layer)
            lines = [rich_rule(*one) if one[2] else f"port {one[1]}/{one[0]}" for one in missing]
            steps += self._steps("add", layer, lines)
        return steps

    def closing(self, doors: list[Door]) -> list[Step]:
        steps = []
        for layer in reversed(self.layers):
            steps += self._steps("remove", layer, [rule.words for one, rule in self.removable(doors) if one is layer])
        return steps

    def _steps(self, verb: str, layer: Layer, lines: list[str]) -> list[Step]:
        """Return a step each for ports and rich rules, which firewall-cmd does not take together."""
        steps = []
        for kind in ("port", "rich-rule"):
            chosen = [line for line in lines if line.startswith("port ") == (kind == "port")]
            if chosen:
                argv = ["firewall-cmd", *([] if layer.now else ["--permanent"]), f"--zone={self.zone}"]
                argv += [f"--{verb}-{kind}={line.removeprefix('port ')}" for line in chosen]
                steps.append(Step(argv, **{f"{verb}s": layer.lines(*chosen)}))
        return steps


def zone_layers(listings: dict[bool, str], definitions: dict[str, str]) -> list[Layer]:
    """Return what a zone lets in now and permanently, given what its services stand for."""
    where = {True: "firewalld now", False: "firewalld permanently"}
    return [
        Layer(where[now], now, (4, 6), parse_zone(listing, definitions), "zone") for now, listing in listings.items()
    ]


def service_names(listing: str) -> list[str]:
    """Return the services that a zone and its rich rules name."""
    entries = zone_entries(listing)
    return entries["services"].split() + re.findall(r'service name="([^"]+)"', entries["rich rules"])


def zone_listings(text: str) -> dict[str, str]:
    """Return what firewall-cmd lists of each zone, by the name in its first line, which may say more of it behind."""
    return {
        listing.split()[0]: listing for listing in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if listing.strip()
    }


def firewalld_zone(host: Transcript, zones: dict[str, str]) -> str:
    """Return the zone of the interface with the default route, or the default zone where no zone is bound to it."""
    interface = default_interface(host.read("/proc/net/route") or "", host.read("/proc/net/ipv6_route") or "")
    bound = [name for name, listing in zones.items() if interface in zone_entries(listing)["interfaces"].split()]
    return bound[0] if bound else host.run(["firewall-cmd", "--get-default-zone"])[1]


def default_interface(route: str, ipv6_route: str) -> str | None:
    """Return the interface with the default route, from the kernel's tables; IPv4's goes before IPv6's."""
    found = []
    with shaped(
        "/proc/net/route or ipv6_route holds what no kernel writes there; choose a zone, or look at what the host is doing"
    ):
        for line in route.splitlines()[1:]:
            name, destination, _gateway, flags, _count, _use, metric, mask = line.split()[:8]
            if destination == mask == "00000000" and int(flags, 16) & 1:
                found.append((0, int(metric), name))
        for line in ipv6_route.splitlines():
            words = line.split()
            if words[0] == "0" * 32 and words[1] == "00" and words[9] != "lo":
                found.append((1, int(words[5], 16), words[9]))
    return min(found)[2] if found else None


def rich_rule(protocol: str, port: int, network: Network) -> str:
    """Return firewalld's words for letting in one network, as it lists them itself."""
    source = "" if network in ANY.values() else f' source address="{network}"'
    return f'rule family="ipv{network.version}"{source} port port="{port}" protocol="{protocol}" accept'


def zone_entries(listing: str) -> dict[str, str]:
    """Return what a zone or a service is made of, from firewall-cmd's listing; rich rules stand one on a line."""
    entries: dict[str, str] = dict.fromkeys(("interfaces", "services", "ports", "protocols", "rich rules"), "")
    entries["target"] = "default"
    key = ""
    for line in listing.splitlines()[1:]:
        if match := re.match(r"^  ([a-z][a-z -]*):\s*(.*)$", line):
            key = match[1]
            entries[key] = match[2].strip()
        elif key and line.strip():
            entries[key] = f"{entries[key]}\n{line.strip()}".strip()
    return entries


def parse_zone(listing: str, definitions: dict[str, str]) -> Ruleset:
    """Return the rules of a zone in the order in which firewalld asks them."""
    with shaped(
        "firewalld lists a zone or a service that is not understood here; choose another zone, or correct this one"
    ):
        return _zone_rules(zone_entries(listing), definitions)


def _zone_rules(entries: dict[str, str], definitions: dict[str, str]) -> Ruleset:
    rules = [_port_rule(word, f"port {word}", shared=False) for word in entries["ports"].split()]
    rules += [
        Rule("accept", f"protocol {name}", (name,), ((1, 65535),), shared=True) for name in entries["protocols"].split()
    ]
    for name in entries["services"].split():
        rules += _service_rules(name, definitions, f"service {name}", set())
    ordered: list[tuple[tuple[int, int], Rule]] = [((0, 1), rule) for rule in rules]
    for words in filter(None, entries["rich rules"].splitlines()):
        priority = re.search(r'priority="(-?\d+)"', words)
        for rule in _rich_rules(words, definitions):
            ordered.append(((int(priority[1]) if priority else 0, int(rule.verdict == "accept")), rule))
    ordered.sort(key=lambda pair: pair[0])
    policy = "accept" if entries["target"] == "ACCEPT" else "refuse"
    return {"zone": Chain([rule for _order, rule in ordered], policy)}


def _port_rule(word: str, words: str, shared: bool = True) -> Rule:
    ports, _slash, protocol = word.partition("/")
    return Rule("accept", words, (protocol,), port_ranges(ports, "-"), shared=shared)


def _service_rules(name: str, definitions: dict[str, str], words: str, seen: set[str]) -> list[Rule]:
    """Return the rules of a service and of those that it includes, each once; the others are in *seen*."""
    seen.add(name)
    entries = zone_entries(definitions.get(name, ""))
    rules = [_port_rule(word, words) for word in entries["ports"].split()]
    for included in entries.get("includes", "").split():
        if included not in seen:
            rules += _service_rules(included, definitions, words, seen)
    return rules


def _rich_rules(words: str, definitions: dict[str, str]) -> list[Rule]:
    """Return what a rich rule says: one thing, or as many as its service has ports."""
    bare = re.sub(r'"[^"]*"', '""', words)
    verdict = re.search(r"\b(accept|reject|drop)\b", bare)
    if not verdict:
        return []
    found: dict[str, t.Any] = {"vague": bool(re.search(r"\b(limit|destination|ipset|mac)\b", bare))}
    if family := re.search(r'family="ipv([46])"', words):
        found["sources"] = (ANY[int(family[1])],)
    if source := re.search(r'source (NOT )?address="([^"]+)"', words):
        networks = (ipaddress.ip_network(source[2], strict=False),)
        found.update({"partial": True, "spared": networks} if source[1] else {"sources": networks})
    found["verdict"] = "accept" if verdict[1] == "accept" else "refuse"
    if port := re.search(r'(?<!-)\bport port="([^"]+)" protocol="([^"]+)"', words):
        return [Rule(words=words, protocols=(port[2],), ports=port_ranges(port[1], "-"), **found)]
    if service := re.search(r'service name="([^"]+)"', words):
        plain = _service_rules(service[1], definitions, words, set())
        return [Rule(words=words, protocols=rule.protocols, ports=rule.ports, shared=True, **found) for rule in plain]
    if re.search(r"\b(protocol value|icmp-|masquerade|forward-port|source-port)\b", words):
        found["vague"] = True
    return [Rule(words=words, **found)]


# -- ufw -------------------------------------------------------------------------------------------------------------


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


# -- iptables --------------------------------------------------------------------------------------------------------

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


# -- nftables --------------------------------------------------------------------------------------------------------

NFT_FILES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
BEGIN = "# BEGIN evergreen.tls.firewall_port: written by a program, which replaces all up to END"
END = "# END evergreen.tls.firewall_port"
BEGIN_LINE, END_LINE = (re.compile(rf"^{re.escape(line)}$\n?", re.MULTILINE) for line in (BEGIN, END))


class Nftables(Firewall):
    """nftables by itself: the chains that hook input, and a marked block at the end of the file that sets them up."""

    name = "nftables"
    program = "nft"
    asks = (("run", "nft", "-j", "list", "ruleset"), *(("read", path) for path in NFT_FILES))

    def __init__(self, bases: list[Base], path: str, texts: dict[str, str]) -> None:
        super().__init__(
            [Layer(f"nftables now, {base.name}", True, base.versions, base.ruleset, base.chain) for base in bases]
        )
        self.bases = bases
        self.path = path
        self.texts = texts  # the file and those that it includes
        self.written: dict[str, list[Rule]] = {}  # what somebody else wrote there, by chain
        for text in texts.values():
            for name, rules in parse_nft_file(split_blocks(text)[0]).items():
                self.written.setdefault(name, []).extend(rules)
        _rest, blocks = split_blocks(texts.get(path, ""))
        self.block = parse_block(blocks[0]) if blocks else []
        self.kept = {line: rule for line in self.block if (rule := parse_nft_door(line[2]))}

    @classmethod
    def look(cls, host: Transcript, doors: list[Door], zone: str | None = None) -> Nftables:
        """Read the chains that are nobody else's: iptables and firewalld have theirs in nftables, too."""
        status, listing = host.run(["nft", "-j", "list", "ruleset"])
        if status:
            raise TlsError(f"`nft -j list ruleset` failed ({listing}); put that right and run this again")
        bases = [base for base in parse_nftables(listing) if not is_foreign(base)]
        path = next((one for one in NFT_FILES if host.read(one) is not None), "")
        return cls(bases, path, with_includes(host, path) if path else {})

    def shut(self, doors: t.Iterable[Door]) -> list[Shut]:
        doors = list(doors)
        found = super().shut(doors)
        for base, layer in zip(self.bases, self.layers):
            for door in layer.doors(doors) if base.name in self.written else []:
                if "refuse" in layer.unaided([door]) and not self._is_kept(base, door):
                    found.append(Shut(layer._replace(where=self.path, now=False), door, Judgement(None, None, None)))
        return found

    def opening(self, doors: list[Door]) -> list[Step]:
        shuts = self.shut(doors)
        block, script, written, added = list(self.block), [], [], []
        for base, layer in zip(self.bases, self.layers):
            mine = [shut for shut in shuts if shut.layer[3:] == layer[3:]]
            for protocol, port, network in merge(shut.door for shut in mine if not shut.layer.now):
                words = nft_words(protocol, port, network)
                block = [line for line in block if line[1:] != (base.name, words)]
                verb = self._verb(base, Door(protocol, port, network or ANY[base.versions[0]]))
                block.append((verb, base.name, words))
                written.append(f"{self.path}: {base.name} {words}")
            places = {shut.door: shut.judgement.place for shut in mine if shut.layer.now}
            for protocol, port, network in merge(places):
                place = places[Door(protocol, port, network or ANY[base.versions[0]])]
                words = nft_words(protocol, port, network)
                where = f"insert rule {base.name} handle {place.handle}" if place else f"add rule {base.name}"
                script.append(f"{where} {words}")
                added += layer.lines(words)
            if base.name not in self.written and "refuse" in layer.unaided(doors):
                where = f"{self.path} does not set up" if self.path else "no /etc/nftables.conf sets up"
                self.warnings.append(
                    f"It is not kept for a restart, because {where} the chain {base.name}; "
                    f"add `{nft_words(*merge(doors)[0])}` where that chain comes from."
                )
        return self._steps(block, script, adds=(tuple(written), tuple(added)))

    def closing(self, doors: list[Door]) -> list[Step]:
        script, removed = [], []
        for layer, rule in self.removable(doors):
            base = next(base for base in self.bases if base.ruleset is layer.ruleset)
            line = f"delete rule {base.family} {base.table} {rule.chain} handle {rule.handle}"
            if line not in script:
                script.append(line)
                removed += layer.lines(rule.words)
        gone = [line for line, rule in self.kept.items() if rule.opens_only(doors)]
        block = [line for line in self.block if line not in gone]
        written = tuple(f"{self.path}: {name} {words}" for _verb, name, words in gone)
        chains = {f"{base.family} {base.table} {chain}" for base in self.bases for chain in base.ruleset}
        self.warnings += [
            f"It is not kept for a restart: `{rule.words}` in the chain {name} of {self.path} opens it again; remove that line."
            for name, rules in self.written.items()
            for rule in rules
            if name in chains and rule.opens_only(doors)
        ]
        return self._steps(block, script, removes=(written, tuple(removed)))

    def closable(self, doors: list[Door]) -> list[int]:
        kept = _ports(rule for rule in self.kept.values() if rule.opens_only(doors))
        return sorted({*super().closable(doors), *kept})

    def lines(self, doors: list[Door]) -> list[str]:
        kept = [line[1:] for line, rule in self.kept.items() if any(rule.touches(door) for door in doors)]
        return [f"{self.path}: {name} {words}" for name, words in kept] + super().lines(doors)

    def _steps(self, block, script, adds=((), ()), removes=((), ())) -> list[Step]:
        steps = []
        if block != self.block:
            text = with_block(self.texts[self.path], block)
            steps.append(Step(["nft", "-c", "-f", "-"], text, self.path, adds[0], removes[0]))
        if script:
            steps.append(Step(["nft", "-f", "-"], "\n".join(script) + "\n", None, adds[1], removes[1]))
        return steps

    def _verb(self, base: Base, door: Door) -> str:
        """Return how a rule is written down: at the end of the chain, but before everything where a wall ends the chain."""
        return "insert" if judge(base.ruleset, base.chain, door, True).rule else "add"

    def _is_kept(self, base: Base, door: Door) -> bool:
        """Say whether the file opens the door: in the block, or in plain words of somebody else."""
        for (verb, name, _words), rule in self.kept.items():
            if name == base.name and rule.covers(door) and verb in ("insert", self._verb(base, door)):
                return True
        judgement = judge(base.ruleset, base.chain, door)
        opener = judgement.rule.chain if judgement.rule and judgement.verdict == "accept" else base.chain
        chains = [f"{base.family} {base.table} {chain}" for chain in (base.chain, opener)]
        return any(rule.covers(door) for chain in chains for rule in self.written.get(chain, []))


def nft_words(protocol: str, port: int, network: Network | None) -> str:
    """Return the words of nft for letting in a network; None stands for everybody."""
    return describe(Rule("accept", "", (protocol,), ((port, port),), (network,) if network else None))


def is_foreign(base: Base) -> bool:
    """Say whether a chain belongs to a program that keeps its rules in nftables: firewalld, or iptables."""
    return base.table == "firewalld" or (
        base.family in ("ip", "ip6") and (base.table, base.chain) == ("filter", "INPUT")
    )


def with_includes(host: Transcript, path: str, depth: int = 5) -> dict[str, str]:
    """Return the text of a file for nft and of those that it includes, by path."""
    text = host.read(path)
    if text is None:
        return {}
    texts, unread = {path: text}, [text]
    for _round in range(depth):
        patterns = [one for text in unread for one in re.findall(r'^[ \t]*include\s+"([^"]+)"', text, re.MULTILINE)]
        included = host.find_each([os.path.join("/etc", pattern) for pattern in patterns])
        found = {path: text for files in included for path, text in files.items() if path not in texts}
        texts.update(found)
        unread = list(found.values())
    return texts


def split_blocks(text: str) -> tuple[str, list[str]]:
    """Return the text of a file without the blocks of ours and the empty lines before them, and these blocks.

    Where somebody has cut a block off, what is left of it is not ours for sure. Only the line goes that began or ended it.
    """
    kept, blocks, at = "", [], 0
    for end in END_LINE.finditer(text):
        begins = list(BEGIN_LINE.finditer(text, at, end.start()))
        if begins:
            kept += text[at : begins[-1].start()].rstrip("\n") + "\n"
            blocks.append(text[begins[-1].start() : end.end()])
            at = end.end()
    return END_LINE.sub("", BEGIN_LINE.sub("", kept + text[at:])), blocks


def parse_block(text: str) -> list[tuple[str, str, str]]:
    """Return verb, chain and words of each rule in a block of ours."""
    return re.findall(r"^(add|insert) rule (\S+ \S+ \S+) (.+)$", text, re.MULTILINE)


def with_block(text: str, block: list[tuple[str, str, str]]) -> str:
    """Return the text of a file with this block at its end, in place of the one that it has.

    Each chain is named first, so that nft still loads the file when somebody has taken that chain away.
    """
    text = split_blocks(text)[0].rstrip("\n") + "\n"
    if not block:
        return text
    lines = [BEGIN]
    for name in dict.fromkeys(name for _verb, name, _words in block):
        family, table, chain = name.split()
        lines += [f"table {family} {table} {{", f"\tchain {chain} {{", "\t}", "}"]
    lines += [f"{verb} rule {name} {words}" for verb, name, words in block]
    return text + "\n" + "\n".join([*lines, END]) + "\n"


# -- which one -------------------------------------------------------------------------------------------------------

# In the order in which they are asked for: the first two have their rules in those that follow.
BACKENDS: dict[str, t.Any] = {one.name: one for one in (Firewalld, Ufw, Nftables, Iptables)}


def first_looks(backend: str) -> list[Look]:
    """Return the looks at a host after which find_firewall() can answer, if nothing is out of the ordinary."""
    if backend != "auto":
        chosen = BACKENDS[backend]
        return [Look((("has", chosen.program), *chosen.needs), chosen.asks)]
    looks = [Look((("has", one.program), *one.signs, *one.needs), one.asks) for one in (Firewalld, Ufw)]
    return [
        *looks,
        Look((), tuple(question for one in (Nftables, Iptables) for question in (("has", one.program), *one.asks))),
    ]


def find_firewall(host: Transcript, backend: str, doors: list[Door], zone: str | None = None) -> Firewall | None:
    """Return the firewall that is named, or the one that is active; None where nothing filters."""
    if backend != "auto":
        chosen = BACKENDS[backend]
        if not host.has(chosen.program):
            raise TlsError(f"{backend} is not installed on this host; install it, or choose backend: auto")
        if not chosen.is_active(host):
            raise TlsError(
                f"{backend} is not running on this host; start it with `{chosen.start}`, or choose backend: auto"
            )
        return _look(chosen, host, doors, zone)
    for chosen in (Firewalld, Ufw):
        if host.has(chosen.program) and chosen.may_be_active(host) and chosen.is_active(host):
            return _look(chosen, host, doors, zone)
    found = [_look(chosen, host, doors) for chosen in (Nftables, Iptables) if host.has(chosen.program)]
    guards = [firewall for firewall in found if firewall.refuses(doors)]
    active = guards or [firewall for firewall in found if firewall.has_rules]
    if len(guards) > 1:
        guards[0].notes.append("iptables filters on this host besides nftables; run this again with backend: iptables.")
    return active[0] if active else None


def _look(chosen: t.Any, host: Transcript, doors: list[Door], zone: str | None = None) -> Firewall:
    host.tell(chosen.asks)  # all at once
    return chosen.look(host, doors, zone)
