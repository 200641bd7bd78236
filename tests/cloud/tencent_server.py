# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tencent Cloud as a program, for scenarios of molecule: firewalls, and what a test does to them behind the back of the controller.

python -m ansible_collections.evergreen.tls.tests.cloud.tencent_server FILE

It listens on the loopback network, writes its URL into FILE, and ends when FILE is gone. Beside the API it answers these:

GET  /state                      the calls since the last POST that cleared them, and the rules of each firewall
GET  /admits/NAME/tcp/443/IP     whether a packet is let in
POST /state                      {rules: {NAME: […]}} sets rules, {rival: {NAME: […]}} has somebody insert them just before the next
                                 change, {refuse: {ACTION: CODE}} has actions refused, and {clear: true} clears the calls
"""

from __future__ import annotations

import pathlib
import sys
import threading
import time

from ansible_collections.evergreen.tls.tests.cloud.tencent.firewalls import Lighthouse, SecurityGroups
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import FakeTencent

MAX_LIFETIME_S = 1800


class Controlled:
    """The cloud, and what tests may do to it."""

    def __init__(self):
        self.groups = SecurityGroups(sg_web=[[], 2], sg_locked=[[]])
        self.lighthouse = Lighthouse(lhins_1=[[]])
        self.cloud = FakeTencent(self.groups, self.lighthouse)
        self.firewalls = {**self.groups.groups, **self.lighthouse.instances}

    def get(self, path):
        if path == "/state":
            rules = {name: one.rules for name, one in self.firewalls.items()}
            return {"actions": self.cloud.actions(), "changes": self.cloud.changes(), "rules": rules}
        _empty, admits, name, protocol, port, address = path.split("/")
        assert admits == "admits"
        return {"is_admitted": self.firewalls[name].admits(protocol, int(port), address)}

    def post(self, orders):
        for name, rules in orders.get("rules", {}).items():
            self.firewalls[name].rules = rules
            self.firewalls[name].version += 1
        for name, rules in orders.get("rival", {}).items():
            self._await_change(name, rules)
        self.cloud.refusals.update(orders.get("refuse", {}))
        if orders.get("clear"):
            self.cloud.calls.clear()
        return {}

    def _await_change(self, name, rules):
        def change():
            for service in (self.groups, self.lighthouse):
                service.before_change = lambda: None
            self.firewalls[name].rules[:0] = rules
            self.firewalls[name].version += 1

        for service in (self.groups, self.lighthouse):
            service.before_change = change


def main():
    path = pathlib.Path(sys.argv[1])
    controlled = Controlled()
    controlled.cloud.control = controlled
    threading.Thread(target=controlled.cloud.server.serve_forever, daemon=True).start()
    path.write_text(controlled.cloud.url, encoding="utf-8")
    end = time.monotonic() + MAX_LIFETIME_S
    while path.exists() and time.monotonic() < end:
        time.sleep(0.5)


if __name__ == "__main__":
    main()
