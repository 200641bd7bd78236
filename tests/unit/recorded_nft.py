# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rulesets as nft prints them."""

from __future__ import annotations

import json

ACCEPT, DROP = {"accept": None}, {"drop": None}


def match(left, right, operator="=="):
    return {"match": {"op": operator, "left": left, "right": right}}


def payload(protocol, field):
    return {"payload": {"protocol": protocol, "field": field}}


def listing(*rules, policy="drop", family="inet", sets=()):
    """Return a ruleset as `nft -j list ruleset` of nft 1.0.6 prints it, with one chain for input."""
    items = [
        {"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
        {"table": {"family": family, "name": "filter", "handle": 3}},
        *({"set": {"family": family, "table": "filter", "handle": 9, **one}} for one in sets),
        {"chain": {"family": family, "table": "filter", "name": "services", "handle": 1}},
        {
            "chain": {
                "family": family,
                "table": "filter",
                "name": "input",
                "handle": 2,
                "type": "filter",
                "hook": "input",
                "prio": 0,
                "policy": policy,
            }
        },
        *(
            {"rule": {"family": family, "table": "filter", "chain": chain, "handle": number, "expr": expression}}
            for number, (chain, expression) in enumerate(rules, start=7)
        ),
    ]
    return json.dumps({"nftables": items}) + "\n# Warning: table ip filter is managed by iptables-nft, do not touch!"


TCP_DPORT = payload("tcp", "dport")

NFT_SETS = [
    {"name": "web", "type": "inet_service", "elem": [80, 443]},
    {
        "name": "passing",
        "type": "inet_service",
        "flags": ["timeout"],
        "elem": [{"elem": {"val": 443, "timeout": 60}}],
    },
]
# Of each rule: its expression, its words, and what becomes of a client by IPv4.
NFT_RULES = [
    ([match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
    ([match(TCP_DPORT, {"set": [80, 443]}), {"counter": {"packets": 0, "bytes": 0}}, ACCEPT], "tcp dport { 80, 443 } accept", "accept"),
    ([match(TCP_DPORT, {"set": [80, {"range": [400, 500]}]}), ACCEPT], "tcp dport { 80, 400-500 } accept", "accept"),
    ([match(TCP_DPORT, {"range": [400, 442]}), ACCEPT], "tcp dport 400-442 accept", "deny"),
    ([match(TCP_DPORT, "@web"), ACCEPT], "tcp dport { 80, 443 } accept", "accept"),
    ([match(TCP_DPORT, "@passing"), ACCEPT], "… accept", "deny"),
    ([match({"ct": {"key": "state"}}, "new", "in"), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
    ([match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}), match(payload("th", "dport"), 443), ACCEPT], "th dport 443 accept", "accept"),
    ([match({"meta": {"key": "iifname"}}, "lo", "!="), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
    ([match({"meta": {"key": "iifname"}}, "eth1"), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 … accept", "deny"),
    ([match({"meta": {"key": "nfproto"}}, "ipv6"), match(TCP_DPORT, 443), ACCEPT], "meta nfproto ipv6 tcp dport 443 accept", "deny"),
    (
        [match(payload("ip", "saddr"), {"prefix": {"addr": "10.0.0.0", "len": 8}}), match(TCP_DPORT, 443), ACCEPT],
        "ip saddr 10.0.0.0/8 tcp dport 443 accept",
        "deny",
    ),
    ([match(TCP_DPORT, 443), {"limit": {"rate": 5, "burst": 5, "per": "second"}}, ACCEPT], "tcp dport 443 … accept", "deny"),
    ([match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
    ([{"vmap": {"key": TCP_DPORT, "data": {"set": [[443, ACCEPT]]}}}], "tcp dport 443 accept", "accept"),
    ([match(payload("icmp", "type"), "echo-request"), ACCEPT], "meta l4proto icmp … accept", "deny"),
]  # fmt: skip
