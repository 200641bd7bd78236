# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that open and close ports in ufw."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    HTTPS_FROM_ANYWHERE,
    UFW_BEFORE,
    UFW_RULES,
    command_lines,
    detect_firewall,
    ufw,
)


@pytest.mark.parametrize(
    ("port", "sources", "expected"),
    [
        (80, [], []),
        (8005, ["192.0.2.0/24"], []),
        (98, [], []),
        (443, [], ["ufw allow proto tcp from any to any port 443"]),
        (443, ["192.0.2.0/24", "2001:db8::/32"], [f"ufw allow proto tcp from {one} to any port 443" for one in ("192.0.2.0/24", "2001:db8::/32")]),
        (99, [], ["ufw allow proto tcp from any to any port 99"]),  # ufw turns the deny rule into an allow rule
        (99, ["192.0.2.0/24"], ["ufw prepend allow proto tcp from 192.0.2.0/24 to any port 99"]),
        (600, [], ["ufw prepend allow proto tcp from any to any port 600"]),
        (605, [], ["ufw delete allow proto tcp from any to any port 605", "ufw prepend allow proto tcp from any to any port 605"]),
    ],
)  # fmt: skip
def test_ufw_opens_a_port(port, sources, expected):
    accesses = parse_port_accesses([port], "tcp", sources)
    assert command_lines(detect_firewall(ufw(), "auto", accesses).plan_open(accesses)) == expected


def test_ufw_reloads_if_a_rule_is_only_in_its_files():
    host = ufw(rules=UFW_RULES + "-A ufw{6}-user-input -p tcp --dport 443 -j ACCEPT\n", now=UFW_RULES)
    assert command_lines(detect_firewall(host, "ufw", HTTPS_FROM_ANYWHERE).plan_open(HTTPS_FROM_ANYWHERE)) == [
        "ufw reload"
    ]


def test_ufw_closes_a_port_and_keeps_profiles_and_ranges():
    accesses = parse_port_accesses([22, 80, 8005, 98], "tcp", [])
    firewall = detect_firewall(ufw(), "auto", accesses)
    assert command_lines(firewall.plan_close(accesses)) == [
        "ufw delete allow proto tcp from 0.0.0.0/0 to any port 80",
        "ufw delete allow proto tcp from ::/0 to any port 80",
    ]
    assert [line for line in firewall.rule_lines(accesses) if "user.rules" in line and "80 " not in line] == [
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp --dport 22 -j ACCEPT -m comment --comment 'dapp_OpenSSH'",
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp -m multiport --dports 8000:8010 -j ACCEPT",
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp --dport 98 -j ufw-user-limit-accept",
    ]


def test_a_deny_rule_before_the_rules_of_ufw_is_an_error():
    wall = "-A ufw{6}-before-input -p tcp --dport 443 -j DROP\nCOMMIT\n"
    host = ufw(before=UFW_BEFORE.replace("COMMIT\n", wall))
    with pytest.raises(
        TlsError, match="the rule `-A ufw-before-input -p tcp --dport 443 -j DROP` refuses tcp 443 .*; remove that rule"
    ):
        detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE).plan_open(HTTPS_FROM_ANYWHERE)


def test_ufw_without_ipv6_is_noted_and_a_source_of_ipv6_is_an_error():
    host = ufw(settings="IPV6=no\n")
    firewall = detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE)
    assert firewall.notes == ["ufw refuses all of IPv6; set IPV6=yes in /etc/default/ufw if it shall not."]
    assert command_lines(firewall.plan_open(HTTPS_FROM_ANYWHERE)) == [
        "ufw allow proto tcp from 0.0.0.0/0 to any port 443"
    ]
    with pytest.raises(TlsError, match="ufw refuses all of IPv6 .*; set IPV6=yes there, or remove it"):
        detect_firewall(host, "auto", parse_port_accesses([443], "tcp", ["2001:db8::/32"]))
