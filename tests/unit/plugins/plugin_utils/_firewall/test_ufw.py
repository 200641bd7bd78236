# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that open and close ports in ufw."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import OWN_COMMENT
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    HTTPS_FROM_ANYWHERE,
    UFW_BEFORE,
    UFW_RULES,
    command_lines,
    detect_firewall,
    ufw,
)

OWN = "comment evergreen.tls.firewall_port"
RULES_IN_FILE = 9  # of IPv4, before those of IPv6


@pytest.mark.parametrize(
    ("port", "sources", "expected"),
    [
        (80, [], []),
        (8005, ["192.0.2.0/24"], []),
        (98, [], []),
        (443, [], [f"ufw allow proto tcp from any to any port 443 {OWN}"]),
        (443, ["192.0.2.0/24", "2001:db8::/32"], [f"ufw allow proto tcp from {one} to any port 443 {OWN}" for one in ("192.0.2.0/24", "2001:db8::/32")]),
        (99, ["192.0.2.0/24"], [f"ufw insert 4 allow proto tcp from 192.0.2.0/24 to any port 99 {OWN}"]),
        (600, [], [f"ufw insert {RULES_IN_FILE + 5} allow proto tcp from ::/0 to any port 600 {OWN}",
                   f"ufw insert 5 allow proto tcp from 0.0.0.0/0 to any port 600 {OWN}"]),
        (606, [], [  # ufw does not move a rule
            "ufw delete allow proto tcp from 0.0.0.0/0 to any port 606",
            "ufw delete allow proto tcp from ::/0 to any port 606",
            f"ufw insert {RULES_IN_FILE - 1 + 5} allow proto tcp from ::/0 to any port 606 {OWN}",
            f"ufw insert 5 allow proto tcp from 0.0.0.0/0 to any port 606 {OWN}",
        ]),
    ],
)  # fmt: skip
def test_ufw_opens_a_port(port, sources, expected):
    accesses = parse_port_accesses([port], "tcp", sources)
    assert command_lines(detect_firewall(ufw(), "auto", accesses).plan_open(accesses)) == expected


BLOCKLIST = """
### tuple ### deny any any 0.0.0.0/0 any 203.0.113.0/24 in
-A ufw{6}-user-input -s 203.0.113.0/24 -j DROP
"""


def test_a_rule_of_ufw_is_inserted_behind_blocked_addresses():
    accesses = parse_port_accesses([600], "tcp", ["0.0.0.0/0"])
    firewall = detect_firewall(ufw(rules=BLOCKLIST + UFW_RULES), "auto", accesses)
    assert command_lines(firewall.plan_open(accesses)) == [
        f"ufw insert 6 allow proto tcp from 0.0.0.0/0 to any port 600 {OWN}"
    ]


@pytest.mark.parametrize(
    ("port", "sources", "sentence"),
    [
        (99, [], "the rule `-A ufw-user-input -p tcp --dport 99 -j DROP` refuses tcp 99 from 0.0.0.0/0, .*; remove that rule from the host, or take the port"),
        (443, ["203.0.113.7"], "the rule `-A ufw-user-input -s 203.0.113.0/24 -j DROP` refuses tcp 443 from 203.0.113.7/32, .*take the port or the source"),
        (605, [], "--dports 600:610 -j DROP` refuses tcp 605 .*, and the rule `-A ufw-user-input -p tcp --dport 605 -j ACCEPT` stands behind it; remove "),
    ],
)  # fmt: skip
def test_a_rule_of_others_is_neither_overruled_nor_removed(port, sources, sentence):
    accesses = parse_port_accesses([port], "tcp", sources)
    firewall = detect_firewall(ufw(rules=BLOCKLIST + UFW_RULES), "auto", accesses)
    with pytest.raises(TlsError, match=sentence):
        firewall.plan_open(accesses)


def test_ufw_opens_and_closes_udp_beside_tcp():
    accesses = parse_port_accesses([7443, "7443/udp"], "tcp", [])
    own = "".join(f"\n### tuple ### allow {one} 7443 0.0.0.0/0 any 0.0.0.0/0 in comment={OWN_COMMENT.encode().hex()}\n"
                  f"-A ufw{{6}}-user-input -p {one} --dport 7443 -j ACCEPT\n" for one in ("tcp", "udp"))  # fmt: skip
    opened = detect_firewall(ufw(), "auto", accesses)
    assert command_lines(opened.plan_open(accesses)) == [
        f"ufw allow proto {protocol} from any to any port 7443 {OWN}" for protocol in ("tcp", "udp")
    ]
    closed = detect_firewall(ufw(rules=UFW_RULES + own), "auto", accesses[2:])
    assert closed.removable_ports(accesses[2:]) == [("udp", 7443)]
    assert command_lines(closed.plan_close(accesses[2:])) == [
        f"ufw delete allow proto udp from {network} to any port 7443" for network in ("0.0.0.0/0", "::/0")
    ]


def test_ufw_reloads_if_a_rule_is_only_in_its_files():
    host = ufw(rules=UFW_RULES + "-A ufw{6}-user-input -p tcp --dport 443 -j ACCEPT\n", now=UFW_RULES)
    assert command_lines(detect_firewall(host, "ufw", HTTPS_FROM_ANYWHERE).plan_open(HTTPS_FROM_ANYWHERE)) == [
        "ufw reload"
    ]


def test_ufw_closes_a_port_that_this_collection_opened_and_keeps_all_other_rules():
    accesses = parse_port_accesses([22, 80, 8005, 98, 8443], "tcp", [])
    firewall = detect_firewall(ufw(), "auto", accesses)
    assert command_lines(firewall.plan_close(accesses)) == [
        "ufw delete allow proto tcp from 0.0.0.0/0 to any port 8443",
        "ufw delete allow proto tcp from ::/0 to any port 8443",
    ]
    assert [line for line in firewall.rule_lines(accesses) if "user.rules" in line and "8443 " not in line] == [
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp --dport 22 -j ACCEPT -m comment --comment 'dapp_OpenSSH'",
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp --dport 80 -j ACCEPT",
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp -m multiport --dports 8000:8010 -j ACCEPT",
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp --dport 98 -j ufw-user-limit-accept",
    ]


def test_ufw_reloads_if_a_rule_is_gone_from_its_files_only():
    rule = "-A ufw{6}-user-input -p tcp --dport 443 -j ACCEPT\n"
    firewall = detect_firewall(ufw(now=UFW_RULES + rule), "ufw", HTTPS_FROM_ANYWHERE)
    assert command_lines(firewall.plan_close(HTTPS_FROM_ANYWHERE)) == ["ufw reload"]


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
        f"ufw allow proto tcp from 0.0.0.0/0 to any port 443 {OWN}"
    ]
    with pytest.raises(TlsError, match="ufw refuses all of IPv6 .*; set IPV6=yes there, or remove it"):
        detect_firewall(host, "auto", parse_port_accesses([443], "tcp", ["2001:db8::/32"]))
