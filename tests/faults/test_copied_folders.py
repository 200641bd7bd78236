# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles in a play of one's own, on a controller whose private CA is another one than that of the fleet: they do as the playbooks do."""

from __future__ import annotations

import json

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.faults.test_revocation import Servers

ROLES = {
    "certificate": [],
    "deploy": ["-e", json.dumps({"nginx_manage": False, "firewall_ports": []})],
    "renew": [],
}


@pytest.fixture
def servers(tmp_path):
    servers = Servers(tmp_path)
    first = servers.play("site.yml")
    assert first.returncode == 0, first.stdout
    return servers


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_without_its_playbook_uses_no_other_ca_than_that_of_the_fleet(servers, role):
    site = "- hosts: all\n  gather_facts: false\n  roles: [evergreen.tls.ROLE]\n".replace("ROLE", role)
    (servers.folder / "site.yml").write_text(site)
    copied = {"local": {"type": "local_ca", "directory": str(servers.folder / "copied")}}
    open_issuer("local", copied).make()
    words = [*ROLES[role], "-e", json.dumps({"certificate_issuers": copied, "certificate_force": True})]
    done = servers.play("site.yml", *words)
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "the issuer local has another CA" in told, told
    assert list((servers.folder / "copied/issued").iterdir()) == [] and len(servers.records()) == 2
    wanted = servers.play("site.yml", *words, "-e", "certificate_new_authority=true")
    assert len(list((servers.folder / "copied/issued").iterdir())) == 2, wanted.stdout


def test_a_role_with_the_ca_of_the_fleet_does_its_work(servers):
    (servers.folder / "site.yml").write_text("- hosts: all\n  gather_facts: false\n  roles: [evergreen.tls.deploy]\n")
    done = servers.play("site.yml", *ROLES["deploy"], "-e", "certificate_force=true")
    assert done.returncode == 0 and len(servers.records()) == 4, done.stdout
