# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/3 of sites: where they listen by UDP, beside server blocks of others, and what clients are told."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import surroundings
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import parse_config, server_blocks
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.http3 import check_http3, quic_addresses
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import HostSettings, render_sites
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.surroundings import Surroundings
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild, parse_build
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import udp_sockets
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import BOOKWORM, BULLSEYE, SID, TRIXIE
from ansible_collections.evergreen.tls.tests.unit.site_factory import site

NGINX = NginxBuild((1, 26, 3), (3, 5, 1), "/usr", "/etc/nginx/nginx.conf", "/run/nginx.pid", "stderr", True, True, True)
SESSION = {"timeout": "1d", "cache": "shared:evergreen:10m", "tickets": None}
MAIN = "/etc/nginx/nginx.conf"


def rendered(sites, foreign="", has_ipv6=True, reject_unknown=True):
    """Return the directives of each server block that has a listen directive with quic, or of another with TLS."""
    around = Surroundings(sites, {MAIN: f"http {{ {foreign} }}"}, MAIN, False, str(has_ipv6).lower())
    settings = HostSettings(
        nginx=NGINX, path="/etc/nginx/conf.d/evergreen.conf", store="/etc/evergreen", session=SESSION, has_ipv6=has_ipv6,
        reject_unknown=reject_unknown, taken_ports=around.taken_ports, shared_ports=around.shared_ports(),
        addresses=around.addresses(), quic_addresses=around.quic_addresses(),
    )  # fmt: skip
    servers = [one for one in parse_config(render_sites(sites, [], settings).text) if one.words == ["server"]]
    found = [[" ".join(inner.words) for inner in server.block if not inner.block] for server in servers]
    return [lines for lines in found if any(" ssl" in line or " quic" in line for line in lines)]


def quic(lines):
    return [line.removeprefix("listen ") for line in lines if line.startswith("listen ") and " quic" in line]


def test_a_site_with_http3_listens_by_udp_beside_tcp_and_tells_clients():
    reject, block = rendered([site(http3=True)])
    assert block[:4] == ["listen 443 ssl", "listen [::]:443 ssl", "listen 443 quic", "listen [::]:443 quic"]
    assert "http3 on" in block and 'add_header Alt-Svc h3=":443"; ma=86400 always' in block
    assert quic(reject) == ["443 quic reuseport default_server", "[::]:443 quic reuseport default_server"]
    assert "ssl_reject_handshake on" in reject and reject[0] == "listen 443 ssl default_server"


def test_a_site_without_http3_has_none_of_it_and_its_names_are_unknown_there():
    blocks = rendered([site(), site("b.example.org", http3=True)], has_ipv6=False)
    assert [quic(block) for block in blocks] == [["443 quic reuseport default_server"], [], ["443 quic"]]
    assert not any("http3" in line or "Alt-Svc" in line for line in blocks[1])
    assert not any(" quic" in line for block in rendered([site()]) for line in block)


def test_each_port_has_sockets_of_its_own_and_the_header_names_it():
    blocks = rendered([site(http3=True), site("b.example.org", http3=True, https_port=8443)], has_ipv6=False)
    assert [quic(block) for block in blocks] == [
        ["443 quic reuseport default_server"],
        ["8443 quic reuseport default_server"],
        ["443 quic"],
        ["8443 quic"],
    ]
    assert 'add_header Alt-Svc h3=":8443"; ma=86400 always' in blocks[3]


def test_the_first_site_has_reuseport_where_no_block_rejects_unknown_names():
    blocks = rendered(
        [site(), site("b.example.org", http3=True), site("c.example.org", http3=True)],
        has_ipv6=False,
        reject_unknown=False,
    )
    assert [quic(block) for block in blocks] == [[], ["443 quic reuseport"], ["443 quic"]]


def test_a_site_with_an_address_is_the_default_server_over_quic_if_it_has_http3():
    sites = [site(server_names=["192.0.2.1"], http3=True), site("b.example.org", http3=True)]
    blocks = rendered(sites, has_ipv6=False)
    assert [quic(block) for block in blocks] == [["443 quic reuseport default_server"], ["443 quic"]]
    reject, address, other = rendered([site(server_names=["192.0.2.1"]), sites[1]], has_ipv6=False)
    assert (quic(reject), quic(address), quic(other)) == (["443 quic reuseport default_server"], [], ["443 quic"])
    assert not any(" ssl" in line for line in reject if line.startswith("listen"))
    assert "listen 443 ssl default_server" in address


def test_a_default_server_of_others_by_tcp_leaves_unknown_names_to_be_rejected_over_quic():
    foreign = "server { listen 443 ssl default_server; listen [::]:443 ssl default_server; server_name x; }"
    reject, block = rendered([site(http3=True)], foreign, has_ipv6=False)
    assert [line for line in reject if line.startswith("listen")] == ["listen 443 quic reuseport default_server"]
    assert quic(block) == ["443 quic"]


OWN_DEFAULTS = ["443 quic reuseport default_server", "[::]:443 quic reuseport default_server"]


@pytest.mark.parametrize(
    ("foreign", "expected"),
    [
        ("listen 443 quic reuseport;", (["443 quic default_server", "[::]:443 quic reuseport default_server"], ["443 quic", "[::]:443 quic"])),
        ("listen 443 quic;", (OWN_DEFAULTS, ["443 quic", "[::]:443 quic"])),
        ("listen 443 quic default_server;", (["443 quic reuseport", "[::]:443 quic reuseport"],)),
        ("listen 443 quic reuseport default_server; listen [::]:443 quic reuseport;", (["443 quic", "[::]:443 quic"],)),
        ("listen 8443 quic reuseport;", (OWN_DEFAULTS, ["443 quic", "[::]:443 quic"])),
        ("listen 192.0.2.1:443 quic reuseport;", (OWN_DEFAULTS, ["443 quic", "[::]:443 quic", "192.0.2.1:443 quic"])),
        ("listen [::]:443 quic reuseport ipv6only=off;", (["[::]:443 quic default_server"], ["[::]:443 quic"])),
    ],
)  # fmt: skip
def test_what_other_files_set_for_sockets_is_left_to_them(foreign, expected):
    blocks = rendered([site(http3=True)], f"server {{ listen 443 ssl; {foreign} }}")
    assert tuple(lines for block in blocks if (lines := quic(block))) == expected


def test_a_socket_of_others_for_both_versions_of_ip_is_used_without_ipv6_too():
    foreign = "server { listen 443 ssl; listen [::]:443 quic reuseport ipv6only=off; }"
    assert [quic(block) for block in rendered([site(http3=True)], foreign, has_ipv6=False)] == [
        ["[::]:443 quic default_server"],
        ["[::]:443 quic"],
    ]


def test_a_quic_listener_of_others_is_no_tcp_listener():
    text = "http { server { listen 443 quic reuseport default_server; server_name a; } server { listen 80; listen 443 quic; } }"
    first, second = server_blocks({MAIN: text}, MAIN)
    assert (first.listens, [listen.port for listen in first.quic_listens]) == ([], [443])
    assert [listen.port for listen in second.listens] == [80]
    around = Surroundings([site()], {MAIN: text}, MAIN, False, "false")
    assert (around.taken_ports, around.addresses()[443].wildcards) == ({}, ("443",))
    assert quic_addresses(443, [first], False).default_place == f"{MAIN}:1"


def test_a_stream_server_by_udp_on_the_port_is_an_error():
    files = {MAIN: "http { } stream { server { listen 443 udp; } }"}
    Surroundings([site()], files, MAIN, False, "false").quic_addresses()
    with pytest.raises(TlsError, match=r"port 443 belongs to the stream server at .*; choose another https_port"):
        Surroundings([site(http3=True)], files, MAIN, False, "false").quic_addresses()


def test_default_servers_and_headers_of_others_are_warnings():
    text = "http { add_header X-Frame-Options DENY; server { listen 443 ssl; listen 443 quic default_server; } }"
    around = Surroundings([site(http3=True)], {MAIN: text}, MAIN, False, "false")
    taken, headers = around.warnings(reject_unknown=True)
    assert taken.startswith(
        f"unknown names on port 443 are not rejected over HTTP/3, since {MAIN}:1 is the default server"
    )
    assert headers == (
        f"{MAIN}:1 adds a header to all sites, and nginx leaves it out for www.example.org, which have a header of their own by http3 or "
        "hsts; add it to extra of these sites as well"
    )
    assert around.warnings(reject_unknown=False) == [headers]
    assert Surroundings([site()], {MAIN: text}, MAIN, False, "false").header_warnings() == []
    merged = text.replace("add_header X", "add_header_inherit merge; add_header X")
    assert Surroundings([site(http3=True)], {MAIN: merged}, MAIN, False, "false").header_warnings() == []


def test_an_nginx_without_http3_is_refused_with_what_to_install():
    assert [parse_build(text).has_http3 for text in (BULLSEYE, BOOKWORM, TRIXIE, SID)] == [False, False, True, True]
    check_http3([site()], parse_build(BOOKWORM))
    check_http3([site(http3=True)], parse_build(TRIXIE))
    with pytest.raises(TlsError) as caught:
        check_http3([site(http3=True)], parse_build(BOOKWORM))
    assert str(caught.value) == (
        "the site www.example.org has http3: true, and nginx 1.22.1 of this host was built without HTTP/3 (--with-http_v3_module, as of nginx "
        "1.25); install a build that has it, such as that of Debian 13 or nginx.org, or take http3 away"
    )


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_another_program_at_the_udp_port_is_named(family, monkeypatch):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        port = one.getsockname()[1]
        assert port in [receiver.port for receiver in udp_sockets()]
        monkeypatch.setattr(surroundings, "listening_sockets", list)
        files = {MAIN: "http { }"}
        Surroundings([site(https_port=port)], files, MAIN, False, "true").check_ports()
        around = Surroundings([site(https_port=port, http3=True)], files, MAIN, False, "true")
        with pytest.raises(
            TlsError, match=rf"UDP port {port}, which http3 needs, is already taken by .* \(pid [0-9]+\); stop it"
        ):
            around.check_ports()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tls_versions": ["TLSv1.2"]}, "http3 needs TLS 1.3, and its tls_versions are TLSv1.2; add TLSv1.3 to them"),
        ({"proxy_protocol": True}, "http3 comes by UDP, for which nginx knows no PROXY protocol; take http3 away"),
    ],
)
def test_a_site_that_cannot_have_http3_is_refused_on_the_controller(options, sentence):
    with pytest.raises(TlsError, match=f"^the site www.example.org cannot be configured: {sentence}"):
        site(http3=True, **options)
    assert site(http3=True, tls_versions=["TLSv1.2", "TLSv1.3"])["http3"] and site(http3=False, **options)
