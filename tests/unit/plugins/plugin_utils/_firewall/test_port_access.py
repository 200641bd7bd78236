# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port accesses, from ports and sources of the inventory."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._firewall.port_access import (
    ANY_IPV4,
    describe_ports,
    merge_ip_versions,
    parse_port_accesses,
    parse_ports,
    port_words,
)
from ansible_collections.evergreen.tls.tests.unit.recorded_firewalls import HTTPS_FROM_ANYWHERE


@pytest.mark.parametrize(
    ("ports", "sources", "sentence"),
    [
        ([0], [], "0 is no port; give a number between 1 and 65535"),
        ([443, 65536], [], "65536 is no port"),
        (
            ["443/sctp"],
            [],
            "443/sctp is no port; give a number between 1 and 65535, or with a protocol, such as 443/udp",
        ),
        (["0/udp"], [], "0/udp is no port"),
        (["443/udp/tcp"], [], "443/udp/tcp is no port"),
        (["https"], [], "https is no port"),
        ([], [], "ports is empty; name at least one port"),
        ([443], ["10.0.0.1/8"], r"'10.0.0.1/8' in sources is no network .*host bits set.*; write it like 192.0.2.0/24"),
        ([443], ["www.example.org"], "'www.example.org' in sources is no network"),
        ([443], [""], "'' in sources is no network"),
    ],
)
def test_invalid_ports_and_sources_are_an_error(ports, sources, sentence):
    with pytest.raises(TlsError, match=sentence):
        parse_port_accesses(ports, "tcp", sources)


def test_a_port_may_name_its_protocol_and_the_others_have_the_one_of_the_task():
    assert parse_ports([80, "443", "443/udp", "443/tcp"], "tcp") == [("tcp", 80), ("tcp", 443), ("udp", 443)]
    assert parse_ports([443, "443/udp"], "udp") == [("udp", 443)]
    assert describe_ports([80, "443/udp", 443], "tcp") == "tcp 80, 443 and udp 443"
    assert port_words([("udp", 443), ("tcp", 443), ("tcp", 80), ("tcp", 80)], "tcp") == [80, 443, "443/udp"]
    assert port_words([("udp", 443), ("tcp", 443)], "udp") == [443, "443/tcp"]


def test_without_sources_both_versions_of_ip_are_meant():
    assert [str(access.network) for access in HTTPS_FROM_ANYWHERE] == ["0.0.0.0/0", "::/0"]
    assert merge_ip_versions(HTTPS_FROM_ANYWHERE) == [("tcp", 443, None)]
    assert merge_ip_versions(parse_port_accesses([443, 443], "tcp", ["0.0.0.0/0"])) == [("tcp", 443, ANY_IPV4)]
