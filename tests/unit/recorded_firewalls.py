# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts with each of the firewalls, from listings that were recorded on Debian 12."""

from __future__ import annotations

import json

from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Batch
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall import detect
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.detect import initial_queries
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.host_state import HostState, plan_with
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.nft_rules import try_query
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY_IPV4,
    PortAccess,
    parse_port_accesses,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.rules import evaluate
from ansible_collections.evergreen.tls.tests.unit.transcripts import RecordedHost

HTTPS_FROM_ANYWHERE = parse_port_accesses([443], "tcp", [])


def detect_firewall(host, backend, accesses, zone=None, addresses=()):
    """Return the firewall of a recorded host, which is queried as often as it takes.

    addresses: those by which the controller reaches the host.
    """
    state = HostState(host.run_queries(initial_queries(backend)), lambda: list(addresses))
    return plan_at_once(lambda one: detect.detect_firewall(one, backend, accesses, zone), state, host.run_queries)


def plan_at_once(make_plan, host, run_queries):
    """Return what plan_with() returns, with a function *run_queries* that is no coroutine."""

    async def run(query_sets):
        return run_queries(query_sets)

    (plan,) = Batch().run([plan_with(make_plan, host, run)])
    return plan


def command_lines(commands):
    return [" ".join(one.argv) for one in commands]


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
\trule priority="32000" port port="8443" protocol="tcp" accept
\trule priority="32100" family="ipv4" source address="203.0.113.0/24" port port="7000" protocol="tcp" drop
"""

TRUSTED = "trusted\n  target: ACCEPT\n  interfaces:\n  services:\n  ports:\n"

DROP = "drop (active)\n  target: DROP\n  interfaces: eth1\n  services:\n  ports:\n"

INTERNAL = """\
internal (active)
  target: default
  interfaces: eth0
  sources: 10.0.0.0/8 ipset:offices
  services: ssh
  ports:
  rich rules:
"""

BLOCKED = "blocked (active)\n  target: %%REJECT%%\n  sources: 203.0.113.0/24\n  services:\n  ports:\n"

POLICY = """\
{name} (active)
  priority: {priority}
  target: {target}
  ingress-zones: {ingress}
  egress-zones: HOST
  services:
  ports:
  rich rules:
\trule family="ipv4" source address="203.0.113.0/24" drop
"""

ADDRESSES = """\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.11/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet6 2001:db8::b/64 scope global \\       valid_lft forever preferred_lft forever
3: eth1@if7    inet 198.51.100.11/24 brd 198.51.100.255 scope global eth1\\       valid_lft forever preferred_lft forever
"""

HTTPS = "https\n  ports: 443/tcp 443/udp\n  protocols:\n  includes:\n"


def firewalld(permanent=ZONE, now=ZONE, zones="", policies=""):
    """Return a host with firewalld. zones, policies: further ones, at runtime and permanently."""
    return RecordedHost(
        files={"/etc/firewalld/policies/one.xml": "<policy/>"} if policies else {},
        prints={
            "ip -o address": ADDRESSES,
            "firewall-cmd --list-all-policies": policies,
            "firewall-cmd --permanent --list-all-policies": policies,
            "systemctl is-active firewalld": "active",
            "firewall-cmd --state": "running",
            "firewall-cmd --get-default-zone": "public",
            "firewall-cmd --list-all-zones": f"{TRUSTED}\n{now}\n{DROP}\n{zones}",
            "firewall-cmd --permanent --list-all-zones": f"{permanent}\n{TRUSTED}\n{zones}",
            "firewall-cmd --info-service=https": HTTPS,
        },
    )


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
### tuple ### allow tcp 22 {any} any {any} OpenSSH - in
-A ufw{6}-user-input -p tcp --dport 22 -j ACCEPT -m comment --comment 'dapp_OpenSSH'

### tuple ### allow tcp 80 {any} any {any} in
-A ufw{6}-user-input -p tcp --dport 80 -j ACCEPT

### tuple ### allow tcp 8000:8010 {any} any {any} in
-A ufw{6}-user-input -p tcp -m multiport --dports 8000:8010 -j ACCEPT

### tuple ### deny any 99 {any} any {any} in
-A ufw{6}-user-input -p tcp --dport 99 -j DROP
-A ufw{6}-user-input -p udp --dport 99 -j DROP

### tuple ### deny tcp 600:610 {any} any {any} in
-A ufw{6}-user-input -p tcp -m multiport --dports 600:610 -j DROP

### tuple ### allow tcp 605 {any} any {any} in
-A ufw{6}-user-input -p tcp --dport 605 -j ACCEPT

### tuple ### allow tcp 606 {any} any {any} in comment=65766572677265656e2e746c732e6669726577616c6c5f706f7274
-A ufw{6}-user-input -p tcp --dport 606 -j ACCEPT

### tuple ### limit tcp 98 {any} any {any} in
-A ufw{6}-user-input -p tcp --dport 98 -j ufw{6}-user-limit-accept
-A ufw{6}-user-limit-accept -j ACCEPT

### tuple ### allow tcp 8443 {any} any {any} in comment=65766572677265656e2e746c732e6669726577616c6c5f706f7274
-A ufw{6}-user-input -p tcp --dport 8443 -j ACCEPT
"""


def ufw(rules=UFW_RULES, now=None, settings='IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\n', before=UFW_BEFORE):
    def texts(text):
        return {
            4: text.replace("{6}", "").replace("{any}", "0.0.0.0/0"),
            6: text.replace("{6}", "6").replace("{any}", "::/0"),
        }

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


IPTABLES_NOW = """\
-P INPUT DROP
-P FORWARD ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 701 -j DROP
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 8443 -m comment --comment "evergreen.tls.firewall_port" -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-port-unreachable
"""

RULES_V4 = """\
# Generated by iptables-save v1.8.9 (nf_tables) on Sat Nov 21 09:35:42 2026
*filter
:INPUT DROP [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 8443 -m comment --comment "evergreen.tls.firewall_port" -j ACCEPT
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


DENY_RULE = nft_rule(5, {"counter": {"packets": 0, "bytes": 0}}, {"reject": None})


def nftables(
    *rules,
    text=NFT_FILE,
    files=None,
    policy="drop",
    prints=(),
    family="inet",
    table="filter",
    chain="input",
    has_boot=False,
):
    """Return a host with nftables. has_boot: its file can be tried out, and sets up what is there now."""
    base = {"family": family, "table": table, "name": chain, "handle": 1}
    items = [
        {"metainfo": {"json_schema_version": 1}},
        {"chain": {**base, "type": "filter", "hook": "input", "prio": 0, "policy": policy}},
    ]
    listing = json.dumps({"nftables": [*items, *rules]})
    tried = {" ".join(try_query()[1:]): listing} if has_boot else {}
    return RecordedHost(
        prints={"nft -j list ruleset": listing, **tried, **dict(prints)},
        files={"/etc/nftables.conf": text, **(files or {})} if text else {},
    )


IDLE = {
    "systemctl is-active firewalld": (3, "inactive"),
    "nft -j list ruleset": '{"nftables": []}',
    " ".join(try_query()[1:]): (1, ""),
    "iptables -w -S": "-P INPUT ACCEPT\n",
    "ip6tables -w -S": "-P INPUT ACCEPT\n",
}


# As `iptables -S` lists it on Debian 12.
IPTABLES_RULES = """\
-P INPUT DROP
-P FORWARD ACCEPT
-P OUTPUT ACCEPT
-N f2b-nginx
-N wall
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443 -j f2b-nginx
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 8000:8010,9000 -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 53 -j ACCEPT
-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 702 -j DROP
-A INPUT -p tcp -m tcp --dport 702 -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 77 -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 78 -j wall
-A INPUT -p tcp -m tcp --dport 78 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 98 -m limit --limit 5/sec -j ACCEPT
-A INPUT -p udp -m udp --dport 443 -m comment --comment "it's HTTP/3 -j DROP" -j ACCEPT
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
-A INPUT -j LOG --log-prefix "refused: "
-A INPUT -j REJECT --reject-with icmp-port-unreachable
-A f2b-nginx -s 198.51.100.7/32 -j REJECT --reject-with icmp-port-unreachable
-A f2b-nginx -j RETURN
-A wall -j DROP
"""


def verdict(ruleset, port, network=ANY_IPV4, protocol="tcp", chain="INPUT"):
    return evaluate(ruleset, chain, PortAccess(protocol, port, network)).verdict
