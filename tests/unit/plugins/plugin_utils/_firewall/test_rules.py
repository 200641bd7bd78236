# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What chains of rules do with a new connection."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY_IPV4, ANY_IPV6, PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate, find_allow_rules
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import IPTABLES_RULES, verdict

NETWORK = ipaddress.ip_network("10.1.0.0/16")


def test_a_decision_names_the_deny_rule():
    decision = evaluate(parse_iptables(IPTABLES_RULES), "INPUT", PortAccess("tcp", 443, ANY_IPV4))
    assert decision.rule.text == "-A INPUT -j REJECT --reject-with icmp-port-unreachable"
    decision = evaluate(parse_iptables(IPTABLES_RULES), "INPUT", PortAccess("tcp", 78, ANY_IPV4))
    assert (decision.rule.text, decision.entry_rule.text) == (
        "-A wall -j DROP",
        "-A INPUT -i eth0 -p tcp -m tcp --dport 78 -j wall",
    )


def test_a_policy_decides_if_no_rule_does():
    assert evaluate(parse_iptables("-P INPUT ACCEPT\n"), "INPUT", PortAccess("tcp", 443, ANY_IPV4)) == (
        "accept",
        None,
        None,
    )
    assert evaluate(parse_iptables("-P INPUT DROP\n"), "INPUT", PortAccess("tcp", 443, ANY_IPV4)) == (
        "deny",
        None,
        None,
    )


def test_a_goto_does_not_return():
    ruleset = parse_iptables(
        "-P INPUT DROP\n-N web\n-A INPUT -p tcp -g web\n-A INPUT -j ACCEPT\n-A web -p tcp --dport 80 -j ACCEPT\n"
    )
    assert verdict(ruleset, 80) == "accept"
    assert verdict(ruleset, 443) == "deny"
    assert verdict(ruleset, 443, protocol="udp") == "accept"


def test_allow_rules_are_found_behind_jumps_but_not_after_deny_rules():
    ruleset = parse_iptables(
        "-P INPUT DROP\n-N web\n-A INPUT -p tcp -m tcp --dport 80 -j web\n-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT\n"
        "-A INPUT -j DROP\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n-A web -s 192.0.2.0/24 -j ACCEPT\n"
    )
    assert [rule.text for rule in find_allow_rules(ruleset, "INPUT", PortAccess("tcp", 80, ANY_IPV4))] == [
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
def test_a_rule_allows_only_the_accesses_or_more(line, ports, networks, expected):
    rule = parse_iptables(f"-A INPUT {line}")["INPUT"].rules[0]
    assert rule.allows_only([PortAccess("tcp", port, network) for port in ports for network in networks]) is expected


def test_jumps_in_a_circle_or_too_deep_are_an_error():
    circle = "-P INPUT DROP\n-A INPUT -j a\n-A a -j b\n-A b -j a\n"
    deep = "-P INPUT DROP\n-A INPUT -j 0\n" + "".join(f"-A {number} -j {number + 1}\n" for number in range(2000))
    for listing in (circle, deep + "-A 2000 -j ACCEPT\n"):
        for function in (evaluate, find_allow_rules):
            with pytest.raises(
                TlsError, match="jump in a circle, or through more than 100 chains, .*; correct the file"
            ):
                function(parse_iptables(listing), "INPUT", PortAccess("tcp", 443, ANY_IPV4))


def test_a_chain_is_evaluated_once_however_many_jumps_lead_to_it():
    twice = "".join(f"-A {number} -j {number + 1}\n" * 2 for number in range(64))
    ruleset = parse_iptables(f"-P INPUT DROP\n-A INPUT -j 0\n{twice}-A 64 -p tcp -m tcp --dport 443 -j ACCEPT\n")
    assert verdict(ruleset, 443) == "accept"
    assert [rule.text for rule in find_allow_rules(ruleset, "INPUT", PortAccess("tcp", 443, ANY_IPV4))] == [
        "-A 64 -p tcp -m tcp --dport 443 -j ACCEPT"
    ]
