# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What packet filters let in, read from their own listings."""

from __future__ import annotations

import ipaddress
import json

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import (
    ANY_IPV4,
    ANY_IPV6,
    Door,
    describe,
    judge,
    openers,
    parse_iptables,
    parse_nft_file,
    parse_nftables,
)

# As `iptables -S` lists it on Debian 12.
IPTABLES = """\
-P INPUT DROP
-P FORWARD ACCEPT
-P OUTPUT ACCEPT
-N f2b-nginx
-N wall
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443 -j f2b-nginx
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 8000:8010,9000 -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 53 -j ACCEPT
-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 702 -j DROP
-A INPUT -p tcp -m tcp --dport 702 -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 77 -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 78 -j wall
-A INPUT -p tcp -m tcp --dport 78 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 98 -m limit --limit 5/sec -j ACCEPT
-A INPUT -p udp -m udp --dport 443 -m comment --comment "it's HTTP/3 -j DROP" -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
-A INPUT -j LOG --log-prefix "refused: "
-A INPUT -j REJECT --reject-with icmp-port-unreachable
-A f2b-nginx -s 198.51.100.7/32 -j REJECT --reject-with icmp-port-unreachable
-A f2b-nginx -j RETURN
-A wall -j DROP
"""

NETWORK = ipaddress.ip_network("10.1.0.0/16")


def verdict(ruleset, port, network=ANY_IPV4, protocol="tcp", chain="INPUT"):
    return judge(ruleset, chain, Door(protocol, port, network)).verdict


@pytest.mark.parametrize(
    ("port", "protocol", "network", "expected"),
    [
        (22, "tcp", ANY_IPV4, "accept"),
        (22, "udp", ANY_IPV4, "refuse"),
        (23, "tcp", ANY_IPV4, "refuse"),
        (8005, "tcp", ANY_IPV4, "accept"),
        (8011, "tcp", ANY_IPV4, "refuse"),
        (9000, "tcp", ANY_IPV4, "accept"),
        (53, "tcp", NETWORK, "accept"),
        (53, "tcp", ANY_IPV4, "refuse"),
        (702, "tcp", NETWORK, "accept"),  # spared by the rule that refuses all others
        (702, "tcp", ANY_IPV4, "refuse"),
        (77, "tcp", ANY_IPV4, "refuse"),  # one interface is not all
        (78, "tcp", ANY_IPV4, "refuse"),  # but refused at one interface is refused
        (98, "tcp", ANY_IPV4, "refuse"),  # five a second are not all either
        (443, "udp", ANY_IPV4, "accept"),
        (80, "tcp", ANY_IPV4, "accept"),  # those few addresses that are banned are meant to be
        (443, "tcp", ANY_IPV4, "refuse"),
    ],
)
def test_iptables_lets_in_what_its_rules_say(port, protocol, network, expected):
    assert verdict(parse_iptables(IPTABLES), port, network, protocol) == expected


def test_the_rule_that_refuses_is_named():
    judgement = judge(parse_iptables(IPTABLES), "INPUT", Door("tcp", 443, ANY_IPV4))
    assert judgement.rule.words == "-A INPUT -j REJECT --reject-with icmp-port-unreachable"
    judgement = judge(parse_iptables(IPTABLES), "INPUT", Door("tcp", 78, ANY_IPV4))
    assert (judgement.rule.words, judgement.place.words) == (
        "-A wall -j DROP",
        "-A INPUT -i eth0 -p tcp -m tcp --dport 78 -j wall",
    )


def test_a_policy_decides_what_no_rule_is_for():
    assert judge(parse_iptables("-P INPUT ACCEPT\n"), "INPUT", Door("tcp", 443, ANY_IPV4)) == ("accept", None, None)
    assert judge(parse_iptables("-P INPUT DROP\n"), "INPUT", Door("tcp", 443, ANY_IPV4)) == ("refuse", None, None)


def test_files_for_iptables_restore_read_like_listings():
    ruleset = parse_iptables(
        "# Generated\n*nat\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n"
        "*filter\n:INPUT DROP [12:34]\n[5:60] -A INPUT -p tcp --dport ssh -j ACCEPT\n"
        "-A INPUT -s 10.0.0.0/8,192.168.0.0/16 -p tcp --dport 443 -j ACCEPT\nCOMMIT\n"
    )
    assert verdict(ruleset, 22) == "accept"
    assert verdict(ruleset, 443, NETWORK) == "accept"
    assert verdict(ruleset, 443) == "refuse"
    assert [rule.handle for rule in ruleset["INPUT"].rules] == [7, 8]


def test_a_goto_does_not_come_back():
    ruleset = parse_iptables(
        "-P INPUT DROP\n-N web\n-A INPUT -p tcp -g web\n-A INPUT -j ACCEPT\n-A web -p tcp --dport 80 -j ACCEPT\n"
    )
    assert verdict(ruleset, 80) == "accept"
    assert verdict(ruleset, 443) == "refuse"
    assert verdict(ruleset, 443, protocol="udp") == "accept"


def test_openers_are_found_behind_jumps_and_not_behind_walls():
    ruleset = parse_iptables(
        "-P INPUT DROP\n-N web\n-A INPUT -p tcp -m tcp --dport 80 -j web\n-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT\n"
        "-A INPUT -j DROP\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n-A web -s 192.0.2.0/24 -j ACCEPT\n"
    )
    assert [rule.words for rule in openers(ruleset, "INPUT", Door("tcp", 80, ANY_IPV4))] == [
        "-A INPUT -p tcp -m tcp --dport 80 -j web",
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT",
    ]


@pytest.mark.parametrize(
    ("line", "ports", "networks", "expected"),
    [
        ("-p tcp -m tcp --dport 443 -j ACCEPT", [443], [ANY_IPV4, ANY_IPV6], True),
        ("-p tcp -m tcp --dport 443 -j ACCEPT", [443], [NETWORK], False),
        ("-s 10.1.2.0/24 -p tcp -m tcp --dport 443 -j ACCEPT", [443], [NETWORK], True),
        ("-p tcp -m multiport --dports 80,443 -j ACCEPT", [443], [ANY_IPV4, ANY_IPV6], False),
        ("-p tcp -m multiport --dports 80,443 -j ACCEPT", [80, 443], [ANY_IPV4, ANY_IPV6], True),
        ("-p udp -m udp --dport 443 -j ACCEPT", [443], [ANY_IPV4, ANY_IPV6], False),
        ("-i eth0 -p tcp -m tcp --dport 443 -j ACCEPT", [443], [ANY_IPV4, ANY_IPV6], False),
        ("-p tcp -j ACCEPT", [443], [ANY_IPV4, ANY_IPV6], False),
        ("-j ACCEPT", [443], [ANY_IPV4, ANY_IPV6], False),
    ],
)
def test_a_rule_opens_only_what_is_asked_or_more(line, ports, networks, expected):
    rule = parse_iptables(f"-A INPUT {line}")["INPUT"].rules[0]
    assert rule.opens_only([Door("tcp", port, network) for port in ports for network in networks]) is expected


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


ACCEPT, DROP = {"accept": None}, {"drop": None}
TCP_DPORT = payload("tcp", "dport")


@pytest.mark.parametrize(
    ("expression", "words", "everybody_by_ipv4"),
    [
        ([match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
        ([match(TCP_DPORT, {"set": [80, 443]}), {"counter": {"packets": 0, "bytes": 0}}, ACCEPT], "tcp dport { 80, 443 } accept", "accept"),
        ([match(TCP_DPORT, {"set": [80, {"range": [400, 500]}]}), ACCEPT], "tcp dport { 80, 400-500 } accept", "accept"),
        ([match(TCP_DPORT, {"range": [400, 442]}), ACCEPT], "tcp dport 400-442 accept", "refuse"),
        ([match(TCP_DPORT, "@web"), ACCEPT], "tcp dport { 80, 443 } accept", "accept"),
        ([match(TCP_DPORT, "@passing"), ACCEPT], "… accept", "refuse"),
        ([match({"ct": {"key": "state"}}, "new", "in"), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
        ([match({"meta": {"key": "l4proto"}}, {"set": ["tcp", "udp"]}), match(payload("th", "dport"), 443), ACCEPT], "th dport 443 accept", "accept"),
        ([match({"meta": {"key": "iifname"}}, "lo", "!="), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
        ([match({"meta": {"key": "iifname"}}, "eth1"), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 … accept", "refuse"),
        ([match({"meta": {"key": "nfproto"}}, "ipv6"), match(TCP_DPORT, 443), ACCEPT], "meta nfproto ipv6 tcp dport 443 accept", "refuse"),
        (
            [match(payload("ip", "saddr"), {"prefix": {"addr": "10.0.0.0", "len": 8}}), match(TCP_DPORT, 443), ACCEPT],
            "ip saddr 10.0.0.0/8 tcp dport 443 accept",
            "refuse",
        ),
        ([match(TCP_DPORT, 443), {"limit": {"rate": 5, "burst": 5, "per": "second"}}, ACCEPT], "tcp dport 443 … accept", "refuse"),
        ([match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"), match(TCP_DPORT, 443), ACCEPT], "tcp dport 443 accept", "accept"),
        ([{"vmap": {"key": TCP_DPORT, "data": {"set": [[443, ACCEPT]]}}}], "tcp dport 443 accept", "accept"),
        ([match(payload("icmp", "type"), "echo-request"), ACCEPT], "meta l4proto icmp … accept", "refuse"),
    ],
)  # fmt: skip
def test_nft_lets_in_what_its_rules_say(expression, words, everybody_by_ipv4):
    sets = [
        {"name": "web", "type": "inet_service", "elem": [80, 443]},
        {
            "name": "passing",
            "type": "inet_service",
            "flags": ["timeout"],
            "elem": [{"elem": {"val": 443, "timeout": 60}}],
        },
    ]
    (base,) = parse_nftables(listing(("input", expression), sets=sets))
    assert base.ruleset["input"].rules[0].words == f"{words} # handle 7"
    assert verdict(base.ruleset, 443, chain="input") == everybody_by_ipv4


def test_nft_rules_for_other_packets_are_passed_over():
    established = {
        "vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", DROP], ["established", ACCEPT]]}}
    }
    loopback = [match({"meta": {"key": "iif"}}, "lo"), ACCEPT]
    (base,) = parse_nftables(listing(("input", [established]), ("input", loopback)))
    assert base.ruleset["input"].rules == []
    assert verdict(base.ruleset, 443, chain="input") == "refuse"


def test_nft_follows_a_jump_and_names_the_last_wall():
    jump = ("input", [{"jump": {"target": "services"}}])
    service = ("services", [match(TCP_DPORT, 80), ACCEPT])
    wall = ("input", [{"log": {"prefix": "x "}}, {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}])
    (base,) = parse_nftables(listing(jump, service, wall, policy="accept"))
    assert verdict(base.ruleset, 80, ANY_IPV6, chain="input") == "accept"
    assert judge(base.ruleset, "input", Door("tcp", 443, ANY_IPV6)).place.handle == 9


@pytest.mark.parametrize(
    ("match_of_iptables", "target_of_iptables", "expected"),
    [
        (None, None, "accept"),  # nft 0.9.8
        ({"type": "match", "name": "conntrack"}, {"type": "target", "name": "REJECT"}, "refuse"),  # nft 1.0.6
    ],
)
def test_what_iptables_left_in_nft_is_no_stumbling_block(match_of_iptables, target_of_iptables, expected):
    accept = ("input", [{"xt": match_of_iptables}, {"counter": {"packets": 0, "bytes": 0}}, ACCEPT])
    reject = ("input", [{"counter": {"packets": 0, "bytes": 0}}, {"xt": target_of_iptables}])
    (base,) = parse_nftables(listing(accept, reject, policy="accept"))
    assert verdict(base.ruleset, 443, chain="input") == expected


def test_nft_without_any_table_filters_nothing():
    assert parse_nftables('{"nftables": [{"metainfo": {"version": "1.0.6"}}]}') == []
    assert parse_nftables("") == []


def test_doors_in_a_file_for_nft_are_found_by_their_chain():
    doors = parse_nft_file(
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
    assert {chain: [describe(rule) for rule in rules] for chain, rules in doors.items()} == {
        "inet filter input": [
            "tcp dport { 80, 443 } accept",
            "ip saddr { 10.0.0.0/8, 192.0.2.7/32 } tcp dport 9100 accept",
        ],
        "inet filter forward": ["tcp dport 8443 accept"],
        "ip6 other input": ["meta nfproto ipv6 udp dport 443 accept"],
    }


def test_a_file_for_nft_tells_which_chains_it_sets_up():
    text = """\
table ip6 one { chain input { type filter hook input priority 0; tcp dport { 80, 443 } accept; }; }
add table inet two
add chain inet two input { type filter hook input priority 0; }
table ip three {
\t# chain gone {
}
tcp dport 22 accept
"""
    doors = parse_nft_file(text)
    assert {chain: [rule.words for rule in rules] for chain, rules in doors.items()} == {
        "ip6 one input": ["tcp dport { 80, 443 } accept"],
        "inet two input": [],
    }


def test_rules_that_jump_in_a_circle_or_far_too_deep_are_told_of():
    circle = "-P INPUT DROP\n-A INPUT -j a\n-A a -j b\n-A b -j a\n"
    deep = "-P INPUT DROP\n-A INPUT -j 0\n" + "".join(f"-A {number} -j {number + 1}\n" for number in range(2000))
    for listing in (circle, deep + "-A 2000 -j ACCEPT\n"):
        for ask in (judge, openers):
            with pytest.raises(
                TlsError, match="jump in a circle, or through more than 100 chains, .*; correct the file"
            ):
                ask(parse_iptables(listing), "INPUT", Door("tcp", 443, ANY_IPV4))


def test_many_ways_to_the_same_chain_are_one():
    twice = "".join(f"-A {number} -j {number + 1}\n" * 2 for number in range(64))
    ruleset = parse_iptables(f"-P INPUT DROP\n-A INPUT -j 0\n{twice}-A 64 -p tcp -m tcp --dport 443 -j ACCEPT\n")
    assert verdict(ruleset, 443) == "accept"
    assert [rule.words for rule in openers(ruleset, "INPUT", Door("tcp", 443, ANY_IPV4))] == [
        "-A 64 -p tcp -m tcp --dport 443 -j ACCEPT"
    ]


def test_a_rule_for_the_name_of_a_host_is_neither_door_nor_wall():
    for verb in ("ACCEPT", "DROP"):
        for negated in ("", "! "):
            ruleset = parse_iptables(f"-P INPUT ACCEPT\n-A INPUT {negated}-s www.example.org -j {verb}\n")
            assert judge(ruleset, "INPUT", Door("tcp", 443, ANY_IPV4)) == ("accept", None, None)


@pytest.mark.parametrize("text", ["{", "{}", '{"nftables": [{"chain": {}}]}', '{"nftables": ' + "[" * 100_000])
def test_a_listing_of_another_shape_is_refused(text):
    with pytest.raises(TlsError, match="lists what is not understood here; choose another backend, or none"):
        parse_nftables(text)
