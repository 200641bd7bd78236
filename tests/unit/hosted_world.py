# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose certificate a cloud makes: an account with a CDN, free certificates and a zone, and tasks of a play."""

from __future__ import annotations

import contextlib

import dns.rdatatype
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action import certificate_host
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment import walk
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent import client as client_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns_client
from ansible_collections.evergreen.tls.tests.cloud.tencent.cdn import Cdn
from ansible_collections.evergreen.tls.tests.cloud.tencent.free_ssl import FreeSsl
from ansible_collections.evergreen.tls.tests.unit.dnspod_zone import dnspod_of
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER, fake_internet, name_of
from ansible_collections.evergreen.tls.tests.unit.fake_tencent import fake_tencent

DOMAIN = "static.example.org"


class World:
    """An account with a CDN, free certificates and a zone; and tasks of a play."""

    def __init__(self, cloud, cdn, ssl, zone, port):
        self.cloud, self.cdn, self.ssl, self.zone, self.port = cloud, cdn, ssl, zone, port

    def request(self, **changes):
        cloud = {"account": "main", "hosted": True, "patience": "1s"}
        return {
            "name": "static",
            "domains": [DOMAIN],
            "issuer": "le",
            "served_by": "cloud",
            "cloud": cloud,
            **changes,
        }

    def issuers(self):
        solver = {"type": "dnspod", "account": "main", "resolvers": [f"{RESOLVER}:{self.port}"]}
        return {"le": {"type": "acme", "solver": solver}}

    def variables(self):
        accounts = {"main": {"type": "tencent", **self.cloud.account()}}
        return {"inventory_hostname": "cdn1", "cloud_accounts": accounts}

    def action(self, module, check_mode=False, **arguments):
        """Return an action with arguments of its own and the issuers."""
        task = Task()
        task.action, task.check_mode = f"evergreen.tls.{module.__name__.rpartition('.')[2]}", check_mode
        task.args = {"issuers": self.issuers(), **arguments}
        connection = type("Connection", (), {"transport": "local"})()
        return module.ActionModule(task, connection, None, None, None, None)

    def run(self, module, check_mode=False, request=(), **arguments):
        """Return the result of an action for one request."""
        action = self.action(module, check_mode, request=self.request(**dict(request)), **arguments)
        return action.run(task_vars=self.variables())

    def has_record(self, name, kind, value):
        values = self.zone.records.get((name_of(name), dns.rdatatype.from_text(kind)), set())
        return any(value in one for one in values)


@contextlib.contextmanager
def hosted_world(monkeypatch, tmp_path):
    """Start such a world, and end it."""
    monkeypatch.setattr(certificate_host, "LOCKS", str(tmp_path / "orders"))
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    monkeypatch.setattr(client_module.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(walk, "POLL_INTERVALS_S", (0.01,))
    with fake_internet() as here:
        monkeypatch.setattr(dns_client, "PORT", here.port)
        zone = here.zone("example.org", (DOMAIN, "A", "192.0.2.1"))

        dnspod = dnspod_of(zone)
        ssl = FreeSsl(None)
        cdn = Cdn(ssl, DOMAIN, machines=1, spread_s=0.0)
        with fake_tencent(ssl, cdn, dnspod) as cloud:
            started = World(cloud, cdn, ssl, zone, here.port)
            ssl.has_record = started.has_record
            yield started
