# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for one interface: they count where clients come by that interface, and nowhere else."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_iptables import parse_iptables
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_nft import parse_nftables
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    ADDRESSES,
    DENY_RULE,
    HTTPS_FROM_ANYWHERE,
    UFW_RULES,
    command_lines,
    detect_firewall,
    iptables,
    nft_port,
    nft_rule,
    nftables,
    ufw,
)
from ansible_collections.evergreen.tls.tests.unit.recorded_nft import ACCEPT, DROP, TCP_DPORT, listing, match

ROUTES = {"/proc/net/route": "Iface\tDestination\neth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\n"}
PUBLIC = ["192.0.2.11"]  # an address of eth0
IIFNAME, IIF = {"meta": {"key": "iifname"}}, {"meta": {"key": "iif"}}


def with_addresses(host, routes=None):
    host.prints["ip -o address"] = ADDRESSES
    host.files.update(routes or {})
    return host


def deny_https(interfaces, operator="==", left=None):
    return nft_rule(4, match(left or IIFNAME, interfaces, operator), match(TCP_DPORT, 443), {"drop": None})


ELSEWHERE = [
    ("eth1", "==", IIFNAME),
    ("eth1", "==", IIF),
    ({"set": ["eth1", "docker0", "lo"]}, "==", IIFNAME),
    ("br-*", "==", IIFNAME),
    ({"set": ["eth0", "lo"]}, "!=", IIFNAME),
]
HERE = [
    ("eth0", "==", IIFNAME),
    ("eth*", "==", IIFNAME),
    ({"set": ["eth0", "eth1"]}, "==", IIF),
    ("eth1", "!=", IIFNAME),
]


@pytest.mark.parametrize(("interfaces", "operator", "left"), ELSEWHERE)
def test_nftables_opens_a_port_behind_a_rule_that_denies_it_for_another_interface(interfaces, operator, left):
    host = with_addresses(nftables(deny_https(interfaces, operator, left), DENY_RULE, text=""))
    firewall = detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE, addresses=PUBLIC)
    loaded = firewall.plan_open(HTTPS_FROM_ANYWHERE)[-1]
    assert loaded.stdin.startswith("insert rule inet filter input handle 5 tcp dport 443 accept")


@pytest.mark.parametrize(("interfaces", "operator", "left"), HERE)
def test_nftables_does_not_overrule_a_rule_that_denies_a_port_for_the_interface_of_clients(interfaces, operator, left):
    host = with_addresses(nftables(deny_https(interfaces, operator, left), DENY_RULE, text=""))
    firewall = detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE, addresses=PUBLIC)
    with pytest.raises(TlsError, match="rules of others are not overruled"):
        firewall.plan_open(HTTPS_FROM_ANYWHERE)


@pytest.mark.parametrize(
    ("interface", "addresses", "routes", "is_denied"),
    [
        ("eth1", PUBLIC, {}, False),
        ("eth1", ["203.0.113.9"], ROUTES, False),
        ("eth0", ["203.0.113.9"], ROUTES, True),
        ("eth0", ["198.51.100.11"], ROUTES, True),
        ("eth1", ["198.51.100.11"], ROUTES, True),
        ("eth1", ["203.0.113.9"], {}, True),
    ],
    ids=[
        "another interface has the address",
        "the address is translated, and the default route is elsewhere",
        "the address is translated, and the default route is there",
        "the address is for administration, and the default route is there",
        "the address is there",
        "no interface is known",
    ],
)
def test_clients_come_where_the_address_and_the_default_route_are(interface, addresses, routes, is_denied):
    host = with_addresses(nftables(deny_https(interface), nft_port(6, 443), policy="accept", text=""), routes)
    firewall = detect_firewall(host, "nftables", HTTPS_FROM_ANYWHERE, addresses=addresses)
    assert bool(firewall.blocked(HTTPS_FROM_ANYWHERE)) == is_denied


def test_a_jump_for_another_interface_is_passed_over():
    rules = [
        ("services", [DROP]),
        ("input", [match(IIFNAME, "eth1"), {"jump": {"target": "services"}}]),
        ("input", [match(TCP_DPORT, 443), ACCEPT]),
    ]
    host = with_addresses(nftables())
    host.prints["nft -j list ruleset"] = listing(*rules)
    now = detect_firewall(host, "nftables", HTTPS_FROM_ANYWHERE, addresses=PUBLIC).blocked(HTTPS_FROM_ANYWHERE)
    assert not [one for one in now if one.input_filter.is_loaded]


def test_a_port_that_is_let_in_by_another_interface_is_opened_and_still_listed():
    allow = nft_rule(4, match(IIFNAME, "eth1"), match(TCP_DPORT, 443), {"accept": None})
    host = with_addresses(nftables(allow, deny_https("docker0"), DENY_RULE, text=""))
    firewall = detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE, addresses=PUBLIC)
    assert firewall.plan_open(HTTPS_FROM_ANYWHERE)
    assert "nftables now, inet filter input: tcp dport 443 … accept # handle 4" in firewall.rule_lines(
        HTTPS_FROM_ANYWHERE
    )


def test_interfaces_are_not_looked_up_where_no_rule_denies_for_one():
    host = with_addresses(nftables(nft_port(4, 443), DENY_RULE, text=""))
    detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE, addresses=PUBLIC)
    assert "ip -o address" not in host.commands


IPTABLES = "-P INPUT DROP\n-A INPUT {match} -p tcp -m tcp --dport 443 -j DROP\n-A INPUT -j REJECT\n"


@pytest.mark.parametrize(
    ("words", "is_denied"),
    [("-i eth1", False), ("! -i eth0", False), ("-i br-+", False), ("-i eth+", True), ("! -i eth1", True)],
)
def test_iptables_passes_over_a_rule_that_denies_a_port_for_another_interface(words, is_denied):
    host = with_addresses(iptables(files={"/etc/iptables/rules.v4": "", "/etc/iptables/rules.v6": ""}))
    host.prints["iptables -w -S"] = IPTABLES.format(match=words)
    firewall = detect_firewall(host, "iptables", HTTPS_FROM_ANYWHERE, addresses=PUBLIC)
    if is_denied:
        with pytest.raises(TlsError, match="rules of others are not overruled"):
            firewall.plan_open(HTTPS_FROM_ANYWHERE)
    else:
        lines = command_lines(firewall.plan_open(HTTPS_FROM_ANYWHERE))
        assert [line for line in lines if line.startswith("iptables -w -I INPUT 2 ")], lines


@pytest.mark.parametrize(("interface", "is_denied"), [("eth1", False), ("eth0", True)])
def test_ufw_passes_over_a_rule_that_denies_a_port_for_another_interface(interface, is_denied):
    rule = f"### tuple ### deny tcp 443 {{any}} any {{any}} in_{interface}\n-A ufw{{6}}-user-input -i {interface} -p tcp --dport 443 -j DROP\n\n"
    firewall = detect_firewall(with_addresses(ufw(rule + UFW_RULES)), "ufw", HTTPS_FROM_ANYWHERE, addresses=PUBLIC)
    if is_denied:
        with pytest.raises(TlsError, match="rules of others are not overruled"):
            firewall.plan_open(HTTPS_FROM_ANYWHERE)
    else:
        assert firewall.plan_open(HTTPS_FROM_ANYWHERE)


def test_interfaces_are_read_from_rules():
    (chain,) = parse_nftables(listing(("input", [match(IIFNAME, {"set": ["lo", "eth1"]}), DROP])))
    (rule,) = chain.ruleset["input"].rules
    assert (rule.interfaces, rule.excluded_interfaces, rule.is_partial) == (("eth1",), (), True)
    (rule,) = parse_iptables("-A INPUT ! -i wg+ -j DROP")["INPUT"].rules
    assert (rule.interfaces, rule.excluded_interfaces, rule.is_partial) == (None, ("wg*",), True)
    assert not parse_nftables(listing(("input", [match(IIFNAME, "lo"), DROP])))[0].ruleset["input"].rules
