# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What once broke a parser, as small as it can be, by the name of the parser; each run feeds it again."""

from __future__ import annotations

import base64
import json
import ssl

from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall import nft_block
from ansible_collections.evergreen.tls.tests.unit.fake_ca import (
    YEAR_ZERO,
    Authority,
    endless_key,
    garbled_pem,
    pem_valid_until,
    some_key,
)

LONG = b"9" * 5000  # digits, of which Python reads 4300 at the most
BEGIN = b"-----BEGIN CERTIFICATE-----\n"
MANY = 200_000
SHORT_KEY = b"-----BEGIN PRIVATE KEY-----MBICAQAwBQYDK2VwBAYEBAABCiQ=-----END PRIVATE KEY-----"  # of Ed25519


def request_of_version_3() -> bytes:
    """Return a signing request that says it is of a version that there is none of."""
    der = base64.b64decode(
        "MIG6MG4CAQMwFDESMBAGA1UEAwwJYS5leGFtcGxlMCowBQYDK2VwAyEAT/2wOuRsq+JC8fckFoS45zV4htiygOd0WlsmKzQPKrCg"
        "JzAlBgkqhkiG9w0BCQ4xGDAWMBQGA1UdEQQNMAuCCWEuZXhhbXBsZTAFBgMrZXADQQDZBcrAXB1drMjo+Mc/5qBzQuBATvu9WVLX"
        "P2ex/S6xeuhtXMSq9qIMZFj3fiialxsMakzIJMnpEtvVTy/gyvkI"
    )
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE REQUEST-----\n"


def certificate_with_an_extension_twice() -> bytes:
    """Return a certificate that names the key of its issuer twice, and each time with nothing."""
    der = base64.b64decode(
        "MIHFMHmgAwIBAgIBATAFBgMrZXAwADAeFw0yNjAxMDEwMDAwMDBaFw0yNjAxMDIwMDAwMDBaMAAwKjAFBgMrZXADIQDGhsiYcwkE"
        "Fm1hhpDOHkyesQZ05hcu2QsfaP7OLgz9RKMYMBYwCQYDVR0jBAIwADAJBgNVHSMEAjAAMAUGAytlcANBAEObWXjfBdLXiaJN2C2f"
        "QjMdfL0NFdzf4FDO6aXPcCHrDw8YIAM4d/2YF305tvPvk6WVVl7LqwR4quGIwQWDcAY="
    )
    return BEGIN + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def jumps(count: int) -> bytes:
    """Return chains of iptables that each jump to the next one twice."""
    lines = [f"-A c{number} -j c{number + 1}" for number in range(count) for _time in range(2)]
    return "\n".join(["-P INPUT DROP", "-A INPUT -j c0", *lines, f"-A c{count} -p tcp --dport 1 -j ACCEPT"]).encode()


def nft_rule(handle, target) -> bytes:
    """Return the listing of nft with a chain that jumps to another one, both with what nft would not say of them."""
    chains = [{"family": "inet", "table": "t", "name": name} for name in ("input", "other")]
    chains[0] |= {"type": "filter", "hook": "input", "prio": 0, "policy": "drop"}
    rules = [
        {"chain": "input", "handle": 1, "expr": [{"jump": {"target": target}}]},
        {"chain": "other", "handle": handle, "expr": [{"accept": None}]},
    ]
    items = [{"chain": chain} for chain in chains] + [
        {"rule": {"family": "inet", "table": "t", **rule}} for rule in rules
    ]
    return json.dumps({"nftables": items}).encode()


def a_block_that_is_cut_off() -> bytes:
    """Return a file with a block of ours that has no end, and one within another one."""
    rule = "add rule inet filter input tcp dport 443 accept\n"
    cut, whole = f"{nft_block.BLOCK_BEGIN}\n{rule}", f"{nft_block.BLOCK_BEGIN}\n{rule}{nft_block.BLOCK_END}\n"
    return f"{whole}{cut}flush ruleset\n{cut}{whole}{nft_block.BLOCK_END}\n{cut}".encode()


def services(count: int) -> bytes:
    """Return the results of queries to a firewalld in which each service includes all the others."""
    names = [f"s{number}" for number in range(count)]
    zone = f"public\n  target: default\n  interfaces: \n  services: {' '.join(names)}\n  ports: \n"
    outputs = {
        "systemctl is-active firewalld": "active",
        "firewall-cmd --state": "running",
        "firewall-cmd --get-default-zone": "public",
        "firewall-cmd --list-all-zones": zone,
        "firewall-cmd --permanent --list-all-zones": zone,
        **{
            f"firewall-cmd --info-service={name}": f"{name}\n  ports: \n  includes: {' '.join(names)}\n"
            for name in names
        },
    }
    results = [[["run", *words.split()], [0, text]] for words, text in outputs.items()]
    results += [
        [["has", "firewall-cmd"], True],
        *([["read", f"/proc/net/{name}"], {}] for name in ("route", "ipv6_route")),
    ]
    return json.dumps(results).encode()


def circle(count: int) -> bytes:
    """Return a configuration of nginx whose files all include each other."""
    files = [
        f"# configuration file /etc/nginx/conf.d/{number}.conf:\ninclude conf.d/*.conf;\n" for number in range(count)
    ]
    return "".join(["http { include conf.d/*.conf; }\n", *files]).encode()


ROOT = Authority("Regressions Root CA")
ODD_DATE = pem_valid_until(ROOT, YEAR_ZERO, ["www.example.org"], some_key())
OTHER_VERSION = garbled_pem(ROOT.certificate, b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07")
OTHER_EXTENSIONS = garbled_pem(
    ROOT.leaf(["www.example.org"], some_key()), b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x55\x1d\x13"
)
ODD_CERTIFICATES = [ODD_DATE, OTHER_VERSION, OTHER_EXTENSIONS]


REGRESSIONS: dict[str, list[bytes]] = {
    "store/store: the record of a trial": [b"[" * MANY],
    "store/ledger: the record of exports": [b"[" * MANY],
    "certificates/chain: a chain": [BEGIN * (MANY // 5), *ODD_CERTIFICATES],
    "certificates/certificate: a certificate": [ssl.PEM_cert_to_DER_cert(pem.decode()) for pem in ODD_CERTIFICATES],
    "issuance/checks: an issued chain": ODD_CERTIFICATES,
    "issuance/cross_signing: chain_extra": ODD_CERTIFICATES,
    "issuance/cache: a cached chain": ODD_CERTIFICATES,
    "issuance/cache: the record of refused answers": [b'{"count": -10}', b'{"until": 7, "count": Infinity}', b"[]"],
    "certificates/keys: a private key": [SHORT_KEY, endless_key()],
    "certificates/csr: a signing request": [request_of_version_3()],
    "issuance/checks: a signing request of a host": [request_of_version_3()],
    "store/pending_csr: a pending signing request": [request_of_version_3()],
    "module_backends/certificate_install: the chain in use": [b"\x80"],
    "nginx/version: nginx -V": [b"nginx version: nginx/1." + LONG],
    "nginx/config: nginx -T": [
        b"http{server{listen " + "²".encode() + b";}}",
        b"http{server{listen x:" + LONG + b";}}",
        b"{}",
        b"http{{}}",
        b"{" * 2000,
        b"a{" * 2000 + b"include x;",
        circle(12),
        b"".join(b"include /%d;# configuration file /%d:\n" % (number, number) for number in range(1500)),
    ],
    "nginx/process: pid file, configuration and log": [LONG, b"\ninclude /x\0/*;"],
    "system/procfs: listings in /proc": [
        b"x\n0A",
        b"x\n0: 1 2 0A 4 5 6 7 8 9",
        b"x\n0: 1:FFFFFF 2 0A 4 5 6 7 8 9",
        b"(x) S 1",
        b") " + LONG * 20,
    ],
    "firewall/parse_iptables: iptables -S, and files of it and of ufw": [
        *(
            b"*filter\n:",
            b"-A INPUT -s www.example.org -j ACCEPT",
            b"-A INPUT ! -s x -j ACCEPT",
            jumps(64),
            jumps(2000),
        ),
        b"-A INPUT -j INPUT",
    ],
    "firewall/parse_nft: nft -j list ruleset": [
        *(
            b"{",
            b"{}",
            b'{"nftables": 1}',
            b'{"nftables": [{}]}',
            b'{"nftables": [{"chain": {}}]}',
            b'{"nftables": [' + LONG + b"]}",
        ),
        b'{"nftables": ' + b"[" * MANY,
        b'{"nftables": [{"rule": {"family": "ip", "table": "x", "chain": "y", "handle": 1}}]}',
        *(nft_rule([7], "other"), nft_rule(2, ["other"]), nft_rule("2\ndelete table inet t", "other")),
    ],
    "firewall/parse_nft: a file for nft": [b"table " * (MANY // 6), b"\n" * MANY, a_block_that_is_cut_off()],
    "firewall/firewalld: zones and services of firewalld": [
        *(b"x\n  ports: 1-x/tcp", b"x\n  ports: \xff/tcp", b"x\n  ports: " + "²".encode(), b"x\n  ports: \0"),
        *(
            b'x\n  rich rules: \n\trule source address="x" accept',
            b'x\n  rich rules: \n\trule priority="' + LONG + b'" accept',
        ),
    ],
    "firewall/firewalld: routes in /proc": [b"x\nx", b"\n\n" + b"0" * 32, b"x\neth0 00000000 0 x 0 0 0 00000000"],
    "reports/certificate_info: the result of certificate_info": [
        b'{"now": null, "certificates": []}',
        b'{"failed": "no"}',
        b'{"now": "x", "certificates": []}',
    ],
    "firewall/host_state: results of queries": [
        *(
            b"1",
            b"[1]",
            b"[[1, 2]]",
            '[[["€"], 1]]'.encode(),
        ),
        *(
            b'[[["has", "firewall-cmd"], true], [["run", "systemctl", "is-active", "firewalld"], [0]]]',
            b'[[["has", "firewall-cmd"], true], [["run", "systemctl", "is-active", "firewalld"], [0, "\\u20ac"]]]',
            services(11),
        ),
    ],
    "action/handshake_verify: the result of the module": [
        b'{"handshakes": 1}',
        b'{"handshakes": [{}]}',
        b'{"handshakes": [{"chain": 1}]}',
        b'{"handshakes": [{"chain": null}]}',
        b'{"handshakes": [{"chain": "x", "port": Infinity}]}',
    ],
    "issuers/local_ca: records": [
        b"1",
        b"{}",
        b'{"revoked_at": null}',
        b'{"revoked_at": null, "request": "www", "certificate": "x"}',
    ],
    "issuers/local_ca: files": [SHORT_KEY, endless_key(), b"\x80", b"\0", b"[" * MANY],
    "inventory/endpoints: an endpoint": [b":" * 2000 + b" "],
    "inventory/complete_request: a request": [b"0.5", b'{"name": "www", "domains": ["x"], "port": Infinity}'],
    "reports/survey: the variables of a host": [
        *(b'{"certificate_requests": [{"name": "www", "domains": ["x"], "port": Infinity}]}',),
        b'{"certificate_requests": [{"links": 1}]}',
    ],
    "filter/request_domains: requests": [
        b'[{"name": []}]',
        b'[{"links": 1}]',
    ],
    "inventory/sites: sites": [
        *(b'{"sites": [{"name": "x", "return_code": Infinity}]}', b'{"sites": [{"name": "x"}], "domains": {"x": 1}}'),
    ],
    "issuers/acme/account_key: the key of an account": [
        b"-----BEGIN PRIVATE KEY-----\n"
        + base64.encodebytes(bytes.fromhex("300e020100300506032a03040402aabb"))
        + b"-----END PRIVATE KEY-----\n",
        SHORT_KEY,
        endless_key(),
    ],
    "issuers/acme/client: a response of an ACME server": [b"[" * MANY, b'{"identifiers":true}'],
    "issuers/acme/problems: a problem document": [b'{"type":"urn:ietf:params:acme:error:rateLimited","instance":[""]}'],
    "providers/tencent/edgeone: domains and listeners": [
        b'{"Listeners":[{"ListenerId":"lbl-1","Rules":[{"Domain":"example.org","Certificate":{"CertId":"a","ExtCertIds":true}}]}]}'
    ],
    "providers/alibaba/cdn: domains and uploads": [
        b'{"CertificateOrderList": [{"CertificateId": false, "Name": "evergreen/a/"}]}',
        b'{"CertificateOrderList": [{"CertificateId": "' + LONG + b'", "Name": "evergreen/a/"}]}',
    ],
    "issuers/acme/renewal_info: a certificate": [certificate_with_an_extension_twice()],
    "issuance/certificate_files: a file in the inbox": [
        *(endless_key(), *ODD_CERTIFICATES, b"PK\x03\x04" + b"PK\x01\x02" * MANY, b"\x30\x80" * MANY),
        b"\x30\x80\x02\x01\x03" + b"\x24\x80" * MANY,
        base64.b64decode(b"".join(request_of_version_3().splitlines()[1:-1])),
    ],
    "solvers/persist: a persistent record": [
        "letsencrypt.org; accounturi=https://ca.example/acct/1; policy=wildcard; persistUntil=²".encode(),
    ],
}
