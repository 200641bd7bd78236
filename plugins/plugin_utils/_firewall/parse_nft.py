# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read rules from `nft -j list ruleset` or a file for nft.

Sources: libnftables-json(5), nft(8).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY, Network, is_within
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    OWN_COMMENT,
    PROTOCOL_NUMBERS,
    VERDICTS,
    Chain,
    Rule,
    Ruleset,
    port_number,
    port_ranges,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

STATEMENT_VERDICTS = {**VERDICTS, "jump": "jump", "goto": "jump"}
MAX_COMPARISONS = 1_000_000  # of the networks in the matches of one rule
NEUTRAL_STATEMENTS = {"counter", "log", "comment", "mangle", "notrack", "meta", "ct helper"}


class BaseChain(t.NamedTuple):
    """A base chain with hook input: packets for this host enter it first."""

    family: str  # ip, ip6 or inet
    table: str
    chain: str
    ruleset: Ruleset  # all chains of the table
    handles: dict[str, list[int]]  # of all rules by chain, also of those that the ruleset leaves out

    @property
    def ip_versions(self) -> tuple[int, ...]:
        """Return the versions of IP whose packets enter the chain."""
        return {"ip": (4,), "ip6": (6,)}.get(self.family, (4, 6))

    @property
    def name(self) -> str:
        """Return the name of the chain, as commands of nft write it."""
        return f"{self.family} {self.table} {self.chain}"


def parse_nftables(text: str) -> list[BaseChain]:
    """Return the base chains with hook input, in the order of their priority, from `nft -j list ruleset`.

    The handle of a rule is nft's. nft may print warnings behind its JSON. Raises TlsError if the listing is malformed.
    """
    with reject_malformed_input(
        "`nft -j list ruleset` lists what is not understood here; choose another backend, or none"
    ):
        return _parse_listing(text)


def _parse_listing(text: str) -> list[BaseChain]:
    start = text.find("{")
    listing = json.JSONDecoder().raw_decode(text[start:])[0]["nftables"] if start >= 0 else []
    items = [next(iter(item.items())) for item in listing]
    # For each table its ruleset, its named sets and maps, and the handles of its rules.
    tables: dict[tuple[str, str], tuple[Ruleset, dict[str, t.Any], dict[str, list[int]]]] = {}
    base_chains = []
    for kind, item in items:
        if kind in ("chain", "set", "map"):
            ruleset, named_sets, handles = tables.setdefault((item["family"], item["table"]), ({}, {}, {}))
            is_base = item.get("type") == "filter" and item.get("hook") == "input"
            if kind != "chain":
                named_sets[item["name"]] = item
            else:
                policy = STATEMENT_VERDICTS[item.get("policy", "accept")] if is_base else None
                ruleset[item["name"]] = Chain(policy=policy)
            if is_base and item["family"] in ("ip", "ip6", "inet"):
                base_chain = BaseChain(item["family"], item["table"], item["name"], ruleset, handles)
                base_chains.append((item.get("prio", 0), base_chain))
    for kind, item in items:
        if kind == "rule":
            ruleset, named_sets, handles = tables[item["family"], item["table"]]
            handles.setdefault(item["chain"], []).append(int(item["handle"]))
            ruleset[item["chain"]].rules += _parse_rule(item, named_sets)
    return [base_chain for _priority, base_chain in sorted(base_chains, key=lambda pair: pair[0])]


def _parse_rule(item: dict[str, t.Any], named_sets: dict[str, t.Any]) -> list[Rule]:
    """Return what a rule does: several rules if it has a verdict map, none if no new connection matches."""
    fields: dict[str, t.Any] = {"verdict": "", "text": "", "chain": item["chain"], "handle": int(item["handle"])}
    fields["has_unknown_match"] = False
    fields["is_own"] = item.get("comment") == OWN_COMMENT
    rules: list[Rule] = []
    for statement in item.get("expr", []):
        kind, body = next(iter(statement.items()))
        if kind == "match":
            if not _add_match(fields, body["left"], body["op"], body["right"], named_sets):
                return []
        elif kind in STATEMENT_VERDICTS:
            fields["verdict"] = STATEMENT_VERDICTS[kind]
            fields["target"] = str(body["target"]) if kind in ("jump", "goto") else ""
            fields["is_goto"] = kind == "goto"
        elif kind == "xt" and body == {"type": "target", "name": "REJECT"}:  # nft before 1.0 gives no name
            fields["verdict"] = "deny"
        elif kind == "vmap":
            for key, verdict in _elements(body["data"], named_sets) or []:
                mapped = {**fields, "is_shared": True}
                word, target = next(iter(verdict.items()))
                if _add_match(mapped, body["key"], "==", key, named_sets) and word in STATEMENT_VERDICTS:
                    mapped["verdict"] = STATEMENT_VERDICTS[word]
                    mapped["target"] = str((target or {}).get("target", ""))
                    mapped["is_goto"] = word == "goto"
                    rules.append(Rule(**mapped))
        elif kind not in NEUTRAL_STATEMENTS:
            fields["has_unknown_match"] = True
    if fields["verdict"]:
        rules.append(Rule(**fields))
    return [dataclasses.replace(rule, text=f"{format_nft_rule(rule)} # handle {rule.handle}") for rule in rules]


def _add_match(
    fields: dict[str, t.Any], left: t.Any, operator: str, right: t.Any, named_sets: dict[str, t.Any]
) -> bool:
    """Add a match to the fields of a rule. Return False if new connections from other hosts never match."""
    is_negated = operator == "!="
    values = _elements(right, named_sets)
    kind: str
    body: dict[str, t.Any]
    kind, body = next(iter(left.items())) if isinstance(left, dict) else ("", {})
    if values is None or kind not in ("payload", "meta", "ct", "fib"):
        fields["has_unknown_match"] = True
    elif kind == "ct" and body.get("key") == "state":
        return ("new" in values) != is_negated
    elif kind == "meta" and body["key"] in ("iif", "iifname"):
        names = tuple(str(one) for one in values if one != "lo")  # from which no other host comes
        if not names:
            return is_negated
        fields.update({"is_partial": True, "excluded_interfaces" if is_negated else "interfaces": names})
    elif kind == "meta" and body["key"] == "nfproto" and not is_negated:
        _restrict_sources(fields, [ANY[{"ipv4": 4, "ipv6": 6}[one]] for one in values if one in ("ipv4", "ipv6")])
    elif (kind == "meta" and body["key"] == "l4proto") or (
        kind == "payload" and body.get("field") in ("protocol", "nexthdr")
    ):
        fields["protocols"] = tuple(PROTOCOL_NUMBERS.get(str(one), one) for one in values)
        fields["has_unknown_match"] |= is_negated
        if kind == "payload":
            _restrict_sources(fields, [ANY[6 if body["protocol"] == "ip6" else 4]])
    elif kind == "payload" and body.get("field") == "saddr" and body["protocol"] in ("ip", "ip6"):
        networks = [_network(one) for one in values]
        if is_negated:
            fields.update(is_partial=True, excluded_sources=tuple(one for one in networks if one))
        _restrict_sources(fields, [ANY[6 if body["protocol"] == "ip6" else 4]] if is_negated else networks)
    elif kind == "payload" and body.get("field") == "dport":
        if body["protocol"] != "th":
            fields["protocols"] = (body["protocol"],)
        try:
            fields["ports"] = tuple(_port_range(one) for one in values)
        except (TypeError, ValueError):
            fields["has_unknown_match"] = True
        fields["has_unknown_match"] |= is_negated
    elif kind == "payload" and body.get("protocol") not in ("ip", "ip6", "th", None):
        fields["protocols"] = (body["protocol"],)
        fields["has_unknown_match"] = True
    elif not (kind == "fib" and body.get("result") == "type" and "local" in values and not is_negated):
        fields["has_unknown_match"] = True
    return True


def _restrict_sources(fields: dict[str, t.Any], networks: t.Sequence[Network | None]) -> None:
    """Restrict the sources of a rule to these networks, in addition to its earlier matches."""
    known = [one for one in networks if one is not None]
    if len(known) < len(networks):
        fields["has_unknown_match"] = True
        return
    sources: tuple[Network, ...] | None = fields.get("sources")
    if len(known) * len(sources or ()) > MAX_COMPARISONS:
        fields["has_unknown_match"] = True
        return
    fields["sources"] = (
        tuple(one for one in known if sources is None or any(is_within(one, other) for other in sources)) or sources
    )


def _elements(value: t.Any, named_sets: dict[str, t.Any]) -> list[t.Any] | None:
    """Return the elements of a value, a set or a named set. None: the elements of the set may change."""
    if isinstance(value, str) and value.startswith("@"):
        named_set = named_sets.get(value[1:], {"flags": ["dynamic"]})
        if {"dynamic", "timeout"} & set(named_set.get("flags", [])):
            return None
        value = named_set.get("elem", [])
    elif isinstance(value, dict) and "set" in value:
        value = value["set"]
    values = value if isinstance(value, list) else [value]
    return [one["elem"]["val"] if isinstance(one, dict) and "elem" in one else one for one in values]


def _network(value: t.Any) -> Network | None:
    if isinstance(value, dict) and "prefix" in value:
        value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
    try:
        return ipaddress.ip_network(value, strict=False)
    except (TypeError, ValueError):
        return None


def _port_range(value: t.Any) -> tuple[int, int]:
    first, last = value["range"] if isinstance(value, dict) else (value, value)
    return port_number(str(first)), port_number(str(last))


TABLE_OR_CHAIN = re.compile(r"(?:add\s+)?(table|chain)\s+(?:(ip6?|inet)\s+)?([^\s{]+)(?:\s+([^\s{]+))?\s*(?:\{|$)")
RULE_COMMAND = re.compile(r"(?:add|insert)\s+rule\s+(ip6?|inet)\s+(\S+)\s+(\S+)\s+(.*)")
TABLE_OR_CHAIN_KEYWORD = re.compile(r"\b(?:table|chain)\s")
ALLOW_RULE = re.compile(
    r"^(?:meta\s+nfproto\s+(?P<nfproto>ipv[46])\s+)?(?:ip6?\s+saddr\s+(?P<sources>\{[^}]*\}|\S+)\s+)?"
    r"(?P<protocol>tcp|udp)\s+dport\s+(?P<ports>\{[^}]*\}|\S+)\s+"
    r"(?:ct\s+state\s+(?:new|\{\s*new\s*\})\s+)?(?:counter\s+)?accept(?:\s+comment\s+\"(?P<comment>[^\"]*)\")?$"
)


def parse_nft_file(text: str) -> dict[str, list[Rule]]:
    """Return the allow rules in a file for nft, by the name of the chain that it defines or adds rules to.

    Only simple allow rules are read, see parse_nft_allow_rule(). A chain without any has an empty list.
    """
    rules: dict[str, list[Rule]] = {}
    family, table, chain = "ip", "", ""
    text = re.sub(r"(^|\s)#.*$", "", text, flags=re.MULTILINE)
    for statement in _split_statements(text):
        statement = statement.strip()
        if start := TABLE_OR_CHAIN.match(statement):
            if start[1] == "table":
                family, table, chain = start[2] or "ip", start[3], ""
            elif start[2]:
                family, table, chain = start[2], start[3], start[4]
            else:
                chain = start[3]
        elif command := RULE_COMMAND.match(statement):
            family, table, chain, statement = command.groups()
        if chain:
            rules_of_chain = rules.setdefault(f"{family} {table} {chain}", [])
            rules_of_chain += [rule for rule in [parse_nft_allow_rule(statement)] if rule]
    return rules


def _split_statements(text: str) -> t.Iterator[str]:
    """Yield the statements of a file. The start of a table or chain is a statement of its own."""
    *parts, last = re.split(r"([;{\n])", text)
    statement = ""
    for part, end in zip(parts[::2], parts[1::2]):
        keyword = TABLE_OR_CHAIN_KEYWORD.search(part) if end == "{" else None
        if keyword:
            yield statement + part[: keyword.start()]
            yield part[keyword.start() :] + end
            statement = ""
        elif end == "{":
            statement += part + end
        else:
            yield statement + part
            statement = ""
    yield statement + last


def parse_nft_allow_rule(text: str) -> Rule | None:
    """Return a rule that accepts ports, from all or from some sources. None: the text is anything else."""
    match = ALLOW_RULE.match(text.strip())
    if not match:
        return None
    try:
        ports = port_ranges(match["ports"].strip("{} "), "-", match["protocol"])
        sources: tuple[Network, ...] | None = None
        if match["sources"]:
            sources = tuple(ipaddress.ip_network(one.strip()) for one in match["sources"].strip("{} ").split(","))
        elif match["nfproto"]:
            sources = (ANY[int(match["nfproto"][-1])],)
    except ValueError:
        return None
    is_own = match["comment"] == OWN_COMMENT
    return Rule("accept", text.strip(), (match["protocol"],), ports, sources, is_own=is_own)


def format_nft_rule(rule: Rule) -> str:
    """Return a rule in the syntax of nft. An ellipsis stands for matches that are not read here."""
    words = []
    for family, version in (("ip", 4), ("ip6", 6)):
        networks = [one for one in rule.sources or () if one.version == version]
        if networks == [ANY[version]]:
            words.append(f"meta nfproto ipv{version}")
        elif networks:
            words.append(f"{family} saddr {_one_or_set([str(one) for one in networks])}")
    if rule.ports:
        protocol = rule.protocols[0] if rule.protocols and len(rule.protocols) == 1 else "th"
        ports = [str(first) if first == last else f"{first}-{last}" for first, last in rule.ports]
        words.append(f"{protocol} dport {_one_or_set(ports)}")
    elif rule.protocols:
        words.append(f"meta l4proto {_one_or_set(rule.protocols)}")
    words += ["…"] if rule.has_unknown_match or rule.is_partial else []
    words.append(f"jump {rule.target}" if rule.target else {"deny": "drop"}.get(rule.verdict, rule.verdict))
    return " ".join(words)


def _one_or_set(words: t.Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{{ {', '.join(words)} }}"
