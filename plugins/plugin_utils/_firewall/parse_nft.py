# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that nft lists as JSON, or that a file for nft holds, and a rule in the words of nft."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY,
    Network,
    is_within,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    IPTABLES_VERDICTS,
    PROTOCOL_NUMBERS,
    Chain,
    Rule,
    Ruleset,
    port_number,
    port_ranges,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

NFT_VERDICTS = {
    **{word.lower(): verdict for word, verdict in IPTABLES_VERDICTS.items()},
    "jump": "jump",
    "goto": "jump",
}
NFT_NEUTRAL_STATEMENTS = {"counter", "log", "comment", "mangle", "notrack", "meta", "ct helper"}


class BaseChain(t.NamedTuple):
    """A chain of nftables that packets for this host enter first, with the chains of its table."""

    family: str
    table: str
    chain: str
    ruleset: Ruleset

    @property
    def ip_versions(self) -> tuple[int, ...]:
        """Return the versions of IP that come by here."""
        return {"ip": (4,), "ip6": (6,)}.get(self.family, (4, 6))

    @property
    def name(self) -> str:
        """Return what nft calls this chain."""
        return f"{self.family} {self.table} {self.chain}"


def parse_nftables(text: str) -> list[BaseChain]:
    """Return the chains that packets for this host enter first, from the listing of `nft -j list ruleset`.

    nft may add warnings behind its JSON. The handle of a rule is nft's.
    """
    with reject_malformed_input(
        "`nft -j list ruleset` lists what is not understood here; choose another backend, or none"
    ):
        return _nft_bases(text)


def _nft_bases(text: str) -> list[BaseChain]:
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
                bases.append((item.get("prio", 0), BaseChain(item["family"], item["table"], item["name"], ruleset)))
    for kind, item in items:
        if kind == "rule":
            ruleset, named = tables[item["family"], item["table"]]
            ruleset[item["chain"]].rules += _nft_rules(item, named)
    return [base for _priority, base in sorted(bases, key=lambda pair: pair[0])]


def _nft_rules(item: dict[str, t.Any], named: dict[str, t.Any]) -> list[Rule]:
    """Return what one rule of nft says: nothing for new connections from elsewhere, one thing, or a map's many."""
    found: dict[str, t.Any] = {"verdict": "", "words": "", "chain": item["chain"], "handle": int(item["handle"])}
    found["has_unknown_match"] = False
    rules: list[Rule] = []
    for statement in item.get("expr", []):
        kind, body = next(iter(statement.items()))
        if kind == "match":
            if not _add_match(found, body["left"], body["op"], body["right"], named):
                return []
        elif kind in NFT_VERDICTS:
            found["verdict"] = NFT_VERDICTS[kind]
            found["target"] = str(body["target"]) if kind in ("jump", "goto") else ""
            found["is_goto"] = kind == "goto"
        elif kind == "xt" and body == {"type": "target", "name": "REJECT"}:  # before nft 1.0, xt says nothing of itself
            found["verdict"] = "deny"
        elif kind == "vmap":
            for key, verdict in _nft_elements(body["data"], named) or []:
                one = {**found, "is_shared": True}
                word, target = next(iter(verdict.items()))
                if _add_match(one, body["key"], "==", key, named) and word in NFT_VERDICTS:
                    one.update(
                        verdict=NFT_VERDICTS[word], target=str((target or {}).get("target", "")), is_goto=word == "goto"
                    )
                    rules.append(Rule(**one))
        elif kind not in NFT_NEUTRAL_STATEMENTS:
            found["has_unknown_match"] = True
    if found["verdict"]:
        rules.append(Rule(**found))
    number = f" # handle {found['handle']}"
    return [dataclasses.replace(rule, words=format_nft_rule(rule) + number) for rule in rules]


def _add_match(found: dict[str, t.Any], left: t.Any, operator: str, right: t.Any, named: dict[str, t.Any]) -> bool:
    """Add one condition to what is known of a rule; return False when new connections from elsewhere never meet it."""
    negated = operator == "!="
    values = _nft_elements(right, named)
    kind, body = next(iter(left.items())) if isinstance(left, dict) else ("", None)
    if values is None or kind not in ("payload", "meta", "ct", "fib"):
        found["has_unknown_match"] = True
    elif kind == "ct" and body.get("key") == "state":
        return ("new" in values) != negated
    elif kind == "meta" and body["key"] in ("iif", "iifname"):
        if "lo" in values:
            return negated
        found["is_partial"] = True
    elif kind == "meta" and body["key"] == "nfproto" and not negated:
        _restrict_sources(found, [ANY[{"ipv4": 4, "ipv6": 6}[one]] for one in values if one in ("ipv4", "ipv6")])
    elif (kind == "meta" and body["key"] == "l4proto") or (
        kind == "payload" and body.get("field") in ("protocol", "nexthdr")
    ):
        found["protocols"] = tuple(PROTOCOL_NUMBERS.get(str(one), one) for one in values)
        found["has_unknown_match"] |= negated
        if kind == "payload":
            _restrict_sources(found, [ANY[6 if body["protocol"] == "ip6" else 4]])
    elif kind == "payload" and body.get("field") == "saddr" and body["protocol"] in ("ip", "ip6"):
        networks = [_nft_network(one) for one in values]
        if negated:
            found.update(is_partial=True, excluded_sources=tuple(one for one in networks if one))
        _restrict_sources(found, [ANY[6 if body["protocol"] == "ip6" else 4]] if negated else networks)
    elif kind == "payload" and body.get("field") == "dport":
        if body["protocol"] != "th":
            found["protocols"] = (body["protocol"],)
        try:
            found["ports"] = tuple(_nft_range(one) for one in values)
        except (TypeError, ValueError):
            found["has_unknown_match"] = True
        found["has_unknown_match"] |= negated
    elif kind == "payload" and body.get("protocol") not in ("ip", "ip6", "th", None):
        found["protocols"] = (body["protocol"],)
        found["has_unknown_match"] = True
    elif not (kind == "fib" and body.get("result") == "type" and "local" in values and not negated):
        found["has_unknown_match"] = True
    return True


def _restrict_sources(found: dict[str, t.Any], networks: list[t.Any]) -> None:
    """Narrow the sources of a rule: a second condition counts together with the first."""
    if None in networks:
        found["has_unknown_match"] = True
        return
    known = found.get("sources")
    found["sources"] = (
        tuple(one for one in networks if known is None or any(is_within(one, other) for other in known)) or known
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


NFT_TABLE_OR_CHAIN = re.compile(r"(?:add\s+)?(table|chain)\s+(?:(ip6?|inet)\s+)?([^\s{]+)(?:\s+([^\s{]+))?\s*(?:\{|$)")
NFT_RULE = re.compile(r"(?:add|insert)\s+rule\s+(ip6?|inet)\s+(\S+)\s+(\S+)\s+(.*)")
NFT_BLOCK_START = re.compile(r"\b(?:table|chain)\s")
NFT_ALLOW_RULE = re.compile(
    r"^(?:meta\s+nfproto\s+(?P<nfproto>ipv[46])\s+)?(?:ip6?\s+saddr\s+(?P<sources>\{[^}]*\}|\S+)\s+)?"
    r"(?P<protocol>tcp|udp)\s+dport\s+(?P<ports>\{[^}]*\}|\S+)\s+"
    r"(?:ct\s+state\s+(?:new|\{\s*new\s*\})\s+)?(?:counter\s+)?accept(?:\s+comment\s+\"[^\"]*\")?$"
)


def parse_nft_file(text: str) -> dict[str, list[Rule]]:
    """Return the plain doors that a file for nft writes down, by the chains that it sets up or adds rules to.

    The language of nft is larger than this; a door in words that are not read here is taken for none.
    """
    accesses: dict[str, list[Rule]] = {}
    family, table, chain = "ip", "", ""
    text = re.sub(r"(^|\s)#.*$", "", text, flags=re.MULTILINE)
    for statement in _nft_statements(text):
        statement = statement.strip()
        if place := NFT_TABLE_OR_CHAIN.match(statement):
            if place[1] == "table":
                family, table, chain = place[2] or "ip", place[3], ""
            elif place[2]:
                family, table, chain = place[2], place[3], place[4]
            else:
                chain = place[3]
        elif rule := NFT_RULE.match(statement):
            family, table, chain, statement = rule.groups()
        if chain:
            here = accesses.setdefault(f"{family} {table} {chain}", [])
            here += [access for access in [parse_nft_allow_rule(statement)] if access]
    return accesses


def _nft_statements(text: str) -> t.Iterator[str]:
    """Yield the statements of a file; what opens a table or chain is one by itself, wherever it stands."""
    *parts, last = re.split(r"([;{\n])", text)
    statement = ""
    for part, end in zip(parts[::2], parts[1::2]):
        opens = NFT_BLOCK_START.search(part) if end == "{" else None
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


def parse_nft_allow_rule(words: str) -> Rule | None:
    """Return the rule that these words of nft make, when it is a plain door."""
    match = NFT_ALLOW_RULE.match(words.strip())
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


def format_nft_rule(rule: Rule) -> str:
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
    words += ["…"] if rule.has_unknown_match or rule.is_partial else []
    words.append(f"jump {rule.target}" if rule.target else {"deny": "drop"}.get(rule.verdict, rule.verdict))
    return " ".join(words)


def _one_or_set(words: t.Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{{ {', '.join(words)} }}"
