# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles in a play of one's own, on a controller that has another private CA than that of the fleet, or none: nothing is issued."""

from __future__ import annotations

import json

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.faults.test_revocation import Servers

PLAY = "- hosts: all\n  gather_facts: false\n  strategy: {strategy}\n  roles: [evergreen.tls.{role}]\n"
VARIABLES = {"certificate": {}, "deploy": {"nginx_manage": False, "firewall_ports": []}, "renew": {}}
CASES = [
    ("certificate", "linear", ["--check"]),
    ("certificate", "free", []),
    ("deploy", "free", []),
    ("renew", "free", []),
]


@pytest.fixture
def servers(tmp_path):
    servers = Servers(tmp_path)
    first = servers.play("site.yml")
    assert first.returncode == 0, first.stdout
    return servers


def play_role(servers, role, strategy, folder, *words, **variables):
    """Run a role with a private CA in a folder; return its exit status and what it says in one line."""
    (servers.folder / "role.yml").write_text(PLAY.format(role=role, strategy=strategy))
    issuers = {"local": {"type": "local_ca", "directory": str(servers.folder / folder)}}
    variables = {**VARIABLES[role], "certificate_issuers": issuers, **variables}
    done = servers.play("role.yml", "-e", json.dumps(variables), *words)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(("role", "strategy", "words"), CASES)
def test_a_role_without_its_playbook_issues_nothing_from_another_ca(servers, role, strategy, words):
    copied = servers.folder / "copied"
    open_issuer("local", {"local": {"type": "local_ca", "directory": str(copied)}}).make()
    status, output = play_role(servers, role, strategy, "copied", *words)
    assert status == 2, output
    assert output.count("the issuer local has another CA in") >= 2, output
    assert "than the one of which 1 host serves a certificate; run this where that CA is" in output
    assert not list((copied / "issued").iterdir())
    assert [path.name for path in servers.folder.glob("web*/www/v*")] == ["v0001"] * 2


def test_a_role_moves_the_fleet_to_another_ca_where_the_user_says_so(servers):
    open_issuer("local", {"local": {"type": "local_ca", "directory": str(servers.folder / "copied")}}).make()
    status, output = play_role(servers, "certificate", "free", "copied", certificate_new_authority=True)
    assert (status, len(list((servers.folder / "copied/issued").iterdir()))) == (0, 2), output


def test_a_role_makes_no_ca_where_hosts_serve_certificates_of_one(servers):
    status, output = play_role(servers, "certificate", "free", "empty", certificate_force=True)
    assert status == 2, output
    assert (
        f"the issuer local has no CA in {servers.folder}/empty on this controller, and 2 hosts serve certificates of one"
        in output
    )
    assert not (servers.folder / "empty/root.pem").exists()


def test_a_role_with_the_ca_of_the_fleet_renews(servers):
    status, output = play_role(servers, "certificate", "free", "ca", certificate_force=True)
    assert (status, len(servers.records())) == (0, 4), output
