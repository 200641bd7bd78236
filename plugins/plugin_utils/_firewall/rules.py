# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a packet filter does with a new connection: chains of rules, as iptables and nft list them, and the way through.

Only as much of a rule is understood as the question "is this port open?" needs. What is not understood makes the
rule vague: it is taken neither for a door nor for a wall.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import shlex
import socket
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import shaped

ANY_IPV4 = ipaddress.ip_network("0.0.0.0/0")
ANY_IPV6 = ipaddress.ip_network("::/0")
ANY = {4: ANY_IPV4, 6: ANY_IPV6}

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Ports = tuple[tuple[int, int], ...]
DEEPEST_JUMP = 100  # chains; nftables takes 16


class Door(t.NamedTuple):
    """A port of this host, and the network that shall or shall not come in through it."""

    protocol: str
    port: int
    network: Network


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule: whom it is for, and what becomes of them. None stands for all."""

    verdict: str  # accept, refuse, return or jump
    words: str
    protocols: tuple[str, ...] | None = None
    ports: Ports | None = None
    sources: tuple[Network, ...] | None = None
    spared: tuple[Network, ...] = ()  # the rule is for all but these
    target: str = ""  # where a jump leads
    final: bool = False  # a goto: what the target lets through does not come back
    partial: bool = False  # for one interface or all but some sources: as a door too little, as a wall enough
    vague: bool = False  # under conditions that are not understood here
    chain: str = ""
    handle: t.Any = None  # by what it can be found again, and removed
    shared: bool = False  # only a part of a rule, or of a service: cannot be removed by itself

    def covers(self, door: Door) -> bool:
        """Say whether the whole of the network meets this rule at that port."""
        return (
            self._is_for(door)
            and (self.sources is None or any(within(door.network, one) for one in self.sources))
            and not any(within(door.network, one) for one in self.spared)
        )

    def touches(self, door: Door) -> bool:
        """Say whether any of the network meets this rule at that port."""
        return self._is_for(door) and (self.sources is None or any(overlap(door.network, one) for one in self.sources))

    def opens_only(self, doors: t.Iterable[Door]) -> bool:
        """Say whether everything that this rule lets in comes through these doors."""
        if self.verdict != "accept" or self.shared or self.vague or self.partial or not (self.ports and self.protocols):
            return False
        doors = list(doors)
        return all(
            any(door[:2] == (protocol, port) and within(source, door.network) for door in doors)
            for protocol in self.protocols
            for low, high in self.ports
            for port in range(low, high + 1)
            for source in self.sources or ANY.values()
        )

    def _is_for(self, door: Door) -> bool:
        return (self.protocols is None or door.protocol in self.protocols) and (
            self.ports is None or any(low <= door.port <= high for low, high in self.ports)
        )


@dataclasses.dataclass
class Chain:
    """Rules in their order; *policy* is what becomes of the rest, None where the rest goes back to the caller."""

    rules: list[Rule] = dataclasses.field(default_factory=list)
    policy: str | None = None


Ruleset = dict[str, Chain]


class Judgement(t.NamedTuple):
    """What becomes of a new connection, by which rule (None: the policy), and the rule of the first chain that led there."""

    verdict: str | None
    rule: Rule | None
    place: Rule | None


class Base(t.NamedTuple):
    """A chain of nftables that packets for this host enter first, with the chains of its table."""

    family: str
    table: str
    chain: str
    ruleset: Ruleset

    @property
    def versions(self) -> tuple[int, ...]:
        """Return the versions of IP that come by here."""
        return {"ip": (4,), "ip6": (6,)}.get(self.family, (4, 6))

    @property
    def name(self) -> str:
        """Return what nft calls this chain."""
        return f"{self.family} {self.table} {self.chain}"


def within(inner: Network, outer: Network) -> bool:
    """Say whether the one network lies in the other."""
    return inner.version == outer.version and inner.subnet_of(outer)


def overlap(one: Network, other: Network) -> bool:
    """Say whether two networks have an address in common."""
    return one.version == other.version and one.overlaps(other)


def judge(ruleset: Ruleset, chain: str, door: Door, ignoring_doors: bool = False) -> Judgement:
    """Follow a new connection through the chains, until a rule or a policy decides.

    A rule that refuses only some of the network is an exception that somebody made on purpose, and no wall. With
    *ignoring_doors* the first wall is found, whether or not a rule before it lets the connection in.
    """
    known: dict[str, Judgement] = {}  # by the chain, since many jumps may lead to the same

    def ahead(target: str, above: tuple[str, ...]) -> Judgement:
        if target not in known:
            _check_jumps(target, above)
            known[target] = _judged(ruleset, target, door, ignoring_doors, lambda one: ahead(one, (*above, target)))
        return known[target]

    return ahead(chain, ())


def _judged(
    ruleset: Ruleset, chain: str, door: Door, ignoring_doors: bool, ahead: t.Callable[[str], Judgement]
) -> Judgement:
    for rule in ruleset[chain].rules:
        if rule.vague or not rule.covers(door):
            continue
        verdict, cause = rule.verdict, rule
        if verdict == "jump":
            if rule.target not in ruleset:
                continue
            inner = ahead(rule.target)
            verdict, cause = inner.verdict, inner.rule or rule
            if verdict is None and rule.final and not rule.partial:
                break
        if verdict == "return":
            if rule.partial:
                continue
            return Judgement(None, rule, rule)
        if verdict == "refuse" or (verdict == "accept" and not rule.partial and not ignoring_doors):
            return Judgement(verdict, cause, rule)
    return Judgement(ruleset[chain].policy, None, None)


def openers(ruleset: Ruleset, chain: str, door: Door) -> list[Rule]:
    """Return the rules that let in at least some of the network, wherever a jump leads to them."""
    known: dict[str, list[Rule]] = {}

    def ahead(target: str, above: tuple[str, ...]) -> list[Rule]:
        if target not in known:
            _check_jumps(target, above)
            known[target] = _opening(ruleset, target, door, lambda one: ahead(one, (*above, target)))
        return known[target]

    return ahead(chain, ())


def _check_jumps(target: str, above: tuple[str, ...]) -> None:
    """Make sure that jumps come to an end, as those in a kernel do."""
    if target in above or len(above) > DEEPEST_JUMP:
        raise TlsError(
            f"the rules of the chain {target} jump in a circle, or through more than {DEEPEST_JUMP} chains, which no kernel "
            "takes; correct the file that holds them, or look at what the host is doing"
        )


def _opening(ruleset: Ruleset, chain: str, door: Door, ahead: t.Callable[[str], list[Rule]]) -> list[Rule]:
    found: list[Rule] = []
    for rule in ruleset[chain].rules:
        if not rule.touches(door):
            continue
        if rule.verdict == "jump" and rule.target in ruleset and not (rule.vague and rule.ports is None):
            for inner in ahead(rule.target):
                # What the jump says of the port, its target need not say again.
                found.append(
                    dataclasses.replace(inner, words=rule.words, shared=True)
                    if rule.ports and not inner.ports
                    else inner
                )
        elif rule.verdict == "accept" and not (rule.vague and rule.ports is None):
            found.append(rule)
        elif rule.verdict in ("refuse", "return") and not (rule.vague or rule.partial) and rule.covers(door):
            break  # nothing of this network comes further
    return list(dict.fromkeys(found))


def describe(rule: Rule) -> str:
    """Return the words of nft for a rule whose match is understood."""
    words = []
    for family, version in (("ip", 4), ("ip6", 6)):
        networks = [one for one in rule.sources or () if one.version == version]
        if networks == [ANY[version]]:
            words.append(f"meta nfproto ipv{version}")
        elif networks:
            words.append(f"{family} saddr {_one_or_set([str(one) for one in networks])}")
    if rule.ports:
        name = rule.protocols[0] if rule.protocols and len(rule.protocols) == 1 else "th"
        words.append(
            f"{name} dport {_one_or_set([str(low) if low == high else f'{low}-{high}' for low, high in rule.ports])}"
        )
    elif rule.protocols:
        words.append(f"meta l4proto {_one_or_set(rule.protocols)}")
    words += ["…"] if rule.vague or rule.partial else []
    words.append(f"jump {rule.target}" if rule.target else {"refuse": "drop"}.get(rule.verdict, rule.verdict))
    return " ".join(words)


def _one_or_set(words: t.Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{{ {', '.join(words)} }}"


def port_number(word: str, protocol: str = "tcp") -> int:
    """Return the number of a port that may be written as the name of a service; raises ValueError."""
    if word.isdigit():
        return int(word)
    try:
        return socket.getservbyname(word, protocol)
    except OSError as error:
        raise ValueError(word) from error


def port_ranges(words: str, dash: str, protocol: str = "tcp") -> Ports:
    """Return the ranges in a list like 80,8000:8010; raises ValueError for what is none."""
    ranges = []
    for word in (one.strip() for one in words.split(",")):
        low, _dash, high = word.partition(dash) if word.replace(dash, "").isdigit() else (word, "", "")
        ranges.append((port_number(low, protocol), port_number(high or low, protocol)))
    return tuple(ranges)


# -- iptables --------------------------------------------------------------------------------------------------------

IPTABLES_VERDICTS = {"ACCEPT": "accept", "DROP": "refuse", "REJECT": "refuse", "RETURN": "return"}
# Extensions that say nothing by themselves: their options do.
IPTABLES_EXTENSIONS = {"tcp", "udp", "multiport", "comment", "conntrack", "state", "addrtype"}
PROTOCOL_NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}


def parse_iptables(text: str) -> Ruleset:
    """Return the chains of the table filter, from the listing of `iptables -S` or a file for iptables-restore.

    The handle of a rule is the number of its line.
    """
    ruleset: Ruleset = {"INPUT": Chain(policy="accept")}
    table = "filter"
    for number, line in enumerate(text.splitlines()):
        line = re.sub(r"^\[\d+:\d+\]\s*", "", line.strip())
        if line.startswith("*"):
            table = line[1:]
        if table != "filter":
            continue
        if line.startswith(":"):
            name, policy = (*line[1:].split(), "", "")[:2]
            ruleset.setdefault(name, Chain()).policy = IPTABLES_VERDICTS.get(policy)
        elif line.startswith(("-P ", "-N ")):
            words = line.split()
            ruleset.setdefault(words[1], Chain()).policy = IPTABLES_VERDICTS.get(words[-1])
        elif line.startswith(("-A ", "-I ")):
            try:
                words = shlex.split(line)
            except ValueError:
                continue
            chain = ruleset.setdefault(words[1], Chain())
            if rule := _iptables_rule(line, words[1], words[2:], number):
                chain.rules.insert(0 if words[0] == "-I" else len(chain.rules), rule)
    return ruleset


def _iptables_rule(line: str, chain: str, words: list[str], number: int) -> Rule | None:
    """Return one rule, or None for one that new connections from other hosts never meet."""
    found: dict[str, t.Any] = {"verdict": "", "chain": chain, "handle": number, "words": line, "vague": False}
    rest, negated = list(words), False
    while rest:
        option = rest.pop(0)
        if option == "!":
            negated = True
            continue
        value = rest[0] if rest else ""
        if option in ("-s", "--source"):
            try:
                found["sources"] = tuple(ipaddress.ip_network(one, strict=False) for one in value.split(","))
            except ValueError:  # the name of a host, say, which a file may hold
                found["vague"] = True
                negated = False
            if negated:
                found.update(partial=True, sources=None, spared=found["sources"])
        elif option in ("-p", "--protocol"):
            if value not in ("all", "0"):
                found["protocols"] = (PROTOCOL_NUMBERS.get(value, value),)
            found["vague"] |= negated
        elif option in ("--dport", "--destination-port", "--dports", "--destination-ports"):
            try:
                found["ports"] = port_ranges(value, ":")
            except ValueError:
                found["vague"] = True
            found["vague"] |= negated
        elif option in ("-i", "--in-interface"):
            if (value == "lo") != negated:
                return None
            if value != "lo":
                found["partial"] = True
        elif option in ("--ctstate", "--state"):
            if ("NEW" in value.split(",")) == negated:
                return None
        elif option == "--dst-type":
            if (value == "LOCAL") == negated:
                return None
        elif option in ("-j", "--jump", "-g", "--goto"):
            found["verdict"] = IPTABLES_VERDICTS.get(value, "jump")
            found["target"] = "" if value in IPTABLES_VERDICTS else value
            found["final"] = option in ("-g", "--goto")
        elif option in ("-m", "--match"):
            if value not in IPTABLES_EXTENSIONS and value != found.get("protocols", ("",))[0]:
                found["vague"] = True
        elif option.startswith("-") and option not in ("--comment", "--reject-with"):
            found["vague"] = True
        negated = False
        if option.startswith("-") and rest:
            rest.pop(0)
    return Rule(**found) if found["verdict"] else None


# -- nftables --------------------------------------------------------------------------------------------------------

NFT_VERDICTS = {
    **{word.lower(): verdict for word, verdict in IPTABLES_VERDICTS.items()},
    "jump": "jump",
    "goto": "jump",
}
NFT_SILENT = {"counter", "log", "comment", "mangle", "notrack", "meta", "ct helper"}


def parse_nftables(text: str) -> list[Base]:
    """Return the chains that packets for this host enter first, from the listing of `nft -j list ruleset`.

    nft may add warnings behind its JSON. The handle of a rule is nft's.
    """
    with shaped("`nft -j list ruleset` lists what is not understood here; choose another backend, or none"):
        return _nft_bases(text)


def _nft_bases(text: str) -> list[Base]:
    start = text.find("{")
    listing = json.JSONDecoder().raw_decode(text[start:])[0]["nftables"] if start >= 0 else []
    items = [next(iter(item.items())) for item in listing]
    tables: dict[tuple[str, str], tuple[Ruleset, dict[str, t.Any]]] = {}  # with the sets and maps that have a name
    bases = []
    for kind, item in items:
        if kind in ("chain", "set", "map"):
            ruleset, named = tables.setdefault((item["family"], item["table"]), ({}, {}))
            is_base = item.get("type") == "filter" and item.get("hook") == "input"
            if kind != "chain":
                named[item["name"]] = item
            else:
                ruleset[item["name"]] = Chain(policy=NFT_VERDICTS[item.get("policy", "accept")] if is_base else None)
            if is_base and item["family"] in ("ip", "ip6", "inet"):
                bases.append((item.get("prio", 0), Base(item["family"], item["table"], item["name"], ruleset)))
    for kind, item in items:
        if kind == "rule":
            ruleset, named = tables[item["family"], item["table"]]
            ruleset[item["chain"]].rules += _nft_rules(item, named)
    return [base for _priority, base in sorted(bases, key=lambda pair: pair[0])]


def _nft_rules(item: dict[str, t.Any], named: dict[str, t.Any]) -> list[Rule]:
    """Return what one rule of nft says: nothing for new connections from elsewhere, one thing, or a map's many."""
    found: dict[str, t.Any] = {"verdict": "", "words": "", "chain": item["chain"], "handle": int(item["handle"])}
    found["vague"] = False
    rules: list[Rule] = []
    for statement in item.get("expr", []):
        kind, body = next(iter(statement.items()))
        if kind == "match":
            if not _nft_match(found, body["left"], body["op"], body["right"], named):
                return []
        elif kind in NFT_VERDICTS:
            found["verdict"] = NFT_VERDICTS[kind]
            found["target"] = str(body["target"]) if kind in ("jump", "goto") else ""
            found["final"] = kind == "goto"
        elif kind == "xt" and body == {"type": "target", "name": "REJECT"}:  # before nft 1.0, xt says nothing of itself
            found["verdict"] = "refuse"
        elif kind == "vmap":
            for key, verdict in _nft_elements(body["data"], named) or []:
                one = {**found, "shared": True}
                word, target = next(iter(verdict.items()))
                if _nft_match(one, body["key"], "==", key, named) and word in NFT_VERDICTS:
                    one.update(
                        verdict=NFT_VERDICTS[word], target=str((target or {}).get("target", "")), final=word == "goto"
                    )
                    rules.append(Rule(**one))
        elif kind not in NFT_SILENT:
            found["vague"] = True
    if found["verdict"]:
        rules.append(Rule(**found))
    number = f" # handle {found['handle']}"
    return [dataclasses.replace(rule, words=describe(rule) + number) for rule in rules]


def _nft_match(found: dict[str, t.Any], left: t.Any, operator: str, right: t.Any, named: dict[str, t.Any]) -> bool:
    """Add one condition to what is known of a rule; return False when new connections from elsewhere never meet it."""
    negated = operator == "!="
    values = _nft_elements(right, named)
    kind, body = next(iter(left.items())) if isinstance(left, dict) else ("", None)
    if values is None or kind not in ("payload", "meta", "ct", "fib"):
        found["vague"] = True
    elif kind == "ct" and body.get("key") == "state":
        return ("new" in values) != negated
    elif kind == "meta" and body["key"] in ("iif", "iifname"):
        if "lo" in values:
            return negated
        found["partial"] = True
    elif kind == "meta" and body["key"] == "nfproto" and not negated:
        _nft_sources(found, [ANY[{"ipv4": 4, "ipv6": 6}[one]] for one in values if one in ("ipv4", "ipv6")])
    elif (kind == "meta" and body["key"] == "l4proto") or (
        kind == "payload" and body.get("field") in ("protocol", "nexthdr")
    ):
        found["protocols"] = tuple(PROTOCOL_NUMBERS.get(str(one), one) for one in values)
        found["vague"] |= negated
        if kind == "payload":
            _nft_sources(found, [ANY[6 if body["protocol"] == "ip6" else 4]])
    elif kind == "payload" and body.get("field") == "saddr" and body["protocol"] in ("ip", "ip6"):
        networks = [_nft_network(one) for one in values]
        if negated:
            found.update(partial=True, spared=tuple(one for one in networks if one))
        _nft_sources(found, [ANY[6 if body["protocol"] == "ip6" else 4]] if negated else networks)
    elif kind == "payload" and body.get("field") == "dport":
        if body["protocol"] != "th":
            found["protocols"] = (body["protocol"],)
        try:
            found["ports"] = tuple(_nft_range(one) for one in values)
        except (TypeError, ValueError):
            found["vague"] = True
        found["vague"] |= negated
    elif kind == "payload" and body.get("protocol") not in ("ip", "ip6", "th", None):
        found["protocols"] = (body["protocol"],)
        found["vague"] = True
    elif not (kind == "fib" and body.get("result") == "type" and "local" in values and not negated):
        found["vague"] = True
    return True


def _nft_sources(found: dict[str, t.Any], networks: list[t.Any]) -> None:
    """Narrow the sources of a rule: a second condition counts together with the first."""
    if None in networks:
        found["vague"] = True
        return
    known = found.get("sources")
    found["sources"] = (
        tuple(one for one in networks if known is None or any(within(one, other) for other in known)) or known
    )


def _nft_elements(value: t.Any, named: dict[str, t.Any]) -> list[t.Any] | None:
    """Return the elements of a value, a set or a named set; None for one whose elements come and go."""
    if isinstance(value, str) and value.startswith("@"):
        known = named.get(value[1:], {"flags": ["dynamic"]})
        if {"dynamic", "timeout"} & set(known.get("flags", [])):
            return None
        value = known.get("elem", [])
    elif isinstance(value, dict) and "set" in value:
        value = value["set"]
    values = value if isinstance(value, list) else [value]
    return [one["elem"]["val"] if isinstance(one, dict) and "elem" in one else one for one in values]


def _nft_network(value: t.Any) -> Network | None:
    if isinstance(value, dict) and "prefix" in value:
        value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
    try:
        return ipaddress.ip_network(value, strict=False)
    except (TypeError, ValueError):
        return None


def _nft_range(value: t.Any) -> tuple[int, int]:
    low, high = value["range"] if isinstance(value, dict) else (value, value)
    return port_number(str(low)), port_number(str(high))


NFT_PLACE = re.compile(r"(?:add\s+)?(table|chain)\s+(?:(ip6?|inet)\s+)?([^\s{]+)(?:\s+([^\s{]+))?\s*(?:\{|$)")
NFT_RULE = re.compile(r"(?:add|insert)\s+rule\s+(ip6?|inet)\s+(\S+)\s+(\S+)\s+(.*)")
NFT_OPENS = re.compile(r"\b(?:table|chain)\s")
NFT_DOOR = re.compile(
    r"^(?:meta\s+nfproto\s+(?P<nfproto>ipv[46])\s+)?(?:ip6?\s+saddr\s+(?P<sources>\{[^}]*\}|\S+)\s+)?"
    r"(?P<protocol>tcp|udp)\s+dport\s+(?P<ports>\{[^}]*\}|\S+)\s+"
    r"(?:ct\s+state\s+(?:new|\{\s*new\s*\})\s+)?(?:counter\s+)?accept(?:\s+comment\s+\"[^\"]*\")?$"
)


def parse_nft_file(text: str) -> dict[str, list[Rule]]:
    """Return the plain doors that a file for nft writes down, by the chains that it sets up or adds rules to.

    The language of nft is larger than this; a door in words that are not read here is taken for none.
    """
    doors: dict[str, list[Rule]] = {}
    family, table, chain = "ip", "", ""
    text = re.sub(r"(^|\s)#.*$", "", text, flags=re.MULTILINE)
    for statement in _nft_statements(text):
        statement = statement.strip()
        if place := NFT_PLACE.match(statement):
            if place[1] == "table":
                family, table, chain = place[2] or "ip", place[3], ""
            elif place[2]:
                family, table, chain = place[2], place[3], place[4]
            else:
                chain = place[3]
        elif rule := NFT_RULE.match(statement):
            family, table, chain, statement = rule.groups()
        if chain:
            here = doors.setdefault(f"{family} {table} {chain}", [])
            here += [door for door in [parse_nft_door(statement)] if door]
    return doors


def _nft_statements(text: str) -> t.Iterator[str]:
    """Yield the statements of a file; what opens a table or chain is one by itself, wherever it stands."""
    *parts, last = re.split(r"([;{\n])", text)
    statement = ""
    for part, end in zip(parts[::2], parts[1::2]):
        opens = NFT_OPENS.search(part) if end == "{" else None
        if opens:
            yield statement + part[: opens.start()]
            yield part[opens.start() :] + end
            statement = ""
        elif end == "{":
            statement += part + end
        else:
            yield statement + part
            statement = ""
    yield statement + last


def parse_nft_door(words: str) -> Rule | None:
    """Return the rule that these words of nft make, when it is a plain door."""
    match = NFT_DOOR.match(words.strip())
    if not match:
        return None
    try:
        ports = port_ranges(match["ports"].strip("{} "), "-", match["protocol"])
        sources = None
        if match["sources"]:
            sources = tuple(ipaddress.ip_network(one.strip()) for one in match["sources"].strip("{} ").split(","))
        elif match["nfproto"]:
            sources = (ANY[int(match["nfproto"][-1])],)
    except ValueError:
        return None
    return Rule("accept", words.strip(), (match["protocol"],), ports, sources)
