# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration that serves sites."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import (
    Listen,
    ServerBlock,
    parse_config,
    server_blocks,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.default_servers import foreign_default_servers
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_config import (
    HostSettings,
    check_profiles,
    name_conflicts,
    render_sites,
    site_at_line,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import NginxBuild
from ansible_collections.evergreen.tls.tests.unit.site_factory import site

NEW = NginxBuild(
    (1, 30, 6), (3, 6, 5), "/usr", "/etc/nginx/nginx.conf", "/run/nginx.pid", "/var/log/nginx/error.log", True, True
)
OLD = NEW._replace(version=(1, 18, 0), openssl=(1, 1, 1))
SESSION = {"timeout": "1d", "cache": "shared:evergreen:10m", "tickets": None}
PATH = "/etc/nginx/conf.d/evergreen.conf"


def host(nginx=NEW, **options):
    wanted = {
        "path": PATH,
        "store": "/etc/evergreen",
        "session": SESSION,
        "has_ipv6": False,
        "reject_unknown": True,
        **options,
    }
    return HostSettings(nginx=nginx, **wanted)


def render(sites, pending, settings):
    """Return the configuration of sites, with the content of snippets in the place of the directives that include them."""
    text, snippets = render_sites(sites, pending, settings)
    for path, content in snippets.items():
        directives = "".join(f"    {line}\n" for line in content.splitlines() if not line.startswith("#"))
        assert directives and f"    include {path};\n" in text
        text = text.replace(f"    include {path};\n", directives)
    return text


def blocks(text):
    """Return the directives of each server block of a configuration."""
    found = [statement for statement in parse_config(text) if statement.words == ["server"]]
    return [[" ".join(inner.words) for inner in statement.block if not inner.block] for statement in found]


def locations(text):
    found = [inner for statement in parse_config(text) for inner in statement.block if inner.words[0] == "location"]
    return [[" ".join(line.words) for line in location.block] for location in found]


def test_a_site_is_a_plain_side_that_redirects_and_a_secure_side_that_answers():
    text = render([site(root="/srv/www")], [], host())
    _reject, _reject_plain, plain, secure = blocks(text)
    assert plain == ["listen 80", "server_name www.example.org", "server_tokens off"]
    assert locations(text) == [["return 308 https://$host$request_uri"]]
    assert secure[:3] == ["listen 443 ssl", "http2 on", "server_name www.example.org"]
    assert "ssl_certificate /etc/evergreen/www.example.org/current/fullchain.pem" in secure
    assert "ssl_certificate_key /etc/evergreen/www.example.org/current/privkey.pem" in secure
    assert "root /srv/www" in secure
    assert "Strict-Transport-Security" not in text


def test_nginx_is_told_where_the_passphrase_of_a_key_is_for_the_sites_that_need_it():
    text = render([site(), site("b.example.org", certificate="b", encrypted=True)], [], host())
    assert text.count("ssl_password_file") == 1
    secure = blocks(text)[-1]
    assert "ssl_certificate_key /etc/evergreen/b/current/privkey.pem" in secure
    assert "ssl_password_file /etc/evergreen/b/current/passphrase" in secure
    assert "ssl_password_file" not in render([site(encrypted=True)], ["www.example.org"], host())


def test_a_site_that_waits_for_its_certificate_has_its_plain_side_only():
    text = render([site()], ["www.example.org"], host(reject_unknown=False))
    assert blocks(text) == [["listen 80", "server_name www.example.org", "server_tokens off"]]


def test_without_a_forced_redirect_both_sides_answer_alike():
    _reject, _reject_plain, plain, secure = blocks(render([site(root="/srv/www", force_https=False)], [], host()))
    assert "root /srv/www" in plain
    assert "root /srv/www" in secure


def test_http2_is_written_as_this_nginx_knows_it():
    old = render([site()], [], host(OLD))
    assert "listen 443 ssl http2;" in old
    assert "http2 on" not in old
    assert "http2" not in render([site(http2=False)], [], host(OLD))
    assert "http2" not in render([site(http2=False)], [], host(NEW))
    assert "http2" not in render([site()], [], host(NEW._replace(has_http2=False)))


def test_who_reads_slowly_by_http2_has_time_for_it_when_an_old_worker_ends():
    assert "    lingering_timeout 60s;\n    lingering_time 120s;\n" in render([site()], [], host(NEW))
    assert "lingering" not in render([site(http2=False)], [], host(NEW))
    assert "lingering" not in render([site()], [], host(NEW._replace(has_http2=False)))


def test_unknown_names_are_rejected_as_this_nginx_can():
    new, old = (blocks(render([site()], [], host(nginx)))[0] for nginx in (NEW, OLD))
    assert new[0] == "listen 443 ssl default_server"
    assert "ssl_reject_handshake on" in new
    assert old[0] == "listen 443 ssl http2 default_server"
    assert "ssl_certificate data:$evergreen_nothing" in old
    assert 'map "" $evergreen_nothing {' in render([site()], [], host(OLD))


def test_each_port_has_its_own_default_server():
    text = render([site(), site("b.example.org", https_port=8443)], [], host())
    assert [block[0] for block in blocks(text)[:2]] == [
        "listen 443 ssl default_server",
        "listen 8443 ssl default_server",
    ]
    assert "return 308 https://$host:8443$request_uri;" in text


@pytest.mark.parametrize(
    "options", [{"reject_unknown": False}, {"taken_ports": {443: "/etc/nginx/other:1"}, "shared_ports": {80}}]
)
def test_no_default_server_is_ours_where_it_is_not_wanted_or_taken(options):
    assert "default_server" not in render([site()], [], host(**options))


def test_a_site_with_an_address_is_the_default_server():
    text = render([site(server_names=["192.0.2.1", "2001:DB8::1"]), site("b.example.org")], [], host())
    assert "ssl_reject_handshake" not in text
    assert "listen 443 ssl default_server" in blocks(text)[2]
    assert "server_name 192.0.2.1 [2001:db8::1]" in blocks(text)[2]


def test_ipv6_has_its_own_listen_lines():
    text = render([site()], [], host(has_ipv6=True))
    assert "listen [::]:80;" in text
    assert "listen [::]:443 ssl default_server;" in text


def test_a_proxy_gets_the_usual_headers():
    (_redirect, proxy) = locations(render([site(proxy_pass="http://127.0.0.1:8080")], [], host()))
    assert proxy[:2] == ["proxy_pass http://127.0.0.1:8080", "proxy_http_version 1.1"]
    for header in (
        "Host $host$evergreen_port",
        "X-Real-IP $remote_addr",
        "X-Forwarded-For $proxy_add_x_forwarded_for",
        "X-Forwarded-Proto $scheme",
    ):
        assert f"proxy_set_header {header}" in proxy


def test_websocket_carries_the_upgrade():
    text = render([site(proxy_pass="http://127.0.0.1:8080", websocket=True)], [], host())
    assert "map $http_upgrade $evergreen_connection {" in text
    assert "proxy_set_header Upgrade $http_upgrade;" in text
    assert "proxy_set_header Connection $evergreen_connection;" in text
    assert "proxy_read_timeout 1h" in locations(text)[1]


@pytest.mark.parametrize("websocket", [True, False])
def test_the_time_for_which_an_application_may_be_silent_can_be_set(websocket):
    proxied = site(proxy_pass="http://127.0.0.1:8080", websocket=websocket, proxy_read_timeout="90s")
    assert "proxy_read_timeout 90s" in locations(render([proxied], [], host()))[1]
    silent = render([site(proxy_pass="http://127.0.0.1:8080")], [], host())
    assert "proxy_read_timeout" not in silent


def test_unknown_names_get_no_response_over_http_where_nobody_else_listens():
    text = render([site(), site("b", http_port=8080)], [], host(has_ipv6=True))
    plain = [block for block in blocks(text) if "return 444" in block]
    assert plain == [
        [
            "listen 80 default_server",
            "listen [::]:80 default_server",
            "server_name _",
            "server_tokens off",
            "return 444",
        ],
        [
            "listen 8080 default_server",
            "listen [::]:8080 default_server",
            "server_name _",
            "server_tokens off",
            "return 444",
        ],
    ]
    assert "default_server" not in "".join(
        line
        for block in blocks(render([site()], [], host(shared_ports={80})))
        if "listen 80" in block
        for line in block
    )


def test_a_request_for_an_unknown_name_over_the_connection_of_a_site_is_misdirected():
    assert "return 421" in blocks(render([site()], [], host()))[0]


def test_a_site_may_have_logs_of_its_own_on_both_sides():
    logs = {"access_log": "/var/log/nginx/shop.log main", "error_log": "/var/log/nginx/shop.error.log warn"}
    _reject, _reject_plain, plain, secure = blocks(render([site(**logs)], [], host()))
    for block in (plain, secure):
        assert "access_log /var/log/nginx/shop.log main" in block
        assert "error_log /var/log/nginx/shop.error.log warn" in block
    assert "access_log off;" in render([site(access_log="off")], [], host())


def test_a_site_is_about_twelve_lines():
    text, snippets = render_sites([site(root="/srv/www")], [], host(has_ipv6=True))
    secure = text[text.rindex("server {") :].strip().splitlines()
    (snippet,) = snippets
    assert secure == [
        "server {",
        "    listen 443 ssl;",
        "    listen [::]:443 ssl;",
        "    http2 on;",
        "    server_name www.example.org;",
        "",
        "    ssl_certificate /etc/evergreen/www.example.org/current/fullchain.pem;",
        "    ssl_certificate_key /etc/evergreen/www.example.org/current/privkey.pem;",
        f"    include {snippet};",
        "",
        "    root /srv/www;",
        "}",
    ]


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://www.example.org", "return 308 https://www.example.org$request_uri"),
        ("https://$host", "return 308 https://$host$request_uri"),
        ("https://www.example.org/", "return 308 https://www.example.org/"),
        ("https://www.example.org$request_uri", "return 308 https://www.example.org$request_uri"),
        ("https://www.example.org/new?from=$host", "return 308 https://www.example.org/new?from=$host"),
    ],
)
def test_a_redirect_without_a_path_keeps_the_path(url, answer):
    assert locations(render([site(redirect=url)], [], host()))[1] == [answer]


def test_extra_directives_stand_in_the_secure_side_as_they_are():
    text = render([site(extra="client_max_body_size 1m;\n  # two;\n")], [], host())
    assert "\nclient_max_body_size 1m;\n  # two;\n}\n" in text
    assert text.count("client_max_body_size") == 1


def test_one_port_has_one_profile_where_nginx_cannot_keep_them_apart():
    with pytest.raises(
        TlsError,
        match="on port 443 www.example.org wants the profile intermediate and b.example.org wants the profile modern, but nginx 1.18.0",
    ):
        check_profiles([site(), site("b.example.org", profile="modern")], OLD)
    check_profiles([site(), site("b.example.org", profile="modern", https_port=8443)], OLD)


def test_profiles_may_differ_where_nginx_keeps_them_apart():
    sites = [site(), site("b.example.org", profile="modern")]
    check_profiles(sites, NEW)
    reject, _reject_plain, _plain, first, _plain, second = blocks(render(sites, [], host()))
    assert "ssl_protocols TLSv1.2 TLSv1.3" in reject
    assert "ssl_protocols TLSv1.2 TLSv1.3" in first
    assert "ssl_protocols TLSv1.3" in second


def test_the_default_server_of_somebody_else_is_seen():
    stranger = ServerBlock("/etc/nginx/sites-enabled/x", 3, [Listen("*", 443, True), Listen("*", 80, True)], ["x"])
    elsewhere = ServerBlock("/etc/nginx/sites-enabled/y", 1, [Listen("192.0.2.1", 443, True)], ["y"])
    assert foreign_default_servers([site()], [elsewhere]) == {}
    assert foreign_default_servers([site()], [elsewhere, stranger]) == {443: "/etc/nginx/sites-enabled/x:3"}
    with pytest.raises(
        TlsError, match="must be the default server of port 443, but /etc/nginx/sites-enabled/x:3 is that"
    ):
        foreign_default_servers([site(server_names=["192.0.2.1"])], [stranger])


def test_a_name_that_somebody_else_has_too_is_told_with_both_places():
    main = "/etc/nginx/nginx.conf"
    files = {
        main: "http { include conf.d/*.conf; include sites-enabled/*; }",
        PATH: render([site()], [], host()),
        "/etc/nginx/sites-enabled/x": "server { listen 443 ssl; server_name www.example.org _; }",
    }
    (sentence,) = name_conflicts(server_blocks(files, main), PATH)
    assert sentence.startswith(
        "www.example.org on port 443 is also defined in /etc/nginx/sites-enabled/x:1, and nginx answers"
    )
    assert f"with {PATH}:" in sentence


def test_a_line_of_the_configuration_leads_to_its_site():
    text = render([site(), site("b.example.org", extra="nonsense on;")], [], host())
    line = text.splitlines().index("nonsense on;") + 1
    assert site_at_line(text, line) == "b.example.org"
    assert site_at_line(text, 1) is None


THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
ANSWER = ["default_type text/plain", f"return 200 $1.{THUMBPRINT}"]


@pytest.mark.parametrize(
    "options",
    [
        {"root": "/srv"},
        {"proxy_pass": "http://127.0.0.1:8080"},
        {"redirect": "https://example.net"},
        {"extra": "root /srv;"},
    ],
)
def test_a_site_answers_challenges_on_both_sides_before_all_else(options):
    text = render([site(acme_thumbprint=THUMBPRINT, **options)], [], host(reject_unknown=False))
    plain, secure = (statement.block for statement in parse_config(text) if statement.words == ["server"])
    for block in (plain, secure):
        first = next(inner for inner in block if inner.words[0] in ("location", "return", "root", "proxy_pass"))
        assert [" ".join(line.words) for line in first.block] == ANSWER
    assert text.count(r"    location ~ ^/\.well-known/acme-challenge/([-_A-Za-z0-9]+)$ {") == 2


def test_a_site_that_waits_for_its_certificate_answers_challenges():
    text = render([site(acme_thumbprint=THUMBPRINT)], ["www.example.org"], host())
    assert locations(text)[0] == ANSWER


def test_other_sites_answer_no_challenges():
    assert "acme-challenge" not in render([site()], [], host())


def test_a_site_may_have_its_own_versions_of_tls():
    text = render([site(tls_versions=["TLSv1.2"])], [], host())
    reject, _reject_plain, _plain, secure = blocks(text)
    assert "ssl_protocols TLSv1.2" in reject and "ssl_protocols TLSv1.2" in secure
    both = render([site("a", profile="modern", tls_versions=["TLSv1.3", "TLSv1.2"])], [], host())
    assert any(line.startswith("ssl_ciphers ECDHE") for line in blocks(both)[-1])


def test_one_port_has_one_list_of_versions_where_nginx_cannot_keep_them_apart():
    check_profiles([site("a", tls_versions=["TLSv1.3"]), site("b", profile="modern")], OLD)
    with pytest.raises(
        TlsError, match="on port 443 a wants the versions TLSv1.2 and b wants the profile intermediate, but nginx"
    ):
        check_profiles([site("a", tls_versions=["TLSv1.2"]), site("b")], OLD)


def test_a_site_behind_a_load_balancer_expects_its_header_and_passes_the_client_on():
    text = render([site(proxy_pass="http://127.0.0.1:8080", proxy_protocol=True)], [], host())
    reject, _reject_plain, plain, secure = blocks(text)
    assert plain[0] == "listen 80"
    assert reject[0] == "listen 443 ssl proxy_protocol default_server" and secure[0] == "listen 443 ssl proxy_protocol"
    headers = locations(text)[-1]
    assert "proxy_set_header X-Real-IP $proxy_protocol_addr" in headers
    assert "proxy_set_header X-Forwarded-For $proxy_protocol_addr" in headers


def test_no_response_names_the_version_of_nginx_unless_a_site_wants_it():
    _reject, _reject_plain, plain, secure = blocks(render([site(root="/srv")], [], host()))
    assert plain.count("server_tokens off") == secure.count("server_tokens off") == 1
    own = blocks(render([site(root="/srv", extra="server_tokens on;")], [], host()))[-1]
    assert "server_tokens on" in own and "server_tokens off" not in own
