# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the programs of a lab read: the zones of the fleet's domains, and the configuration of name servers and CAs."""

from __future__ import annotations

import json
import typing as t

HOME = "/lab"  # where the containers see the folder
KEYS = ("lab", "narrow")
DYNAMIC = "dynamic.example.test"  # the one zone that the key narrow may change
ISSUER_DOMAIN = "pebble.test"
TSIG = "hmac-sha256"
DAY = 86400

KNOT = """\
server:
    listen: 0.0.0.0@53
    rundir: /run/knot
database:
    storage: /var/lib/knot
log:
  - target: stderr
    any: info
key:
{keys}
acl:
  - id: all
    key: lab
    action: update
    update-type: TXT
  - id: some
    key: narrow
    action: update
    update-type: TXT
  - id: look
    action: transfer
template:
  - id: default
    storage: {home}
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
zone:
{zones}
"""

KNOT_KEY = """\
  - id: {name}
    algorithm: {algorithm}
    secret: {secret}
"""

KNOT_ZONE = """\
  - domain: {zone}
    file: {zone}.zone
    acl: [{acl}]
"""

ZONE = """\
$ORIGIN {zone}.
$TTL 60
@ SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 60
@ NS ns.{zone}.
ns.{zone}. A {names}
{records}
"""

# A resolver as CAs have one. It goes by what the servers of the zones say, and knows nothing else.
UNBOUND = """\
server:
    interface: 0.0.0.0
    access-control: 0.0.0.0/0 allow
    username: ""
    chroot: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    module-config: "iterator"
    do-ip6: no
    local-zone: "." refuse
{transparent}
{stubs}
"""

CADDYFILE = """\
{{
    admin off
    skip_install_trust
    auto_https disable_redirects
}}
https://{address} {{
    tls internal
    acme_server
}}
"""

OPENSSL = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:{address}
"""


def zones_of(hosts: list[dict[str, t.Any]], records: list[str]) -> dict[str, list[str]]:
    """Return the records of each zone: those of the fleet's domains, and others as zone files hold them."""
    lines = [f"{domain}. A {host['address']}" for host in hosts for domain in host["domains"]]
    lines += [absolute(record) for record in records]
    zones: dict[str, list[str]] = {"example.test": [], DYNAMIC: []}
    for line in lines:
        name = line.split(" ", 1)[0].rstrip(".")
        zone = DYNAMIC if name == DYNAMIC or name.endswith(f".{DYNAMIC}") else ".".join(name.split(".")[-2:])
        zones.setdefault(zone, []).append(line)
    return zones


def absolute(record: str) -> str:
    """Return a record with its name as a whole, and the name that a CNAME leads to."""
    name, kind, value = record.split(maxsplit=2)
    if kind.upper() == "CNAME":
        value = f"{value.rstrip('.')}."
    return f"{name.rstrip('.')}. {kind} {value}"


def name_server_files(
    addresses: dict[str, str], zones: dict[str, list[str]], secrets: dict[str, str]
) -> dict[str, str]:
    """Return the files of the name server and of the resolver, by their names."""
    names = addresses["names"]
    delegation = [f"{DYNAMIC}. NS ns.{DYNAMIC}.", f"ns.{DYNAMIC}. A {names}"]
    files = {
        f"{zone}.zone": ZONE.format(
            zone=zone, names=names, records="\n".join([*lines, *(delegation if zone == "example.test" else [])])
        )
        for zone, lines in zones.items()
    }
    files["knot.conf"] = KNOT.format(
        home=HOME,
        keys="".join(KNOT_KEY.format(name=name, algorithm=TSIG, secret=secrets[name]) for name in KEYS),
        zones="".join(
            KNOT_ZONE.format(zone=zone, acl="all, some, look" if zone == DYNAMIC else "all, look") for zone in zones
        ),
    )
    tops = {zone.rsplit(".", 1)[-1] for zone in zones}
    outer = [zone for zone in zones if zone != DYNAMIC]
    files["unbound.conf"] = UNBOUND.format(
        transparent="\n".join(f'    local-zone: "{name}." transparent' for name in sorted(tops)),
        stubs="\n".join(f"stub-zone:\n    name: {zone}.\n    stub-addr: {names}" for zone in outer),
    )
    return files


def pebble_file(wish: t.Any) -> str:
    """Return Pebble's configuration."""
    profiles = dict(profile.split("=", 1) for profile in wish.profiles)
    keys = dict(key.split("=", 1) for key in wish.eab)
    return json.dumps(
        {
            "pebble": {
                "listenAddress": "0.0.0.0:14000",
                "managementListenAddress": "0.0.0.0:15000",
                "certificate": f"{HOME}/pebble.pem",
                "privateKey": f"{HOME}/pebble.key",
                "httpPort": 80,
                "tlsPort": 443,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": bool(keys),
                "externalAccountMACKeys": keys,
                "caaIdentities": [ISSUER_DOMAIN],
                "domainBlocklist": wish.blocked,
                "retryAfter": {"authz": wish.retry_after, "order": wish.retry_after},
                "keyAlgorithm": "ecdsa",
                "profiles": {
                    name: {"description": name, "validityPeriod": int(seconds)} for name, seconds in profiles.items()
                },
            }
        },
        indent=2,
    )


def pebble_environment(wish: t.Any) -> dict[str, str]:
    """Return the half of Pebble's configuration that it reads from its environment. Nothing is ever valid by itself."""
    return {
        "GOMAXPROCS": "1",  # of two orders that are placed on two processors at once, each may wait for a lock of the other for ever
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": str(wish.reject_nonces),
        "PEBBLE_AUTHZREUSE": str(wish.reuse_authorizations),
        "PEBBLE_ALTERNATE_ROOTS": str(wish.alternate_roots),
    }
