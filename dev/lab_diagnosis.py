# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lab has for the diagnosis: a root of its own, signed and broken zones, wrong name servers, and wrong HTTP hosts.

All is below C(test.). The names of HTTP hosts are C(KIND.way.test), with a hyphen for each underscore of a kind of lab_http_hosts.py.
Those of name servers are zones C(KIND.test), by the kinds of lab_name_servers.py, with a host C(www).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import pathlib
import typing as t

import lab_http_hosts
import lab_name_servers
from lab_files import DYNAMIC, HOME, ISSUER_DOMAIN

FIRST_ADDRESS = 208  # of those that wrong hosts and name servers have, at the end of the network of a fleet
WAY, CAA = "way.test", "caa.test"
ROOT_SERVER = "ns.test"
# How zones are signed. Hours until their signatures end; None: the zone is not signed.
SIGNED_HOURS = {
    ".": 720,
    "test": 720,
    CAA: 720,
    "signed.test": 720,
    "ending.test": 20,
    "expired.test": -24,
    "wrong-ds.test": 720,
}
UNSIGNED = ("unsigned.test", "no-key.test", WAY, "one-dead.test", "old.test")
WRONG_DS = ("wrong-ds.test", "no-key.test")  # the parent names a key that the zone does not have

SERVERS = {"old": ["ns", "ns2"]}  # labels of the name servers in the zones of wrong ones; a single one elsewhere
SOA = "@ SOA ns.{zone}. hostmaster.{zone}. 2026120100 3600 600 86400 60"
KNOT_ZONE = """\
  - domain: {zone}.
    file: {file}
    acl: [look]
    zonefile-load: whole
    journal-content: none
"""

# The resolver of CAs: it validates from the root of the lab, and says in its errors why (RFC 8914).
VALIDATING = """\
server:
    interface: 0.0.0.0
    access-control: 0.0.0.0/0 allow
    username: ""
    chroot: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    module-config: "{modules}"
    {anchor}
    ede: yes
    do-ip6: no
    edns-buffer-size: 1232
    target-fetch-policy: "0 0 0 0 0"
    root-hints: "{home}/root.hints"
    local-zone: "test." nodefault
{local_data}
{stubs}
"""
HINTS = ". 3600 NS {name}.\n{name}. 3600 A {address}\n"


@dataclasses.dataclass(frozen=True)
class Addresses:
    """Where everything is.

    names: the server of all zones that are right. hosts: of HTTP hosts by their kind. servers: of wrong name servers by their kind.
    web: of the first host of the fleet. ipv6: of an HTTP host that answers 404. closed: has no listener. dropping: drops packets.
    """

    names: str
    web: str
    hosts: dict[str, str]
    servers: dict[str, str]
    ipv6: str
    closed: str
    dropping: str

    @property
    def own(self) -> list[str]:
        """Return those that the container of wrong hosts has, IPv6 aside."""
        return [*self.hosts.values(), *self.servers.values(), self.closed, self.dropping]


def addresses(names: str, web: str) -> Addresses:
    """Return where everything is in the network of a fleet."""
    first = int(ipaddress.ip_address(names)) & ~0xFF
    hosts = [*lab_http_hosts.KINDS, lab_http_hosts.SILENT, lab_http_hosts.TRICKLE, lab_http_hosts.TLS_ON_80]
    servers = [kind for kind in lab_name_servers.KINDS if kind != "right"] + [lab_name_servers.TRICKLE]
    kinds = [("host", kind) for kind in hosts] + [("server", kind) for kind in servers]
    places = {key: str(ipaddress.ip_address(first + FIRST_ADDRESS + at)) for at, key in enumerate(kinds)}
    rest = first + FIRST_ADDRESS + len(kinds)
    if (rest & 0xFF) > 252:
        raise ValueError("there are more kinds than addresses")
    return Addresses(
        names,
        web,
        {kind: places["host", kind] for kind in hosts},
        {kind: places["server", kind] for kind in servers},
        str(ipv6_network(names)[2]),
        str(ipaddress.ip_address(rest)),
        str(ipaddress.ip_address(rest + 1)),
    )


def ipv6_network(names: str) -> ipaddress.IPv6Network:
    """Return the IPv6 network of a lab, which is one of its own for each fleet (RFC 4193)."""
    octets = ipaddress.ip_address(names).packed
    return ipaddress.IPv6Network((bytes([0xFD, 0x6C, 0x61, 0x62, octets[1], octets[2], 0, 0]) + bytes(8), 64))


def label_of(kind: str) -> str:
    """Return the label in DNS of a kind.

    >>> label_of("to_https")
    'to-https'
    """
    return kind.replace("_", "-")


def zone_of(kind: str) -> str:
    """Return the zone that a wrong name server has authority over."""
    return f"{label_of(kind)}.test"


def zone_files(where: Addresses, fleet_zones: t.Iterable[str]) -> dict[str, str]:
    """Return the zones by their names, not signed yet, C(.) and C(test) among them."""
    wrong = [kind for kind in where.servers if kind != "old"]
    own = [*(zone for zone in SIGNED_HOURS if zone not in (".", "test")), *UNSIGNED]
    below = [*own, *(zone for zone in fleet_zones if zone.endswith(".test") and zone != DYNAMIC)]
    delegations = [line for zone in below for line in (f"{zone}. NS ns.{zone}.", f"ns.{zone}. A {where.names}")]
    for kind in wrong:
        delegations += [f"{zone_of(kind)}. NS ns.{zone_of(kind)}.", f"ns.{zone_of(kind)}. A {where.servers[kind]}"]
    for zone, kind in (("one-dead.test", "silent"), ("old.test", "old")):
        delegations += [f"{zone}. NS ns2.{zone}.", f"ns2.{zone}. A {where.servers[kind]}"]
    zones = {
        ".": ["$ORIGIN .", "$TTL 60", SOA.format(zone="test"), f"@ NS {ROOT_SERVER}.", f"test. NS {ROOT_SERVER}.", f"{ROOT_SERVER}. A {where.names}"],
        "test": [*_head("test", where), *delegations],
        WAY: [*_head(WAY, where), *way_records(where)],
        CAA: [*_head(CAA, where), *caa_records(where)],
    }  # fmt: skip
    for zone in own:
        zones.setdefault(zone, [*_head(zone, where), f"www A {where.hosts['right']}", f"@ A {where.hosts['right']}"])
    zones["one-dead.test"] += ["@ NS ns2.one-dead.test.", f"ns2 A {where.servers['silent']}"]
    zones["old.test"] += ["@ NS ns2.old.test.", f"ns2 A {where.servers['old']}"]
    return {zone: "\n".join(lines) + "\n" for zone, lines in zones.items()}


def _head(zone: str, where: Addresses) -> list[str]:
    return [f"$ORIGIN {zone}.", "$TTL 60", SOA.format(zone=zone), f"@ NS ns.{zone}.", f"ns A {where.names}"]


def way_records(where: Addresses) -> list[str]:
    """Return the records of the names whose way from a CA to the host is right or wrong."""
    right = where.hosts["right"]
    return [
        *(f"{label_of(kind)} A {address}" for kind, address in where.hosts.items()),
        f"two A {right}", f"two A {where.hosts['not_found']}",
        f"ipv6 A {right}", f"ipv6 AAAA {where.ipv6}",
        f"closed A {where.closed}", f"dropping A {where.dropping}",
        "private A 10.255.255.1", "loopback A 127.0.0.1",
        "empty TXT no-address",
        "dangling CNAME nowhere.way.test.",
        "chain CNAME circle1.way.test.", "circle1 CNAME circle2.way.test.", "circle2 CNAME circle1.way.test.",
        f"split A {right}",
        f"web A {where.web}",
        f"shared A {where.web}", f"shared A {right}",
        # dns-01: the host field of a provider adds the zone to what already ends in it; a record that answers any name; others' zones
        f"doubled A {right}", "_acme-challenge.doubled.way.test.way.test. TXT value",
        f"wild A {right}", "*.wild TXT everything",
        f"astray A {right}", "_acme-challenge.astray CNAME astray.refused.test.",
        f"old-value A {right}", "_acme-challenge.old-value TXT value-of-last-year",
    ]  # fmt: skip


def caa_records(where: Addresses) -> list[str]:
    """Return the records of the names that let one CA issue, or none."""
    texts = {
        "ours": f'0 issue "{ISSUER_DOMAIN}"',
        "other": '0 issue "sectigo.com"',
        "nobody": '0 issue ";"',
        "account": f'0 issue "{ISSUER_DOMAIN}; accounturi=https://other.example/acct/1"',
        "method": f'0 issue "{ISSUER_DOMAIN}; validationmethods=dns-01"',
        "critical": '128 tbs "unknown"',
        "malformed": f'0 issue "{ISSUER_DOMAIN}; %%%%%"',
        "wild": '0 issuewild "sectigo.com"',
        "escapes": '0 issue "\\027[2J\\007.example"',
    }
    right = where.hosts["right"]
    return [line for label, text in texts.items() for line in (f"{label} A {right}", f"{label} CAA {text}")] + [
        f"www.other A {right}", f"free A {right}",
    ]  # fmt: skip


def knot_zones(zones: t.Iterable[str]) -> str:
    """Return the part of Knot's configuration that lists the zones of the diagnosis."""
    return "".join(KNOT_ZONE.format(zone=zone.rstrip("."), file=file_of(zone)) for zone in zones)


def file_of(zone: str) -> str:
    """Return the name of a zone's file, signed if it is one of those.

    >>> file_of(".")
    'root.zone'
    """
    return f"{zone.strip('.') or 'root'}.zone"


def resolver_files(where: Addresses, fleet_zones: t.Iterable[str]) -> dict[str, str]:
    """Return the configuration of the resolver of CAs, and of one that validates nothing and has an address of its own for a name."""
    others = [zone for zone in fleet_zones if not zone.endswith(".test")]
    stubs = "\n".join(f"stub-zone:\n    name: {zone}.\n    stub-addr: {where.names}" for zone in others)
    insecure = "\n".join(f'    domain-insecure: "{zone}."' for zone in others)
    split = f'    local-zone: "split.{WAY}." redirect\n    local-data: "split.{WAY}. A {where.hosts["not_found"]}"'
    anchor = f'trust-anchor-file: "{HOME}/root.key"'
    return {
        "unbound.conf": VALIDATING.format(
            modules="validator iterator", anchor=anchor, home=HOME, local_data=insecure, stubs=stubs
        ),
        "plain.conf": VALIDATING.format(modules="iterator", anchor="", home=HOME, local_data=split, stubs=stubs),
        "root.hints": HINTS.format(name=ROOT_SERVER, address=where.names),
    }


def misbehaving_file(where: Addresses) -> dict[str, t.Any]:
    """Return what the container of wrong hosts and name servers is to be: the content of misbehaving.json."""
    servers = [
        {
            "address": address,
            "kind": kind,
            "zone": zone_of(kind),
            "host": where.hosts["right"],
            "labels": SERVERS.get(kind, ["ns"]),
        }
        for kind, address in where.servers.items()
    ]
    hosts = [{"address": address, "kind": kind} for kind, address in where.hosts.items()]
    return {
        "addresses": where.own,
        "ipv6": where.ipv6,
        "dropping": where.dropping,
        "hosts": [*hosts, {"address": where.ipv6, "kind": "not_found"}],
        "name_servers": servers,
    }


def files(names: str, web: str, zones: t.Iterable[str], knot: str) -> dict[str, str]:
    """Return all files of the diagnosis, in the place of those that a lab has without it.

    names: the address of the name server. web: of the first host. zones: those of the fleet. knot: the configuration without the diagnosis.
    """
    where, fleet_zones = addresses(names, web), list(zones)
    unsigned = zone_files(where, fleet_zones)
    programs = ("lab_misbehaving.py", "lab_http_hosts.py", "lab_name_servers.py")
    return {
        **resolver_files(where, fleet_zones),
        "knot.conf": knot + knot_zones(unsigned),
        "unsigned.json": json.dumps(unsigned),
        "misbehaving.json": json.dumps(misbehaving_file(where), indent=2),
        **{name: pathlib.Path(__file__).with_name(name).read_text(encoding="utf-8") for name in programs},
    }


def description(names: str, web: str) -> dict[str, t.Any]:
    """Return where everything is, for the tests."""
    return dataclasses.asdict(addresses(names, web))
