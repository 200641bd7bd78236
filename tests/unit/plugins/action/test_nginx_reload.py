# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a look from the controller settles that nginx presents what is installed, and when the host has to be asked."""

from __future__ import annotations

import pytest
from ansible.playbook.task import Task

from ansible_collections.evergreen.tls.plugins.action.nginx_reload import ActionModule
from ansible_collections.evergreen.tls.plugins.module_utils import handshakes
from ansible_collections.evergreen.tls.plugins.module_utils.portraits import fingerprint
from ansible_collections.evergreen.tls.tests.unit.authority import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port, keep_silent, plain_http

NAMES = ["www.example.org", "*.shop.example"]
ROOT = Authority()
CHAIN = ROOT.chain(NAMES, some_key())
INSTALLED = fingerprint(CHAIN[0])


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr(handshakes, "PATIENCE", 0.3)


def settled(port, expected=INSTALLED, host="web1", address="127.0.0.1", **request):
    """Return what is answered without asking the host."""
    request = {"name": "www", "domains": NAMES, "port": port, **request}
    variables = {"ansible_host": address} if isinstance(address, str) else {"certificate_endpoint": address}
    task_vars = {"inventory_hostname": host, **variables}
    return ActionModule(Task(), None, None, None, None).settled(
        {"request": request, "fingerprint": expected, "directory": "/etc/evergreen"}, task_vars
    )


def test_what_is_presented_under_every_name_is_settled(start):
    server = start().present(CHAIN)
    assert settled(server.port) == {
        "changed": False,
        "fingerprint": INSTALLED,
        "addresses": ["127.0.0.1"],
        "msg": "nginx presents the installed certificate of www, as the controller sees it",
    }
    assert server.asked_for == ["www.example.org", "evergreen-probe.shop.example"]


def test_a_host_without_ansible_host_is_looked_at_by_its_name(start):
    assert settled(start().present(CHAIN).port, host="localhost", address=None)["addresses"] == ["localhost"]


def test_all_places_of_a_host_are_looked_at(start):
    good, bad = start().present(CHAIN), start().present(ROOT.chain(NAMES, some_key()))
    places = [f"127.0.0.1:{good.port}", f"localhost:{good.port}"]
    assert settled(443, address=places)["addresses"] == ["127.0.0.1", "localhost"]
    assert settled(443, address=[*places, f"127.0.0.1:{bad.port}"]) is None
    assert settled(443, address=[*places, "127.0.0.1:https"]) is None


def test_another_certificate_is_not_settled(start):
    server = start().present(ROOT.chain(NAMES, some_key()))
    assert settled(server.port) is None
    assert server.connections == 1


def test_another_certificate_under_one_name_is_not_settled(start):
    server = start().present(CHAIN)
    server.reject = {"evergreen-probe.shop.example"}
    assert settled(server.port) is None


def test_without_knowing_what_is_installed_nothing_is_settled(start):
    server = start().present(CHAIN)
    assert settled(server.port, expected=None) is settled(server.port, expected="") is None
    assert server.connections == 0


@pytest.mark.parametrize("answer", [plain_http, keep_silent])
def test_what_gives_no_handshake_is_not_settled(start, answer):
    assert settled(start(answer).port) is None


def test_what_cannot_be_reached_is_not_settled():
    assert settled(closed_port()) is None
    assert settled(443, address="no-such-host.invalid") is None
    assert settled(443, address="no..such..host") is None


@pytest.mark.parametrize(
    "changes",
    [{"domains": []}, {"domains": None}, {"domains": 7}, {"domains": [None]}, {"port": "https"}, {"port": None}],
)
def test_a_request_that_makes_no_sense_is_left_to_the_module(start, changes):
    assert settled(**{"port": start().present(CHAIN).port, **changes}) is None


@pytest.mark.parametrize("request_", [None, "www", [NAMES]])
def test_what_is_no_request_is_left_to_the_module(request_):
    action = ActionModule(Task(), None, None, None, None)
    assert action.settled({"request": request_, "fingerprint": INSTALLED}, {"inventory_hostname": "web1"}) is None
