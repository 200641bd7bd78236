# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets tests ask name servers."""

from __future__ import annotations

import pytest


@pytest.fixture
def here(monkeypatch):
    """Start name servers on the loopback network, which are asked there, and waited for only shortly."""
    from ansible_collections.evergreen.tls.plugins.plugin_utils import name_servers
    from ansible_collections.evergreen.tls.tests.unit.world import world

    with world() as started:
        monkeypatch.setattr(name_servers, "PORT", started.port)
        monkeypatch.setattr(name_servers, "PATIENCE", 0.5)
        yield started
