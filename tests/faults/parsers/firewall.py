# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of the rules of firewalls."""

from __future__ import annotations

import functools
import json
import typing as t

from ansible_collections.evergreen.tls.plugins.action import firewall_port
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall import (
    firewalld_zones,
    interfaces,
    nft_block,
    nft_files,
    nft_rules,
    parse_firewalld,
    parse_nft,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.change import plan_change
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import detect_firewall, initial_queries
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY_IPV4, parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate, find_allow_rules
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import (
    Parser,
    decode_text,
    parse_json,
    validate_task_arguments,
)
from ansible_collections.evergreen.tls.tests.unit import recorded_firewalls, recorded_nft

PORT_ACCESSES = parse_port_accesses([80, 443], "tcp", ["192.0.2.0/24", "2001:db8::/32"]) + parse_port_accesses(
    [443], "tcp", []
)


def evaluate_rules(ruleset: dict, chain: str) -> None:
    for access in PORT_ACCESSES:
        evaluate(ruleset, chain, access)
        evaluate(ruleset, chain, access, ignore_allow_rules=True)
        for rule in find_allow_rules(ruleset, chain, access):
            rule.allows_only(PORT_ACCESSES)
            parse_nft.format_nft_rule(rule)


def read_iptables(content: bytes) -> None:
    evaluate_rules(parse_iptables(decode_text(content)), "INPUT")


def read_nftables(content: bytes) -> None:
    for base in parse_nft.parse_nftables(decode_text(content)):
        assert base.name and base.ip_versions
        evaluate_rules(base.ruleset, base.chain)


def read_nft_file(content: bytes) -> None:
    for rules in parse_nft.parse_nft_file(decode_text(content)).values():
        for rule in rules:
            again = parse_nft.parse_nft_allow_rule(parse_nft.format_nft_rule(rule))
            assert again and (again.protocols, again.ports, again.sources) == (rule.protocols, rule.ports, rule.sources)
    _rest, blocks = nft_block.split_blocks(decode_text(content))
    lines = nft_block.parse_block(blocks[0]) if blocks else []
    whole = nft_block.replace_block(decode_text(content), lines)
    assert nft_block.replace_block(whole, lines) == whole


def read_statements(content: bytes) -> None:
    """Read a file for nft that includes itself, and put a rule before each of its first statements."""
    text = decode_text(content)
    files = nft_files.NftFiles("/etc/nftables.conf", {"/etc/nftables.conf": text}, {"*": ["/etc/nftables.conf"]})
    for statements in files.statements().values():
        for one in statements[:3]:
            changed = nft_files.insert_before(text, one, f"tcp dport 443 accept{nft_rules.COMMENT}")
            again = files.with_texts({one.path: changed})
            for _chain, statement, _rule in again.own_statements():
                nft_files.remove_statement(changed, statement)


def read_zone(content: bytes) -> None:
    listing, _line, service = decode_text(content).partition("\n\n")
    parse_firewalld.is_for_incoming_packets(listing, "public")
    firewalld_zones.source_zone(parse_firewalld.split_zones(decode_text(content)), ANY_IPV4)
    parse_firewalld.service_names(listing)
    for zone in parse_firewalld.split_zones(decode_text(content)).values():
        evaluate_rules(parse_firewalld.parse_zone(zone, {"https": service, "http": listing}, [listing]), "zone")


def read_routes(content: bytes) -> None:
    first, _line, second = decode_text(content).partition("\n\n")
    interfaces.default_interface(first, second)


def read_addresses(content: bytes) -> None:
    interfaces.interface_with(decode_text(content), ["192.0.2.11"])


def plan_firewall_change(results: t.Any) -> None:
    """Read a value as the results of all queries that firewall_commands ran."""
    for state in ("open", "closed"):
        spec = validate_task_arguments(firewall_port.ActionModule.ARGUMENTS, {"ports": [443], "state": state})
        change = recorded_firewalls.plan_at_once(
            functools.partial(plan_change, spec=spec), HostState(results), lambda _query_sets: []
        )
        if change:
            change.result(change.expected_rules(), change.firewall.warnings, True)
            for command in change.commands:
                command.to_arguments()


def query_results(host: t.Any, backend: str = "auto") -> bytes:
    """Return the results of all queries on a recorded host, in JSON."""
    state = HostState(host.run_queries(initial_queries(backend)))
    recorded_firewalls.plan_at_once(lambda one: detect_firewall(one, backend, PORT_ACCESSES), state, host.run_queries)
    return json.dumps([[list(query), result] for query, result in state.results.items()]).encode()


LISTINGS = (
    *(
        recorded_firewalls.IPTABLES_NOW,
        recorded_firewalls.RULES_V4,
        recorded_firewalls.RULES_V6,
        recorded_firewalls.IPTABLES_RULES,
    ),
    *(
        part.replace("{6}", "")
        for part in (recorded_firewalls.UFW_NOW, recorded_firewalls.UFW_RULES, recorded_firewalls.UFW_BEFORE)
    ),
)
NFT_LISTINGS = tuple(
    recorded_nft.listing(("input", expression), ("services", [{"jump": {"target": "input"}}]), sets=sets).encode()
    for expression, *_expected in recorded_nft.NFT_RULES
    for sets in ((), [{"name": "web", "type": "inet_service", "elem": [80, 443]}])
)
HOSTS = (
    recorded_firewalls.firewalld(),
    recorded_firewalls.ufw(),
    recorded_firewalls.iptables(),
    recorded_firewalls.nftables(recorded_firewalls.nft_port(4, {"set": [22, 80]}), recorded_firewalls.DENY_RULE),
    recorded_firewalls.nftables(
        *(recorded_firewalls.nft_port(4, 443), recorded_firewalls.DENY_RULE),
        text=recorded_firewalls.NFT_FILE.replace("counter", f"tcp dport 443 accept{nft_rules.COMMENT}\n\t\tcounter"),
        has_boot=True,
    ),
)
ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\n"
    f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth3\n"
)

POLICY = recorded_firewalls.POLICY.format(name="p", target="DROP", priority=10, ingress="ANY")
NFT_COMMANDS = (
    'define a = 1\ninclude "*"\ntable ip x { set y { elements = { 1 }; }; chain z { type filter; include "*"; accept; }; }\n'
    "flush table ip x\nadd rule ip x z index 1 drop\ninsert rule inet a b \\\n jump { accept; }; rule inet a b reject # no\n"
)

FIREWALL_PARSERS = (
    Parser(
        "firewall/parse_iptables",
        "iptables -S, and files of it and of ufw",
        read_iptables,
        tuple(map(str.encode, LISTINGS)),
    ),
    Parser("firewall/parse_nft", "nft -j list ruleset", read_nftables, NFT_LISTINGS, "json"),
    Parser(
        "firewall/parse_nft",
        "a file for nft",
        read_nft_file,
        tuple(
            map(
                str.encode,
                (
                    recorded_firewalls.NFT_FILE,
                    (
                        f"{recorded_firewalls.NFT_FILE}\n{nft_block.BLOCK_BEGIN}\ntable inet filter {{\n\tchain input {{\n\t}}\n}}\n"
                        f"add rule inet filter input tcp dport 443 accept\n{nft_block.BLOCK_END}\n"
                    ),
                ),
            )
        ),
    ),
    Parser(
        *("firewall/firewalld", "zones and services of firewalld", read_zone),
        tuple(
            map(
                str.encode,
                (
                    f"{recorded_firewalls.ZONE}\n{recorded_firewalls.HTTPS}",
                    recorded_firewalls.TRUSTED + recorded_firewalls.DROP,
                    f"{POLICY}\n{recorded_firewalls.INTERNAL}",
                ),
            )
        ),
    ),
    Parser("firewall/firewalld", "routes in /proc", read_routes, (ROUTES.encode(),)),
    Parser("firewall/interfaces", "ip -o address", read_addresses, (recorded_firewalls.ADDRESSES.encode(),)),
    Parser(
        "firewall/nft_files",
        "rules in a file for nft",
        read_statements,
        (recorded_firewalls.NFT_FILE.encode(), NFT_COMMANDS.encode()),
    ),
    Parser(
        "firewall/host_state",
        "results of queries",
        parse_json(plan_firewall_change),
        tuple(map(query_results, HOSTS)),
        "json",
    ),
)
