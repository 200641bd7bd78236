# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what nginx prints, of its configuration and of its log."""

from __future__ import annotations

import fnmatch
from unittest import mock

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
)
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import nginx_reload as presentation
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import config as configurations
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import process as nginx_process
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import site_certificates
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.version import (
    first_error,
    load_error,
    parse_build,
    taken_port,
)
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, text
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import PEM
from ansible_collections.evergreen.tls.tests.unit import recorded_nginx


def read_installed(content: bytes) -> None:
    with mock.patch.object(presentation, "read_file", return_value=content):
        describe_certificate(presentation.installed_certificate("/etc/evergreen/www/current/fullchain.pem"))


def read_fingerprint(content: bytes) -> str:
    with mock.patch.object(site_certificates, "read_file", return_value=content):
        return site_certificates.leaf_fingerprint("/etc/evergreen/www")


def read_nginx(content: bytes) -> None:
    nginx = parse_build(text(content))
    assert nginx.version >= (1, 18)
    assert isinstance(nginx.rejects_handshakes and nginx.switches_http2_by_site and nginx.keeps_protocols_by_site, bool)


def read_configuration(content: bytes) -> None:
    """Take what `nginx -T` prints as the files of a configuration, and ask of them all that is ever asked."""
    main, ours = recorded_nginx.MAIN, recorded_nginx.OURS
    first, *others = text(content).split("# configuration file ")
    given = {main: first, **{path: rest for path, _colon, rest in (other.partition(":\n") for other in others)}}
    files = configurations.read_config(
        main,
        lambda path: given[path].encode(errors="surrogateescape") if path in given else None,
        lambda pattern: [path for path in given if fnmatch.fnmatchcase(path, pattern)],
    )
    for server in configurations.server_blocks(files, main):
        assert server.place
    configurations.directive_value(files, main, "pid")
    configurations.is_included(files, main, ours)
    configurations.http_includes(files, main)
    configurations.copies_for_test(files, main, ours, ours + ".new", lambda path: path + ".copy")


def read_master(content: bytes) -> None:
    """Take the first line as what the pid file holds, and the rest as configuration and error log."""
    pid, _line, rest = content.partition(b"\n")
    one = nginx_process.NginxProcess.__new__(nginx_process.NginxProcess)
    one.build = parse_build(recorded_nginx.BOOKWORM)
    with (
        mock.patch.object(
            nginx_process, "read_file", side_effect=lambda path, _since=0: pid if path.endswith(".pid") else rest
        ),
        mock.patch.object(
            nginx_process, "_read_regular", return_value=rest
        ),  # with or without an nginx on this machine
        mock.patch.object(nginx_process, "_find_paths", return_value=[]),
    ):
        one.master_pid()
        one.error_log_path()
        one.server_blocks_for("www.example.org", 443)
        first_error(one.error_log_since(0))


def read_log(content: bytes) -> None:
    load_error(text(content), 1234)
    taken_port(text(content))


def listing(files: dict[str, str]) -> bytes:
    """Return the files of a configuration as `nginx -T` prints them, but for the words before the first."""
    (_main, first), *others = files.items()
    return "".join([first, *(f"# configuration file {path}:\n{content}" for path, content in others)]).encode()


LOGS = (
    "2026/11/21 12:00:00 [notice] 1234#1234: signal process started\n2026/11/21 12:00:01 [emerg] 1234#1234: unknown directive\n",
    "bind() to 0.0.0.0:443 failed (98: Address already in use)",
)

NGINX_PARSERS = (
    Parser("site_certificates", "the certificate in use", read_fingerprint, (PEM,), "der"),
    Parser("presentation", "the certificate in use", read_installed, (PEM,), "der"),
    Parser(
        "nginx",
        "nginx -V",
        read_nginx,
        tuple(said.encode() for said in (recorded_nginx.BULLSEYE, recorded_nginx.BOOKWORM, recorded_nginx.SID)),
    ),
    Parser(
        "nginx",
        "complaints of nginx",
        lambda content: first_error(text(content)),
        (b'nginx: [emerg] unknown directive "x" in /x:1\n',),
    ),
    Parser("configurations", "nginx -T", read_configuration, (listing(recorded_nginx.FILES),)),
    Parser(
        "master",
        "pid file, configuration and log",
        read_master,
        (
            b"1234\n" + listing(recorded_nginx.FILES),
            b"1234\nhttp { server { listen 443 ssl; server_name www.example.org; } }",
        ),
    ),
    Parser("nginx", "the log of a reload", read_log, tuple(map(str.encode, LOGS))),
)
