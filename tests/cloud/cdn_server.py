# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tencent Cloud's CDN and certificates as a program, for scenarios of molecule, with machines that answer by TLS on addresses of their own.

python -m ansible_collections.evergreen.tls.tests.cloud.cdn_server FILE SPREAD_S ADDRESS,ADDRESS,… DOMAIN…

It listens on the loopback network, writes its URL into FILE, and ends when FILE is gone. Its machines have ports 443 and 80. Beside the API:

GET  /state   the calls since the last POST that cleared them, the uploads, and what each domain is bound to
POST /state   {stuck: […], stubborn: […], failing: […]} says which domains are so from now on, {refuse: {ACTION: CODE}} has actions refused,
              {kill: ACTION} kills the process that makes the next such call, before anything is done, and {clear: true} clears the calls
"""

from __future__ import annotations

import functools
import pathlib
import sys
import threading
import time

from ansible_collections.evergreen.tls.tests.cloud.edges import Edge
from ansible_collections.evergreen.tls.tests.cloud.killing import kill_client
from ansible_collections.evergreen.tls.tests.cloud.tencent.cdn import Cdn
from ansible_collections.evergreen.tls.tests.cloud.tencent.certificate_service import Ssl
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import FakeTencent

MAX_LIFETIME_S = 1800


class Controlled:
    """The cloud, and what tests may do to it."""

    def __init__(self, spread_s, addresses, domains):
        self.ssl = Ssl()
        self.cdn = Cdn(self.ssl, *domains, machines=len(addresses), spread_s=spread_s)
        self.cloud = FakeTencent(self.ssl, self.cdn)
        self.cloud.control = self
        self.cloud.before = self._before
        self.kill, self.killed = None, []
        self.edges = [
            Edge(address, functools.partial(self.cdn.served, number), self.ssl.pair)
            for number, address in enumerate(addresses)
        ]

    def _before(self, action, port):
        if action == self.kill:
            self.kill = None
            self.killed.append(kill_client(port))
            raise ConnectionError("the client is gone")

    def get(self, _path):
        return {
            "actions": self.cloud.actions(),
            "changes": self.cloud.changes(),
            "uploads": {name: one["alias"] for name, one in self.ssl.certificates.items()},
            "bound": {
                domain: (one["now"]["Https"]["CertInfo"] or {}).get("CertId")
                for domain, one in self.cdn.domains.items()
            },
            "deleted_while_bound": self.ssl.deleted_while_bound,
            "killed": self.killed,
        }

    def post(self, orders):
        for name in ("stuck", "stubborn", "failing"):
            if name in orders:
                setattr(self.cdn, name, set(orders[name]))
        self.cloud.refusals.update(orders.get("refuse", {}))
        self.kill = orders.get("kill", self.kill)
        if orders.get("clear"):
            self.cloud.calls.clear()
        return {}


def main():
    path = pathlib.Path(sys.argv[1])
    controlled = Controlled(float(sys.argv[2]), sys.argv[3].split(","), sys.argv[4:])
    threading.Thread(target=controlled.cloud.server.serve_forever, daemon=True).start()
    path.write_text(controlled.cloud.url, encoding="utf-8")
    end = time.monotonic() + MAX_LIFETIME_S
    while path.exists() and time.monotonic() < end:
        time.sleep(0.5)


if __name__ == "__main__":
    main()
