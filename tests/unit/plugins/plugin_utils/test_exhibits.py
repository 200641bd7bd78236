# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that do not tell of their certificates as certificate_info does."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.portraits import to_pem
from ansible_collections.evergreen.tls.plugins.plugin_utils.exhibits import describe_exhibits
from ansible_collections.evergreen.tls.tests.unit.authority import NOW, Authority, some_key

SHOWN = {
    "name": "www",
    "path": "/etc/evergreen/www",
    "version": "v0001",
    "versions": ["v0001"],
    "waiting_since": None,
    "chain": to_pem(Authority().chain(["www.example.org"], some_key())).decode(),
}


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"now": None, "certificates": []},
        {"now": "yesterday", "certificates": []},
        {"now": NOW.isoformat(), "certificates": 1},
        {"now": NOW.isoformat(), "certificates": [{}]},
        {"now": NOW.replace(tzinfo=None).isoformat(), "certificates": [SHOWN]},
        {"now": NOW.isoformat(), "certificates": [{**SHOWN, "public_key": "no key"}]},
    ],
)
def test_another_shape_is_refused(told):
    with pytest.raises(
        TlsError, match="does not tell of its certificates as certificate_info does; look at what it is doing"
    ):
        describe_exhibits(told)
