# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of nftables, from its listings and files."""

from __future__ import annotations

import time

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import (
    format_nft_rule,
    parse_nft_file,
    parse_nftables,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY_IPV6, PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import verdict
from ansible_collections.evergreen.tls.tests.unit.recorded_nft import (
    ACCEPT,
    DROP,
    NFT_RULES,
    NFT_SETS,
    TCP_DPORT,
    listing,
    match,
)


@pytest.mark.parametrize(("expression", "words", "everybody_by_ipv4"), NFT_RULES)
def test_nft_rules_are_evaluated(expression, words, everybody_by_ipv4):
    (base,) = parse_nftables(listing(("input", expression), sets=NFT_SETS))
    assert base.ruleset["input"].rules[0].text == f"{words} # handle 7"
    assert verdict(base.ruleset, 443, chain="input") == everybody_by_ipv4


def test_nft_rules_for_other_packets_are_skipped():
    established = {
        "vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", DROP], ["established", ACCEPT]]}}
    }
    loopback = [match({"meta": {"key": "iif"}}, "lo"), ACCEPT]
    (base,) = parse_nftables(listing(("input", [established]), ("input", loopback)))
    assert base.ruleset["input"].rules == []
    assert verdict(base.ruleset, 443, chain="input") == "deny"


def test_nft_jumps_are_followed_and_the_deny_rule_is_named():
    jump = ("input", [{"jump": {"target": "services"}}])
    service = ("services", [match(TCP_DPORT, 80), ACCEPT])
    wall = ("input", [{"log": {"prefix": "x "}}, {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}])
    (base,) = parse_nftables(listing(jump, service, wall, policy="accept"))
    assert verdict(base.ruleset, 80, ANY_IPV6, chain="input") == "accept"
    assert evaluate(base.ruleset, "input", PortAccess("tcp", 443, ANY_IPV6)).entry_rule.handle == 9


@pytest.mark.parametrize(
    ("match_of_iptables", "target_of_iptables", "expected"),
    [
        (None, None, "accept"),  # nft 0.9.8
        ({"type": "match", "name": "conntrack"}, {"type": "target", "name": "REJECT"}, "deny"),  # nft 1.0.6
    ],
)
def test_nft_rules_of_iptables_are_parsed(match_of_iptables, target_of_iptables, expected):
    accept = ("input", [{"xt": match_of_iptables}, {"counter": {"packets": 0, "bytes": 0}}, ACCEPT])
    reject = ("input", [{"counter": {"packets": 0, "bytes": 0}}, {"xt": target_of_iptables}])
    (base,) = parse_nftables(listing(accept, reject, policy="accept"))
    assert verdict(base.ruleset, 443, chain="input") == expected


def test_nft_without_tables_has_no_chains():
    assert parse_nftables('{"nftables": [{"metainfo": {"version": "1.0.6"}}]}') == []
    assert parse_nftables("") == []


def test_allow_rules_in_a_file_for_nft_are_found_by_chain():
    accesses = parse_nft_file(
        """\
table inet filter {
\tchain input {
\t\ttype filter hook input priority 0; policy drop;
\t\ttcp dport { http, 443 } counter accept comment "the web"   # for all
\t\tip saddr { 10.0.0.0/8, 192.0.2.7 } tcp dport 9100 accept
\t\ttcp dport $METRICS accept
\t\tiif eth0 tcp dport 22 accept
\t}
\tchain forward { type filter hook forward priority 0;
\t\ttcp dport 8443 accept
\t}
}
add rule ip6 other input meta nfproto ipv6 udp dport 443 accept
"""
    )
    assert {chain: [format_nft_rule(rule) for rule in rules] for chain, rules in accesses.items()} == {
        "inet filter input": [
            "tcp dport { 80, 443 } accept",
            "ip saddr { 10.0.0.0/8, 192.0.2.7/32 } tcp dport 9100 accept",
        ],
        "inet filter forward": ["tcp dport 8443 accept"],
        "ip6 other input": ["meta nfproto ipv6 udp dport 443 accept"],
    }


def test_chains_that_a_file_for_nft_defines_are_found():
    text = """\
table ip6 one { chain input { type filter hook input priority 0; tcp dport { 80, 443 } accept; }; }
add table inet two
add chain inet two input { type filter hook input priority 0; }
table ip three {
\t# chain gone {
}
tcp dport 22 accept
"""
    accesses = parse_nft_file(text)
    assert {chain: [rule.text for rule in rules] for chain, rules in accesses.items()} == {
        "ip6 one input": ["tcp dport { 80, 443 } accept"],
        "inet two input": [],
    }


@pytest.mark.parametrize("text", ["{", "{}", '{"nftables": [{"chain": {}}]}', '{"nftables": ' + "[" * 100_000])
def test_a_malformed_listing_is_an_error(text):
    with pytest.raises(TlsError, match="lists what is not understood here; choose another backend, or none"):
        parse_nftables(text)


def test_sets_that_are_compared_with_sets_take_bounded_time():
    networks = [{"prefix": {"addr": f"10.{n >> 8 & 255}.{n & 255}.0", "len": 24}} for n in range(5000)]
    sources = match({"payload": {"protocol": "ip", "field": "saddr"}}, {"set": networks})
    start = time.process_time()
    (base,) = parse_nftables(listing(("input", [sources, sources, sources, ACCEPT])))
    assert time.process_time() - start < 5
    assert base.ruleset["input"].rules[0].has_unknown_match
