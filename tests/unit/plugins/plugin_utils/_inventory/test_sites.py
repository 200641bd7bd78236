# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites as people describe them, and what is wrong with some."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import (
    check_distinct_sites,
    check_session_settings,
    check_store_path,
    normal_sites,
)
from ansible_collections.evergreen.tls.tests.unit.site_factory import site


def test_server_names_default_to_the_domains_of_the_certificate():
    domains = {"shop": ["Shop.example.org", "*.example.org"]}
    assert site("shop", domains=domains)["server_names"] == ["shop.example.org", "*.example.org"]
    assert site("b.example.org", certificate="shop", domains=domains)["server_names"] == [
        "shop.example.org",
        "*.example.org",
    ]
    assert site("b.example.org", domains=domains)["server_names"] == ["b.example.org"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "../x"}, "cannot name a request"),
        ({"name": "a;b"}, "cannot name a request"),
        ({"certificate": "a b"}, "the site www.example.org cannot be configured: 'a b' cannot name a request"),
        ({"server_names": ["a;return 200"]}, "is not a DNS name"),
        ({"server_names": ["a\n}"]}, "is not a DNS name"),
        ({"server_names": ["$host"]}, "is not a DNS name"),
        ({"root": "srv"}, "root is 'srv'; write an absolute path"),
        ({"root": "/srv; evil on"}, "write an absolute path without blanks"),
        ({"root": "/srv\n"}, "write an absolute path"),
        ({"root": "/srv/${host}"}, "has a variable that does not belong there; it takes"),
        ({"root": "/srv/$uri"}, r"it takes \$host, \$server_name; use extra for more"),
        ({"proxy_pass": "127.0.0.1:8080"}, "proxy_pass is '127.0.0.1:8080'; write a URL such as http://127.0.0.1:8080"),
        ({"proxy_pass": "http://a;}"}, "write a URL"),
        ({"proxy_pass": "http://$host"}, "has a variable that does not belong there; use extra"),
        ({"redirect": "http://a b"}, "write a URL"),
        ({"redirect": 'https://a"'}, "write a URL"),
        ({"redirect": "https://a/{}"}, "write a URL"),
        ({"redirect": "https://a/$hostile"}, "has a variable that does not belong there"),
        ({"return_code": 301}, "return_code is 301; choose one such as 404 or 444, and redirect for another address"),
        ({"return_code": 1000}, "return_code is 1000"),
        ({"return_code": 404, "root": "/srv"}, "it has both root and return_code; keep one"),
        ({"return_code": None}, "does not say what to answer; give it one of root, proxy_pass, redirect, return_code"),
        ({"root": "/srv", "websocket": True}, "websocket is for sites with proxy_pass"),
        ({"root": "/srv", "proxy_read_timeout": "1h"}, "proxy_read_timeout is for sites with proxy_pass; add that"),
        (
            {"proxy_pass": "http://127.0.0.1:1", "proxy_read_timeout": "1h; evil"},
            "proxy_read_timeout is '1h; evil'; write a time of nginx such as 90s or 1h",
        ),
        ({"access_log": "on"}, "access_log is 'on'; write off, or an absolute path and, if need be, a log_format"),
        ({"access_log": "/var/log/../x"}, "access_log is '/var/log/../x'; write off"),
        ({"access_log": "/var/log/x.log main gzip"}, "access_log is '/var/log/x.log main gzip'"),
        ({"access_log": "/var/log/$host.log"}, "or use extra for more"),
        ({"access_log": "/var/log/"}, "access_log is '/var/log/'"),
        ({"error_log": "off"}, "error_log is 'off'; write an absolute path and, if need be, a level such as warn"),
        ({"error_log": "/var/log/x.log loud"}, "error_log is '/var/log/x.log loud'"),
        ({"error_log": "/var/log/x;evil"}, "error_log is '/var/log/x;evil'"),
        ({"https_port": 0}, "https_port is 0; choose one from 1 to 65535"),
        ({"http_port": 65536}, "http_port is 65536"),
    ],
)
def test_a_word_that_could_end_a_directive_is_refused(options, sentence):
    with pytest.raises(TlsError, match=sentence):
        site(**options)


@pytest.mark.parametrize(
    ("sites", "sentence"),
    [
        ([site(), site()], "2 sites are called www.example.org; give each its own name"),
        (
            [site(), site("b.example.org", server_names=["WWW.example.org"])],
            "the sites www.example.org and b.example.org both answer to www.example.org on port 80; take the name from one",
        ),
        (
            [site(), site("b.example.org", http_port=443, https_port=444)],
            "b.example.org has port 443 as its http_port, and",
        ),
        ([site(https_port=80)], "has port 80 as its http_port, and www.example.org as its https_port"),
        (
            [site(server_names=["192.0.2.1"]), site("b.example.org", server_names=["192.0.2.2"])],
            "both have an IP address on port 443, and clients that ask for an address send no name",
        ),
    ],
)
def test_sites_that_cannot_stand_beside_each_other_are_refused(sites, sentence):
    with pytest.raises(TlsError, match=sentence):
        check_distinct_sites(sites)


def test_sites_may_share_a_port_a_certificate_and_an_address_on_other_ports():
    check_distinct_sites(
        [
            site(server_names=["192.0.2.1"]),
            site("b.example.org", certificate="www.example.org"),
            site("c.example.org", server_names=["192.0.2.1"], http_port=8080, https_port=8443, profile="modern"),
        ]
    )


@pytest.mark.parametrize(
    ("timeout", "cache"), [("1d; evil", "off"), ("1d", "shared:x:1m; evil"), ("", "off"), ("1d", "on")]
)
def test_session_settings_that_nginx_does_not_have_are_refused(timeout, cache):
    with pytest.raises(TlsError, match="write one such as"):
        check_session_settings(timeout, cache)


def test_a_store_that_would_end_a_directive_is_refused():
    with pytest.raises(TlsError, match="use an absolute path without blanks and quotes"):
        check_store_path("/etc/ever green;")


def arguments(*sites, **others):
    settings = {"session_timeout": "1d", "session_cache": "off", "store": "/etc/evergreen", "path": "/etc/nginx/a.conf"}
    return {"sites": list(sites), "profile": "modern", "domains": {}, "state": "present", **settings, **others}


SITE = {"name": "books", "websocket": False, "hsts": True, "http_port": 80, "https_port": 443, "return_code": 404}


def test_hosts_get_what_has_been_completed():
    (complete,) = normal_sites(arguments({**SITE, "server_names": ["bücher.example"]}))
    assert complete["server_names"] == ["xn--bcher-kva.example"]
    assert (complete["certificate"], complete["profile"], complete["hsts"]) == ("books", "modern", "max-age=63072000")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"store": "/etc/ever green"}, "the store '/etc/ever green' cannot stand"),
        ({"session_cache": "on"}, "the session_cache 'on' is none"),
        ({"sites": [{**SITE, "name": "a"}] * 2}, "2 sites are called a"),
    ],
)
def test_what_all_sites_share_is_checked(changes, sentence):
    with pytest.raises(TlsError, match=sentence):
        normal_sites(arguments({**SITE, "name": "a"}) | changes)


def test_nothing_is_served_where_sites_are_to_be_absent():
    assert normal_sites(arguments(SITE, state="absent")) == []
