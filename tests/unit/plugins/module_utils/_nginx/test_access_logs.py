# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which logs have the requests of a CA, by the configuration of nginx."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.access_logs import AccessLog, plan_logs
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import parse_build
from ansible_collections.evergreen.tls.tests.unit.recorded_nginx import BOOKWORM, MAIN

SITE = "listen 80; server_name www.example.org;"
CHALLENGE = "location /.well-known/acme-challenge/"


def plan(http, files=None, domains=("www.example.org",)):
    texts = {MAIN: f"http {{ {http} }}", **(files or {})}
    return plan_logs(texts, MAIN, "/usr/share/nginx", "/var/log/nginx/access.log", list(domains))


def paths(http, **more):
    return [log.path for log in plan(http, **more).logs]


def test_without_a_directive_the_log_is_the_one_that_nginx_was_built_with():
    assert plan(f"server {{ {SITE} }}") == ([AccessLog("/var/log/nginx/access.log")], [])
    assert parse_build(BOOKWORM).access_log == "/var/log/nginx/access.log"


def test_the_logs_of_all_servers_and_locations_are_searched():
    http = (
        f"access_log /a.log; server {{ {SITE} access_log /b.log main; access_log logs/c.log; location / {{ if ($x) {{ access_log /d.log; }} }} }} "
        "server { listen 80 default_server; }"
    )
    assert sorted(paths(http)) == ["/a.log", "/b.log", "/d.log", "/usr/share/nginx/logs/c.log"]
    assert plan(http).unlogged == []


def test_includes_are_followed_into_servers_and_locations():
    files = {
        "/etc/nginx/site.conf": f"server {{ {SITE} include /etc/nginx/challenge.conf; }}",
        "/etc/nginx/challenge.conf": f"{CHALLENGE} {{ include /etc/nginx/log.conf; }}",
        "/etc/nginx/log.conf": "access_log off;",
    }
    found = plan("include /etc/nginx/site.conf;", files=files)
    assert found.unlogged == ["the server block at /etc/nginx/site.conf:1 logs no requests"]


@pytest.mark.parametrize(
    ("directives", "reason"),
    [
        ("access_log off;", "logs no requests"),
        ("access_log syslog:server=192.0.2.1;", "logs to syslog"),
        ("access_log /var/log/nginx/$host.log;", "logs into files whose names have variables"),
        (f"{CHALLENGE} {{ access_log off; }}", "logs no requests"),
    ],
)
def test_a_server_that_logs_into_no_file_is_named(directives, reason):
    found = plan(f"server {{ {SITE} {directives} }} server {{ listen 80; server_name other.example.org; }}")
    assert found.unlogged == [f"the server block at {MAIN}:1 {reason}"]
    assert found.logs == [AccessLog("/var/log/nginx/access.log")]


def test_a_location_of_others_says_nothing_about_challenges():
    assert plan(f"server {{ {SITE} location /images/ {{ access_log off; }} }}").unlogged == []


def test_a_name_without_a_server_comes_to_a_default_server():
    http = "server { listen 80; server_name other.example.org; access_log off; }"
    assert plan(http).unlogged == [f"the server block at {MAIN}:1 logs no requests"]


@pytest.mark.parametrize(
    ("parameters", "obstacle"),
    [
        ("main", ""),
        ("main buffer=64k flush=5m", "is written later, by its buffer"),
        ("main gzip", "is compressed"),
        ("main gzip=5", "is compressed"),
        ("main if=$loggable", "has only some of the requests, by its condition"),
    ],
)
def test_a_log_in_which_requests_may_be_missing_says_why(parameters, obstacle):
    assert plan(f"access_log /a.log {parameters}; server {{ {SITE} }}").logs == [AccessLog("/a.log", obstacle)]


def test_a_configuration_that_nginx_would_refuse_is_read_as_far_as_it_goes():
    assert plan("access_log; server { access_log } location {").logs == [AccessLog("/var/log/nginx/access.log")]
