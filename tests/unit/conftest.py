# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for all unit tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a server on the loopback address; stop all servers after the test."""
    from ansible_collections.evergreen.tls.tests.unit.servers import servers

    with servers(tmp_path) as started:
        yield started
