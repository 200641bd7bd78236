# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports and networks, as they are asked for."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY_IPV4,
    merge_ip_versions,
    parse_port_accesses,
)
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import (
    EVERYBODY,
)


@pytest.mark.parametrize(
    ("ports", "sources", "sentence"),
    [
        ([0], [], "0 is no port; give a number between 1 and 65535"),
        ([443, 65536], [], "65536 is no port"),
        ([], [], "ports is empty; name at least one port"),
        ([443], ["10.0.0.1/8"], r"'10.0.0.1/8' in sources is no network .*host bits set.*; write it like 192.0.2.0/24"),
        ([443], ["www.example.org"], "'www.example.org' in sources is no network"),
        ([443], [""], "'' in sources is no network"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_its_reason(ports, sources, sentence):
    with pytest.raises(TlsError, match=sentence):
        parse_port_accesses(ports, "tcp", sources)


def test_no_sources_are_everybody_by_both_versions_of_ip():
    assert [str(access.network) for access in EVERYBODY] == ["0.0.0.0/0", "::/0"]
    assert merge_ip_versions(EVERYBODY) == [("tcp", 443, None)]
    assert merge_ip_versions(parse_port_accesses([443, 443], "tcp", ["0.0.0.0/0"])) == [("tcp", 443, ANY_IPV4)]
