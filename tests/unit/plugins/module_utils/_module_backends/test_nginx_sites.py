# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of sites on a host with a real nginx: written, loaded, refused, restored, removed."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import types

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends.nginx_sites import decide
from ansible_collections.evergreen.tls.plugins.module_utils._nginx import masters
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.masters import PROGRAM_FOLDERS
from ansible_collections.evergreen.tls.plugins.module_utils._nginx.site_spec import OPTIONS, SITE
from ansible_collections.evergreen.tls.plugins.module_utils._system import free_space
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import normal_sites
from ansible_collections.evergreen.tls.tests.unit import nginx_processes
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

NGINX = shutil.which("nginx", path=os.pathsep.join([*PROGRAM_FOLDERS, os.environ.get("PATH", "")]))
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")
MAIN = """
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{}}
http {{
    access_log off;
    include {folder}/conf.d/*.conf;
}}
"""
# nginx as it would be if it had been built for the folder of the test.
WRAPPER = """#!/bin/sh
if [ "$1" = -V ]; then
    {nginx} -V 2>&1 | sed 's#--conf-path=[^ ]*#--conf-path={folder}/nginx.conf#' >&2
else
    exec {nginx} "$@"
fi
"""


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


class Host:
    """A host with an nginx of its own below *folder*, and a site whose certificate is still to be installed."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.path = folder / "conf.d" / "evergreen.conf"
        (folder / "conf.d").mkdir()
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        self.program = folder / "nginx"
        self.program.write_text(WRAPPER.format(nginx=NGINX, folder=folder))
        self.program.chmod(0o755)
        self.port, self.https_port = free_port(), free_port()

    def start(self) -> None:
        subprocess.run([self.program, "-c", self.folder / "nginx.conf"], check=True)
        nginx_processes.wait_until_started(self.folder / "nginx.pid")

    def decide(
        self,
        check_mode: bool = False,
        state: str = "present",
        rehearse: bool = False,
        install: bool = False,
        ports=None,
        **site,
    ):
        defaults = {name: option.get("default") for name, option in SITE.items()}
        sites = [
            {
                **defaults,
                "name": "www",
                "http_port": self.port,
                "https_port": self.https_port,
                "return_code": 204,
                "force_https": False,
                **site,
            }
        ]
        params = {name: option.get("default") for name, option in OPTIONS.items()}
        params.update(sites=sites, path=str(self.path), store=str(self.folder / "store"), state=state, ipv6="false")
        params.update(rehearse=rehearse, install=install, ports=ports or {})
        params["sites"] = normal_sites(params)
        find = {"nginx": str(self.program) if self.program.exists() else None}.get
        return decide(
            types.SimpleNamespace(
                params=params, check_mode=check_mode, get_bin_path=lambda name, opt_dirs=None: find(name)
            )
        )

    def install(self, name: str) -> None:
        """Put a certificate into the store, as certificate_install does."""
        version, key = self.folder / "store" / name / "v0001", some_key()
        version.mkdir(parents=True)
        chain = to_pem(Authority().chain([f"{name}.example.org"], key))
        for file, content in (("privkey.pem", key_pem(key)), ("fullchain.pem", chain), ("cert.pem", chain)):
            (version / file).write_bytes(content)
        (version.parent / "current").symlink_to("v0001")

    def get(self, name: bytes = b"www") -> bytes:
        """Return the status line of the site, or of what nginx has for another name."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n" % name)
            return connection.recv(100).split(b"\r\n")[0]

    def get_by_tls(self, name: bytes) -> bytes:
        """Return the status line for a name, over a connection that was made for the site."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.https_port), timeout=5) as connection:
            with context.wrap_socket(connection, server_hostname="www") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % name)
                return tls.recv(100).split(b"\r\n")[0]


@pytest.fixture
def host(tmp_path):
    one = Host(tmp_path)
    yield one
    nginx_processes.stop(tmp_path / "nginx.pid")


@needs_nginx
def test_a_site_is_loaded_and_then_nothing_changes(host):
    host.start()
    result = host.decide()
    assert result["changed"] and result["running"] and result["waiting"] == ["www"]
    assert result["msg"] == f"wrote {host.path} with 1 site, and nginx has loaded it"
    assert host.get() == b"HTTP/1.1 204 No Content"
    result = host.decide()
    assert (result["changed"], result["msg"]) == (False, f"nginx has loaded {host.path} with 1 site")
    assert sorted(os.listdir(host.path.parent)) == [".evergreen.conf.lock", "evergreen.conf"]


@needs_nginx
@pytest.mark.parametrize("is_running", [True, False])
def test_a_rehearsal_writes_nothing_and_refuses_what_nginx_would(host, is_running):
    if is_running:
        host.start()
    result = host.decide(rehearse=True)
    assert (result["changed"], result["msg"]) == (False, f"nginx accepts {host.path}")
    host.install("www")
    assert not host.decide(rehearse=True)["changed"]
    (host.folder / "store" / "www" / "v0001" / "fullchain.pem").write_text("damaged, and to be replaced")
    assert not host.decide(rehearse=True)["changed"]
    with pytest.raises(TlsError, match='unknown directive "no_such_directive"'):
        host.decide(rehearse=True, extra="no_such_directive on;")
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", host.https_port))
        taken.listen()
        with pytest.raises(TlsError, match=f"port {host.https_port} is already taken by"):
            host.decide(rehearse=True)
    (host.folder / "conf.d" / "other.conf").write_text("server_names_hash_bucket_size 64;\n")
    with pytest.raises(TlsError, match="sets server_names_hash_bucket_size to 64, and the name a{60}.org needs 128"):
        host.decide(rehearse=True, server_names=[f"{'a' * 60}.org"])
    (host.folder / "conf.d" / "other.conf").write_text("lisssten 1;\n")
    with pytest.raises(TlsError, match="nginx refuses its configuration as it was before anything was changed"):
        host.decide(rehearse=True)
    assert sorted(os.listdir(host.path.parent)) == [".evergreen.conf.lock", "other.conf"]


@needs_nginx
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("rehearse", [False, True])
def test_the_https_server_of_a_site_is_tested_before_its_certificate_is_there(host, rehearse, encrypted):
    host.start()
    with pytest.raises(TlsError, match='refuses the new configuration at the site www: unknown directive "mistyped"'):
        host.decide(rehearse=rehearse, encrypted=encrypted, extra="mistyped on;")
    assert not host.path.exists()
    assert host.decide(rehearse=rehearse, encrypted=encrypted)["changed"] is not rehearse
    assert host.path.exists() is not rehearse
    assert rehearse or str(host.https_port) not in host.path.read_text()
    with pytest.raises(TlsError, match='refuses the new configuration at the site www: unknown directive "mistyped"'):
        host.decide(rehearse=rehearse, encrypted=encrypted, extra="mistyped on;")  # where HTTP stays as it is
    assert not [name for name in os.listdir(host.path.parent) if name.endswith("-test")]


@needs_nginx
@pytest.mark.parametrize("rehearse", [False, True])
def test_a_full_folder_of_the_configuration_is_named(host, rehearse, monkeypatch):
    monkeypatch.setattr(free_space, "MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(TlsError, match=f"the file system of {host.path.parent} has .* free some space there and run"):
        host.decide(rehearse=rehearse)
    assert os.listdir(host.path.parent) == []


@needs_nginx
def test_what_a_killed_run_left_does_not_stand_in_the_way_of_a_rehearsal(host):
    host.start()
    left = [host.path.with_name(".evergreen.conf.evergreen-test"), host.folder / ".nginx.conf.evergreen-test"]
    for path in left:
        path.write_text("of a run that was killed while nginx tested it\n")
    assert host.decide(rehearse=True)["msg"] == f"nginx accepts {host.path}"
    assert not [path for path in left if path.exists()]


@needs_nginx
def test_a_file_that_nginx_would_not_read_is_refused_with_one_that_it_would(host):
    (host.folder / "sites").mkdir()
    main = host.folder / "nginx.conf"
    main.write_text(MAIN.format(folder=host.folder).replace("/conf.d/*", "/sites/*"))
    with pytest.raises(TlsError) as caught:
        host.decide()
    assert str(caught.value) == (
        f"nginx does not read {host.path}: the http block of {main} includes {host.folder}/sites/*.conf; add "
        f"'include {host.folder}/conf.d/*.conf;' to it, or let path (nginx_path of the role) name a file that it includes, such as "
        f"{host.folder}/sites/evergreen.conf"
    )


@pytest.mark.parametrize("rehearse", [True, False])
def test_a_host_without_nginx_fails_before_and_after_certificates_with_the_option_that_installs_it(
    host, rehearse, monkeypatch
):
    monkeypatch.setattr(masters, "nginx_pids", list)  # that of another test does not count
    host.program.unlink()
    with pytest.raises(TlsError, match="nginx is not installed on this host; write nginx_install: true") as raised:
        host.decide(rehearse=rehearse)
    assert raised.value.details == {"missing": "nginx"}
    assert not host.path.exists()


@pytest.mark.parametrize(
    ("install", "start", "warnings"), [(True, "would install nginx, and", 0), (False, "nginx is not installed, and", 1)]
)
def test_check_mode_says_what_a_host_without_nginx_would_get(host, install, start, warnings, monkeypatch):
    monkeypatch.setattr(masters, "nginx_pids", list)
    host.program.unlink()
    result = host.decide(check_mode=True, install=install)
    assert result["changed"] and result["msg"].startswith(f"{start} would write {host.path}")
    assert len(result["warnings"]) == warnings


@needs_nginx
def test_a_root_that_is_no_folder_is_a_warning_with_its_path(host):
    root = f"{host.folder}/shop"
    host.install("www")
    result = host.decide(return_code=None, root=root)
    assert result["warnings"] == [
        f"the root of the site www, {root}, is no folder on this host, and clients get 404; create it, with mkdir -p {root}, or correct root"
    ]
    pathlib.Path(root).mkdir()
    assert host.decide(return_code=None, root=root)["warnings"] == []
    assert host.decide(return_code=None, root=f"{host.folder}/$host")["warnings"] == []


@needs_nginx
def test_check_mode_writes_nothing(host):
    host.start()
    result = host.decide(check_mode=True)
    assert result["msg"] == f"would write {host.path} with 1 site, and nginx would load it"
    assert os.listdir(host.path.parent) == []


@needs_nginx
def test_a_configuration_that_nginx_refuses_changes_nothing_and_names_the_site(host):
    host.start()
    host.install("www")
    assert host.decide()["fingerprints"]["www"]
    before = host.path.read_text()
    with pytest.raises(TlsError) as caught:
        host.decide(extra="no_such_directive on;")
    assert str(caught.value).startswith(
        'nginx refuses the new configuration at the site www: unknown directive "no_such_directive" in '
    )
    assert "evergreen-test" not in str(caught.value)
    assert host.path.read_text() == before
    assert [path.name.split("-")[0] for path in snippets(host)] == [".evergreen.conf.intermediate"]


@needs_nginx
def test_a_configuration_that_nginx_cannot_load_is_taken_back(host):
    host.start()
    host.decide()
    before = host.path.read_text()
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        address = f"127.0.0.2:{taken.getsockname()[1]}"
        other = host.folder / "conf.d" / "other.conf"
        other.write_text(f"server {{ listen {address}; }}\n")
        with pytest.raises(
            TlsError, match=f"the content of {host.path} from before is in place again, since nginx did not"
        ):
            host.decide(return_code=404)
    assert host.path.read_text() == before
    assert ".evergreen.conf.loaded" not in os.listdir(host.path.parent)


@needs_nginx
def test_a_missing_folder_of_the_configuration_is_named_with_the_command_that_makes_it(host):
    host.path.parent.rmdir()
    sentence = (
        f"there is no folder {host.path.parent} for {host.path}; create it, with mkdir {host.path.parent}, or let path"
    )
    for check_mode in (True, False):
        with pytest.raises(TlsError, match=sentence):
            host.decide(check_mode=check_mode)


@needs_nginx
def test_a_configuration_without_sites_is_removed(host):
    host.start()
    host.decide()
    result = host.decide(state="absent")
    assert result["msg"] == f"removed {host.path}, and nginx goes on without it"
    assert os.listdir(host.path.parent) == [".evergreen.conf.lock"]


def snippets(host) -> list[pathlib.Path]:
    """Return the snippets, and whatever else begins with a dot, except for the lock."""
    return sorted(path for path in host.path.parent.glob(".*") if not path.name.endswith(".lock"))


@needs_nginx
def test_the_profile_of_a_site_is_a_snippet_that_goes_when_no_site_has_it(host):
    host.start()
    host.install("www")
    host.decide()
    (intermediate,) = snippets(host)
    assert intermediate.name.startswith(".evergreen.conf.intermediate-")
    assert host.path.read_text().count(f"    include {intermediate};\n") == 2
    assert "\nssl_protocols TLSv1.2 TLSv1.3;\n" in intermediate.read_text()
    assert (intermediate.stat().st_mode & 0o777) == 0o644
    assert not host.decide()["changed"]
    diff = host.decide(profile="modern")["diff"]
    assert "\nssl_protocols TLSv1.2 TLSv1.3;\n" in diff["before"] and "\nssl_protocols TLSv1.3;\n" in diff["after"]
    (modern,) = snippets(host)
    assert modern.name.startswith(".evergreen.conf.modern-")
    host.decide(state="absent")
    assert snippets(host) == []


@needs_nginx
@pytest.mark.parametrize("change", ["edited", "removed", "broken"])
def test_a_snippet_that_somebody_has_changed_is_put_right_and_loaded(host, change):
    host.start()
    host.install("www")
    host.decide()
    (snippet,) = snippets(host)
    content = snippet.read_text()
    if change == "removed":
        snippet.unlink()
    else:
        snippet.write_text(
            content.replace("TLSv1.2 TLSv1.3", "TLSv1.2") if change == "edited" else "no_such_directive on;\n"
        )
    assert host.decide(check_mode=True)["changed"] if change == "edited" else True
    result = host.decide()
    assert result["changed"] and result["msg"] == f"wrote {host.path} with 1 site, and nginx has loaded it"
    assert snippets(host) == [snippet] and snippet.read_text() == content
    assert not host.decide()["changed"]


@needs_nginx
def test_the_snippets_of_the_content_from_before_stay_when_nginx_cannot_load_a_new_one(host):
    host.start()
    host.install("www")
    host.decide()
    before = {path: path.read_text() for path in (host.path, *snippets(host))}
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        other = host.folder / "conf.d" / "other.conf"
        other.write_text(f"server {{ listen 127.0.0.2:{taken.getsockname()[1]}; }}\n")
        with pytest.raises(TlsError, match="from before is in place again"):
            host.decide(profile="modern")
        with pytest.raises(TlsError, match="no_such_directive"):
            host.decide(profile="modern", extra="no_such_directive on;")
    assert {path: path.read_text() for path in (host.path, *snippets(host))} == before


@needs_nginx
def test_a_host_that_has_all_in_one_file_gets_snippets_and_keeps_its_sites(host):
    host.start()
    host.install("www")
    host.decide()
    whole = host.path.read_text()
    for snippet in snippets(host):
        whole = whole.replace(f"include {snippet};", snippet.read_text())
        snippet.unlink()
    host.path.write_text(whole)
    host.decide(check_mode=True)
    assert snippets(host) == []
    assert host.decide()["changed"]
    assert len(snippets(host)) == 1 and host.get() == b"HTTP/1.1 204 No Content"


@needs_nginx
def test_what_a_killed_run_left_of_snippets_is_removed_and_what_is_needed_stays(host):
    host.start()
    host.install("www")
    host.decide()
    (snippet,) = snippets(host)
    left = ["modern-01234567", "modern-01234567.evergreen-test", "intermediate-01234567.89abcdef"]
    for name in left:
        (host.path.parent / f".evergreen.conf.{name}").write_text("left over")
    (host.path.parent / f".{snippet.name}.0123abcd").write_text("left over")
    assert not host.decide()["changed"]
    assert snippets(host) == [snippet]


@needs_nginx
def test_an_unknown_name_gets_no_response_over_http_and_is_misdirected_over_the_connection_of_a_site(host):
    host.start()
    host.install("www")
    host.decide()
    assert host.get() == b"HTTP/1.1 204 No Content"
    assert host.get(b"unknown") == b""
    assert host.get_by_tls(b"www") == b"HTTP/1.1 204 No Content"
    assert host.get_by_tls(b"unknown") == b"HTTP/1.1 421 Misdirected Request"


@needs_nginx
def test_an_unknown_name_is_for_the_site_of_somebody_else_who_listens_for_http(host):
    (host.folder / "conf.d" / "other.conf").write_text(f"server {{ listen {host.port}; server_name x; return 205; }}\n")
    (host.folder / "conf.d" / "a.conf").write_text(f"server {{ listen {host.port}; server_name a; return 206; }}\n")
    host.start()
    host.decide()
    assert host.get(b"unknown").startswith(b"HTTP/1.1 206")


@needs_nginx
def test_the_logs_of_a_site_are_its_own_in_folders_of_root(host):
    host.start()
    log = host.folder / "www.log"
    host.decide(access_log=str(log), error_log=f"{host.folder}/www.error.log warn")
    host.get()
    deadline = time.monotonic() + 5
    while not log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "GET / HTTP/1.0" in log.read_text()
    (host.folder / "logs").mkdir(mode=0o777)
    (host.folder / "logs").chmod(0o777)
    with pytest.raises(TlsError, match=f"the access_log of the site www: .*{host.folder}/logs"):
        host.decide(access_log=f"{host.folder}/logs/www.log")
    folder = f"{host.folder}/no_such_folder"
    with pytest.raises(
        TlsError, match=f"is in the folder {folder}, which does not exist on this host; create it, with mkdir -p"
    ):
        host.decide(access_log=f"{host.folder}/no_such_folder/www.log")


@needs_nginx
@pytest.mark.parametrize("port", [b"", b":8443"])
def test_an_application_gets_the_name_and_the_port_that_the_client_asked_for(host, port):
    host.start()
    requests = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as connection:
                requests.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        host.decide(return_code=None, proxy_pass=f"http://127.0.0.1:{server.getsockname()[1]}")
        assert host.get(b"www" + port) == b"HTTP/1.1 204 No Content"
        thread.join()
    assert b"\r\nHost: www" + port + b"\r\n" in requests[0]


@needs_nginx
@pytest.mark.parametrize("rehearse", [True, False])
def test_a_site_at_another_port_than_that_of_its_proof_is_refused_unless_something_else_listens_there(host, rehearse):
    proved = free_port()
    with pytest.raises(TlsError) as caught:
        host.decide(rehearse=rehearse, ports={"www": proved})
    assert str(caught.value) == (
        f"the site www has https_port {host.https_port}, and its certificate www is proved at port {proved}, where nothing in nginx's "
        f"configuration listens; write port: {host.https_port} for the certificate request www, or https_port: {proved} for the site"
    )
    host.decide(rehearse=rehearse, ports={"www": host.https_port, "other": proved})
    host.decide(rehearse=rehearse, ports={"www": proved}, extra=f"listen {proved} ssl;")
    (host.folder / "conf.d" / "other.conf").write_text(f"server {{ listen {proved}; }}\n")
    host.decide(rehearse=rehearse, ports={"www": proved})
