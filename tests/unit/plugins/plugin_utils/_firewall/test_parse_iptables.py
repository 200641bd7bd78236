# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of iptables, from its listings and files."""

from __future__ import annotations

import ipaddress
import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import ANY_IPV4, PortAccess
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import IPTABLES_RULES, verdict

NETWORK = ipaddress.ip_network("10.1.0.0/16")


@pytest.mark.parametrize(
    ("port", "protocol", "network", "expected"),
    [
        (22, "tcp", ANY_IPV4, "accept"),
        (22, "udp", ANY_IPV4, "deny"),
        (23, "tcp", ANY_IPV4, "deny"),
        (8005, "tcp", ANY_IPV4, "accept"),
        (8011, "tcp", ANY_IPV4, "deny"),
        (9000, "tcp", ANY_IPV4, "accept"),
        (53, "tcp", NETWORK, "accept"),
        (53, "tcp", ANY_IPV4, "deny"),
        (702, "tcp", NETWORK, "accept"),  # excluded from the deny rule
        (702, "tcp", ANY_IPV4, "deny"),
        (77, "tcp", ANY_IPV4, "deny"),  # the rule allows one interface only
        (78, "tcp", ANY_IPV4, "deny"),  # a deny rule for one interface is enough
        (98, "tcp", ANY_IPV4, "deny"),  # the rule allows five connections a second only
        (443, "udp", ANY_IPV4, "accept"),
        (80, "tcp", ANY_IPV4, "accept"),  # a deny rule for some addresses is skipped
        (443, "tcp", ANY_IPV4, "deny"),
    ],
)
def test_iptables_rules_are_evaluated(port, protocol, network, expected):
    assert verdict(parse_iptables(IPTABLES_RULES), port, network, protocol) == expected


def test_files_for_iptables_restore_are_parsed_like_listings():
    ruleset = parse_iptables(
        "# Generated\n*nat\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n"
        "*filter\n:INPUT DROP [12:34]\n[5:60] -A INPUT -p tcp --dport ssh -j ACCEPT\n"
        "-A INPUT -s 10.0.0.0/8,192.168.0.0/16 -p tcp --dport 443 -j ACCEPT\nCOMMIT\n"
    )
    assert verdict(ruleset, 22) == "accept"
    assert verdict(ruleset, 443, NETWORK) == "accept"
    assert verdict(ruleset, 443) == "deny"
    assert [rule.handle for rule in ruleset["INPUT"].rules] == [7, 8]


def test_a_rule_for_a_host_name_is_neither_an_allow_rule_nor_a_deny_rule():
    for verb in ("ACCEPT", "DROP"):
        for negated in ("", "! "):
            ruleset = parse_iptables(f"-P INPUT ACCEPT\n-A INPUT {negated}-s www.example.org -j {verb}\n")
            assert evaluate(ruleset, "INPUT", PortAccess("tcp", 443, ANY_IPV4)) == ("accept", None, None)


def test_a_rule_of_very_many_words_takes_linear_time():
    start = time.process_time()
    ruleset = parse_iptables("-A INPUT " + "x " * 500_000 + "-p tcp --dport 80 -j ACCEPT\n")
    assert time.process_time() - start < 10
    assert verdict(ruleset, 80) == "accept"
