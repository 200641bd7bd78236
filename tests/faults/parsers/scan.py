# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of the configurations of servers that a scan reads."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._nginx.config import read_config
from ansible_collections.evergreen.tls.plugins.module_utils._scan.apache_places import apache_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.haproxy_places import haproxy_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.nginx_places import nginx_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.place import Place
from ansible_collections.evergreen.tls.plugins.module_utils._scan.tomcat_places import tomcat_places
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser

MAIN = "/etc/server/main.conf"


def check(places: list[Place]) -> None:
    for place in places:
        assert place.path == MAIN
        assert place.line >= 1
        assert all(0 <= port <= 65535 for port in place.ports)


def read_nginx(content: bytes) -> None:
    places = nginx_places(read_config(MAIN, lambda _path: content, lambda _pattern: [MAIN]), MAIN)
    assert all(place.path == MAIN for place in places)


def read_apache(content: bytes) -> None:
    check(apache_places(MAIN, lambda _path: content, lambda _pattern: [MAIN]))


def read_haproxy(content: bytes) -> None:
    check(haproxy_places(MAIN, lambda _path: content, lambda _pattern: []))


def read_tomcat(content: bytes) -> None:
    check(tomcat_places(MAIN, "/var/lib/tomcat10", content))


SCAN_PARSERS = (
    Parser(
        "scan/nginx_places",
        "the pairs of nginx",
        read_nginx,
        (
            b"http { ssl_certificate a; ssl_certificate_key b; server { listen 443 ssl; server_name a.example; } }",
            b"stream { server { listen 853 ssl; ssl_certificate a; ssl_certificate_key $ssl_server_name.key; } }",
        ),
    ),
    Parser(
        "scan/apache_places",
        "the virtual hosts of Apache",
        read_apache,
        (
            (
                b"Define D /etc/tls\nInclude x/*.conf\n<VirtualHost *:443 [::]:8443>\nServerName a.example\nSSLEngine on\n"
                b'SSLCertificateFile "${D}/a.pem"\nSSLCertificateKeyFile \\\n a.key\n</VirtualHost>\n'
            ),
        ),
    ),
    Parser(
        "scan/haproxy_places",
        "the bind lines of HAProxy",
        read_haproxy,
        (
            b"global\n crt-base /etc/tls\nfrontend x\n bind :443,[::]:8443 ssl crt a.pem crt-list /l # x\n",
            b"a.pem [alpn h2] *.example.org !b.example\nfrontend x\n bind *:443 ssl crt-list /l\n",
        ),
    ),
    Parser(
        "scan/tomcat_places",
        "server.xml of Tomcat",
        read_tomcat,
        (
            (
                b'<Server><Connector port="8443" SSLEnabled="true"><SSLHostConfig hostName="a.example"><Certificate '
                b'certificateFile="conf/a.pem" certificateKeyFile="conf/a.key"/></SSLHostConfig></Connector></Server>'
            ),
            b'<Server><Connector port="8443" SSLEnabled="true" keystoreFile="${catalina.base}/a.p12"/></Server>',
        ),
    ),
)
