# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificates the configurations of nginx, Apache, HAProxy and Tomcat name."""

from __future__ import annotations

import fnmatch

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._scan.apache_places import apache_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.haproxy_places import haproxy_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.nginx_places import nginx_places
from ansible_collections.evergreen.tls.plugins.module_utils._scan.tomcat_places import tomcat_places

NGINX = "/etc/nginx/nginx.conf"
APACHE = "/etc/apache2/apache2.conf"
HAPROXY = "/etc/haproxy/haproxy.cfg"


def nginx(text):
    return nginx_places({NGINX: text}, NGINX)


def tree(**files):
    """Return functions that read files, text by path, and that find the paths of a pattern."""
    contents = {path: text.encode() for path, text in files.items()}
    return contents.get, lambda pattern: sorted(path for path in contents if fnmatch.fnmatchcase(path, pattern))


def apache(text, **files):
    return apache_places(APACHE, *tree(**{APACHE: text, **files}))


def haproxy(text, **files):
    return haproxy_places(HAPROXY, *tree(**{HAPROXY: text, **files}))


def tomcat(body):
    return tomcat_places("/etc/tomcat10/server.xml", "/var/lib/tomcat10", f"<Server>{body}</Server>".encode())


def pairs(places):
    return [(one.certificate, one.key) for one in places]


# nginx


def test_both_pairs_of_a_server_block_of_nginx_are_places():
    places = nginx(
        "http {\n server {\n listen 443 ssl; server_name A.example b.example;\n ssl_certificate tls/rsa.pem; "
        "ssl_certificate_key tls/rsa.key; ssl_certificate tls/ecc.pem; ssl_certificate_key tls/ecc.key; } }"
    )
    assert pairs(places) == [
        ("/etc/nginx/tls/rsa.pem", "/etc/nginx/tls/rsa.key"),
        ("/etc/nginx/tls/ecc.pem", "/etc/nginx/tls/ecc.key"),
    ]
    assert {one.names for one in places} == {("a.example", "b.example")}
    assert {one.place for one in places} == {f"{NGINX}:2"}
    assert {one.ports for one in places} == {(443,)}


def test_a_server_block_inherits_what_it_does_not_have_itself():
    places = nginx(
        "http { ssl_certificate a.pem; ssl_certificate_key a.key; server { listen 443 ssl; } "
        "server { listen 443 ssl; ssl_certificate b.pem; ssl_certificate_key b.key; } }"
    )
    assert pairs(places) == [("/etc/nginx/a.pem", "/etc/nginx/a.key"), ("/etc/nginx/b.pem", "/etc/nginx/b.key")]


def test_a_server_block_without_tls_has_no_place():
    assert nginx("http { ssl_certificate a.pem; ssl_certificate_key a.key; server { listen 80; } }") == []


def test_the_directive_ssl_of_old_versions_counts():
    (place,) = nginx("http { ssl on; ssl_certificate a.pem; ssl_certificate_key a.key; server { listen 8443; } }")
    assert place.ports == (8443,)


@pytest.mark.parametrize("block", ["stream", "mail"])
def test_servers_of_other_blocks_are_places(block):
    (place,) = nginx(f"{block} {{ server {{ listen 853 ssl; ssl_certificate a.pem; ssl_certificate_key a.key; }} }}")
    assert (place.ports, place.form) == ((853,), "pem")


@pytest.mark.parametrize("path", ["$ssl_server_name.pem", "data:$cert", "engine:pkcs11:x"])
def test_a_path_that_is_no_file_is_noted_as_it_is_written(path):
    (place,) = nginx(f"http {{ server {{ listen 443 ssl; ssl_certificate {path}; ssl_certificate_key /etc/a.key; }} }}")
    assert (place.certificate, place.key, place.form) == (path, "/etc/a.key", "variable")


# Apache


def test_virtual_hosts_of_apache_are_read_through_includes():
    places = apache(
        "ServerRoot /etc/apache2\nDefine TLS /etc/tls\nIncludeOptional sites-enabled/*.conf\n",
        **{
            "/etc/apache2/sites-enabled/a.conf": "<IfModule mod_ssl.c>\n<VirtualHost *:443 [::]:8443>\nServerName https://A.example:443\n"
            'ServerAlias b.example c.example\nSSLEngine On\nSSLCertificateFile "${TLS}/a.pem"\nSSLCertificateKeyFile \\\n'
            "  tls/a.key\nSSLCertificateChainFile tls/chain.pem\n</VirtualHost>\n</IfModule>\n"
        },
    )
    (place,) = places
    assert (place.certificate, place.key) == ("/etc/tls/a.pem", "/etc/apache2/tls/a.key")
    assert place.chain == "/etc/apache2/tls/chain.pem"
    assert place.names == ("a.example", "b.example", "c.example")
    assert place.ports == (443, 8443)
    assert place.place == "/etc/apache2/sites-enabled/a.conf:2"


def test_a_virtual_host_of_apache_without_tls_has_no_place():
    assert apache("<VirtualHost *:80>\nSSLCertificateFile a.pem\nSSLCertificateKeyFile a.key\n</VirtualHost>") == []


def test_a_virtual_host_of_apache_inherits_from_the_server():
    (place,) = apache(
        "SSLCertificateFile a.pem\nSSLCertificateKeyFile a.key\n<VirtualHost *:443>\nSSLEngine on\n</VirtualHost>"
    )
    assert pairs([place]) == [("/etc/apache2/a.pem", "/etc/apache2/a.key")]


def test_a_certificate_of_apache_without_a_key_has_the_key_in_its_file():
    (place,) = apache("<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile a.pem\n</VirtualHost>")
    assert (place.key, place.form) == ("", "combined")


def test_an_unknown_variable_of_apache_is_noted_as_it_is_written():
    (place,) = apache(
        "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile ${X}/a.pem\nSSLCertificateKeyFile a.key\n</VirtualHost>"
    )
    assert (place.certificate, place.form) == ("${X}/a.pem", "variable")


def test_a_comment_of_apache_says_nothing():
    assert apache("<VirtualHost *:443>\nSSLEngine on\n# SSLCertificateFile a.pem\n</VirtualHost>") == []


@pytest.mark.parametrize("pattern", ["/etc/apache2/apache2.conf", "/etc/apache2/*"])
def test_files_of_apache_that_include_each_other_end(pattern):
    assert apache(f"Include {pattern}\n" * 50, **{"/etc/apache2/b.conf": f"Include {pattern}\n" * 50}) == []


# HAProxy


def test_files_that_hold_key_and_certificate_of_haproxy_are_combined():
    (place,) = haproxy(
        "global\n  crt-base /etc/tls\nfrontend web\n  bind :443,[::]:8443 ssl crt a.pem alpn h2 # crt b.pem\n",
        **{"/etc/tls/a.pem": "-----BEGIN PRIVATE KEY-----\n"},
    )
    assert (place.certificate, place.key, place.form) == ("/etc/tls/a.pem", "", "combined")
    assert (place.ports, place.place) == ((443, 8443), f"{HAPROXY}:4")


def test_the_key_of_haproxy_may_be_beside_the_certificate():
    (place,) = haproxy(
        "frontend web\n bind *:443 ssl crt /etc/tls/a.pem\n", **{"/etc/tls/a.pem": "-----BEGIN CERTIFICATE-----\n"}
    )
    assert (place.certificate, place.key, place.form) == ("/etc/tls/a.pem", "/etc/tls/a.pem.key", "pem")


def test_each_certificate_in_a_folder_of_haproxy_is_a_place():
    places = haproxy(
        "frontend web\n bind *:443 ssl crt /etc/tls/\n",
        **{f"/etc/tls/{name}": "PRIVATE KEY" for name in ("a.pem", "b.pem", "b.pem.ocsp", "c.pem.key")},
    )
    assert [one.certificate for one in places] == ["/etc/tls/a.pem", "/etc/tls/b.pem"]


def test_a_list_of_haproxy_names_files_and_domains():
    places = haproxy(
        "frontend web\n bind *:443 ssl crt-list /etc/list\n",
        **{
            "/etc/list": "/etc/tls/a.pem [alpn h2,http/1.1] A.example *.a.example !no.a.example\n# none\n/etc/tls/b.pem\n"
        },
    )
    assert [(one.certificate, one.names) for one in places] == [
        ("/etc/tls/a.pem", ("a.example", "*.a.example")),
        ("/etc/tls/b.pem", ()),
    ]


def test_certificates_for_connections_to_servers_are_not_presented():
    assert haproxy("backend app\n server one 192.0.2.1:443 ssl crt /etc/tls/client.pem\n") == []


# Tomcat


def test_pem_files_of_a_connector_are_a_place():
    (place,) = tomcat(
        '<Connector port="8443" SSLEnabled="true"><SSLHostConfig hostName="A.example">\n<Certificate certificateFile="conf/a.pem" '
        'certificateKeyFile="${catalina.base}/conf/a.key" certificateChainFile="conf/chain.pem"/></SSLHostConfig></Connector>'
    )
    assert pairs([place]) == [("/var/lib/tomcat10/conf/a.pem", "/var/lib/tomcat10/conf/a.key")]
    assert (place.chain, place.names, place.ports) == ("/var/lib/tomcat10/conf/chain.pem", ("a.example",), (8443,))
    assert (place.form, place.line) == ("pem", 2)


@pytest.mark.parametrize(
    "body",
    [
        '<Connector port="8443" SSLEnabled="true" keystoreFile="conf/a.p12" keystorePass="hidden"/>',
        (
            '<Connector port="8443" SSLEnabled="true"><SSLHostConfig><Certificate certificateKeystoreFile="conf/a.p12" '
            'certificateKeystorePassword="hidden"/></SSLHostConfig></Connector>'
        ),
    ],
)
def test_a_keystore_of_a_connector_is_a_place_without_its_password(body):
    (place,) = tomcat(body)
    assert (place.certificate, place.form) == ("/var/lib/tomcat10/conf/a.p12", "keystore")
    assert "hidden" not in repr(place)


def test_a_connector_without_tls_has_no_place():
    assert tomcat('<Connector port="8080"/>') == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_of_a_server_xml_are_not_expanded(encoding):
    bomb = '<!DOCTYPE a [<!ENTITY a "x"><!ENTITY b SYSTEM "file:///etc/shadow">]><Server>&b;</Server>'
    with pytest.raises(TlsError, match=r"has a document type, which a server.xml needs not; take the DOCTYPE away"):
        tomcat_places("/etc/tomcat10/server.xml", "/var/lib/tomcat10", bomb.encode(encoding))


def test_a_broken_server_xml_is_named():
    with pytest.raises(TlsError, match=r"^/etc/tomcat10/server.xml is no XML .*; .*"):
        tomcat_places("/etc/tomcat10/server.xml", "/var/lib/tomcat10", b"<Server>")
