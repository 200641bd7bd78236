# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx -V says, and the TLS directives that follow from it."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.tls_profiles import PROFILE_VERSIONS, tls_directives
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import (
    first_error,
    load_error,
    parse_build,
    taken_port,
)
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import BOOKWORM, BULLSEYE, SID, TRIXIE

SESSION = {"timeout": "1d", "cache": "shared:evergreen:10m", "tickets": None}


@pytest.mark.parametrize(
    ("text", "version", "openssl"),
    [
        (BULLSEYE, (1, 18, 0), (1, 1, 1)),
        (BOOKWORM, (1, 22, 1), (3, 0, 20)),
        (TRIXIE, (1, 26, 3), (3, 5, 7)),
        (SID, (1, 30, 6), (3, 6, 5)),
    ],
)
def test_nginx_tells_its_version_and_that_of_its_openssl(text, version, openssl):
    nginx = parse_build(text)
    assert (nginx.version, nginx.openssl) == (version, openssl)
    assert nginx.config_path == "/etc/nginx/nginx.conf"
    assert nginx.pid_path == "/run/nginx.pid"
    assert nginx.has_http2


def test_the_openssl_that_counts_is_the_one_it_runs_with():
    assert "built with OpenSSL 3.5.6" in TRIXIE
    assert parse_build(TRIXIE).openssl == (3, 5, 7)


def test_another_library_is_unknown_and_gets_the_careful_set():
    nginx = parse_build(TRIXIE.replace("OpenSSL", "BoringSSL"))
    assert nginx.openssl == ()
    assert "ssl_ecdh_curve X25519:prime256v1:secp384r1;" in tls_directives(nginx, PROFILE_VERSIONS["modern"], SESSION)
    assert not nginx.keeps_protocols_by_site


def test_paths_below_the_prefix_are_made_absolute():
    nginx = parse_build("nginx version: nginx/1.28.0\nconfigure arguments: --prefix=/opt/nginx --with-http_ssl_module")
    assert nginx.config_path == "/opt/nginx/conf/nginx.conf"


def test_relatives_of_nginx_are_understood():
    assert parse_build(SID.replace("nginx/1.30.6", "openresty/1.27.1.1")).version == (1, 27, 1, 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "nginx version: nginx/1.14.2",
            "nginx 1.14.2 is older than 1.18, the oldest that can be configured here; upgrade it",
        ),
        ("nginx version: nginx/1.24.0", "built without TLS"),
        ("sh: 1: nginx: not found", "does not tell a version, but says 'sh: 1: nginx: not found'; install nginx"),
    ],
)
def test_an_nginx_that_cannot_be_used_is_refused(text, sentence):
    with pytest.raises(TlsError, match=sentence):
        parse_build(text)


def test_the_intermediate_profile_is_that_of_mozilla():
    assert tls_directives(parse_build(SID), PROFILE_VERSIONS["intermediate"], SESSION) == [
        "ssl_protocols TLSv1.2 TLSv1.3;",
        (
            "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
            "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;"
        ),
        "ssl_ecdh_curve ?X25519MLKEM768:X25519:prime256v1:secp384r1;",
        "ssl_prefer_server_ciphers off;",
        "ssl_session_timeout 1d;",
        "ssl_session_cache shared:evergreen:10m;",
    ]


def test_the_modern_profile_has_tls_1_3_only():
    directives = tls_directives(parse_build(SID), PROFILE_VERSIONS["modern"], SESSION)
    assert directives[0] == "ssl_protocols TLSv1.3;"
    assert not any("ssl_ciphers" in directive for directive in directives)


def test_the_modern_profile_needs_an_openssl_with_tls_1_3():
    nginx = parse_build(BULLSEYE)._replace(openssl=(1, 1, 0))
    with pytest.raises(TlsError, match=r"needs TLS 1.3, and OpenSSL 1.1.0 does not have it; upgrade OpenSSL"):
        tls_directives(nginx, PROFILE_VERSIONS["modern"], SESSION)
    assert tls_directives(nginx, PROFILE_VERSIONS["intermediate"], SESSION)[0] == "ssl_protocols TLSv1.2;"


@pytest.mark.parametrize(("text", "has_group"), [(BULLSEYE, False), (BOOKWORM, False), (TRIXIE, True), (SID, True)])
def test_the_hybrid_group_is_for_those_who_know_it(text, has_group):
    assert (
        any(
            "X25519MLKEM768" in directive
            for directive in tls_directives(parse_build(text), PROFILE_VERSIONS["modern"], SESSION)
        )
        is has_group
    )


@pytest.mark.parametrize(
    ("openssl", "group"), [((3, 2), ""), ((3, 3), "?X25519MLKEM768:"), ((3, 5), "?X25519MLKEM768:")]
)
def test_the_hybrid_group_stops_no_nginx_whose_openssl_becomes_an_older_one(openssl, group):
    nginx = parse_build(SID)._replace(openssl=openssl)
    curves = f"ssl_ecdh_curve {group}X25519:prime256v1:secp384r1;"
    assert curves in tls_directives(nginx, PROFILE_VERSIONS["modern"], SESSION)


@pytest.mark.parametrize(
    ("text", "tickets", "directives"),
    [
        (BOOKWORM, None, ["ssl_session_tickets off;"]),
        (TRIXIE, None, []),
        (BOOKWORM, True, ["ssl_session_tickets on;"]),
        (TRIXIE, False, ["ssl_session_tickets off;"]),
    ],
)
def test_session_tickets_are_on_where_their_keys_change(text, tickets, directives):
    found = tls_directives(parse_build(text), PROFILE_VERSIONS["modern"], {**SESSION, "tickets": tickets})
    assert [directive for directive in found if "tickets" in directive] == directives


@pytest.mark.parametrize(
    "output",
    [
        'nginx: [emerg] unknown directive "bogus" in /etc/nginx/sites-enabled/other:1\nnginx: configuration file test failed',
        '2026/11/21 09:49:33 [emerg] 409#409: unknown directive "bogus" in /etc/nginx/sites-enabled/other:1',
        (
            "2026/11/21 09:49:32 [notice] 48#48: signal process started\n"
            '2026/11/21 09:49:33 [emerg] 409#409: unknown directive "bogus" in /etc/nginx/sites-enabled/other:1\n'
        ),
    ],
)
def test_what_nginx_has_against_a_configuration_is_found_in_its_words(output):
    assert first_error(output) == 'unknown directive "bogus" in /etc/nginx/sites-enabled/other:1'


def test_a_warning_is_no_error():
    assert (
        first_error('nginx: [warn] conflicting server name "a" on 0.0.0.0:80, ignored\nnginx: test is successful')
        is None
    )


TAKEN = "bind() to 0.0.0.0:8081 failed (98: Address already in use)"


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("2026/11/21 09:49:32 [notice] 48#48: signal process started\n", None),
        ("2026/11/21 09:49:32 [crit] 51#51: *7 SSL_do_handshake() failed, client: 192.0.2.1\n", None),
        ("2026/11/21 09:49:32 [emerg] 51#51: something about a worker\n", None),
        (f"2026/11/21 09:49:32 [emerg] 48#48: {TAKEN}\n" * 4, None),
        (
            f"2026/11/21 09:49:32 [emerg] 48#48: {TAKEN}\n2026/11/21 09:49:34 [emerg] 48#48: still could not bind()\n",
            TAKEN,
        ),
        ('2026/11/21 09:49:32 [emerg] 48#48: unknown directive "a" in /a:1\n', 'unknown directive "a" in /a:1'),
    ],
)
def test_the_log_tells_when_the_master_has_given_up(log, error):
    assert load_error(log, 48) == error


def test_a_port_that_is_taken_is_found_in_the_words_of_nginx():
    assert taken_port(TAKEN) == 8081
    assert taken_port("bind() to [::]:443 failed (98: Address already in use)") == 443
    assert taken_port("bind() to 192.0.2.1:443 failed (99: Cannot assign requested address)") is None
    assert taken_port('unknown directive "a" in /a:1') is None
