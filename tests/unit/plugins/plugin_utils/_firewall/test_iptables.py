# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands that open and close ports in iptables and its files."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import parse_port_accesses
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    RULES_V4,
    RULES_V6,
    command_lines,
    detect_firewall,
    iptables,
)

OWN = "-m comment --comment evergreen.tls.firewall_port"
OWN_LISTED = '-m comment --comment "evergreen.tls.firewall_port"'  # as iptables -S lists it


def test_iptables_inserts_before_the_first_deny_rule_in_kernel_and_files():
    accesses = parse_port_accesses([443, 444], "tcp", [])
    steps = detect_firewall(iptables(), "auto", accesses).plan_open(accesses)
    assert [(step.path, " ".join(step.argv)) for step in steps] == [
        ("/etc/iptables/rules.v4", "iptables-restore --test"),
        ("/etc/iptables/rules.v6", "ip6tables-restore --test"),
        *((None, f"iptables -w -I INPUT 6 -p tcp -m tcp --dport {port} {OWN} -j ACCEPT") for port in (444, 443)),
        *((None, f"ip6tables -w -A INPUT -p tcp -m tcp --dport {port} {OWN} -j ACCEPT") for port in (443, 444)),
    ]
    lines = [f"-A INPUT -p tcp -m tcp --dport {port} {OWN_LISTED} -j ACCEPT" for port in (443, 444)]
    assert steps[0].stdin == RULES_V4.replace("-A INPUT -j REJECT", "\n".join([*lines, "-A INPUT -j REJECT"]))
    assert steps[1].stdin == RULES_V6.replace("COMMIT", "\n".join([*lines, "COMMIT"]))


def test_iptables_removes_the_rule_of_this_collection_and_no_other():
    accesses = parse_port_accesses([22, 8443], "tcp", [])
    steps = detect_firewall(iptables(), "auto", accesses).plan_close(accesses)
    assert [(step.path, " ".join(step.argv)) for step in steps] == [
        ("/etc/iptables/rules.v4", "iptables-restore --test"),
        (None, f"iptables -w -D INPUT -p tcp -m tcp --dport 8443 {OWN} -j ACCEPT"),
    ]
    assert steps[0].stdin == RULES_V4.replace(f"-A INPUT -p tcp -m tcp --dport 8443 {OWN_LISTED} -j ACCEPT\n", "")


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
        f"iptables -w -I INPUT 6 -s 192.0.2.0/24 -p tcp -m tcp --dport 443 {OWN} -j ACCEPT"
    ]


def test_a_port_that_a_rule_denies_by_its_number_is_not_opened():
    accesses = parse_port_accesses([701], "tcp", [])
    with pytest.raises(
        TlsError, match="`-A INPUT -p tcp -m tcp --dport 701 -j DROP` refuses tcp 701 .*; remove that rule"
    ):
        detect_firewall(iptables(), "auto", accesses).plan_open(accesses)


LISTING = """\
-P INPUT ACCEPT
-P FORWARD DROP
-N last
-N shared
-A INPUT -i lo -j ACCEPT
-A INPUT -j {chain}
{more}
-A {chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{exception}
-A {chain} -j DROP
"""


@pytest.mark.parametrize(
    ("chain", "more", "exception", "place"),
    [
        ("last", "", "-A last -s 203.0.113.0/24 -j DROP", "-I last 3"),
        ("shared", "-A FORWARD -j shared", "", "-I INPUT 2"),  # else it would open the port of hosts behind this one
    ],
)
def test_a_rule_is_inserted_into_the_chain_that_denies(chain, more, exception, place):
    listing = LISTING.format(chain=chain, more=more, exception=exception)
    host = iptables()
    host.prints["iptables -w -S"] = listing
    host.files["/etc/iptables/rules.v4"] = (
        "*filter\n"
        + listing.replace("-P INPUT ACCEPT", ":INPUT ACCEPT").replace("-P FORWARD DROP", ":FORWARD DROP")
        + "COMMIT\n"
    )
    accesses = parse_port_accesses([443], "tcp", ["0.0.0.0/0"])
    stored, loaded = detect_firewall(host, "auto", accesses).plan_open(accesses)
    assert " ".join(loaded.argv) == f"iptables -w {place} -p tcp -m tcp --dport 443 {OWN} -j ACCEPT"
    before = "-A last -j DROP" if chain == "last" else "-A INPUT -j shared"
    rule = f"-A {place.split()[1]} -p tcp -m tcp --dport 443 {OWN_LISTED} -j ACCEPT"
    assert stored.stdin == host.files["/etc/iptables/rules.v4"].replace(f"\n{before}\n", f"\n{rule}\n{before}\n")


def test_an_exception_in_a_chain_that_forwarded_packets_share_is_not_bypassed():
    exception = "-A shared -s 203.0.113.0/24 -j DROP"
    host = iptables()
    host.prints["iptables -w -S"] = LISTING.format(chain="shared", more="-A FORWARD -j shared", exception=exception)
    accesses = parse_port_accesses([443], "tcp", ["0.0.0.0/0"])
    with pytest.raises(
        TlsError,
        match="in the chain shared, which forwarded or other packets go through as well; add `-A INPUT -p tcp .* before that rule by hand",
    ):
        detect_firewall(host, "auto", accesses).plan_open(accesses)


def test_a_rule_at_the_top_of_a_file_stays_behind_the_new_one():
    text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-I INPUT -j DROP\n-I INPUT -s 203.0.113.0/24 -j DROP\nCOMMIT\n"
    host = iptables(files={"/etc/iptables/rules.v4": text})
    accesses = parse_port_accesses([443], "tcp", ["0.0.0.0/0"])
    stored = detect_firewall(host, "auto", accesses).plan_open(accesses)[0]
    rule = f"-I INPUT -p tcp -m tcp --dport 443 {OWN_LISTED} -j ACCEPT"
    assert stored.stdin == text.replace("-I INPUT -j DROP\n", f"-I INPUT -j DROP\n{rule}\n")
