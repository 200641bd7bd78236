# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ACME server of the tests, and no pauses before something is tried again."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import retries
from ansible_collections.evergreen.tls.tests.unit.acme_server import running_acme_server


@pytest.fixture
def server(tmp_path):
    with running_acme_server(tmp_path) as server:
        yield server


@pytest.fixture
def hurry(monkeypatch):
    monkeypatch.setattr(retries, "RETRY_DELAYS_S", (0.0, 0.0))
