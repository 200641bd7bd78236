# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a subject may hold."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.subject import check_subject


@pytest.mark.parametrize("name", ["192.0.2.1", " 2001:db8::1"])
def test_an_ip_address_is_no_common_name(name):
    with pytest.raises(
        TlsError, match=f"common_name is the IP address {name}, and a common name is a DNS name or text; leave it out"
    ):
        check_subject({"common_name": name})
