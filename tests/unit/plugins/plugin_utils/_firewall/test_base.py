# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which firewall a host has, and what each of them would have to do, from listings that were recorded on Debian 12."""

from __future__ import annotations

import ipaddress
import json

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall import base as firewalls
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.base import (
    BEGIN,
    END,
    default_interface,
    first_looks,
    make_doors,
    merge,
    parse_zone,
    rich_rule,
    split_blocks,
    with_block,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import Transcript, think
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import ANY_IPV4, Door, judge
from ansible_collections.evergreen.tls.tests.unit.recordings import RecordedHost

EVERYBODY = make_doors([443], "tcp", [])


def find_firewall(host, backend, doors, zone=None):
    """Return the firewall of a host that is asked as often as it takes."""
    transcript = Transcript(host.visit(first_looks(backend)))
    return think(lambda told: firewalls.find_firewall(told, backend, doors, zone), transcript, host.visit)


# -- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ports", "sources", "sentence"),
    [
        ([0], [], "0 is no port; give a number between 1 and 65535"),
        ([443, 65536], [], "65536 is no port"),
        ([], [], "ports is empty; name at least one port"),
        ([443], ["10.0.0.1/8"], r"'10.0.0.1/8' in sources is no network .*host bits set.*; write it like 192.0.2.0/24"),
        ([443], ["www.example.org"], "'www.example.org' in sources is no network"),
        ([443], [""], "'' in sources is no network"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_its_reason(ports, sources, sentence):
    with pytest.raises(TlsError, match=sentence):
        make_doors(ports, "tcp", sources)


def test_no_sources_are_everybody_by_both_versions_of_ip():
    assert [str(door.network) for door in EVERYBODY] == ["0.0.0.0/0", "::/0"]
    assert merge(EVERYBODY) == [("tcp", 443, None)]
    assert merge(make_doors([443, 443], "tcp", ["0.0.0.0/0"])) == [("tcp", 443, ANY_IPV4)]


# -- firewalld -------------------------------------------------------------------------------------------------------

ZONE = """\
public
  target: default
  icmp-block-inversion: no
  interfaces:
  sources:
  services: dhcpv6-client https ssh
  ports: 80/tcp 2000-2010/tcp
  protocols:
  forward: yes
  masquerade: no
  forward-ports:
  source-ports:
  icmp-blocks:
  rich rules:
\trule family="ipv4" source address="10.0.0.0/8" port port="9100" protocol="tcp" accept
\trule family="ipv4" port port="3003" protocol="tcp" reject
\trule port port="3003" protocol="tcp" accept
\trule priority="-10" port port="3004" protocol="tcp" accept
\trule family="ipv4" port port="3004" protocol="tcp" drop
\trule family="ipv4" source NOT address="10.0.0.0/8" port port="3005" protocol="tcp" accept
\trule service name="https" log prefix="drop accept" limit value="1/m" accept
"""
TRUSTED = "trusted\n  target: ACCEPT\n  interfaces:\n  services:\n  ports:\n"
DROP = "drop (active)\n  target: DROP\n  interfaces: eth1\n  services:\n  ports:\n"
HTTPS = "https\n  ports: 443/tcp 443/udp\n  protocols:\n  includes:\n"


@pytest.mark.parametrize(
    ("port", "protocol", "network", "verdict"),
    [
        (80, "tcp", "0.0.0.0/0", "accept"),
        (80, "tcp", "::/0", "accept"),
        (80, "udp", "0.0.0.0/0", "refuse"),
        (2005, "tcp", "::/0", "accept"),
        (443, "udp", "::/0", "accept"),  # by the service
        (9100, "tcp", "10.1.0.0/16", "accept"),
        (9100, "tcp", "0.0.0.0/0", "refuse"),
        (3003, "tcp", "0.0.0.0/0", "refuse"),  # what refuses is asked first
        (3003, "tcp", "::/0", "accept"),
        (3004, "tcp", "0.0.0.0/0", "accept"),  # unless a priority says otherwise
        (3005, "tcp", "0.0.0.0/0", "refuse"),
    ],
)
def test_a_zone_lets_in_what_it_lists(port, protocol, network, verdict):
    zone = parse_zone(ZONE, {"https": HTTPS})
    assert judge(zone, "zone", Door(protocol, port, ipaddress.ip_network(network))).verdict == verdict


def test_a_zone_that_trusts_everybody_needs_no_rule():
    zone = parse_zone(TRUSTED, {})
    assert judge(zone, "zone", EVERYBODY[0]) == ("accept", None, None)


def firewalld(permanent=ZONE, now=ZONE):
    return RecordedHost(
        prints={
            "systemctl is-active firewalld": "active",
            "firewall-cmd --state": "running",
            "firewall-cmd --get-default-zone": "public",
            "firewall-cmd --list-all-zones": f"{TRUSTED}\n{now}\n{DROP}",
            "firewall-cmd --permanent --list-all-zones": f"{permanent}\n{TRUSTED}",
            "firewall-cmd --info-service=https": HTTPS,
        }
    )


def commands(steps):
    return [" ".join(step.argv) for step in steps]


def test_firewalld_opens_permanently_and_now_in_one_command_each():
    doors = make_doors([80, 81, 82], "tcp", [])
    steps = find_firewall(firewalld(), "auto", doors).opening(doors)
    assert commands(steps) == [
        "firewall-cmd --permanent --zone=public --add-port=81/tcp --add-port=82/tcp",
        "firewall-cmd --zone=public --add-port=81/tcp --add-port=82/tcp",
    ]


def test_firewalld_completes_what_is_only_there_for_now():
    doors = make_doors([81], "tcp", ["192.0.2.0/24", "2001:db8::/32"])
    now = ZONE + "".join(f"\t{rich_rule(*door)}\n" for door in doors)
    steps = find_firewall(firewalld(now=now), "auto", doors).opening(doors)
    assert [step.argv[1:3] for step in steps] == [["--permanent", "--zone=public"]]
    assert steps[0].argv[3:] == [f"--add-rich-rule={rich_rule(*door)}" for door in doors]


def test_firewalld_is_content_with_a_service():
    assert find_firewall(firewalld(), "auto", EVERYBODY).opening(EVERYBODY) == []


def test_firewalld_closes_a_port_and_leaves_services_and_ranges_alone():
    doors = make_doors([80, 443, 2005], "tcp", [])
    firewall = find_firewall(firewalld(), "firewalld", doors)
    assert commands(firewall.closing(doors)) == [
        "firewall-cmd --permanent --zone=public --remove-port=80/tcp",
        "firewall-cmd --zone=public --remove-port=80/tcp",
    ]
    assert firewall.closable(doors) == [80]


def test_what_firewalld_refuses_first_is_said_before_anything_is_changed():
    doors = make_doors([3003], "tcp", [])
    with pytest.raises(
        TlsError,
        match='firewalld now: the rule `rule family="ipv4" port port="3003" protocol="tcp" reject` refuses .*; remove that rule',
    ):
        find_firewall(firewalld(), "auto", doors).opening(doors)


def test_an_unknown_zone_is_named():
    with pytest.raises(
        TlsError, match=r"firewalld does not answer for its zone dmz \(but for trusted, public, drop\).*--get-zones"
    ):
        find_firewall(firewalld(), "firewalld", EVERYBODY, zone="dmz")


def test_a_zone_that_is_new_is_not_there_before_a_reload():
    with pytest.raises(
        TlsError, match=r"its zone drop \(but for public, trusted\).*`firewall-cmd --reload` if it is new"
    ):
        find_firewall(firewalld(), "firewalld", EVERYBODY, zone="drop")


@pytest.mark.parametrize(("interface", "zone"), [("eth1", "drop"), ("eth0", "public")])
def test_the_zone_is_that_of_the_interface_with_the_default_route(interface, zone):
    host = firewalld()
    host.prints["firewall-cmd --permanent --list-all-zones"] += f"\n{DROP}"
    host.files["/proc/net/route"] = f"Iface\n{interface}\t00000000\t0101A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
    assert find_firewall(host, "auto", EVERYBODY).zone == zone


def test_what_services_stand_for_is_asked_only_where_it_may_matter():
    plain, service = firewalld(), firewalld()
    find_firewall(plain, "auto", make_doors([80], "tcp", []))
    find_firewall(service, "auto", EVERYBODY)
    assert (plain.visits, service.visits) == (1, 2)
    assert [words for words in service.asked if "--info-service" in words] == [
        f"firewall-cmd --info-service={name}" for name in ("dhcpv6-client", "https", "ssh")
    ]


def test_the_default_route_tells_the_interface():
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


# -- ufw -------------------------------------------------------------------------------------------------------------

UFW_NOW = """\
-P INPUT DROP
-A INPUT -j ufw{6}-before-input
-A INPUT -j ufw{6}-after-input
-A ufw{6}-before-input -i lo -j ACCEPT
-A ufw{6}-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw{6}-before-input -j ufw{6}-not-local
-A ufw{6}-before-input -j ufw{6}-user-input
-A ufw{6}-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw{6}-not-local -m limit --limit 3/min --limit-burst 10 -j ufw{6}-logging-deny
-A ufw{6}-not-local -j DROP
"""
UFW_STORED = """\
*filter
:ufw{6}-user-input - [0:0]
:ufw{6}-user-limit-accept - [0:0]
"""
UFW_BEFORE = """\
*filter
:ufw{6}-before-input - [0:0]
:ufw{6}-not-local - [0:0]
-A ufw{6}-before-input -j ufw{6}-not-local
-A ufw{6}-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw{6}-not-local -j DROP
COMMIT
"""
UFW_RULES = """\
-A ufw{6}-user-input -p tcp --dport 22 -j ACCEPT -m comment --comment 'dapp_OpenSSH'
-A ufw{6}-user-input -p tcp --dport 80 -j ACCEPT
-A ufw{6}-user-input -p tcp -m multiport --dports 8000:8010 -j ACCEPT
-A ufw{6}-user-input -p tcp --dport 99 -j DROP
-A ufw{6}-user-input -p tcp -m multiport --dports 600:610 -j DROP
-A ufw{6}-user-input -p tcp --dport 605 -j ACCEPT
-A ufw{6}-user-input -p tcp --dport 98 -j ufw{6}-user-limit-accept
-A ufw{6}-user-limit-accept -j ACCEPT
"""


def ufw(rules=UFW_RULES, now=None, settings='IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\n', before=UFW_BEFORE):
    def texts(text):
        return {4: text.replace("{6}", ""), 6: text.replace("{6}", "6")}

    now, stored, before = texts(UFW_NOW + (now or rules)), texts(UFW_STORED + rules + "COMMIT\n"), texts(before)
    return RecordedHost(
        programs=["firewall-cmd", "nft"],
        prints={
            "systemctl is-active firewalld": (3, "inactive"),
            "ufw status": "Status: active\n\nTo  Action  From\n",
            "iptables -w -S": now[4],
            "ip6tables -w -S": now[6],
        },
        files={
            "/etc/ufw/ufw.conf": "ENABLED=yes\n",
            "/etc/default/ufw": settings,
            "/etc/ufw/before.rules": before[4],
            "/etc/ufw/before6.rules": before[6],
            "/etc/ufw/user.rules": stored[4],
            "/etc/ufw/user6.rules": stored[6],
        },
    )


@pytest.mark.parametrize(
    ("port", "sources", "expected"),
    [
        (80, [], []),
        (8005, ["192.0.2.0/24"], []),
        (98, [], []),
        (443, [], ["ufw allow proto tcp from any to any port 443"]),
        (443, ["192.0.2.0/24", "2001:db8::/32"], [f"ufw allow proto tcp from {one} to any port 443" for one in ("192.0.2.0/24", "2001:db8::/32")]),
        (99, [], ["ufw allow proto tcp from any to any port 99"]),  # ufw turns the rule around
        (99, ["192.0.2.0/24"], ["ufw prepend allow proto tcp from 192.0.2.0/24 to any port 99"]),
        (600, [], ["ufw prepend allow proto tcp from any to any port 600"]),
        (605, [], ["ufw delete allow proto tcp from any to any port 605", "ufw prepend allow proto tcp from any to any port 605"]),
    ],
)  # fmt: skip
def test_ufw_opens_a_port_with_its_own_words(port, sources, expected):
    doors = make_doors([port], "tcp", sources)
    assert commands(find_firewall(ufw(), "auto", doors).opening(doors)) == expected


def test_ufw_reloads_what_is_only_in_its_files():
    host = ufw(rules=UFW_RULES + "-A ufw{6}-user-input -p tcp --dport 443 -j ACCEPT\n", now=UFW_RULES)
    assert commands(find_firewall(host, "ufw", EVERYBODY).opening(EVERYBODY)) == ["ufw reload"]


def test_ufw_closes_by_version_and_leaves_profiles_and_ranges_alone():
    doors = make_doors([22, 80, 8005, 98], "tcp", [])
    firewall = find_firewall(ufw(), "auto", doors)
    assert commands(firewall.closing(doors)) == [
        "ufw delete allow proto tcp from 0.0.0.0/0 to any port 80",
        "ufw delete allow proto tcp from ::/0 to any port 80",
    ]
    assert [line for line in firewall.lines(doors) if "user.rules" in line and "80 " not in line] == [
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp --dport 22 -j ACCEPT -m comment --comment 'dapp_OpenSSH'",
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp -m multiport --dports 8000:8010 -j ACCEPT",
        "/etc/ufw/user.rules: -A ufw-user-input -p tcp --dport 98 -j ufw-user-limit-accept",
    ]


def test_a_wall_before_the_rules_of_ufw_is_said_before_anything_is_changed():
    wall = "-A ufw{6}-before-input -p tcp --dport 443 -j DROP\nCOMMIT\n"
    host = ufw(before=UFW_BEFORE.replace("COMMIT\n", wall))
    with pytest.raises(
        TlsError, match="the rule `-A ufw-before-input -p tcp --dport 443 -j DROP` refuses tcp 443 .*; remove that rule"
    ):
        find_firewall(host, "auto", EVERYBODY).opening(EVERYBODY)


def test_ufw_without_ipv6_refuses_it_and_says_so():
    host = ufw(settings="IPV6=no\n")
    firewall = find_firewall(host, "auto", EVERYBODY)
    assert firewall.notes == ["ufw refuses all of IPv6; set IPV6=yes in /etc/default/ufw if it shall not."]
    assert commands(firewall.opening(EVERYBODY)) == ["ufw allow proto tcp from 0.0.0.0/0 to any port 443"]
    with pytest.raises(TlsError, match="ufw refuses all of IPv6 .*; set IPV6=yes there, or remove it"):
        find_firewall(host, "auto", make_doors([443], "tcp", ["2001:db8::/32"]))


# -- iptables --------------------------------------------------------------------------------------------------------

IPTABLES_NOW = """\
-P INPUT DROP
-P FORWARD ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 701 -j DROP
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-port-unreachable
"""
RULES_V4 = """\
# Generated by iptables-save v1.8.9 (nf_tables) on Sat Nov 21 09:35:42 2026
*filter
:INPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-port-unreachable
-A FORWARD -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
COMMIT
"""
RULES_V6 = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"


def iptables(programs=("netfilter-persistent",), files=None):
    return RecordedHost(
        programs=programs,
        prints={"iptables -w -S": IPTABLES_NOW, "ip6tables -w -S": "-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n"},
        files={"/etc/iptables/rules.v4": RULES_V4, "/etc/iptables/rules.v6": RULES_V6} if files is None else files,
    )


def test_iptables_opens_before_the_first_wall_in_rules_and_files():
    doors = make_doors([443, 701], "tcp", [])
    steps = find_firewall(iptables(), "auto", doors).opening(doors)
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


def test_iptables_closes_what_opens_just_this_port():
    doors = make_doors([22], "tcp", [])
    steps = find_firewall(iptables(), "auto", doors).closing(doors)
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
def test_rules_that_nothing_brings_back_are_a_warning(programs, remedy):
    doors = make_doors([443], "tcp", ["192.0.2.0/24"])
    firewall = find_firewall(iptables(programs, files={}), "auto", doors)
    assert firewall.warnings == [
        f"Nothing on this host brings the rules of iptables back after a restart; {remedy} and run this again."
    ]
    assert commands(firewall.opening(doors)) == [
        "iptables -w -I INPUT 5 -s 192.0.2.0/24 -p tcp -m tcp --dport 443 -j ACCEPT"
    ]


# -- nftables --------------------------------------------------------------------------------------------------------

NFT_FILE = """\
#!/usr/sbin/nft -f

flush ruleset

table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\ttcp dport { ssh, 80 } accept
\t\tcounter reject
\t}
}
"""


def nft_rule(number, *expression):
    return {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": number, "expr": list(expression)}}


def nft_port(number, port):
    left = {"payload": {"protocol": "tcp", "field": "dport"}}
    return nft_rule(number, {"match": {"op": "==", "left": left, "right": port}}, {"accept": None})


WALL = nft_rule(5, {"counter": {"packets": 0, "bytes": 0}}, {"reject": None})


def nftables(*rules, text=NFT_FILE, files=None, policy="drop", prints=(), family="inet", table="filter", chain="input"):
    base = {"family": family, "table": table, "name": chain, "handle": 1}
    items = [
        {"metainfo": {"json_schema_version": 1}},
        {"chain": {**base, "type": "filter", "hook": "input", "prio": 0, "policy": policy}},
    ]
    return RecordedHost(
        prints={"nft -j list ruleset": json.dumps({"nftables": [*items, *rules]}), **dict(prints)},
        files={"/etc/nftables.conf": text, **(files or {})} if text else {},
    )


def test_nftables_opens_before_the_wall_and_writes_a_block():
    doors = make_doors([80, 443], "tcp", [])
    host = nftables(nft_port(4, {"set": [22, 80]}), WALL)
    written, run = find_firewall(host, "auto", doors).opening(doors)
    assert (written.path, written.argv) == ("/etc/nftables.conf", ["nft", "-c", "-f", "-"])
    assert written.stdin == (
        f"{NFT_FILE}\n{BEGIN}\ntable inet filter {{\n\tchain input {{\n\t}}\n}}\ninsert rule inet filter input tcp dport 443 accept\n{END}\n"
    )
    assert (run.path, run.argv, run.stdin) == (
        None,
        ["nft", "-f", "-"],
        "insert rule inet filter input handle 5 tcp dport 443 accept\n",
    )


def test_nftables_adds_at_the_end_where_only_the_policy_refuses():
    doors = make_doors([443], "udp", ["192.0.2.0/24", "2001:db8::/32", "::/0"])
    written, run = find_firewall(nftables(), "auto", doors).opening(doors)
    words = ["ip saddr 192.0.2.0/24", "ip6 saddr 2001:db8::/32", "meta nfproto ipv6"]
    lines = "".join(f"add rule inet filter input {one} udp dport 443 accept\n" for one in words)
    assert run.stdin == lines
    assert lines in written.stdin


def test_nftables_is_content_with_what_it_finds_again():
    host = nftables(
        nft_port(4, {"set": [22, 80]}),
        nft_port(6, 443),
        text=with_block(NFT_FILE, [("add", "inet filter input", "tcp dport 443 accept")]),
    )
    doors = make_doors([80, 443], "tcp", [])
    firewall = find_firewall(host, "auto", doors)
    assert (firewall.opening(doors), firewall.warnings) == ([], [])


def test_a_rule_that_would_come_behind_a_new_wall_is_moved_to_the_top():
    host = nftables(
        nft_port(4, 443), WALL, text=with_block(NFT_FILE, [("add", "inet filter input", "tcp dport 443 accept")])
    )
    (written,) = find_firewall(host, "auto", EVERYBODY).opening(EVERYBODY)
    assert written.stdin == with_block(NFT_FILE, [("insert", "inet filter input", "tcp dport 443 accept")])


def test_nftables_reads_what_the_file_includes():
    included = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t\ttcp dport 443 accept\n\t}\n}\n"
    host = nftables(
        nft_port(4, 443),
        text='flush ruleset\ninclude "nftables.d/web.nft"\n',
        files={"/etc/nftables.d/web.nft": included},
    )
    assert find_firewall(host, "auto", EVERYBODY).opening(EVERYBODY) == []
    assert host.visits == 2


@pytest.mark.parametrize(
    ("text", "where"),
    [("flush ruleset\n", "/etc/nftables.conf does not set up"), ("", "no /etc/nftables.conf sets up")],
)
def test_a_chain_that_comes_from_elsewhere_is_opened_and_warned_of(text, where):
    firewall = find_firewall(nftables(text=text), "auto", EVERYBODY)
    (run,) = firewall.opening(EVERYBODY)
    assert run.stdin == "add rule inet filter input tcp dport 443 accept\n"
    assert firewall.warnings == [
        f"It is not kept for a restart, because {where} the chain inet filter input; add `tcp dport 443 accept` where that chain comes from."
    ]


def test_nftables_closes_its_own_block_and_names_the_line_of_somebody_else():
    doors = make_doors([22, 80, 443], "tcp", [])
    block = [("add", "inet filter input", f"tcp dport {port} accept") for port in (443, 8443)]
    firewall = find_firewall(
        nftables(nft_port(4, {"set": [22, 80]}), nft_port(6, 443), text=with_block(NFT_FILE, block)), "auto", doors
    )
    written, run = firewall.closing(doors)
    assert written.stdin == with_block(NFT_FILE, block[1:])
    assert run.stdin == "delete rule inet filter input handle 4\ndelete rule inet filter input handle 6\n"
    assert firewall.warnings == [
        "It is not kept for a restart: `tcp dport { ssh, 80 } accept` in the chain inet filter input of /etc/nftables.conf opens it again; remove that line."
    ]


def test_a_block_comes_and_goes_without_a_trace():
    block = [("add", "inet filter input", "tcp dport 443 accept")]
    assert with_block(with_block(NFT_FILE, block), []) == NFT_FILE
    assert with_block(with_block(NFT_FILE, block), block) == with_block(NFT_FILE, block)


@pytest.mark.parametrize("missing", [BEGIN, END])
def test_nothing_of_others_is_removed_where_somebody_has_cut_a_block_off(missing):
    block = [("add", "inet filter input", "tcp dport 443 accept")]
    left = with_block(NFT_FILE, block).replace(f"{missing}\n", "") + "table inet theirs {\n}\n"
    once = with_block(left, block)
    assert with_block(once, block) == once
    assert (once.count(BEGIN), once.count(END)) == (1, 1)
    assert with_block(once, []) == left.replace(f"{BEGIN}\n", "").replace(f"{END}\n", "")


def test_a_block_within_another_one_is_no_reason_to_remove_what_lies_between():
    block = [("add", "inet filter input", "tcp dport 443 accept")]
    nested = f"{BEGIN}\ntable inet theirs {{\n}}\n{with_block('', block)}{END}\n"
    assert with_block(with_block(nested, block), []) == "table inet theirs {\n}\n"


# -- which one -------------------------------------------------------------------------------------------------------


def test_a_host_without_a_firewall_has_none():
    assert find_firewall(RecordedHost(), "auto", EVERYBODY) is None
    idle = {
        "nft -j list ruleset": '{"nftables": []}',
        "iptables -w -S": "-P INPUT ACCEPT\n",
        "ufw status": "Status: inactive",
    }
    assert find_firewall(RecordedHost(prints=idle), "auto", EVERYBODY) is None


def test_a_host_tells_in_one_visit_what_is_wanted():
    for host in (RecordedHost(), RecordedHost(prints=IDLE), ufw(), nftables(), iptables()):
        find_firewall(host, "auto", EVERYBODY)
        assert host.visits == 1
    odd = ufw()
    del odd.files["/etc/ufw/ufw.conf"]
    assert find_firewall(odd, "auto", EVERYBODY).name == "ufw"
    assert odd.visits == 3  # whether it may be active, whether it is, and its rules
    for host, backend in (
        (ufw(), "ufw"),
        (nftables(), "nftables"),
        (iptables(), "iptables"),
        (firewalld(), "firewalld"),
    ):
        find_firewall(host, backend, make_doors([80], "tcp", []))
        assert host.visits == 1


IDLE = {
    "systemctl is-active firewalld": (3, "inactive"),
    "nft -j list ruleset": '{"nftables": []}',
    "iptables -w -S": "-P INPUT ACCEPT\n",
    "ip6tables -w -S": "-P INPUT ACCEPT\n",
}


def test_slow_programs_are_not_started_where_their_firewalls_cannot_be_active():
    host = RecordedHost(
        ["firewall-cmd", "ufw"], prints=IDLE, files={"/etc/ufw/ufw.conf": "# ENABLED=yes\nENABLED=no\n"}
    )
    assert find_firewall(host, "auto", EVERYBODY) is None
    assert host.asked == list(IDLE)


@pytest.mark.parametrize(
    ("state", "settings", "asked"),
    [
        ("active", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("failed", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("System has not been booted with systemd as init system", "ENABLED=no\n", ["firewall-cmd --state"]),
        ("inactive", "LOGLEVEL=low\nENABLED=yes\n", ["ufw status"]),
        ("inactive", 'enabled="YES"\n', ["ufw status"]),
        ("inactive", None, ["ufw status"]),
    ],
)
def test_slow_programs_are_asked_where_their_firewalls_may_be_active(state, settings, asked):
    host = RecordedHost(
        ["firewall-cmd", "ufw"],
        prints={**IDLE, "systemctl is-active firewalld": (int(state != "active"), state)},
        files={} if settings is None else {"/etc/ufw/ufw.conf": settings},
    )
    assert find_firewall(host, "auto", EVERYBODY) is None
    assert [words for words in host.asked if words not in IDLE] == asked


def test_a_named_firewall_is_asked_itself():
    host = ufw()
    host.files["/etc/ufw/ufw.conf"] = "ENABLED=no\n"
    assert find_firewall(host, "ufw", EVERYBODY).name == "ufw"
    host = firewalld()
    host.prints["systemctl is-active firewalld"] = (3, "inactive")
    assert find_firewall(host, "firewalld", EVERYBODY).name == "firewalld"


def test_the_chains_of_iptables_in_nftables_are_left_to_iptables():
    host = nftables(prints=iptables().prints, family="ip", chain="INPUT")
    assert find_firewall(host, "auto", EVERYBODY).name == "iptables"


def test_a_chain_that_refuses_goes_before_one_that_only_blocks_somebody():
    blocked = {
        "match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "198.51.100.7"}
    }
    host = nftables(nft_rule(4, blocked, {"drop": None}), policy="accept", prints=iptables().prints)
    assert find_firewall(host, "auto", EVERYBODY).name == "iptables"
    assert (
        find_firewall(nftables(nft_rule(4, blocked, {"drop": None}), policy="accept"), "auto", EVERYBODY).opening(
            EVERYBODY
        )
        == []
    )


def test_two_firewalls_at_once_are_said():
    firewall = find_firewall(nftables(prints=iptables().prints), "auto", EVERYBODY)
    assert (firewall.name, firewall.notes) == (
        "nftables",
        ["iptables filters on this host besides nftables; run this again with backend: iptables."],
    )


@pytest.mark.parametrize(
    ("backend", "programs", "sentence"),
    [
        ("ufw", [], "ufw is not installed on this host; install it, or choose backend: auto"),
        ("ufw", ["ufw"], "ufw is not running on this host; start it with `ufw enable`, or choose backend: auto"),
        (
            "firewalld",
            ["firewall-cmd"],
            "firewalld is not running on this host; start it with `systemctl enable --now firewalld`",
        ),
        ("nftables", ["nft"], r"`nft -j list ruleset` failed \(unknown option\); put that right"),
        ("iptables", ["iptables"], r"`iptables -S` failed \(unknown option\); put that right"),
    ],
)
def test_a_named_firewall_that_is_not_there_is_refused_with_its_reason(backend, programs, sentence):
    with pytest.raises(TlsError, match=sentence):
        find_firewall(RecordedHost(programs), backend, EVERYBODY)


# -- what no honest host says ----------------------------------------------------------------------------------------


def test_a_zone_and_routes_that_make_no_sense_are_told_of():
    with pytest.raises(TlsError, match="is not understood here; choose another zone, or correct this one"):
        parse_zone("public\n  ports: x/tcp\n", {})
    with pytest.raises(TlsError, match="holds what no kernel writes there; choose a zone"):
        default_interface("Iface\nx\n", "")


def test_services_that_include_each_other_are_read_once():
    services = {name: f"{name}\n  ports: 443/tcp\n  includes: a b c\n" for name in "abc"}
    rules = parse_zone("public\n  services: a\n", services)["zone"].rules
    assert [rule.words for rule in rules] == ["service a"] * 3


def test_a_block_is_found_in_a_file_full_of_empty_lines():
    text = "\n" * 100_000 + f"{BEGIN}\n" * 1000
    assert split_blocks(text) == ("\n" * 100_000, [])
    whole = with_block(text, [("add", "inet filter input", "tcp dport 443 accept")])
    assert with_block(whole, []) == "\n"
