# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Zones of firewalld, and the commands that open and close ports in them."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.firewalld import (
    default_interface,
    parse_zone,
    rich_rule,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import PortAccess, parse_port_accesses
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    DROP,
    HTTPS,
    HTTPS_FROM_ANYWHERE,
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
        "firewall-cmd --permanent --zone=public --add-port=81/tcp --add-port=82/tcp",
        "firewall-cmd --zone=public --add-port=81/tcp --add-port=82/tcp",
    ]


def test_firewalld_adds_what_only_the_runtime_configuration_has():
    accesses = parse_port_accesses([81], "tcp", ["192.0.2.0/24", "2001:db8::/32"])
    now = ZONE + "".join(f"\t{rich_rule(*access)}\n" for access in accesses)
    steps = detect_firewall(firewalld(now=now), "auto", accesses).plan_open(accesses)
    assert [step.argv[1:3] for step in steps] == [["--permanent", "--zone=public"]]
    assert steps[0].argv[3:] == [f"--add-rich-rule={rich_rule(*access)}" for access in accesses]


def test_firewalld_needs_no_rule_for_a_port_of_a_service():
    assert detect_firewall(firewalld(), "auto", HTTPS_FROM_ANYWHERE).plan_open(HTTPS_FROM_ANYWHERE) == []


def test_firewalld_closes_a_port_and_keeps_services_and_ranges():
    accesses = parse_port_accesses([80, 443, 2005], "tcp", [])
    firewall = detect_firewall(firewalld(), "firewalld", accesses)
    assert command_lines(firewall.plan_close(accesses)) == [
        "firewall-cmd --permanent --zone=public --remove-port=80/tcp",
        "firewall-cmd --zone=public --remove-port=80/tcp",
    ]
    assert firewall.removable_ports(accesses) == [80]


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
