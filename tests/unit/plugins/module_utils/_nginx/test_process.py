# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real nginx with a configuration of its own: found, asked, reloaded, and read."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import types

import pytest
from ansible.module_utils import basic

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import masters
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import process as nginx_process
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.process import NginxProcess
from ansible_collections.evergreen.tls.plugins.module_utils._system.procfs import child_pids, is_stopped, program_name

REAL = shutil.which("nginx", path=os.pathsep.join([*nginx_process.PROGRAM_FOLDERS, os.environ.get("PATH", "")]))
needs_nginx = pytest.mark.skipif(REAL is None, reason="nginx is not installed here")

# nginx as it would be if it had been built for the folder of the test.
WRAPPER = """#!/bin/sh
if [ "$1" = -V ]; then
    {real} -V 2>&1 | sed 's#--conf-path=[^ ]*#--conf-path={folder}/nginx.conf#' >&2
else
    exec {real} "$@"
fi
"""
CONFIGURATION = """
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
daemon on;
events {{}}
http {{
    access_log off;
    include {folder}/sites/*.conf;
}}
"""
SITE = "server {{ listen 127.0.0.1:{port}; server_name {name}; return 200 {answer}; }}\n"


@pytest.fixture
def module(monkeypatch):
    """Return the module of Ansible that a module without options is."""
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", b'{"ANSIBLE_MODULE_ARGS": {}}')
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    return basic.AnsibleModule({})


class Folder:
    """The folder of an nginx, and what is needed to write into it."""

    def __init__(self, path):
        self.path = path
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.port = unused.getsockname()[1]
        (path / "sites").mkdir()
        (path / "nginx.conf").write_text(CONFIGURATION.format(folder=path))
        program = path / "nginx"
        program.write_text(WRAPPER.format(real=REAL, folder=path))
        program.chmod(0o755)

    def write_site(self, name, answer="hello", file="site"):
        (self.path / "sites" / f"{file}.conf").write_text(SITE.format(port=self.port, name=name, answer=answer))

    def ask(self):
        """Return what the site answers."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(4096), b"")).split(b"\r\n\r\n")[1].decode()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(nginx_process, "PROGRAM_FOLDERS", [str(tmp_path)])
    folder = Folder(tmp_path)
    folder.write_site("www.example.org")
    yield folder
    pid = tmp_path / "nginx.pid"
    if pid.exists() and pid.read_text():  # nginx -t leaves an empty one
        os.kill(int(pid.read_text()), signal.SIGTERM)


def until(condition):
    """Wait for something that happens soon."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_host_without_nginx_is_told_how_to_get_it(module, monkeypatch, tmp_path):
    monkeypatch.setattr(nginx_process, "PROGRAM_FOLDERS", [])
    monkeypatch.setattr(masters, "nginx_pids", list)  # that of another test does not count
    monkeypatch.setattr(module, "get_bin_path", lambda name, opt_dirs: shutil.which(name, path=str(tmp_path)))
    with pytest.raises(TlsError) as caught:
        NginxProcess(module)
    assert str(caught.value) == (
        "nginx is not installed on this host; write nginx_install: true for evergreen.tls.deploy to install it, or install it with apt "
        "install nginx"
    )


@needs_nginx
def test_the_configuration_is_read_with_what_it_includes(module, folder):
    folder.write_site("shop.example.org", file="shop")
    files = NginxProcess(module).config_files()
    assert sorted(files) == [f"{folder.path}/{name}" for name in ("nginx.conf", "sites/shop.conf", "sites/site.conf")]


@needs_nginx
def test_a_configuration_is_complained_of_before_it_is_loaded(module, folder):
    nginx = NginxProcess(module)
    assert nginx.test_error() is None
    (folder.path / "sites/broken.conf").write_text("server { lisssten 80; }\n")
    assert nginx.test_error() == f'unknown directive "lisssten" in {folder.path}/sites/broken.conf:1'
    (folder.path / "other.conf").write_text("events {}\n")
    assert nginx.test_error(f"{folder.path}/other.conf") is None


@needs_nginx
def test_a_master_that_does_not_run_cannot_be_reloaded(module, folder):
    nginx = NginxProcess(module)
    assert nginx.master_pid() is None
    for content in ("", "garbage", "1", "999999999"):
        (folder.path / "nginx.pid").write_text(content)
        assert nginx.master_pid() is None
        with pytest.raises(TlsError) as caught:
            nginx.reload()
        assert str(caught.value) == (
            "nginx does not run on this host; start it, with systemctl start nginx, and run this again"
        )
    (folder.path / "nginx.pid").unlink()


@needs_nginx
def test_a_reloaded_master_serves_what_is_written_now(module, folder):
    nginx = NginxProcess(module)
    subprocess.run([nginx.program, "-c", nginx.build.config_path], check=True)
    until(lambda: nginx.master_pid() is not None)
    assert folder.ask() == "hello"
    assert nginx.error_log_path() == f"{folder.path}/error.log"
    end, process = nginx.error_log_size(), nginx.master_pid()
    assert end > 0
    folder.write_site("www.example.org", answer="again")
    nginx.reload()
    until(lambda: folder.ask() == "again")
    assert nginx.master_pid() == process
    assert "reconfiguring" in nginx.error_log_since(end)
    assert "reconfiguring" not in nginx.error_log_since(nginx.error_log_size())


@needs_nginx
def test_a_master_is_found_without_its_pid_file(module, folder):
    nginx = NginxProcess(module)
    subprocess.run([nginx.program, "-c", nginx.build.config_path], check=True)
    until(lambda: nginx.master_pid() is not None)
    process = nginx.master_pid()
    until(lambda: child_pids(process))
    pid = folder.path / "nginx.pid"
    try:
        for content in (str(os.getpid()), str(child_pids(process)[0]), "999999999", ""):
            pid.write_text(content)
            assert nginx.master_pid() == process
        pid.unlink()
        assert nginx.master_pid() == process
    finally:
        pid.write_text(str(process))


@needs_nginx
def test_a_stopped_master_is_told_from_one_that_does_not_run(module, folder):
    nginx = NginxProcess(module)
    subprocess.run([nginx.program, "-c", nginx.build.config_path], check=True)
    until(lambda: nginx.master_pid() is not None)
    process = nginx.master_pid()
    os.kill(process, signal.SIGSTOP)
    until(lambda: is_stopped(process))
    try:
        with pytest.raises(TlsError) as caught:
            nginx.reload()
        assert str(caught.value) == (
            f"the master process of nginx (pid {process}) is stopped and takes no signals; have it go on, with kill -CONT {process}, "
            "and run this again"
        )
    finally:
        os.kill(process, signal.SIGCONT)


@needs_nginx
def test_a_port_that_a_reload_cannot_have_is_told_with_who_has_it(module, folder):
    nginx = NginxProcess(module)
    subprocess.run([nginx.program, "-c", nginx.build.config_path], check=True)
    until(lambda: nginx.master_pid() is not None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (folder.path / "sites/taken.conf").write_text(f"server {{ listen 127.0.0.1:{port}; }}\n")
        assert nginx.test_error() is None
        end = nginx.error_log_size()
        nginx.reload()
        until(lambda: nginx.reload_error(end) is not None)
        assert nginx.reload_error(end) == (
            f"bind() to 127.0.0.1:{port} failed (98: Address already in use), and port {port} is taken by "
            f"{program_name(os.getpid())} (pid {os.getpid()})"
        )


MASTER = 4711


@pytest.fixture
def logged(monkeypatch):
    """Return a function that makes an nginx with such lines of its master in the log, and such a configuration."""
    monkeypatch.setattr(nginx_process, "BIND_RETRY_S", 0.0)

    def make(*errors, configuration="", test_error=None):
        nginx = NginxProcess.__new__(NginxProcess)
        nginx.gave_up_at = None
        nginx.build = types.SimpleNamespace(config_path="/etc/nginx/nginx.conf")
        lines = "".join(f"2026/11/30 11:00:00 [emerg] {MASTER}#{MASTER}: {error}\n" for error in errors)
        for name, value in {
            "master_pid": MASTER,
            "error_log_since": lines,
            "test_error": test_error,
            "config_files": {"/etc/nginx/nginx.conf": configuration},
        }.items():
            monkeypatch.setattr(nginx, name, lambda *_arguments, value=value: value)
        return nginx

    return make


@pytest.fixture
def taken_by_another():
    """Return a port that this program has, as an application behind nginx may have one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def bind_errors(port):
    return f"bind() to 0.0.0.0:{port} failed (98: Address already in use)", "still could not bind()"


def test_a_line_that_an_application_forged_is_not_believed_where_the_configuration_is_valid(logged):
    nginx = logged("mmap(MAP_ANON|MAP_SHARED, 1) failed (12: Cannot allocate memory)")
    assert [nginx.reload_error(0) for _time in range(3)] == [None] * 3


def test_a_forged_line_about_a_port_of_no_site_is_not_believed(logged, taken_by_another):
    nginx = logged(*bind_errors(taken_by_another), configuration="http { server { listen 80; } }")
    assert [nginx.reload_error(0) for _time in range(3)] == [None] * 3


def test_a_forged_line_about_a_port_that_nobody_has_is_not_believed(logged):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    nginx = logged(*bind_errors(port), configuration=f"http {{ server {{ listen {port}; }} }}")
    assert nginx.reload_error(0) is None


def test_a_forged_line_about_a_port_that_nginx_has_is_not_believed(logged, taken_by_another, monkeypatch):
    nginx = logged(*bind_errors(taken_by_another), configuration=f"http {{ server {{ listen {taken_by_another}; }} }}")
    monkeypatch.setattr(nginx_process, "_has_port", lambda name, port: (name, port) == ("nginx", taken_by_another))
    assert nginx.reload_error(0) is None


def test_a_port_of_a_site_that_another_program_has_is_believed(logged, taken_by_another):
    nginx = logged(*bind_errors(taken_by_another), configuration=f"http {{ server {{ listen {taken_by_another}; }} }}")
    assert nginx.reload_error(0) == (
        f"bind() to 0.0.0.0:{taken_by_another} failed (98: Address already in use), and port {taken_by_another} is taken by "
        f"{program_name(os.getpid())} (pid {os.getpid()})"
    )


def test_an_error_that_a_test_of_the_configuration_confirms_is_believed_and_cut(logged):
    nginx = logged("unknown directive " + "a" * 1000, test_error="unknown directive")
    assert nginx.reload_error(0) == ("unknown directive " + "a" * 1000)[:300]


def test_a_test_of_the_configuration_is_not_repeated_at_each_look(logged, monkeypatch):
    nginx = logged("mmap() failed")
    tests = []
    monkeypatch.setattr(nginx, "test_error", lambda: tests.append(1))
    assert nginx.reload_error(0) is None
    monkeypatch.setattr(nginx_process, "BIND_RETRY_S", 60.0)
    assert nginx.reload_error(0) is None
    assert len(tests) == 1


def test_when_the_time_is_over_the_log_says_why(logged):
    assert logged("mmap() failed").reload_error(0, is_over=True) == "mmap() failed"


def test_the_program_at_a_port_is_known_by_its_name(taken_by_another):
    assert nginx_process._has_port(program_name(os.getpid()), taken_by_another)
    assert not nginx_process._has_port("nginx", taken_by_another)


@needs_nginx
def test_nginx_is_not_started_beside_what_has_its_port(module, folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TlsError) as caught:
            NginxProcess(module).check_startable(port)
    assert str(caught.value) == (
        f"nginx does not run on this host, and port {port} is taken by {program_name(os.getpid())} (pid {os.getpid()}); "
        "stop that, start nginx, with systemctl start nginx, and run this again"
    )


@needs_nginx
def test_nginx_is_not_started_beside_workers_that_have_lost_their_master(module, folder):
    nginx = NginxProcess(module)
    subprocess.run([nginx.program, "-c", nginx.build.config_path], check=True)
    until(lambda: nginx.master_pid() is not None)
    until(lambda: child_pids(nginx.master_pid()))
    process = nginx.master_pid()
    workers = child_pids(process)
    os.kill(process, signal.SIGKILL)
    until(lambda: nginx.master_pid() is None)
    (folder.path / "nginx.pid").unlink()
    try:
        with pytest.raises(TlsError) as caught:
            nginx.check_startable(folder.port)
        assert str(caught.value) == (
            f"the master process of nginx is gone, and workers of it go on with what they have (pid {', '.join(map(str, workers))}); "
            f"end them, with kill -QUIT {' '.join(map(str, workers))}, start nginx, with systemctl start nginx, and run this again"
        )
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)


@needs_nginx
def test_a_large_configuration_is_waited_for_in_proportion_to_its_test(module, folder):
    nginx = NginxProcess(module)
    assert nginx.reload_timeout(30) == 30
    nginx.test_error()
    assert nginx.reload_timeout(0) == 10 * nginx.test_seconds > 0


@needs_nginx
def test_an_error_log_that_is_not_there_has_no_news(module, folder):
    nginx = NginxProcess(module)
    assert (nginx.error_log_size(), nginx.error_log_since(0)) == (0, "")


@needs_nginx
@pytest.mark.parametrize(
    ("server_name", "name", "answers"),
    [
        ("www.example.org", "www.example.org", True),
        ("shop.example.org www.example.org", "www.example.org", True),
        ("*.example.org", "www.example.org", True),
        (".example.org", "www.example.org", True),
        (".example.org", "example.org", True),
        ("*.example.org", "*.example.org", True),
        ("example.org", "www.example.org", False),
        ("*.example.org", "example.org", False),
        ("_", "www.example.org", False),
    ],
)
def test_the_blocks_that_answer_to_a_name_are_found(module, folder, server_name, name, answers):
    folder.write_site(server_name)
    nginx = NginxProcess(module)
    assert [block.place for block in nginx.server_blocks_for(name, folder.port)] == (
        [f"{folder.path}/sites/site.conf:1"] if answers else []
    )
    assert nginx.server_blocks_for(name, 1) == []


def test_a_file_that_was_written_before_the_clock_was_set_back_is_loaded_by_what_started_since(monkeypatch, tmp_path):
    path, now = tmp_path / "current", time.time() - 86400
    path.write_bytes(b"")
    starts = {os.getpid(): now - 1, 11: now - 100, 12: now}
    monkeypatch.setattr(nginx_process, "start_time", starts.get)
    monkeypatch.setattr(nginx_process, "_is_working", lambda pid: True)
    monkeypatch.setattr(nginx_process.time, "time", lambda: now)
    nginx = object.__new__(NginxProcess)
    monkeypatch.setattr(nginx, "master_pid", lambda: 10, raising=False)
    for workers, is_newer in (([11], True), ([11, 12], True), ([12], False)):
        monkeypatch.setattr(nginx_process, "child_pids", lambda process, workers=workers: workers)
        assert nginx.is_newer_than_loaded(str(path)) is is_newer


def test_of_a_log_that_grows_without_end_begin_and_end_are_read(monkeypatch, tmp_path):
    path = tmp_path / "error.log"
    monkeypatch.setattr(nginx_process, "MAX_LOG_BYTES", 10)
    nginx = object.__new__(NginxProcess)
    monkeypatch.setattr(nginx, "error_log_path", lambda: str(path), raising=False)
    for content, text in (
        ("before", ""),
        ("before0123", "0123"),
        ("before0123456789", "0123456789"),
        ("before0123456789abc", "0123456789abc"),
        ("before0123456789" + "-" * 1000 + "abcdefghij", "0123456789abcdefghij"),
    ):
        path.write_text(content)
        assert nginx.error_log_since(6) == text
