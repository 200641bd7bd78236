# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what nginx prints, of its configuration and of its log."""

from __future__ import annotations

import fnmatch
import os
import tempfile
from unittest import mock

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
)
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import nginx_reload
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import config, process, site_certificates
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.access_logs import AccessLog, plan_logs
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.http3 import quic_addresses, quic_listens
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.listening import port_addresses
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.log_search import LogSearch
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import main_file, parse_title
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.name_hash import name_hash_directives
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.server_names import blocks_for_name
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import (
    first_error,
    load_error,
    parse_build,
    taken_port,
)
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import PEM
from ansible_collections.evergreen.tls.tests.unit import recorded_nginx


def read_certificate_in_use(content: bytes) -> None:
    with mock.patch.object(nginx_reload, "read_file", return_value=content):
        describe_certificate(nginx_reload.installed_certificate("/etc/evergreen/www/current/fullchain.pem"))


def read_fingerprint(content: bytes) -> str:
    with mock.patch.object(site_certificates, "read_file", return_value=content):
        return site_certificates.leaf_fingerprint("/etc/evergreen/www")


def read_build(content: bytes) -> None:
    nginx = parse_build(decode_text(content))
    assert nginx.version >= (1, 18)
    assert isinstance(nginx.rejects_handshakes and nginx.switches_http2_by_site and nginx.keeps_protocols_by_site, bool)


def read_dumped_config(content: bytes) -> None:
    """Read the output of `nginx -T` as the files of a configuration, and run each query on them."""
    main, ours = recorded_nginx.MAIN, recorded_nginx.OURS
    first, *other_files = decode_text(content).split("# configuration file ")
    contents = {main: first, **{path: rest for path, _colon, rest in (other.partition(":\n") for other in other_files)}}
    files = config.read_config(
        main,
        lambda path: contents[path].encode(errors="surrogateescape") if path in contents else None,
        lambda pattern: [path for path in contents if fnmatch.fnmatchcase(path, pattern)],
    )
    servers = config.server_blocks(files, main)
    for server in servers:
        assert server.place
    blocks_for_name(servers, "www.example.org", 443)
    port_addresses(443, servers, [], has_ipv6=True)
    quic_listens(quic_addresses(443, servers, has_ipv6=True), is_first=True, is_default=True)
    config.directive_value(files, main, "pid")
    config.is_included(files, main, ours)
    config.http_includes(files, main)
    config.other_listens(files, main)
    name_hash_directives(["www.example.org"], files, main)
    config.copies_for_test(files, main, ours, ours + ".new", lambda path: path + ".copy")


def read_process_files(content: bytes) -> None:
    """Read the first line as the pid file, and the rest as the configuration and the error log."""
    pid, _line, rest = content.partition(b"\n")
    master = process.NginxProcess.__new__(process.NginxProcess)
    master.build = parse_build(recorded_nginx.BOOKWORM)
    master.program, master.directives = "/usr/sbin/nginx", None
    with (
        mock.patch.object(
            process, "read_file", side_effect=lambda path, *_range, **_limit: pid if path.endswith(".pid") else rest
        ),
        mock.patch.object(process, "read_regular", return_value=rest),  # with or without an nginx on this machine
        mock.patch.object(process, "find_paths", return_value=[]),
    ):
        master.master_pid()
        master.error_log_path()
        master.server_blocks_for("www.example.org", 443)
        first_error(master.error_log_since(0))


def plan_of_logs(content: bytes) -> None:
    main = recorded_nginx.MAIN
    plan = plan_logs({main: decode_text(content)}, main, "/usr", "/var/log/nginx/access.log", ["www.example.org"])
    assert all(log.path.startswith("/") for log in plan.logs)


def search_log(content: bytes) -> None:
    """Search an access log, as the module does on a host."""
    descriptor, path = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
        search = LogSearch([LOG_TOKEN], 0.0)
        search.read(AccessLog(path))
        assert search.counts[LOG_TOKEN.encode()].requests <= max(1, content.count(LOG_TOKEN.encode()))
        assert search.usual_addresses() >= 0
    finally:
        os.unlink(path)


def read_title(content: bytes) -> None:
    main_file([parse_title(1, decode_text(content))], "/usr/share/nginx", recorded_nginx.MAIN)


def read_reload_log(content: bytes) -> None:
    load_error(decode_text(content), 1234)
    taken_port(decode_text(content))


def dumped_config(files: dict[str, str]) -> bytes:
    """Return the files of a configuration as `nginx -T` prints them, without the words before the first."""
    (_main, first), *other_files = files.items()
    return "".join([first, *(f"# configuration file {path}:\n{content}" for path, content in other_files)]).encode()


LOG_TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
LOG_LINE = f'203.0.113.7 - - [x] "GET /.well-known/acme-challenge/{LOG_TOKEN} HTTP/1.1" 404 1 "-" "-"\n'
LOGS = (
    "2026/11/21 12:00:00 [notice] 1234#1234: signal process started\n2026/11/21 12:00:01 [emerg] 1234#1234: unknown directive\n",
    "bind() to 0.0.0.0:443 failed (98: Address already in use)",
)

NGINX_PARSERS = (
    Parser("nginx/site_certificates", "the certificate in use", read_fingerprint, (PEM,), "der"),
    Parser("module_backends/nginx_reload", "the certificate in use", read_certificate_in_use, (PEM,), "der"),
    Parser(
        "nginx/version",
        "nginx -V",
        read_build,
        tuple(printed.encode() for printed in (recorded_nginx.BULLSEYE, recorded_nginx.BOOKWORM, recorded_nginx.SID)),
    ),
    Parser(
        "nginx/version",
        "error messages of nginx",
        lambda content: first_error(decode_text(content)),
        (b'nginx: [emerg] unknown directive "x" in /x:1\n',),
    ),
    Parser(
        "nginx/config",
        "nginx -T",
        read_dumped_config,
        (
            dumped_config(recorded_nginx.FILES),
            b"http { server_names_hash_bucket_size 128; include conf.d/*.conf; init_by_lua_block { local s = [[ } ]] --[=[ } ]=] } }",
            b"http { server { listen 443 quic reuseport; listen [::]:443 quic ipv6only=off default_server; listen 192.0.2.1:443 quic; } }",
            b"stream { server { listen 443; } } http { server { listen 443; listen 192.0.2.1:443; server_name ~^(?<x>w+)\\. *.org; } }",
        ),
    ),
    Parser(
        "nginx/process",
        "pid file, configuration and log",
        read_process_files,
        (
            b"1234\n" + dumped_config(recorded_nginx.FILES),
            b"1234\nhttp { server { listen 443 ssl; server_name www.example.org; } }",
        ),
    ),
    Parser(
        "nginx/access_logs",
        "the logs of a configuration",
        plan_of_logs,
        (
            b"http { server { listen 80; server_name www.example.org; access_log off; location /x { access_log a.log gzip; } } }",
            b"http { access_log /a.log main buffer=1k; server { listen 80; access_log syslog:server=x; } }",
        ),
    ),
    Parser(
        "nginx/log_search", "an access log", search_log, (LOG_LINE.encode() * 2, LOG_LINE.replace("404", "").encode())
    ),
    Parser(
        "nginx/masters",
        "the title of a process",
        read_title,
        (b"nginx: master process nginx -p /srv -c /srv/app.conf",),
    ),
    Parser("nginx/version", "the log of a reload", read_reload_log, tuple(map(str.encode, LOGS))),
)
