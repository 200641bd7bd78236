# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sites of an nginx with other names, folders and options than those of Debian: a real nginx, copied and started as others start it."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import time
import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.nginx_sites import decide
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import included_path, units
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS, SITE
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_sites
from ansible_collections.evergreen.tls.tests.unit import nginx_processes
from ansible_collections.evergreen.tls.tests.unit.plugins.module_utils._module_backends.test_nginx_sites import (
    NGINX,
    Host,
    needs_nginx,
)

MAIN = """
{main_block}
error_log logs/error.log notice;
events {{}}
http {{
    access_log off;
    {include}
}}
"""


class Layout(Host):
    """An nginx below a prefix, with the default path of the sites as it is for a test."""

    def __init__(self, folder: pathlib.Path, name: str = "nginx") -> None:
        super().__init__(folder)
        self.name = name
        self.prefix = folder / "prefix"
        for path in ("conf/http.d", "logs", "sbin"):
            (self.prefix / path).mkdir(parents=True)
        self.program = self.prefix / "sbin" / name
        shutil.copy(os.path.realpath(NGINX), self.program)
        self.main = self.prefix / "conf" / "nginx.conf"
        self.configure("include http.d/*.conf;")

    def configure(self, include: str, main_block: str = "pid logs/nginx.pid;") -> None:
        self.main.write_text(MAIN.format(include=include, main_block=main_block))

    def start(self, *arguments: str) -> None:
        argv = [self.program, "-p", f"{self.prefix}/", "-c", "conf/nginx.conf", *arguments]
        time.sleep(0.05)  # the kernel rounds the start of workers down, which must not look older than the file
        subprocess.run(argv, check=True, cwd="/")
        nginx_processes.wait_until_started(self.prefix / "logs/nginx.pid")

    def stop(self) -> None:
        nginx_processes.stop(self.prefix / "logs/nginx.pid")

    def decide_by_default(self, check_mode: bool = False, state: str = "present"):
        """Return the result of nginx_sites with the default path."""
        site = {name: option.get("default") for name, option in SITE.items()}
        site.update(name="www", http_port=self.port, https_port=self.https_port, return_code=204, force_https=False)
        params = {name: option.get("default") for name, option in OPTIONS.items()}
        params.update(sites=[site], path=included_path.DEFAULT_PATH, store=str(self.folder / "store"), ipv6="false")
        params.update(sites=normal_sites(params), state=state)
        find = {self.name: str(self.program)}.get
        return decide(
            types.SimpleNamespace(
                params=params, check_mode=check_mode, get_bin_path=lambda name, opt_dirs=None: find(name)
            )
        )


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setattr(included_path, "DEFAULT_PATH", str(tmp_path / "conf.d/evergreen.conf"))
    one = Layout(tmp_path)
    yield one
    one.stop()


@needs_nginx
@pytest.mark.parametrize("name", ["nginx", "openresty", "angie"])
def test_a_program_of_another_name_below_a_prefix_gets_its_sites_where_it_reads_them(tmp_path, monkeypatch, name):
    monkeypatch.setattr(included_path, "DEFAULT_PATH", str(tmp_path / "conf.d/evergreen.conf"))
    host = Layout(tmp_path, name)
    host.start()
    try:
        result = host.decide_by_default()
        assert result["changed"] and result["running"]
        assert result["path"] == f"{host.prefix}/conf/http.d/evergreen.conf"
        assert host.get() == b"HTTP/1.1 204 No Content"
        assert host.decide_by_default()["changed"] is False
        assert host.decide_by_default(state="absent")["changed"] is True
        assert not os.path.exists(result["path"]) and not host.path.exists()
    finally:
        host.stop()


@needs_nginx
def test_a_stopped_nginx_has_the_main_file_of_the_unit_that_starts_it(layout, tmp_path, monkeypatch):
    folder = tmp_path / "units"
    folder.mkdir()
    monkeypatch.setattr(units, "FOLDERS", (str(folder),))
    command = f"{layout.program} -p {layout.prefix}/ -c conf/nginx.conf -g 'daemon on;'"
    (folder / "app.service").write_text(f"[Service]\nExecStart={command}\n")
    result = layout.decide_by_default()
    assert (result["running"], result["path"]) == (False, f"{layout.prefix}/conf/http.d/evergreen.conf")
    layout.start()
    assert layout.get() == b"HTTP/1.1 204 No Content"
    assert layout.decide_by_default()["changed"] is False


@needs_nginx
def test_what_the_option_g_sets_holds_for_the_tests_of_the_configuration_too(layout):
    layout.configure("include http.d/*.conf;", main_block="")
    layout.start("-g", "pid logs/nginx.pid; env EVERGREEN;")
    assert layout.decide_by_default()["changed"]
    assert layout.decide_by_default()["changed"] is False
    assert layout.get() == b"HTTP/1.1 204 No Content"


@needs_nginx
@pytest.mark.parametrize("is_running", [True, False])
def test_nginx_itself_is_asked_whether_it_reads_the_file_where_the_include_is_not_understood(host, is_running):
    main = host.folder / "nginx.conf"
    main.write_text(main.read_text().replace("conf.d/*.conf", r"conf\.d/[e-e]*.conf"))
    if is_running:
        host.start()
    assert host.decide(rehearse=True)["changed"] is False
    assert sorted(os.listdir(host.path.parent)) == [".evergreen.conf.lock"]
    assert host.decide()["changed"] is True
    if is_running:
        assert host.get() == b"HTTP/1.1 204 No Content"
    assert host.decide(rehearse=True)["changed"] is False
    assert host.decide()["changed"] is False
    before = host.path.read_text()
    host.install("www")
    with pytest.raises(TlsError, match='unknown directive "mistyped"'):
        host.decide(extra="mistyped on;")
    assert host.path.read_text() == before
    assert host.decide()["changed"] is True
    assert not [name for name in os.listdir(host.path.parent) if name.endswith("loaded")]


@pytest.fixture
def host(tmp_path):
    one = Host(tmp_path)
    yield one
    nginx_processes.stop(tmp_path / "nginx.pid")


def test_the_path_is_found_where_the_default_one_is_not_included(tmp_path, monkeypatch):
    for name in ("sites", "http.d", "conf.d"):
        (tmp_path / name).mkdir()
    main = str(tmp_path / "nginx.conf")
    monkeypatch.setattr(included_path, "DEFAULT_PATH", "/etc/nginx/conf.d/evergreen.conf")

    def found(includes: str, path: str = "/etc/nginx/conf.d/evergreen.conf") -> str:
        return included_path.included_path(path, {main: f"http {{ {includes} }}"}, main)

    assert found("include mime.types; include sites/*; include http.d/*.conf;") == f"{tmp_path}/http.d/evergreen.conf"
    assert found("include sites/*;") == f"{tmp_path}/sites/evergreen.conf"
    unchanged = "/etc/nginx/conf.d/evergreen.conf"
    assert found("include missing/*.conf; include sites/*.site;") == unchanged
    assert found("include sites/*; include /etc/nginx/conf.d/*.conf;") == unchanged
    assert found("include sites/*;", path="/srv/nginx.conf") == "/srv/nginx.conf"
