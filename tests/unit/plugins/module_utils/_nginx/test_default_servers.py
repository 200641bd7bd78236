# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Default servers of other files, which decide about the versions of TLS before nginx 1.29.2."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import server_blocks
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.default_servers import (
    displacement_warnings,
    protocol_warnings,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild
from ansible_collections.evergreen.tls.tests.unit.site_factory import site

MAIN = "/etc/nginx/nginx.conf"
OURS = "/etc/nginx/conf.d/evergreen.conf"
BUILD = NginxBuild((1, 22, 1), (3, 0), "/usr", MAIN, "/run/nginx.pid", "/var/log/nginx/error.log", True, True)
REMEDY = "in that server block, take default_server away there, or give the site another https_port"


def warnings(foreign, *sites, nginx=BUILD, reject_unknown=True, before=False, http=""):
    """Return the warnings about sites beside a server block of another file, which nginx reads after ours, or before it."""
    other = f"/etc/nginx/conf.d/{'a' if before else 'z'}.conf"
    files = {MAIN: f"http {{ {http}\ninclude conf.d/*.conf; }}", other: foreign, OURS: "server {}"}
    return protocol_warnings(list(sites), server_blocks(files, MAIN), OURS, nginx, reject_unknown)


@pytest.mark.parametrize(
    ("directive", "source"),
    [
        (
            "ssl_protocols TLSv1.2 TLSv1.3;",
            "accept TLSv1.2 too: .* by ssl_protocols at /etc/nginx/conf.d/z.conf:1, and",
        ),
        ("", "accept TLSv1 and TLSv1.1 and TLSv1.2 too: .* since it has no ssl_protocols, and nginx 1.22.1 has"),
    ],
)
def test_a_modern_site_is_refused_where_the_default_server_accepts_older_versions(directive, source):
    foreign = f"server {{ listen 443 ssl default_server; {directive} }}"
    with pytest.raises(TlsError, match=source) as caught:
        warnings(foreign, site(profile="modern"))
    assert str(caught.value).startswith("the site www.example.org is for TLSv1.3 alone, and would accept TLSv1")
    assert "the default server of port 443, /etc/nginx/conf.d/z.conf:1, does so" in str(caught.value)
    assert str(caught.value).endswith(f"write 'ssl_protocols TLSv1.3;' {REMEDY}")


def test_a_modern_site_beside_a_default_server_of_the_same_versions_is_fine():
    foreign = "server { listen 443 ssl default_server; ssl_protocols TLSv1.3; }"
    assert warnings(foreign, site(profile="modern")) == []
    inherited = "server { listen 443 ssl default_server; }"
    assert warnings(inherited, site(profile="modern"), http="ssl_protocols TLSv1.3;") == []


def test_a_version_that_the_default_server_takes_away_is_a_warning_with_its_line():
    foreign = "server {\n  listen 443 ssl default_server;\n  ssl_protocols TLSv1.2;\n}"
    (sentence,) = warnings(foreign, site())
    assert sentence == (
        "the site www.example.org does not accept TLSv1.3, as the default server of port 443, /etc/nginx/conf.d/z.conf:1, decides it, "
        f"by ssl_protocols at /etc/nginx/conf.d/z.conf:3; write 'ssl_protocols TLSv1.2 TLSv1.3;' {REMEDY}"
    )
    (sentence,) = warnings("server { listen 443 ssl default_server; }", site())
    assert sentence.startswith(
        "the site www.example.org accepts TLSv1 and TLSv1.1 too, and does not accept TLSv1.3, as"
    )


def test_each_site_has_its_own_versions_from_nginx_1_29_2_on():
    foreign = "server { listen 443 ssl default_server; ssl_protocols TLSv1.2; }"
    assert warnings(foreign, site(profile="modern"), nginx=BUILD._replace(version=(1, 29, 2))) == []


def test_only_default_servers_of_the_ports_of_sites_decide():
    modern = site(profile="modern")
    assert warnings("server { listen 8443 ssl default_server; }", modern) == []
    assert warnings("server { listen 443 ssl; }", modern, before=True) == [], "ours is the default server then"
    with pytest.raises(TlsError, match="/etc/nginx/conf.d/a.conf:1"):
        warnings("server { listen 443 ssl; }", modern, before=True, reject_unknown=False)
    assert warnings("server { listen 443 ssl; }", modern, reject_unknown=False) == [], "nginx reads ours first"
    with pytest.raises(TlsError, match="/etc/nginx/conf.d/a.conf:1"):
        warnings("server { listen 127.0.0.1:443 ssl; }", modern, before=True)


@pytest.mark.parametrize(
    ("version", "protocols"),
    [
        ((1, 18, 0), ("TLSv1", "TLSv1.1", "TLSv1.2")),
        ((1, 26, 3), ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")),
        ((1, 30, 6), ("TLSv1.2", "TLSv1.3")),
    ],
)
def test_a_server_without_protocols_has_those_of_its_nginx(version, protocols):
    assert BUILD._replace(version=version).default_protocols == protocols


def displaced(main):
    """Return the warnings about server blocks in the main file *main* that make way for sites on the ports 80 and 443."""
    return displacement_warnings({80, 443}, server_blocks({MAIN: main, OURS: "server {}"}, MAIN), OURS)


@pytest.mark.parametrize("name", ["_", "localhost", '""'])
def test_a_block_that_answers_to_all_names_and_is_read_after_the_sites_is_a_warning(name):
    """As nginx.conf of RHEL and openSUSE has one."""
    (sentence,) = displaced(
        f"http {{ include conf.d/*.conf;\nserver {{ listen 80; listen [::]:80; server_name {name}; }} }}"
    )
    assert sentence == (
        f"the server block at {MAIN}:2 is not the default server of port 80 beside the sites, since nginx reads {OURS} first; add "
        "default_server to its listen to have it answer to unknown names"
    )


@pytest.mark.parametrize(
    "main",
    [
        "http { include conf.d/*.conf; server { listen 80 default_server; server_name _; } }",
        "http { server { listen 80; server_name _; } include conf.d/*.conf; }",
        "http { include conf.d/*.conf; server { listen 80; server_name other.example.org; } }",
        "http { include conf.d/*.conf; server { listen 8080; server_name _; } }",
        "http { include conf.d/*.conf; server { listen 192.0.2.1:80; server_name _; } }",
    ],
    ids=["marked", "read before the sites", "a name of its own", "another port", "an address of its own"],
)
def test_a_block_that_goes_on_answering_is_no_warning(main):
    assert displaced(main) == []
