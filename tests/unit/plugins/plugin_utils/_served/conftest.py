# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.tests.unit.served_sites import served_site


@pytest.fixture
def site(tmp_path):
    with served_site(tmp_path) as one:
        yield one
