# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets tests ask name servers and web servers."""

from __future__ import annotations

import contextlib

import pytest


@pytest.fixture
def here(monkeypatch):
    """Start name servers on the loopback network, which are asked there, and waited for only shortly."""
    from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import dns_client
    from ansible_collections.evergreen.tls.tests.unit.fake_internet import fake_internet

    with fake_internet() as started:
        monkeypatch.setattr(dns_client, "PORT", started.port)
        monkeypatch.setattr(dns_client, "QUERY_TIMEOUT_S", 0.5)
        yield started


@pytest.fixture
def web(here, monkeypatch, tmp_path):
    """Let hosts answer over HTTP, on the ports that are visited."""
    from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import http_request
    from ansible_collections.evergreen.tls.tests.unit.http_server import Web

    with contextlib.ExitStack() as stack:
        started = Web(stack, tmp_path)
        monkeypatch.setattr(http_request, "PORTS", started.ports)
        yield started
