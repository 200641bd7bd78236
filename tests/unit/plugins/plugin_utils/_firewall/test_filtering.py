# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients of a real nftables and a real iptables: blocked ones stay blocked, now and after a restart."""

from __future__ import annotations

import re

import pytest

from ansible_collections.evergreen.tls.tests.unit.filtering_host import FilteringHost, can_make_namespaces

pytestmark = pytest.mark.skipif(not can_make_namespaces(), reason="only root can make network namespaces")

PATH = "/etc/nftables.conf"


def with_tabs(text):
    """Return a text with tabs in place of four blanks, as nft indents."""
    return text.replace("    ", "\t")


ALLOWED = {f"allowed{version} {port}" for version in ("", "6") for port in (80, 443)}
SETS = with_tabs("""
    set blocked4 {
        type ipv4_addr
        flags interval
        elements = { 203.0.113.0/24 }
    }
    set blocked6 { type ipv6_addr; flags interval; elements = { 2001:db8:bad::/48 }; }
""")
BLOCKLIST = with_tabs("""
        ip saddr @blocked4 drop
        ip6 saddr @blocked6 drop
""")
START = with_tabs("""
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state vmap { established : accept, related : accept, invalid : drop }
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
""")
RULESETS = {
    "a list before a final reject": f"table inet filter {{{SETS}\tchain input {{{START}{BLOCKLIST}\t\treject\n\t}}\n}}\n",
    "a list before the policy": f"table inet filter {{{SETS}\tchain input {{{START}{BLOCKLIST}\t}}\n}}\n",
    "a list and a reject behind a jump": (
        f"table inet filter {{{SETS}\tchain last {{{BLOCKLIST}\t\tlog prefix \"no: # {{ \" counter reject with icmpx admin-prohibited\n\t}}\n"
        f"\tchain input {{{START}\t\tct state new jump last\n\t}}\n}}\n"
    ),
    "a list and the end of a chain behind a goto": (
        f"table inet filter {{{SETS}\tchain last {{{BLOCKLIST}\t}}\n\tchain input {{{START}\t\tgoto last\n\t}}\n}}\n"
    ),
    "rules on one line": (
        f"table inet filter {{ {SETS} chain input {{ type filter hook input priority 0; policy accept; iif \"eth0\" accept comment \"; }}\" ;\n }}; }}\n"
        "flush table inet filter\n"
        f"table inet filter {{ chain input {{ {START.strip()}; ip saddr @blocked4 drop; ip6 saddr @blocked6 drop; reject; }}; }}\n"
    ),
    "rules for other interfaces": (
        f'table inet filter {{{SETS}\tchain input {{{START}{BLOCKLIST}\t\tiifname "br-*" tcp dport {{ 80, 443 }} drop\n'
        "\t\tiifname != { eth0, lo } drop\n\t\treject\n\t}\n}\n"
    ),
    "commands": (
        f"table inet filter {{ {SETS} chain input {{{START}\t}}\n}}\n"
        "add rule inet filter input ip saddr @blocked4 drop\nadd rule inet filter input ip6 saddr @blocked6 drop\n"
        "add rule inet filter input \\\n  counter reject\n"
    ),
    "commands that insert": (
        f"table inet filter {{ {SETS} chain input {{ type filter hook input priority 0; policy drop; }}\n}}\n"
        "insert rule inet filter input drop\n"
        "insert rule inet filter input ip saddr @blocked4 drop; insert rule inet filter input ip6 saddr @blocked6 drop\n"
        "insert rule inet filter input icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
        "insert rule inet filter input ct state established accept\n"
    ),
    "includes, variables and files within a chain": (
        'define port = { 22, 2222 }\ninclude "nft.d/*.conf"\n'
        f'table inet filter {{{SETS}\tchain input {{{START}\t\tinclude "/etc/nft.rules/*.nft"\n\t\ttcp dport $port accept\n\t\treject # the end\n\t}}\n}}\n'
    ),
    "a table in an included file": 'include "/etc/nft.tables/main.nft"\n',
    "two tables": (
        f"table inet early {{{SETS}\tchain input {{ type filter hook input priority -10; policy accept;\n{BLOCKLIST}\t}}\n}}\n"
        f"table inet filter {{\tchain input {{{START}\t\treject\n\t}}\n}}\n"
        f"table inet late {{{SETS}\tchain input {{{START.replace('filter;', '10;')}{BLOCKLIST}\t\tdrop\n\t}}\n}}\n"
    ),
    "a table for each version of IP": "".join(
        f"table {family} filter{number} {{{sets}\tchain input {{ type filter hook input priority filter; policy drop;\n"
        f"\t\tct state established accept\n{extra}\t\t{rule}\n\t\treject\n\t}}\n}}\n"
        for number, (family, sets, rule, extra) in enumerate(
            [
                ("ip", SETS.partition("\tset blocked6")[0], "ip saddr @blocked4 drop", ""),
                ("ip6", "\n\tset blocked6" + SETS.partition("\tset blocked6")[2], "ip6 saddr @blocked6 drop", "\t\tmeta l4proto icmpv6 accept\n"),
            ]
        )
    ),
}  # fmt: skip
FILES = {
    "/etc/nft.d/none.conf": "# nothing\n",
    "/etc/nft.rules/10-list.nft": BLOCKLIST,
    "/etc/nft.rules/20-web.nft": "tcp dport 8443 accept\n",
    "/etc/nft.tables/main.nft": f"table inet filter {{{SETS}\tchain input {{{START}{BLOCKLIST}\t\treject\n\t}}\n}}\n",
}


@pytest.fixture
def host(tmp_path):
    hosts = []

    def start(files, programs=("nft",)):
        hosts.append(FilteringHost(tmp_path, files, programs))
        return hosts[0]

    yield start
    for one in hosts:
        one.end()


@pytest.fixture(autouse=True)
def bare_action(monkeypatch):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})


def restart_nftables(host):
    host.call("nft", "-f", PATH)


def listing(host):
    return re.sub(r"packets \d+ bytes \d+", "", host.call("nft", "list", "ruleset"))


@pytest.mark.parametrize("name", RULESETS)
def test_nftables_lets_allowed_clients_in_and_keeps_blocked_ones_out(name, host):
    files = {**FILES, PATH: f"#!/usr/sbin/nft -f\nflush ruleset\n{RULESETS[name]}"}
    server = host(files)
    restart_nftables(server)
    before = listing(server)
    result = server.firewall_port()
    assert (result["msg"], result.get("persistent")) == ("Opened tcp 80, 443 to everybody in nftables.", True)
    assert server.reached() == ALLOWED
    live = listing(server)
    restart_nftables(server)
    assert server.reached() == ALLOWED
    assert listing(server) == live
    assert server.firewall_port()["changed"] is False
    result = server.firewall_port(state="closed")
    assert (result["changed"], result["closed"], server.reached()) == (True, [80, 443], set())
    assert listing(server) == before
    assert {path: server.read(path) for path in files} == files


WITH_HTTP3 = (443, "443/udp", "80/udp")


def clients_of(*ports):
    return {f"allowed{version} {port}" for version in ("", "6") for port in ports}


def test_nftables_lets_udp_in_with_tcp_and_closes_it_alone(host):
    files = {PATH: f"flush ruleset\n{RULESETS['a list before a final reject']}"}
    server = host(files)
    assert len(server.reached(WITH_HTTP3)) == 12  # so a client that is not let in is kept out by the firewall
    restart_nftables(server)
    result = server.firewall_port(ports=[443, "443/udp"])
    assert (result["msg"], result["opened"]) == (
        "Opened tcp 443 and udp 443 to everybody in nftables.",
        [443, "443/udp"],
    )
    assert server.reached(WITH_HTTP3) == clients_of(443, "443/udp")
    restart_nftables(server)
    assert server.reached(WITH_HTTP3) == clients_of(443, "443/udp")
    assert server.firewall_port(ports=["443/udp", 443])["changed"] is False
    result = server.firewall_port(ports=["443/udp"], state="closed")
    assert (result["closed"], server.reached(WITH_HTTP3)) == (["443/udp"], clients_of(443))
    restart_nftables(server)
    assert server.reached(WITH_HTTP3) == clients_of(443)
    server.firewall_port(ports=[443], state="closed")
    assert {path: server.read(path) for path in files} == files


def test_all_clients_reach_a_host_without_a_firewall_and_none_one_that_denies_all(host):
    server = host({PATH: f"flush ruleset\n{RULESETS['a list before a final reject']}"})
    assert len(server.reached()) == 8
    restart_nftables(server)
    assert server.reached() == set()


def test_a_rule_of_others_survives_opening_and_closing(host):
    rule = "tcp dport { 80, 443 } accept"
    server = host(
        {
            PATH: f"flush ruleset\n{RULESETS['a list before a final reject']}".replace(
                "\t\treject", f"\t\t{rule}\n\t\treject"
            )
        }
    )
    restart_nftables(server)
    before = listing(server)
    assert server.firewall_port()["changed"] is False
    result = server.firewall_port(state="closed")
    assert (result["changed"], listing(server), server.reached()) == (False, before, ALLOWED)
    assert (
        "Some of it still comes in by `nftables now, inet filter input: tcp dport { 80, 443 } accept" in result["msg"]
    )


def test_a_place_that_is_not_found_is_a_warning_and_nothing_is_written(host):
    text = f"flush ruleset\n{RULESETS['a list before a final reject']}".replace(
        "\t\treject\n\t}\n}\n",
        "\t}\n}\nadd rule inet filter input reject\nadd rule inet filter input index 2 tcp dport 25 accept\n",
    )
    server = host({PATH: text})
    restart_nftables(server)
    result = server.firewall_port(ports=[443])
    sentence = "the place of the rule `inet filter input drop` in /etc/nftables.conf was not found; add `tcp dport 443 accept` before that rule"
    assert (result["changed"], result["persistent"]) == (True, False)
    assert sentence in result["msg"]
    assert server.read(PATH) == text
    assert server.reached() == {"allowed 443", "allowed6 443"}
    again = server.firewall_port(ports=[443])
    assert (again["changed"], again["opened"], again["persistent"]) == (False, [], False)
    restart_nftables(server)
    assert server.reached() == set()


def test_a_port_that_a_rule_denies_by_its_number_is_not_opened(host):
    text = f"flush ruleset\n{RULESETS['a list before a final reject']}".replace(
        "\t\treject", "\t\ttcp dport 443 drop\n\t\treject"
    )
    server = host({PATH: text})
    restart_nftables(server)
    before = listing(server)
    result = server.firewall_port()
    assert result["failed"]
    assert "inet filter input: the rule `tcp dport 443 drop # handle" in result["msg"]
    assert "remove that rule from the host, or take the port or the source out of the inventory" in result["msg"]
    assert (listing(server), server.read(PATH)) == (before, text)


def test_a_blocked_network_is_not_opened_for_some_of_its_addresses(host):
    server = host({PATH: f"flush ruleset\n{RULESETS['a list before a final reject']}"})
    restart_nftables(server)
    result = server.firewall_port(sources=["203.0.113.7"])
    assert "the rule `ip saddr 203.0.113.0/24 drop # handle" in result["msg"]
    assert server.reached() == set()


def test_an_administrator_may_add_rules_before_and_behind_the_new_one(host):
    server = host({PATH: f"flush ruleset\n{RULESETS['a list before a final reject'].replace(BLOCKLIST, '')}"})
    restart_nftables(server)
    server.firewall_port()
    server.write(PATH, server.read(PATH).replace("\t\ticmpv6", f"{BLOCKLIST}\t\ticmpv6"))
    restart_nftables(server)
    assert server.reached() == ALLOWED
    assert server.firewall_port()["changed"] is False


def test_a_rule_in_the_block_moves_before_a_reject_that_was_added_later(host):
    server = host({PATH: f"flush ruleset\n{RULESETS['a list before the policy']}"})
    restart_nftables(server)
    server.firewall_port()
    assert "# BEGIN evergreen.tls.firewall_port" in server.read(PATH)
    server.write(PATH, server.read(PATH).replace("\t}\n}\n", "\t\treject\n\t}\n}\n", 1))
    restart_nftables(server)
    assert server.reached() == set()
    assert server.firewall_port()["changed"] is True
    assert "# BEGIN evergreen.tls.firewall_port" not in server.read(PATH)
    assert server.reached() == ALLOWED
    restart_nftables(server)
    assert server.reached() == ALLOWED


IPTABLES = {
    "a list before a final reject": "{list}-A INPUT -j REJECT\n",
    "a list before the policy": "{list}",
    "a list and a reject behind a jump": ":last - [0:0]\n-A INPUT -j last\n{list}-A last -j REJECT\n",
}


@pytest.mark.parametrize("name", IPTABLES)
def test_iptables_lets_allowed_clients_in_and_keeps_blocked_ones_out(name, host):
    files = {}
    for number, blocked in ((4, "203.0.113.0/24"), (6, "2001:db8:bad::/48")):
        chain = "last" if ":last" in IPTABLES[name] else "INPUT"
        rules = IPTABLES[name].format(list=f"-A {chain} -s {blocked} -j DROP\n")
        icmp = "-A INPUT -p ipv6-icmp -j ACCEPT\n" if number == 6 else ""
        files[f"/etc/iptables/rules.v{number}"] = (
            f"*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n{icmp}{rules}COMMIT\n"
        )
    server = host(files, ("iptables", "ip6tables", "netfilter-persistent"))

    def restart():
        for number, program in ((4, "iptables-restore"), (6, "ip6tables-restore")):
            server.call(program, stdin=server.read(f"/etc/iptables/rules.v{number}"))

    restart()
    result = server.firewall_port()
    assert (result["msg"], result.get("persistent")) == ("Opened tcp 80, 443 to everybody in iptables.", True)
    live = server.call("iptables", "-S"), server.call("ip6tables", "-S")
    assert server.reached() == ALLOWED
    restart()
    assert server.reached() == ALLOWED
    assert (server.call("iptables", "-S"), server.call("ip6tables", "-S")) == live
    assert server.firewall_port()["changed"] is False
    assert server.firewall_port(ports=[443, "443/udp"])["opened"] == ["443/udp"]
    assert server.reached(WITH_HTTP3) == clients_of(443, "443/udp")
    restart()
    assert server.reached(WITH_HTTP3) == clients_of(443, "443/udp")
    assert server.firewall_port(ports=["443/udp"], state="closed")["closed"] == ["443/udp"]
    assert server.reached(WITH_HTTP3) == clients_of(443)
    assert server.firewall_port(state="closed")["closed"] == [80, 443]
    assert server.reached() == set()
    assert {path: server.read(path) for path in files} == files
