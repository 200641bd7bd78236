# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that open and close ports in iptables and its files."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    RULES_V4,
    RULES_V6,
    command_lines,
    detect_firewall,
    iptables,
)


def test_iptables_inserts_before_the_first_deny_rule_in_kernel_and_files():
    accesses = parse_port_accesses([443, 701], "tcp", [])
    steps = detect_firewall(iptables(), "auto", accesses).plan_open(accesses)
    assert [(step.path, " ".join(step.argv)) for step in steps] == [
        ("/etc/iptables/rules.v4", "iptables-restore --test"),
        ("/etc/iptables/rules.v6", "ip6tables-restore --test"),
        (None, "iptables -w -I INPUT 5 -p tcp -m tcp --dport 443 -j ACCEPT"),
        (None, "iptables -w -I INPUT 3 -p tcp -m tcp --dport 701 -j ACCEPT"),
        (None, "ip6tables -w -A INPUT -p tcp -m tcp --dport 443 -j ACCEPT"),
        (None, "ip6tables -w -A INPUT -p tcp -m tcp --dport 701 -j ACCEPT"),
    ]
    lines = [f"-A INPUT -p tcp -m tcp --dport {port} -j ACCEPT" for port in (443, 701)]
    assert steps[0].stdin == RULES_V4.replace("-A INPUT -j REJECT", "\n".join([*lines, "-A INPUT -j REJECT"]))
    assert steps[1].stdin == RULES_V6.replace("COMMIT", "\n".join([*lines, "COMMIT"]))


def test_iptables_removes_the_rule_that_allows_only_this_port():
    accesses = parse_port_accesses([22], "tcp", [])
    steps = detect_firewall(iptables(), "auto", accesses).plan_close(accesses)
    assert [(step.path, " ".join(step.argv)) for step in steps] == [
        ("/etc/iptables/rules.v4", "iptables-restore --test"),
        (None, "iptables -w -D INPUT -p tcp -m tcp --dport 22 -j ACCEPT"),
    ]
    assert steps[0].stdin == RULES_V4.replace("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", "")


@pytest.mark.parametrize(
    ("programs", "remedy"),
    [
        ((), "install the package iptables-persistent"),
        (("netfilter-persistent",), "run `netfilter-persistent save` to make /etc/iptables/rules.v4"),
    ],
)
def test_rules_that_are_not_loaded_at_boot_are_a_warning(programs, remedy):
    accesses = parse_port_accesses([443], "tcp", ["192.0.2.0/24"])
    firewall = detect_firewall(iptables(programs, files={}), "auto", accesses)
    assert firewall.warnings == [
        f"Nothing on this host brings the rules of iptables back after a restart; {remedy} and run this again."
    ]
    assert command_lines(firewall.plan_open(accesses)) == [
        "iptables -w -I INPUT 5 -s 192.0.2.0/24 -p tcp -m tcp --dport 443 -j ACCEPT"
    ]
