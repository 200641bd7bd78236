# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook revoke on hosts that lie about their certificate: the records of the controller decide, and what is revoked is not used again."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca_certificates import sign_crl

BUILD = pathlib.Path(__file__).resolve().parents[2] / ".build"
SITE = "- hosts: all\n  gather_facts: false\n  roles: [evergreen.tls.certificate]\n"


class Servers:
    """Two hosts on this machine, whose servers present what is in use, and their controller."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, hosts = folder, {}
        for host in ("web1", "web2"):
            (folder / host).mkdir()
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            threading.Thread(target=present, args=(listener, folder / host / "www/current"), daemon=True).start()
            request = {"name": "www", "domains": [f"{host}.example.org"], "served_by": "other", "port": port}
            own = {"certificate_directory": str(folder / host), "certificate_endpoint": f"127.0.0.1:{port}"}
            hosts[host] = {**own, "certificate_requests": [request]}
        shared = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "certificate_verify_timeout": 1,
            "certificate_issuers": {"local": {"type": "local_ca", "directory": str(folder / "ca")}},
            "revoke_records": str(folder / "pending"),
        }
        (folder / "inventory.json").write_text(json.dumps({"all": {"vars": shared, "hosts": hosts}}))
        (folder / "site.yml").write_text(SITE)

    def play(self, playbook: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook."""
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "ANSIBLE_HOME": str(self.folder / ".ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
        }
        command = [BUILD / "venv/bin/ansible-playbook", "-i", str(self.folder / "inventory.json"), playbook, *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment, check=False)

    def change_issuer(self, settings: dict[str, object]) -> None:
        """Have the requests of both hosts be of another issuer; the one before stays configured."""
        path = self.folder / "inventory.json"
        inventory = json.loads(path.read_text())
        inventory["all"]["vars"]["certificate_issuers"]["other"] = settings
        for host in inventory["all"]["hosts"].values():
            host["certificate_requests"][0]["issuer"] = "other"
        path.write_text(json.dumps(inventory))

    def revoke(self, *words: str, requests: str = "www") -> subprocess.CompletedProcess[str]:
        """Run the playbook revoke for web1, whose key was stolen."""
        options = ("-e", f"revoke_requests={requests}", "-e", "revoke_reason=key_compromise", "--limit", "web1")
        return self.play("evergreen.tls.revoke", *options, *words)

    def records(self) -> list[tuple[str, str, str | None]]:
        """Return host, serial number and reason of each issued certificate, the oldest first."""
        records = [json.loads(path.read_text()) for path in (self.folder / "ca/issued").glob("*.json")]
        records.sort(key=lambda record: record["issued_at"])
        return [(record["host"], record["serial_number"], record["reason"]) for record in records]


def present(listener: socket.socket, current: pathlib.Path) -> None:
    """Present the certificate that is in use to each client."""
    while True:
        connection, _address = listener.accept()
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(current / "fullchain.pem", current / "privkey.pem")
            connection.settimeout(3)
            context.wrap_socket(connection, server_side=True).close()
        except (OSError, ValueError):
            connection.close()


@pytest.fixture
def servers(tmp_path):
    servers = Servers(tmp_path)
    first = servers.play("site.yml")
    assert first.returncode == 0, first.stdout
    return servers


def show_another_certificate(folder: pathlib.Path) -> None:
    own, other = (folder / host / "www/current/fullchain.pem" for host in ("web1", "web2"))
    own.write_bytes(other.read_bytes())


def show_no_certificate(folder: pathlib.Path) -> None:
    (folder / "web1/www/current").unlink()


@pytest.mark.parametrize("lie", [show_another_certificate, show_no_certificate])
def test_a_host_that_lies_has_its_own_certificate_revoked(servers, lie):
    serials = {host: serial for host, serial, _reason in servers.records()}
    lie(servers.folder)
    done = servers.revoke()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(host, reason) for host, serial, reason in servers.records() if serial in serials.values() and reason] == [
        ("web1", "key_compromise")
    ]
    assert f"{serials['web1']} is revoked (of web1, by local)" in done.stdout
    shown = serials["web2"] if lie is show_another_certificate else "no certificate"
    told = " ".join((done.stdout + done.stderr).split())
    assert f"web1 shows {shown} for www, and what was issued to it is {serials['web1']}: that is revoked" in told
    assert not (servers.folder / "web1/www/v0001/privkey.pem").exists(), "the key that was stolen is removed"
    assert (servers.folder / "web1/www/current").resolve().name == "v0002"


@pytest.mark.parametrize("requests", ["all, www ", json.dumps({"revoke_requests": [" www"]})], ids=["text", "list"])
def test_names_may_be_a_list_or_have_spaces_around_them(servers, requests):
    words = ("-e", requests) if requests.startswith("{") else ("-e", json.dumps({"revoke_requests": requests}))
    done = servers.play("evergreen.tls.revoke", *words, "--limit", "web1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(reason or "" for _host, _serial, reason in servers.records()) == ["", "", "superseded"]


@pytest.mark.parametrize("requests", ["", " ", "[]"])
def test_no_names_at_all_end_the_run(servers, requests):
    done = servers.play(
        "evergreen.tls.revoke", "-e", json.dumps({"revoke_requests": [] if requests == "[]" else requests})
    )
    assert done.returncode != 0 and "name the requests whose certificates are to be revoked" in " ".join(
        done.stdout.split()
    )
    assert [reason for _host, _serial, reason in servers.records()] == [None, None]


def test_nothing_is_revoked_while_people_have_not_answered(servers):
    servers.change_issuer({"type": "manual", "directory": str(servers.folder / "desk"), "rules": "private"})
    for _run in range(2):
        done = servers.revoke()
        assert done.returncode != 0
        told = " ".join(done.stdout.split())
        assert "is not revoked, since clients may get it still: the new certificate is pending (hand " in told
        assert [reason for _host, _serial, reason in servers.records()] == [None, None]
        assert (servers.folder / "web1/www/current").resolve().name == "v0001"


def test_a_run_with_nothing_due_renews_the_revocation_list_and_logs_in_to_nobody(servers):
    assert servers.revoke().returncode == 0
    ca = servers.folder / "ca"
    before = x509.load_pem_x509_crl((ca / "crl.pem").read_bytes())
    now = datetime.datetime.now(datetime.timezone.utc)
    key = serialization.load_pem_private_key((ca / "issuing.key").read_bytes(), None)
    issuing = x509.load_pem_x509_certificate((ca / "issuing.pem").read_bytes())
    (ca / "crl.pem").write_bytes(
        sign_crl([], issuing, key, now - datetime.timedelta(days=20)).public_bytes(serialization.Encoding.PEM)
    )
    done = servers.play(
        "evergreen.tls.renew", "-e", "ansible_connection=ssh ansible_ssh_executable=/bin/false renew_records="
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = x509.load_pem_x509_crl((ca / "crl.pem").read_bytes())
    assert after.next_update_utc > now + datetime.timedelta(days=29)
    assert [one.serial_number for one in after] == [one.serial_number for one in before] != []


def test_a_request_that_there_is_not_ends_the_run_before_anything_is_done(servers):
    done = servers.revoke(requests="ww,www")
    assert done.returncode != 0
    told = " ".join(done.stdout.split())
    assert (
        "no host of this run has a request named ww, and nothing is revoked; there are: www. Correct revoke_requests"
        in told
    )
    assert [reason for _host, _serial, reason in servers.records()] == [None, None]
