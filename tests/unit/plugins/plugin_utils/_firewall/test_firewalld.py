# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zones of firewalld, and the commands that open and close ports in them."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.firewalld import rich_rule
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.interfaces import (
    default_interface,
    interface_with,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.parse_firewalld import parse_zone
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess, parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    ADDRESSES,
    BLOCKED,
    DROP,
    HTTPS,
    HTTPS_FROM_ANYWHERE,
    INTERNAL,
    POLICY,
    TRUSTED,
    ZONE,
    command_lines,
    detect_firewall,
    firewalld,
)


@pytest.mark.parametrize(
    ("port", "protocol", "network", "verdict"),
    [
        (80, "tcp", "0.0.0.0/0", "accept"),
        (80, "tcp", "::/0", "accept"),
        (80, "udp", "0.0.0.0/0", "deny"),
        (2005, "tcp", "::/0", "accept"),
        (443, "udp", "::/0", "accept"),  # by the service
        (9100, "tcp", "10.1.0.0/16", "accept"),
        (9100, "tcp", "0.0.0.0/0", "deny"),
        (3003, "tcp", "0.0.0.0/0", "deny"),  # deny rules are evaluated first
        (3003, "tcp", "::/0", "accept"),
        (3004, "tcp", "0.0.0.0/0", "accept"),  # unless a priority says otherwise
        (3005, "tcp", "0.0.0.0/0", "deny"),
    ],
)
def test_a_zone_accepts_what_it_lists(port, protocol, network, verdict):
    zone = parse_zone(ZONE, {"https": HTTPS})
    assert evaluate(zone, "zone", PortAccess(protocol, port, ipaddress.ip_network(network))).verdict == verdict


def test_a_zone_with_target_accept_needs_no_rule():
    zone = parse_zone(TRUSTED, {})
    assert evaluate(zone, "zone", HTTPS_FROM_ANYWHERE[0]) == ("accept", None, None)


def test_firewalld_opens_ports_with_one_permanent_and_one_runtime_command():
    accesses = parse_port_accesses([80, 81, 82], "tcp", [])
    steps = detect_firewall(firewalld(), "auto", accesses).plan_open(accesses)
    assert command_lines(steps) == [
        f"firewall-cmd {options}--zone=public "
        + " ".join(f"--add-rich-rule={rich_rule('tcp', port, None)}" for port in (81, 82))
        for options in ("--permanent ", "")
    ]


def test_firewalld_adds_what_only_the_runtime_configuration_has():
    accesses = parse_port_accesses([81], "tcp", ["192.0.2.0/24", "2001:db8::/32"])
    now = ZONE + "".join(f"\t{rich_rule(*access)}\n" for access in accesses)
    steps = detect_firewall(firewalld(now=now), "auto", accesses).plan_open(accesses)
    assert [step.argv[1:3] for step in steps] == [["--permanent", "--zone=public"]]
    assert steps[0].argv[3:] == [f"--add-rich-rule={rich_rule(*access)}" for access in accesses]


def test_firewalld_needs_no_rule_for_a_port_of_a_service():
    assert detect_firewall(firewalld(), "auto", HTTPS_FROM_ANYWHERE).plan_open(HTTPS_FROM_ANYWHERE) == []


def test_firewalld_closes_a_port_that_this_collection_opened_and_keeps_all_other_rules():
    accesses = parse_port_accesses([80, 443, 2005, 8443], "tcp", [])
    firewall = detect_firewall(firewalld(), "firewalld", accesses)
    assert command_lines(firewall.plan_close(accesses)) == [
        f"firewall-cmd {options}--zone=public --remove-rich-rule={rich_rule('tcp', 8443, None)}"
        for options in ("--permanent ", "")
    ]
    assert firewall.removable_ports(accesses) == [("tcp", 8443)]


def test_firewalld_opens_and_closes_udp_beside_tcp():
    accesses = parse_port_accesses([81, "81/udp"], "tcp", [])
    tcp, udp = (rich_rule(protocol, 81, None) for protocol in ("tcp", "udp"))
    opened = detect_firewall(firewalld(), "auto", accesses)
    assert command_lines(opened.plan_open(accesses)) == [
        f"firewall-cmd {options}--zone=public --add-rich-rule={tcp} --add-rich-rule={udp}"
        for options in ("--permanent ", "")
    ]
    closed = detect_firewall(firewalld(zones=f"{ZONE}\t{tcp}\n\t{udp}\n"), "auto", accesses[2:])
    assert closed.removable_ports(accesses[2:]) == [("udp", 81)]
    assert command_lines(closed.plan_close(accesses[2:])) == [
        f"firewall-cmd {options}--zone=public --remove-rich-rule={udp}" for options in ("--permanent ", "")
    ]


def test_a_deny_rule_of_firewalld_is_an_error():
    accesses = parse_port_accesses([3003], "tcp", [])
    with pytest.raises(
        TlsError,
        match='firewalld now: the rule `rule family="ipv4" port port="3003" protocol="tcp" reject` refuses .*; remove that rule',
    ):
        detect_firewall(firewalld(), "auto", accesses).plan_open(accesses)


def test_an_error_names_an_unknown_zone():
    with pytest.raises(
        TlsError, match=r"firewalld does not answer for its zone dmz \(but for trusted, public, drop\).*--get-zones"
    ):
        detect_firewall(firewalld(), "firewalld", HTTPS_FROM_ANYWHERE, zone="dmz")


def test_a_zone_that_needs_a_reload_is_an_error():
    with pytest.raises(
        TlsError, match=r"its zone drop \(but for public, trusted\).*`firewall-cmd --reload` if it is new"
    ):
        detect_firewall(firewalld(), "firewalld", HTTPS_FROM_ANYWHERE, zone="drop")


@pytest.mark.parametrize(("interface", "zone"), [("eth1", "drop"), ("eth0", "public")])
def test_the_zone_is_that_of_the_interface_with_the_default_route(interface, zone):
    host = firewalld()
    host.prints["firewall-cmd --permanent --list-all-zones"] += f"\n{DROP}"
    host.files["/proc/net/route"] = f"Iface\n{interface}\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
    assert detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE).zone == zone


@pytest.mark.parametrize(
    ("addresses", "zone"),
    [
        (["192.0.2.11"], "internal"),
        (["2001:db8::b"], "internal"),
        (["198.51.100.11"], "drop"),  # the host has another interface with the default route
        (["203.0.113.80"], "internal"),  # no interface has it: addresses are translated on the way
        ([], "internal"),
    ],
)
def test_the_zone_is_that_of_the_interface_by_which_the_host_is_reached(addresses, zone):
    host = firewalld(zones=f"{INTERNAL}\n{DROP}")
    host.files["/proc/net/route"] = "Iface\neth0\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
    firewall = detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE, addresses=addresses)
    assert firewall.zone == zone
    assert [step.argv[1:-1] for step in firewall.plan_open(HTTPS_FROM_ANYWHERE)] == [
        ["--permanent", f"--zone={zone}"],
        [f"--zone={zone}"],
    ]


def test_the_zone_of_the_inventory_comes_first():
    host = firewalld(zones=INTERNAL)
    assert detect_firewall(host, "auto", HTTPS_FROM_ANYWHERE, "public", ["192.0.2.11"]).zone == "public"


def test_an_interface_that_is_bound_to_another_zone_permanently_is_opened_there_for_the_next_start():
    host = firewalld(zones=INTERNAL)
    listing = host.prints["firewall-cmd --permanent --list-all-zones"]
    moved = listing.replace("interfaces: eth0", "interfaces:").replace("interfaces:\n", "interfaces: eth0\n", 1)
    host.prints["firewall-cmd --permanent --list-all-zones"] = moved
    accesses = parse_port_accesses([81], "tcp", [])
    steps = detect_firewall(host, "auto", accesses, addresses=["192.0.2.11"]).plan_open(accesses)
    assert [step.argv[1:-1] for step in steps] == [["--permanent", "--zone=public"], ["--zone=internal"]]


def test_a_source_that_has_a_zone_is_opened_in_that_zone():
    accesses = parse_port_accesses([81], "tcp", ["10.1.0.0/16", "192.0.2.0/24"])
    firewall = detect_firewall(firewalld(zones=f"{INTERNAL}\n{DROP}"), "auto", accesses, addresses=["198.51.100.11"])
    rules = {zone: f"--add-rich-rule={rich_rule(*access)}" for zone, access in zip(("internal", "drop"), accesses)}
    loaded = [one.argv[1:] for one in firewall.plan_open(accesses) if "--permanent" not in one.argv]
    assert sorted(loaded) == sorted([f"--zone={zone}", rule] for zone, rule in rules.items())
    assert firewall.zone == "internal, drop"


def test_addresses_that_an_administrator_has_put_into_a_denying_zone_are_not_let_in():
    with pytest.raises(
        TlsError,
        match=r"firewalld puts 203.0.113.7/32 into its zone blocked, whose source 203.0.113.0/24 it refuses; take that source out",
    ):
        detect_firewall(firewalld(zones=BLOCKED), "auto", parse_port_accesses([443], "tcp", ["203.0.113.7"]))
    assert detect_firewall(firewalld(zones=BLOCKED), "auto", HTTPS_FROM_ANYWHERE).zone == "public"


@pytest.mark.parametrize(
    ("target", "priority", "ingress", "sentence"),
    [
        ("CONTINUE", -1, "ANY", None),  # evaluated before the zone: it keeps its effect
        ("DROP", 10, "dmz", None),  # for another zone
        ("CONTINUE", 10, "ANY", r"the rule `policy p: rule family=.* drop` would be evaluated after the one that opens tcp 81; give it .*, or its"),
        ("DROP", -5, "public", "the rule `policy p: target DROP` refuses tcp 81 from 0.0.0.0/0, whatever is opened; remove that rule"),
    ],
)  # fmt: skip
def test_policies_keep_their_effect(target, priority, ingress, sentence):
    policy = POLICY.format(name="p", target=target, priority=priority, ingress=ingress)
    accesses = parse_port_accesses([81], "tcp", [])
    firewall = detect_firewall(firewalld(policies=policy), "auto", accesses)
    if sentence is None:
        assert len(firewall.plan_open(accesses)) == 2
    else:
        with pytest.raises(TlsError, match=sentence):
            firewall.plan_open(accesses)


def test_blocked_addresses_with_a_priority_behind_the_new_rule_are_an_error():
    accesses = parse_port_accesses([7000], "tcp", [])
    with pytest.raises(
        TlsError, match=r'priority="32100" .* would be evaluated after .*; give it a priority below 32000'
    ):
        detect_firewall(firewalld(), "auto", accesses).plan_open(accesses)


def test_the_interface_with_an_address_is_read_from_the_output_of_ip():
    assert interface_with(ADDRESSES, ["198.51.100.11"]) == "eth1"
    assert interface_with(ADDRESSES, ["127.0.0.1"]) is None
    assert interface_with("", ["192.0.2.11"]) is None


def test_services_are_queried_only_if_a_port_is_blocked_otherwise():
    plain, service = firewalld(), firewalld()
    detect_firewall(plain, "auto", parse_port_accesses([80], "tcp", []))
    detect_firewall(service, "auto", HTTPS_FROM_ANYWHERE)
    assert (plain.visits, service.visits) == (1, 2)
    assert [words for words in service.commands if "--info-service" in words] == [
        f"firewall-cmd --info-service={name}" for name in ("dhcpv6-client", "https", "ssh")
    ]


def test_the_default_interface_is_read_from_the_routes():
    route = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth1\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth2\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    )
    ipv6_route = (
        f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth3\n"
    )
    assert default_interface(route, ipv6_route) == "eth0"
    assert default_interface("Iface\n", ipv6_route) == "eth3"
    assert (
        default_interface(
            "Iface\n", f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
        )
        is None
    )
    assert default_interface("", "") is None


def test_malformed_zones_and_routes_are_an_error():
    with pytest.raises(TlsError, match="is not understood here; choose another zone, or correct this one"):
        parse_zone("public\n  ports: x/tcp\n", {})
    with pytest.raises(TlsError, match="holds what no kernel writes there; choose a zone"):
        default_interface("Iface\nx\n", "")


def test_services_that_include_each_other_are_read_once():
    services = {name: f"{name}\n  ports: 443/tcp\n  includes: a b c\n" for name in "abc"}
    rules = parse_zone("public\n  services: a\n", services)["zone"].rules
    assert [rule.text for rule in rules] == ["service a"] * 3
