# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site beside the configurations of other people: nginx that could start before a run can start after it."""

from __future__ import annotations

import os
import pathlib
import ssl
import subprocess
import time
import typing as t

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._tls.handshake import handshake
from ansible_collections.evergreen.tls.tests.unit import nginx_processes
from ansible_collections.evergreen.tls.tests.unit.plugins.module_utils._module_backends.test_nginx_sites import (
    NGINX,
    Host,
    needs_nginx,
)

MODULES = pathlib.Path(os.path.realpath(NGINX or "/usr/sbin/nginx")).parents[1] / "lib/nginx/modules"
LUA = pathlib.Path(MODULES / "ngx_http_lua_module.so")
STREAM = pathlib.Path(MODULES / "ngx_stream_module.so")
CERTIFICATE = (
    "ssl_certificate {store}/other/current/fullchain.pem; ssl_certificate_key {store}/other/current/privkey.pem;"
)
LONG = f"{'a' * 60}.example.org"

# What other people have in their configuration: in the main block, in the http block, and what the site is described as.
# Each ends in the sentence that refuses the site, or in None.
CONFIGURATIONS = {
    "nothing else": ("", "", {}, None),
    "a block of Lua": (
        f"load_module {MODULES}/ndk_http_module.so; load_module {LUA};",
        (
            f"lua_package_path '{MODULES.parents[2]}/share/lua/5.1/?.lua;;';\n"
            "init_by_lua_block {{ -- see {{ops wiki}}, closes the table }} below\n rows = {{ 'a' }} n = #rows }}"
        ),
        {},
        None,
    ),
    "a server at one address": ("", "server {{ listen 127.0.0.1:{port} ssl; server_name other; %s }}", {}, None),
    "a server at one address, bound alone": (
        "",
        "server {{ listen 127.0.0.1:{port} ssl bind; server_name other; %s }}",
        {},
        None,
    ),
    "servers at one address and at all": (
        "",
        "server {{ listen 127.0.0.1:{port} ssl; server_name other; %s }} server {{ listen {port} ssl; server_name x; %s }}",
        {},
        None,
    ),
    "a server that shares the socket of both families": (
        "",
        "server {{ listen [::]:{port} ssl ipv6only=off; server_name other; %s }}",
        {},
        None,
    ),
    "a stream at the port": (
        f"load_module {STREAM}; stream {{{{ server {{{{ listen {{port}}; proxy_pass 127.0.0.1:1; }}}} }}}}",
        "",
        {},
        "port {port} belongs to the stream server at {main}:2, and nginx cannot start with a site there too",
    ),
    "two certificates in one server": ("", "server {{ listen {port} ssl; server_name other; %s %s }}", {}, None),
    "inherited certificates": ("", "%s server {{ listen {port} ssl; server_name other; }}", {}, None),
    "names as regular expressions": (
        "",
        r"server {{ listen {port} ssl; server_name ~^(?<x>\d+)\.example\.org$ '~^a{{2}}\.b$'; %s }}",
        {},
        None,
    ),
    "a default server": ("", "server {{ listen {port} ssl default_server; server_name other; %s }}", {}, None),
    "a socket for each worker": ("", "server {{ listen {port} ssl reuseport; server_name other; %s }}", {}, None),
    "the name of the site": ("", "server {{ listen {port} ssl; server_name www.example.org; %s }}", {}, None),
    "a long name of somebody else, alone on its port": (
        "",
        f"server {{{{ listen {{port}} ssl; server_name {LONG}; %s }}}}",
        {},
        None,
    ),
    "a long name of the site": ("", "", {"server_names": ["www.example.org", LONG]}, None),
    "a long name, and buckets that are large enough": (
        "",
        "server_names_hash_bucket_size 128;",
        {"server_names": ["www.example.org", LONG]},
        None,
    ),
    "a long name, and buckets that are too small": (
        "",
        "server_names_hash_bucket_size 64;",
        {"server_names": ["www.example.org", LONG]},
        "{main}:6 sets server_names_hash_bucket_size to 64, and the name " + LONG + " needs 128; "
        "write 'server_names_hash_bucket_size 128;' there",
    ),
    "a server behind a load balancer": (
        "",
        "server {{ listen {port} ssl proxy_protocol; server_name other; %s }}",
        {},
        (
            "port {port} speaks the PROXY protocol, by the server block at {main}:6, and so would the site www; "
            "write proxy_protocol: true for the sites of this port, or take it away there"
        ),
    ),
    "a server behind a load balancer, and a site too": (
        "",
        "server {{ listen {port} ssl proxy_protocol; server_name other; %s }}",
        {"proxy_protocol": True},
        None,
    ),
    "a server that clients reach directly": (
        "",
        "server {{ listen {port} ssl; server_name other; %s }}",
        {"proxy_protocol": True},
        "the site www has proxy_protocol: true, and the server block at {main}:6 listens on port {port} without it",
    ),
    "a server without TLS at the HTTPS port": (
        "",
        "server {{ listen {port}; server_name other; return 204; }}",
        {},
        "port {port} is without TLS in the server block at {main}:6, and would have TLS by the sites, for its clients too; add ssl",
    ),
    "servers with and without TLS at the HTTPS port, which has TLS": (
        "",
        "server {{ listen {port}; server_name x; %s }} server {{ listen {port} ssl; server_name other; %s }}",
        {},
        None,
    ),
    "a server with TLS at the HTTP port": (
        "",
        "server {{ listen {http_port} ssl; server_name x; %s }}",
        {},
        "port {http_port} has TLS by the server block at {main}:6, and the sites answer HTTP there; choose another http_port",
    ),
    "a server behind a load balancer at the HTTP port": (
        "",
        "server {{ listen {http_port} proxy_protocol; server_name x; return 204; }}",
        {},
        "port {http_port} speaks the PROXY protocol, by the server block at {main}:6, and so would the site www",
    ),
    "a server at a UNIX socket alone": (
        "",
        "server {{ listen unix:{store}/other.socket proxy_protocol; server_name x; return 204; }}",
        {},
        None,
    ),
    "options of a socket": (
        "",
        "server {{ listen {port} ssl backlog=4096 rcvbuf=64k so_keepalive=on default_server; server_name other; %s }}",
        {},
        None,
    ),
    "both families, each with its socket": (
        "",
        "server {{ listen {port} ssl; listen [::]:{port} ssl ipv6only=on default_server; server_name other; %s }}",
        {},
        None,
    ),
    "a range of ports that a stream has": (
        f"load_module {STREAM}; stream {{{{ server {{{{ listen {{port}}-{{port}}; proxy_pass 127.0.0.1:1; }}}} }}}}",
        "",
        {},
        "port {port} belongs to the stream server at {main}:2, and nginx cannot start with a site there too",
    ),
    "versions of TLS": ("", "", {"tls_versions": ["TLSv1.2"]}, None),
    "a directive that nginx refuses": ("", "", {"extra": "lisssten 1;"}, 'unknown directive "lisssten"'),
}
MAIN = """{main_block}
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{}}
http {{ access_log off;
{http_block}
    include {folder}/conf.d/*.conf;
}}
"""


class ForeignHost(Host):
    """A host whose nginx has a configuration of other people."""

    def configure(self, main_block: str, http_block: str) -> None:
        self.install("www")
        self.install("other")
        words = {"port": self.https_port, "http_port": self.port, "store": self.folder / "store"}
        http_block = http_block.replace("%s", CERTIFICATE)
        text = MAIN.format(
            main_block=main_block.format(**words).replace("; stream", ";\nstream"),
            http_block=http_block.format(**words),
            folder=self.folder,
        )
        (self.folder / "nginx.conf").write_text(text)

    def stop(self) -> None:
        nginx_processes.stop(self.folder / "nginx.pid")

    def try_to_start(self) -> str:
        """Return what nginx says to a start."""
        time.sleep(
            0.05
        )  # or its workers look older than what was just written, since the kernel rounds their start down
        ended = subprocess.run(
            [self.program, "-c", self.folder / "nginx.conf"], capture_output=True, text=True, check=False
        )
        if not ended.returncode:
            nginx_processes.wait_until_started(self.folder / "nginx.pid")
        return ended.stderr if ended.returncode else ""

    def presented(self, address: str, name: str, is_behind_proxy: bool = False) -> bytes:
        """Return the certificate that nginx presents for a name."""
        chain, _version = handshake(address, self.https_port, name, proxy_protocol=is_behind_proxy)
        return chain[0].public_bytes(Encoding.DER)

    def installed(self, name: str) -> bytes:
        pem = (self.folder / "store" / name / "current" / "cert.pem").read_text()
        return ssl.PEM_cert_to_DER_cert(pem.split("-----END")[0] + "-----END CERTIFICATE-----\n")


@pytest.fixture
def host(tmp_path):
    one = ForeignHost(tmp_path)
    yield one
    one.stop()


@needs_nginx
@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_nginx_that_could_start_before_a_run_can_start_after_it(host, configuration, is_running):
    main_block, http_block, site, refusal = configuration
    if any(f"load_module {module}" in main_block for module in (LUA, STREAM) if not module.exists()):
        pytest.skip("the module of nginx is not installed here")
    host.configure(main_block, http_block)
    assert host.try_to_start() == "", "the configuration of other people is sound"
    if not is_running:
        host.stop()
    site = {"server_names": ["www.example.org"], "return_code": 204, **site}
    if refusal:
        words = {"port": host.https_port, "http_port": host.port, "main": host.folder / "nginx.conf"}
        with pytest.raises(TlsError) as caught:
            host.decide(**site)
        assert refusal.format(**words) in str(caught.value)
        assert not host.path.exists()
    else:
        assert host.decide(**site)["changed"]
        assert not host.decide(**site)["changed"]
    if is_running and not refusal:
        check_served(host, http_block, site)
    host.stop()
    assert host.try_to_start() == ""
    if not refusal:
        check_served(host, http_block, site)
        assert not host.decide(**site)["changed"]


def check_served(host: ForeignHost, http_block: str, site: dict[str, t.Any]) -> None:
    is_behind_proxy = bool(site.get("proxy_protocol"))
    if "server_name www.example.org" in http_block:  # the first server block has the name
        return
    assert host.presented("127.0.0.1", "www.example.org", is_behind_proxy) == host.installed("www")
    if "server_name other" in http_block:
        assert host.presented("127.0.0.1", "other", is_behind_proxy) == host.installed("other")


@needs_nginx
def test_the_versions_of_tls_of_a_site_are_what_clients_get(host):
    host.configure("", "")
    assert host.try_to_start() == ""
    host.decide(server_names=["www.example.org"], return_code=204, tls_versions=["TLSv1.2"])
    assert handshake("127.0.0.1", host.https_port, "www.example.org")[1] == "TLSv1.2"
    host.decide(server_names=["www.example.org"], return_code=204, tls_versions=["TLSv1.3"])
    assert handshake("127.0.0.1", host.https_port, "www.example.org")[1] == "TLSv1.3"


@needs_nginx
def test_a_modern_site_never_accepts_tls_1_2_of_the_default_server_of_somebody_else(host):
    foreign = "server {{ listen {port} ssl default_server; server_name other; ssl_protocols TLSv1.2 TLSv1.3; %s }}"
    host.configure("", foreign)
    assert host.try_to_start() == ""
    try:
        host.decide(server_names=["www.example.org"], return_code=204, profile="modern")
    except TlsError as error:
        place = f"{host.folder}/nginx.conf:6"
        assert f"the default server of port {host.https_port}, {place}, does so, by ssl_protocols at {place}" in str(
            error
        )
        assert not host.path.exists()
        main = host.folder / "nginx.conf"
        main.write_text(main.read_text().replace("TLSv1.2 ", ""))
        host.decide(server_names=["www.example.org"], return_code=204, profile="modern")
    with pytest.raises(TlsError, match="the handshake failed|the server closed|does not"):
        handshake("127.0.0.1", host.https_port, "www.example.org", version=ssl.TLSVersion.TLSv1_2)
    assert handshake("127.0.0.1", host.https_port, "www.example.org")[1] == "TLSv1.3"
