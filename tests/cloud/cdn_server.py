# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tencent Cloud and Alibaba Cloud as a program, for scenarios of molecule, with machines that answer by TLS on addresses of their own.

python -m ansible_collections.evergreen.tls.tests.cloud.cdn_server FILE SPREAD_S ADDRESS,ADDRESS,… ADDRESS ADDRESS ADDRESS DOMAIN…

The addresses are of Tencent's CDN, of EdgeOne, of a load balancer, and of Alibaba's CDN. A domain below C(cdn.), C(eo.), C(lb.) or
C(ali.) is served there; one that begins with C(free) presents what the cloud issues, and the others what is uploaded.
The program listens on the loopback network, writes its URLs into FILE as JSON, and ends when FILE is gone. Its machines have ports 443
and 80. FILE.root has the root that issues free certificates. Its name servers, with the zone C(example.test), have port 53. Beside the API:

GET  /state   the calls since the last POST that cleared them, the uploads, what is bound, orders, and the serial numbers of certificates
POST /state   {stuck: […], stubborn: […], failing: […], slow: […]} says which domains are so from now on, {refuse: {ACTION: CODE}} has these
              actions refused, {pages: […]} has actions of Alibaba Cloud answered in HTML, {failing_tasks: true} has those of load balancers fail,
              {kill: [[ACTION, TEXT]…]} kills the clients that make these calls, before anything is done, and {clear: true} clears the calls
"""

from __future__ import annotations

import functools
import itertools
import json
import pathlib
import sys
import time

import dns.rdatatype
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.evergreen.tls.tests.cloud.edges import Edge
from ansible_collections.evergreen.tls.tests.cloud.killing import Killer
from ansible_collections.evergreen.tls.tests.cloud.tencent.cdn import Cdn
from ansible_collections.evergreen.tls.tests.cloud.tencent.clb import Clb
from ansible_collections.evergreen.tls.tests.cloud.tencent.dnspod import Dnspod
from ansible_collections.evergreen.tls.tests.cloud.tencent.free_ssl import FreeSsl
from ansible_collections.evergreen.tls.tests.cloud.tencent.teo import Teo
from ansible_collections.evergreen.tls.tests.unit.fake_alibaba import Cloud as Alibaba
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, new_key
from ansible_collections.evergreen.tls.tests.unit.fake_internet import FakeInternet, name_of
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import FakeTencent

MAX_LIFETIME_S = 1800
ZONE = "example.test"
LOOK = "CreateCertificateBindResourceSyncTask"  # it has bindings looked up, and changes nothing
RESOLVER, NAME_SERVER = "127.0.77.53", "127.0.77.54"
OTHER_RULE = "other.lb.example.test"  # of the listener, with a certificate of others
VERSIONS = ["TLSv1.2", "TLSv1.3"]


class Controlled:
    """The clouds, and what tests may do to them."""

    def __init__(self, spread_s, addresses, domains):
        self.internet = FakeInternet(RESOLVER, 53)
        self.zone = self.internet.zone(
            ZONE, *[(name, "A", "192.0.2.1") for name in domains], servers={f"ns.{ZONE}": NAME_SERVER}
        )
        self.authority = Authority("Free CA")
        self.seconds = itertools.count(1)
        self.ssl = FreeSsl(self._has_record)
        self.ssl.issue, self.ssl.fails, self.ssl.failing = self._issue, "CAA forbids it", set()
        self.ssl.verify_types = {name: "CNAME" for name in domains if ".eo." in name}
        self.cdn = Cdn(self.ssl, *self._of(domains, "cdn"), machines=len(addresses[0]), spread_s=spread_s)
        self.teo = Teo(self.ssl, *self._of(domains, "eo"))
        rules = [{"Domain": name, "Certificate": None} for name in self._of(domains, "lb")]
        other = {"Domain": OTHER_RULE, "Certificate": {"SSLMode": "UNIDIRECTIONAL", "CertId": "of-others"}}
        self.clb = Clb(self.ssl, lbl_1={"SniSwitch": 1, "Rules": [*rules, other]})
        self.ssl.bound = self._bound
        self.dnspod = Dnspod(ZONE, added=self._add, removed=self._remove)
        self.alibaba = Alibaba(self._of(domains, "ali"))
        self.cloud = FakeTencent(self.ssl, self.cdn, self.teo, self.clb, self.dnspod)
        self.cloud.control = self
        self.killer = Killer()
        self.cloud.before = self.alibaba.before = self.killer.meet
        self.edges = [
            Edge(address, functools.partial(self.cdn.served, number), self.ssl.pair)
            for number, address in enumerate(addresses[0])
        ]
        further = [
            (self.teo.served, self.ssl.pair),
            (self.clb.served, self.ssl.pair),
            (self.alibaba.served, self.alibaba.pair),
        ]
        self.edges += [
            Edge(address, functools.partial(_configuration, served), pair)
            for (address,), (served, pair) in zip(addresses[1:], further, strict=True)
        ]

    def _of(self, domains, label):
        return [name for name in domains if f".{label}." in name]

    def _issue(self, domain):
        key = new_key()
        # Each has an end of its own, as those of a CA do.
        chain = self.authority.chain([domain], key, days=(-1, 90 + next(self.seconds) / 86400))
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in chain), key_pem(key).decode()

    def _bound(self, certificate):
        eo = [("teo", name) for name, one in self.teo.domains.items() if certificate in one["list"]]
        lb = [("clb", name) for name, one in self.clb.listeners.items() if certificate in str(one)]
        return [*self.cdn.bound(certificate), *eo, *lb]

    def _values(self, zone, name, kind):
        return self.zone.records.setdefault((name_of(f"{name}.{zone}"), dns.rdatatype.from_text(kind)), set())

    def _add(self, zone, name, kind, value):
        self._values(zone, name, kind).add(f'"{value}"' if kind == "TXT" else f"{value.rstrip('.')}.")

    def _remove(self, zone, name, kind, value):
        self._values(zone, name, kind).discard(f'"{value}"' if kind == "TXT" else f"{value.rstrip('.')}.")

    def _has_record(self, name, kind, value):
        values = self.zone.records.get((name_of(name), dns.rdatatype.from_text(kind)), set())
        return value in {one.strip('"').rstrip(".") for one in values}

    def get(self, _path):
        uploads = {name: one["alias"] for name, one in self.ssl.certificates.items() if name not in self.ssl.orders}
        bound = {name: (one["now"]["Https"]["CertInfo"] or {}).get("CertId") for name, one in self.cdn.domains.items()}
        bound |= {name: next(iter(one["list"]), None) for name, one in self.teo.domains.items()}
        return {
            "actions": self.cloud.actions() + self.alibaba.actions(),
            "changes": sorted(action for action in self.cloud.changes() + self.alibaba.changes() if action != LOOK),
            "uploads": uploads | {str(number): name for number, name in self.alibaba.uploads.items()},
            "bound": bound,
            "orders": {name: one["domain"] for name, one in self.ssl.orders.items()},
            "serials": {
                name: _serial(self.ssl.pair(name)[0]) for name in self.ssl.orders if name in self.ssl.certificates
            },
            "other_rule": self.clb.served(OTHER_RULE),
            "records": list(self.dnspod.records.values()),
            "deleted_while_bound": self.ssl.deleted_while_bound,
            "killed": self.killer.killed,
        }

    def post(self, orders):
        sets = {
            "stuck": [self.cdn],
            "stubborn": [self.cdn, self.teo],
            "failing": [self.ssl],
            "slow": [self.ssl],
            "pages": [self.alibaba],
        }
        for name, services in sets.items():
            for service in services if name in orders else ():
                setattr(service, name, set(orders[name]))
        self.cloud.refusals = orders.get("refuse", self.cloud.refusals)
        self.clb.fails = orders.get("failing_tasks", self.clb.fails)
        if "kill" in orders:
            self.killer.expect(orders["kill"])
        if orders.get("clear"):
            self.cloud.calls.clear()
            self.alibaba.calls.clear()
        return {}


def _configuration(served, name):
    """Return a configuration as edges read it, None for a name that is not here."""
    certificate = served(name)
    https = {"Switch": "on", "CertInfo": {"CertId": certificate}, "TlsVersion": VERSIONS}
    return {"Https": https, "ForceRedirect": {"Switch": "off"}} if certificate else None


def _serial(chain):
    """Return the serial number of a leaf, as openssl prints it."""
    number = f"{x509.load_pem_x509_certificates(chain.encode())[0].serial_number:X}"
    return number.zfill(len(number) + len(number) % 2)


def main():
    path = pathlib.Path(sys.argv[1])
    addresses = [argument.split(",") for argument in sys.argv[3:7]]
    controlled = Controlled(float(sys.argv[2]), addresses, sys.argv[7:])
    for cloud in (controlled.cloud, controlled.alibaba):
        cloud.server.start()
    path.with_name(f"{path.name}.root").write_bytes(controlled.authority.pem)
    partial = path.with_suffix(".new")
    urls = {"url": controlled.cloud.url, "alibaba_url": controlled.alibaba.url}
    partial.write_text(json.dumps(urls), encoding="utf-8")
    partial.rename(path)
    end = time.monotonic() + MAX_LIFETIME_S
    while path.exists() and time.monotonic() < end:
        time.sleep(0.5)


if __name__ == "__main__":
    main()
