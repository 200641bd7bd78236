# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate that the configuration of nginx names is not removed."""

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import certificate_references
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.certificate_references import (
    check_unreferenced,
    references_in,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import Master
from ansible_collections.evergreen.tls.tests.unit import recorded_nginx

FOLDER = "/etc/evergreen/www.example.org"
MAIN = "/etc/nginx/nginx.conf"


class Finder:
    """The programs of a host."""

    def __init__(self, program=None):
        self.program = program

    def get_bin_path(self, arg, required=False, opt_dirs=None):
        return str(self.program) if self.program and arg == "nginx" else None


def places(text, folder=FOLDER):
    return [(one.place, one.directive) for one in references_in({MAIN: text}, MAIN, folder)]


def test_each_directive_that_names_a_file_of_the_certificate_is_found_with_its_line():
    text = f"""http {{
  ssl_certificate {FOLDER}/current/fullchain.pem;
  server {{
    ssl_certificate_key "{FOLDER}/v0001/privkey.pem"; ssl_password_file {FOLDER}/current/passphrase;
    location / {{ proxy_ssl_certificate ../evergreen/www.example.org/current/cert.pem; }}
  }}
}}
stream {{ server {{ ssl_trusted_certificate {FOLDER}/current/chain.pem; }} }}
"""
    assert places(text) == [
        (f"{MAIN}:2", "ssl_certificate"),
        (f"{MAIN}:4", "ssl_certificate_key"),
        (f"{MAIN}:4", "ssl_password_file"),
        (f"{MAIN}:5", "proxy_ssl_certificate"),
        (f"{MAIN}:8", "ssl_trusted_certificate"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "http { server { ssl_certificate /etc/evergreen/www.example.org.old/current/fullchain.pem; } }",
        "http { server { ssl_certificate /etc/evergreen/$ssl_server_name/current/fullchain.pem; } }",
        f"http {{ server {{ # ssl_certificate {FOLDER}/current/fullchain.pem;\n }} }}",
        f"http {{ server {{ root {FOLDER}; }} }}",
        "http { server { ssl_certificate data:$cert; ssl_ciphers HIGH; ssl_protocols TLSv1.3; } }",
    ],
)
def test_what_nginx_can_start_without_is_no_reference(text):
    assert not places(text)


def test_a_link_that_leads_to_the_certificate_is_a_reference(tmp_path):
    folder = tmp_path / "evergreen/web"
    (folder / "v0001").mkdir(parents=True)
    (folder / "v0001/fullchain.pem").touch()
    (folder / "current").symlink_to("v0001")
    link = tmp_path / "server.pem"
    link.symlink_to(folder / "current/fullchain.pem")
    text = f"http {{ server {{ ssl_certificate {link}; }} }}"
    assert places(text, str(folder)) == [(f"{MAIN}:1", "ssl_certificate")]
    link.unlink()
    assert not places(text, str(folder))


@pytest.fixture
def finder(tmp_path, monkeypatch):
    """A host with a program that prints what nginx -V of Debian 12 prints, with its main file in a folder of the test."""
    monkeypatch.setattr(certificate_references, "running_masters", lambda program: [])
    program = tmp_path / "nginx"
    printed = recorded_nginx.BOOKWORM.replace(MAIN, f"{tmp_path}/nginx.conf")
    assert printed != recorded_nginx.BOOKWORM
    program.write_text(f"#!/bin/sh\ncat >&2 <<'E'\n{printed}\nE\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Finder(program)


def server(folder):
    return f"http {{ server {{\nssl_certificate {folder}/current/fullchain.pem; }} }}"


def test_the_sentence_names_file_and_line_and_what_to_do(finder, tmp_path):
    (tmp_path / "nginx.conf").write_text("http { include conf.d/*.conf; }")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/shop.conf").write_text(server("/etc/evergreen/shop"))
    check_unreferenced(finder, FOLDER)
    with pytest.raises(TlsError) as caught:
        check_unreferenced(finder, "/etc/evergreen/shop")
    assert str(caught.value) == (
        f"{tmp_path}/conf.d/shop.conf:2 names /etc/evergreen/shop/current/fullchain.pem as ssl_certificate, and nginx cannot start "
        "without it; take the site out of nginx_sites and run evergreen.tls.deploy, or take the line away and reload nginx, then "
        "run this again"
    )


def test_the_configuration_of_a_running_nginx_counts_as_well_as_the_one_that_it_starts_with(
    finder, tmp_path, monkeypatch
):
    (tmp_path / "nginx.conf").write_text(server("/etc/evergreen/shop"))
    (tmp_path / "app.conf").write_text(server(FOLDER))
    check_unreferenced(finder, FOLDER)
    monkeypatch.setattr(
        certificate_references, "running_masters", lambda program: [Master(7, None, f"{tmp_path}/app.conf")]
    )
    for folder in (FOLDER, "/etc/evergreen/shop"):
        with pytest.raises(TlsError, match=os.path.basename(folder)):
            check_unreferenced(finder, folder)


def test_a_host_without_nginx_has_no_references():
    check_unreferenced(Finder(), FOLDER)
