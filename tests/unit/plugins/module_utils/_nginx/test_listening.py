# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites listen where nginx can have them, beside the server blocks of other files."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import other_listens, server_blocks
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.listening import (
    PortAddresses,
    check_other_servers,
    port_addresses,
)
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import ListeningSocket
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import MAIN

SINGLE = "listen 192.0.2.11:443 ssl;"


def addresses(directives, sockets=(), has_ipv6=True):
    """Return the addresses beside a server block with these directives, while nginx has sockets at these addresses."""
    blocks = server_blocks({MAIN: f"http {{ server {{ {directives} }} }}"}, MAIN) if directives else []
    return port_addresses(443, blocks, [ListeningSocket(address, 443, "1") for address in sockets], has_ipv6)


@pytest.mark.parametrize(
    ("directives", "sockets", "wildcards", "others"),
    [
        ("", (), ("443", "[::]:443"), ()),
        ("listen 80;", (), ("443", "[::]:443"), ()),
        ("listen 443 ssl; listen [::]:443 ssl;", ("0.0.0.0", "::"), ("443", "[::]:443"), ()),
        (SINGLE, (), ("443", "[::]:443"), ("192.0.2.11:443",)),
        (SINGLE, ("192.0.2.11",), ("[::]:443",), ("192.0.2.11:443",)),
        (SINGLE, ("0.0.0.0",), ("443", "[::]:443"), ("192.0.2.11:443",)),
        (f"listen 443 ssl; {SINGLE}", ("0.0.0.0",), ("443", "[::]:443"), ("192.0.2.11:443",)),
        ("listen 192.0.2.11:443 ssl reuseport;", (), ("[::]:443",), ("192.0.2.11:443",)),
        ("listen 192.0.2.11:443 ssl backlog=511;", (), ("[::]:443",), ("192.0.2.11:443",)),
        ("listen [2001:db8::1]:443 ssl;", ("2001:db8::1",), ("443",), ("[2001:db8::1]:443",)),
        ("listen [::]:443 ssl ipv6only=off;", (), ("[::]:443",), ()),
        ("listen [::]:443 ssl ipv6only=off;", ("::",), ("[::]:443",), ()),
        ("listen localhost:443 ssl;", (), ("443", "[::]:443"), ("localhost:443",)),
    ],
)
def test_a_site_listens_where_nginx_can_have_it_and_where_others_are(directives, sockets, wildcards, others):
    assert addresses(directives, sockets)[:2] == (wildcards, others)


def test_a_socket_of_both_families_serves_ipv4_where_ipv6_is_off():
    assert addresses("listen [::]:443 ssl ipv6only=off;", has_ipv6=False) == PortAddresses(("[::]:443",))


def test_who_listens_at_one_address_alone_is_named():
    assert addresses(SINGLE, ("192.0.2.11",)).warning == (
        f"{MAIN}:1 listens on port 443 at 192.0.2.11 alone, so the sites listen there too, and at no other address; "
        "write 'listen 443' there and restart nginx to have them at all addresses"
    )
    assert addresses(SINGLE, ("0.0.0.0",)).warning is None


@pytest.mark.parametrize("directives", ["", f"listen 443 ssl; {SINGLE}"])
def test_a_socket_that_only_a_restart_can_exchange_is_named(directives):
    with pytest.raises(TlsError) as caught:
        addresses(directives, ("192.0.2.11",))
    assert str(caught.value) == (
        "nginx listens on port 443 at 192.0.2.11 alone, and cannot exchange that for all addresses while it runs; restart it, with "
        "systemctl restart nginx, and run this again"
    )


def test_a_port_of_a_stream_is_refused_with_its_place():
    listens = other_listens({MAIN: "stream {\nserver { listen 443; }\nserver { listen 53 udp; } }"}, MAIN)
    check_other_servers({80: "http_port", 53: "http_port", 8443: "https_port"}, listens)
    with pytest.raises(TlsError) as caught:
        check_other_servers({80: "http_port", 443: "https_port"}, listens)
    assert str(caught.value) == (
        f"port 443 belongs to the stream server at {MAIN}:2, and nginx cannot start with a site there too; choose another https_port for "
        "the sites, to which that server may pass connections on, or take the port away there"
    )
