# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nginx that runs is the one that is configured, whatever main file it was started with."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import masters
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import (
    Master,
    find_program,
    main_file,
    parse_title,
)
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import user_ids
from ansible_collections.evergreen.tls.tests.unit import nginx_processes
from ansible_collections.evergreen.tls.tests.unit.plugins.module_utils._nginx.test_process import (
    CONFIGURATION,
    REAL,
    needs_nginx,
    until,
)

PREFIX, DEFAULT = "/usr/share/nginx", "/etc/nginx/nginx.conf"


@pytest.mark.parametrize(
    ("title", "prefix", "config", "directives"),
    [
        ("nginx: master process nginx", None, None, None),
        (
            "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;",
            *(None, None, "daemon on; master_process on;"),
        ),
        ("nginx: master process nginx -c /srv/app/nginx.conf", None, "/srv/app/nginx.conf", None),
        (
            "nginx: master process nginx -c/srv/app/nginx.conf -g daemon off;",
            None,
            "/srv/app/nginx.conf",
            "daemon off;",
        ),
        ("nginx: master process nginx -g pid /a b.pid; -c /a.conf -q", None, "/a.conf", "pid /a b.pid;"),
        ("nginx: master process nginx -p /srv/app/ -c nginx.conf", "/srv/app/", "nginx.conf", None),
    ],
)
def test_a_title_has_the_options_of_the_command_line(title, prefix, config, directives):
    assert parse_title(7, title) == Master(7, prefix, config, directives)


@pytest.mark.parametrize(
    ("running", "pair"),
    [
        ([], (PREFIX, DEFAULT)),
        ([Master(1, None, None)], (PREFIX, DEFAULT)),
        ([Master(1, None, "/srv/app/nginx.conf")], (PREFIX, "/srv/app/nginx.conf")),
        ([Master(1, "/srv/app/", "conf/nginx.conf")], ("/srv/app", "/srv/app/conf/nginx.conf")),
        ([Master(1, None, "/srv/a.conf"), Master(2, None, None)], (PREFIX, DEFAULT)),
        ([Master(1, None, "/srv/a.conf"), Master(2, None, "/srv/a.conf")], (PREFIX, "/srv/a.conf")),
    ],
)
def test_the_main_file_is_that_of_the_master_process(running, pair):
    assert main_file(running, PREFIX, DEFAULT) == pair


def test_a_prefix_moves_a_main_file_that_was_built_into_the_prefix():
    built = ("/usr/local/openresty/nginx", "/usr/local/openresty/nginx/conf/nginx.conf")
    assert main_file([Master(1, "/srv/app", None)], *built) == ("/srv/app", "/srv/app/conf/nginx.conf")


def test_several_nginx_with_other_main_files_are_named():
    with pytest.raises(TlsError) as caught:
        main_file([Master(1, None, "/srv/a.conf"), Master(2, None, "/srv/b.conf")], PREFIX, DEFAULT)
    assert str(caught.value) == (
        f"several nginx run on this host, with the main files /srv/a.conf, /srv/b.conf, and none with {DEFAULT}; "
        "end those that are not to be configured, and run this again"
    )


class Programs:
    """The programs of a host."""

    def __init__(self, **paths):
        self.paths = paths

    def get_bin_path(self, arg, required=False, opt_dirs=None):
        return self.paths.get(arg)


def test_nginx_has_other_names_too(monkeypatch):
    Processes(monkeypatch)
    assert find_program(Programs(openresty="/usr/bin/openresty"), []) == "/usr/bin/openresty"
    assert find_program(Programs(angie="/usr/sbin/angie", nginx="/usr/sbin/nginx"), []) == "/usr/sbin/nginx"
    assert find_program(Programs(), []) is None


@needs_nginx
def test_a_running_nginx_with_another_main_file_is_found_tested_and_reloaded(tmp_path):
    program = tmp_path / "nginx"
    shutil.copy(REAL, program)  # a program of its own, which no other test runs
    (tmp_path / "sites").mkdir()
    main = tmp_path / "app.conf"
    main.write_text(CONFIGURATION.format(folder=tmp_path))
    module = Programs(nginx=str(program))
    assert NginxProcess(module).build.config_path == DEFAULT
    subprocess.run([program, "-c", main], check=True)
    nginx_processes.wait_until_started(tmp_path / "nginx.pid")
    try:
        nginx = NginxProcess(module)
        assert nginx.build.config_path == str(main)
        assert nginx.master_pid() == int((tmp_path / "nginx.pid").read_text())
        assert nginx.test_error() is None
        nginx.reload()
        until(lambda: "reconfiguring" in nginx.error_log_since(0))
    finally:
        subprocess.run([program, "-c", main, "-s", "stop"], check=True)


class Processes:
    """Processes that are named nginx: pid, user, title, and the file that each runs."""

    def __init__(self, monkeypatch, *processes):
        self.processes = {pid: (users, title, file) for pid, users, title, file in processes}
        monkeypatch.setattr(masters, "program_pids", lambda name: list(self.processes) if name == "nginx" else [])
        monkeypatch.setattr(masters, "user_ids", lambda pid: self.processes[pid][0])
        monkeypatch.setattr(masters, "command_line", lambda pid: self.processes[pid][1])
        monkeypatch.setattr(masters, "executable_path", lambda pid: self.processes[pid][2])


def test_a_process_of_another_user_is_no_master_whatever_it_runs(monkeypatch):
    planted = "nginx: master process nginx -c /home/alice/evil.conf"
    Processes(
        monkeypatch,
        (1, {65534}, planted, "/usr/sbin/nginx"),
        (2, {65534, 0}, planted, "/usr/sbin/nginx"),  # a program that has the user of root by its mode
        (3, set(), planted, "/usr/sbin/nginx"),
        (4, {0}, planted, "/usr/bin/su"),
    )
    assert masters.running_masters("/usr/sbin/nginx") == []
    Processes(monkeypatch, (5, {0}, "nginx: master process nginx", "/usr/sbin/nginx"))
    assert masters.running_masters("/usr/sbin/nginx") == [Master(5, None, None)]


def test_the_program_that_runs_comes_before_another_that_is_installed(monkeypatch):
    Processes(monkeypatch, (1, {0}, "angie: master process angie", "/usr/sbin/angie"))
    assert find_program(Programs(nginx="/usr/sbin/nginx", angie="/usr/sbin/angie"), []) == "/usr/sbin/angie"


def test_a_program_that_runs_from_another_folder_is_found_if_only_root_can_exchange_it(monkeypatch, tmp_path):
    running = tmp_path / "angie"
    running.touch(mode=0o755)
    Processes(monkeypatch, (1, {0}, "angie: master process angie", str(running)))
    monkeypatch.setattr(masters, "check_folder", lambda *_arguments: None)
    assert find_program(Programs(nginx="/usr/sbin/nginx"), []) == "/usr/sbin/nginx"
    assert find_program(Programs(), []) == str(running)
    running.chmod(0o777)
    assert find_program(Programs(), []) is None
    running.chmod(0o755)
    Processes(monkeypatch, (1, {65534}, "angie: master process angie", str(running)))
    assert find_program(Programs(), []) is None


def test_a_process_that_calls_itself_nginx_and_belongs_to_another_user_is_told_apart_by_the_kernel():
    if os.geteuid():
        pytest.skip("starting a process as another user needs root")
    with subprocess.Popen(["sleep", "30"], user=65534) as process:
        try:
            assert user_ids(process.pid) == {65534} and not masters.is_ours(process.pid)
        finally:
            process.kill()
    assert user_ids(os.getpid()) == {0} and masters.is_ours(os.getpid())
    assert user_ids(999999999) == set()
