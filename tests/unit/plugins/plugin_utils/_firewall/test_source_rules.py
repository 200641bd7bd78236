# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Firewall rules by source keep CAs away, and are told of. Bans of single addresses and internal networks are no risk."""

from __future__ import annotations

import ipaddress
import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import parse_nftables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.source_rules import (
    is_internal,
    requested_sources_finding,
    source_findings,
    source_rules,
)

OPEN_WEB = "-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n"


def iptables_findings(lines, policy="DROP", ports=(80, 443)):
    ruleset = parse_iptables(f"-P INPUT {policy}\n{lines}")
    rules = [rule for chain in ruleset.values() for rule in chain.rules]
    found = source_rules(rules, lambda access: evaluate(ruleset, "INPUT", access).verdict or "accept", ports, [4])
    return source_findings("iptables", found)


def test_a_network_that_is_refused_is_a_risk_with_its_rule_and_what_to_do():
    (finding,) = iptables_findings(f"-A INPUT -s 203.0.113.0/24 -j DROP\n{OPEN_WEB}")
    assert (finding.severity, finding.code) == ("risk", "firewall.refused")
    assert finding.sentence == (
        "iptables refuses tcp 80, 443 from 203.0.113.0/24; CAs look from addresses of several continents that change, and rules by "
        "source break validation: remove these rules, or have names validated by DNS"
    )
    assert finding.evidence == ("-A INPUT -s 203.0.113.0/24 -j DROP",)


def test_a_port_that_some_networks_alone_reach_is_a_risk():
    (finding,) = iptables_findings(
        "-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 80 -j ACCEPT\n"
        "-A INPUT -s 198.51.100.7/32 -p tcp -m tcp --dport 80 -j ACCEPT\n"
    )
    assert (finding.severity, finding.code) == ("risk", "firewall.sources")
    assert "lets in tcp 80 from 203.0.113.0/24, 198.51.100.7/32 alone; CAs look" in finding.sentence
    assert "open the ports to everybody" in finding.sentence


def test_a_rule_for_all_but_some_networks_is_a_rule_by_source():
    (finding,) = iptables_findings(f"-A INPUT ! -s 203.0.113.0/24 -p tcp -m tcp --dport 80 -j DROP\n{OPEN_WEB}")
    assert "lets in tcp 80 from 203.0.113.0/24 alone" in finding.sentence


def test_a_network_that_a_chain_refuses_is_found_behind_its_jump():
    (finding,) = iptables_findings(f"-N blocked\n-A INPUT -s 203.0.113.0/24 -j blocked\n-A blocked -j DROP\n{OPEN_WEB}")
    assert finding.evidence == ("-A INPUT -s 203.0.113.0/24 -j blocked",)


def test_a_ban_of_single_addresses_is_a_note():
    (finding,) = iptables_findings(f"-A INPUT -s 203.0.113.7/32 -j DROP\n{OPEN_WEB}")
    assert finding.severity == "note"


@pytest.mark.parametrize(
    ("lines", "policy"),
    [
        (OPEN_WEB, "DROP"),
        ("", "ACCEPT"),
        ("", "DROP"),  # which is closed to all alike
        (f"-A INPUT -s 10.0.0.0/8 -j DROP\n{OPEN_WEB}", "DROP"),
        ("-A INPUT -s 192.168.0.0/16 -p tcp -m tcp --dport 80 -j ACCEPT\n", "DROP"),
        (f"-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 22 -j DROP\n{OPEN_WEB}", "DROP"),
        (f"{OPEN_WEB}-A INPUT -s 203.0.113.0/24 -j DROP\n", "DROP"),  # which comes too late to refuse
        (f"-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 443 -j ACCEPT\n{OPEN_WEB}", "DROP"),
        (f"-A INPUT -s 203.0.113.0/24 -p udp -m udp --dport 443 -j DROP\n{OPEN_WEB}", "DROP"),
    ],
)
def test_what_decides_alike_for_the_whole_internet_is_no_finding(lines, policy):
    assert iptables_findings(lines, policy) == []


def test_rules_of_nftables_are_judged_too():
    listing = (
        '{"nftables": [{"table": {"family": "inet", "name": "filter", "handle": 1}}, {"chain": {"family": "inet", "table": "filter", '
        '"name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}}, {"rule": {"family": "inet", '
        '"table": "filter", "chain": "input", "handle": 2, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip6", '
        '"field": "saddr"}}, "right": {"prefix": {"addr": "2001:db8::", "len": 32}}}}, {"drop": null}]}}]}'
    )
    (one,) = parse_nftables(listing)
    rules = [rule for chain in one.ruleset.values() for rule in chain.rules]
    found = source_rules(rules, lambda access: evaluate(one.ruleset, one.chain, access).verdict, [80, 443])
    (finding,) = source_findings("nftables", found)
    assert "nftables refuses tcp 80, 443 from 2001:db8::/32" in finding.sentence


def test_a_list_of_ten_thousand_networks_takes_little_time_and_names_a_few():
    networks = [f"{first}.{second}.0.0/16" for first in range(20, 60) for second in range(250)]
    assert len(networks) == 10_000
    begun = time.monotonic()
    (finding,) = iptables_findings("".join(f"-A INPUT -s {one} -j DROP\n" for one in networks) + OPEN_WEB)
    assert time.monotonic() - begun < 20
    assert "and 195 more" in finding.sentence
    assert len(finding.evidence) == 5


def test_sources_of_the_inventory_are_a_risk_where_http_01_needs_the_port():
    (finding,) = requested_sources_finding("this host", [("tcp", 80), ("tcp", 443)], ["203.0.113.0/24"])
    assert finding.sentence.startswith("tcp 80 of this host is opened to 203.0.113.0/24 alone; CAs look from")
    assert "leave the sources out for this port" in finding.sentence


@pytest.mark.parametrize(
    ("ports", "sources"),
    [
        ([("tcp", 443)], ["203.0.113.0/24"]),
        ([("tcp", 80)], []),
        ([("tcp", 80)], ["10.0.0.0/8", "fd00::/8"]),
        ([("tcp", 80)], ["203.0.113.0/24", "0.0.0.0/0"]),
        ([("udp", 80)], ["203.0.113.0/24"]),
    ],
)
def test_sources_that_no_ca_has_to_pass_are_no_risk(ports, sources):
    assert requested_sources_finding("this host", ports, sources) == []


def test_networks_that_are_not_on_the_internet_are_internal():
    internal = ["10.1.0.0/16", "127.0.0.1/32", "fd12::/16", "fe80::/10", "::1/128"]
    assert all(is_internal(ipaddress.ip_network(one)) for one in internal)
    assert not any(is_internal(ipaddress.ip_network(one)) for one in ("8.8.8.0/24", "0.0.0.0/0", "::/0", "2600::/12"))
