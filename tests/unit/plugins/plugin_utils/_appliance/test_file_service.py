# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import subprocess

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import describe_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import load_key
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance import file_service
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.registry import open_appliance
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import (
    Pair,
    deploy_certificate,
    deployment_diff,
    describe_deployment,
)
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port
from ansible_collections.evergreen.tls.tests.unit.ssh_appliance import WITHOUT_EXTENSIONS, hang

DOMAINS = ["www.example.test"]
AUTHORITY = Authority()
OLD_KEY, NEW_KEY = some_key(1), some_key(2)
OLD, NEW = AUTHORITY.chain(DOMAINS, OLD_KEY), AUTHORITY.chain(DOMAINS, NEW_KEY)
WAYS = {"sftp": {}, "sftp without extensions": {"sftp": WITHOUT_EXTENSIONS}, "exec": {"sftp": None}}


def file_of(path, content, **more):
    return {"path": str(path), "content": content, "mode": None, "password": None, "encryption": "modern", **more}


def command(line, **more):
    return {"command": line, "timeout": 5, "exit_codes": [0], **more}


class Machine:
    """An appliance with an SSH server, and with a TLS server that loads its files when it is told to."""

    def __init__(self, ssh, tls, folder):
        self.ssh, self.tls, self.folder = ssh, tls, folder
        self.key, self.certificate = folder / "www.key", folder / "www.pem"
        self.ssh.commands["reload"] = self.reload
        self.tls.present(OLD, OLD_KEY)
        self.options = self.ssh.options(
            files=[file_of(self.key, "key"), file_of(self.certificate, "fullchain")],
            commands=[command("reload")],
            patience="1s",
        )

    def reload(self, _channel=None):
        """Load the files as a server does; keep what is loaded where they do not fit."""
        try:
            chain, key = parse_chain(self.certificate.read_bytes()), load_key(self.key.read_bytes())
            self.tls.present(chain, key)
        except Exception:
            return 1
        return 0

    def install(self, chain, key):
        self.key.write_bytes(key_pem(key))
        self.certificate.write_bytes(pem(chain))
        self.key.chmod(0o600)
        self.reload()

    def service(self, port=None, **options):
        request = {"name": "www", "domains": DOMAINS, "appliance": {**self.options, **options}}
        return open_appliance(request, [("127.0.0.1", port or self.tls.port)])

    def deploy(self, chain=None, key=NEW_KEY, is_check=False, **options):
        chain = chain or NEW
        service, pair = self.service(**options), Pair(chain, lambda: key, "label", contextlib.nullcontext)
        done = deploy_certificate(service, pair, 10, is_check)
        return describe_deployment(service, pair, done, is_check), deployment_diff(service, pair, done)

    def names(self):
        return sorted(path.name for path in self.folder.iterdir())

    def holds(self, chain, key):
        return self.certificate.read_bytes() == pem(chain) and self.key.read_bytes() == key_pem(key)


def pem(chain):
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)


@pytest.fixture(params=WAYS)
def machine(request, appliance, start, tmp_path):
    folder = tmp_path / "ssl"
    folder.mkdir()
    return Machine(appliance(**WAYS[request.param]), start(), folder)


@pytest.fixture
def by_sftp(appliance, start, tmp_path):
    folder = tmp_path / "ssl"
    folder.mkdir()
    return Machine(appliance(), start(), folder)


def presented_by_openssl(machine):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{machine.tls.port}", "-servername", DOMAINS[0]]
    shown = subprocess.run(command, input=b"", capture_output=True, check=False).stdout
    return parse_chain(shown[shown.index(b"-----BEGIN") :])[0]


def test_the_first_certificate_is_uploaded_used_and_proved(machine):
    message, _diff = machine.deploy()
    assert "uploaded the certificate" in message
    assert machine.holds(NEW, NEW_KEY)
    assert presented_by_openssl(machine) == NEW[0]
    assert machine.names() == ["www.key", "www.pem"]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (machine.key, machine.certificate)]
    assert modes == [0o600, 0o644]


def test_nobody_logs_in_where_the_certificate_is_presented(machine):
    machine.deploy()
    machine.ssh.logins = 0
    message, _diff = machine.deploy()
    assert "bound to it already" in message
    assert machine.ssh.logins == 0


def test_a_renewal_replaces_what_is_there(machine):
    machine.install(OLD, OLD_KEY)
    message, diff = machine.deploy()
    assert machine.holds(NEW, NEW_KEY)
    assert f"serial number {OLD[0].serial_number:x}" in message
    assert f"serial number {OLD[0].serial_number:x}" in diff["before"]
    assert describe_certificate(NEW[0]) in diff["after"]


def test_check_mode_looks_and_changes_nothing(machine):
    machine.install(OLD, OLD_KEY)
    machine.ssh.ran.clear()
    message, diff = machine.deploy(is_check=True)
    assert "would upload the certificate" in message
    assert "PRIVATE KEY" not in str(diff)
    assert machine.holds(OLD, OLD_KEY)
    assert "reload" not in machine.ssh.ran
    assert machine.names() == ["www.key", "www.pem"]


def refusal(machine, **options):
    with pytest.raises(TlsError) as error:
        machine.deploy(**options)
    return str(error.value)


def test_the_old_files_come_back_where_verify_fails(machine):
    machine.install(OLD, OLD_KEY)
    sentence = refusal(machine, verify="echo no such directive >&2; exit 1")
    assert "ended with exit code 1 (no such directive)" in sentence
    assert sentence.endswith("The files of before are back")
    assert "reload" not in machine.ssh.ran
    assert machine.holds(OLD, OLD_KEY)
    assert machine.names() == ["www.key", "www.pem"]


def test_the_old_files_come_back_and_are_used_where_a_command_fails(machine):
    machine.install(OLD, OLD_KEY)
    calls = []

    def fail_once(channel):
        calls.append(machine.certificate.read_bytes())
        return 1 if len(calls) == 1 else machine.reload()

    machine.ssh.commands["reload"] = fail_once
    sentence = refusal(machine)
    assert "'reload' ended with exit code 1" in sentence
    assert "The files of before are back, and the commands have run again" in sentence
    assert calls == [pem(NEW), pem(OLD)]
    assert machine.holds(OLD, OLD_KEY)
    assert presented_by_openssl(machine) == OLD[0]
    assert machine.names() == ["www.key", "www.pem"]


def test_the_old_files_come_back_where_a_command_hangs(machine):
    machine.install(OLD, OLD_KEY)
    machine.ssh.commands["hang"] = hang
    sentence = refusal(machine, commands=[command("hang", timeout=1)])
    assert "'hang' has not ended within 1 s" in sentence
    assert "The files of before are back, but the commands fail with these as well" in sentence
    assert machine.holds(OLD, OLD_KEY)


def test_the_old_files_come_back_where_clients_still_get_the_old_certificate(machine):
    machine.install(OLD, OLD_KEY)
    machine.ssh.commands["reload"] = lambda channel: 0
    sentence = refusal(machine)
    assert "does not present the certificate within 1 s of the commands" in sentence
    assert f"serial number {OLD[0].serial_number:x}" in sentence
    assert "The files of before are back, and the commands have run again" in sentence
    assert machine.holds(OLD, OLD_KEY)


def test_the_version_before_is_uploaded_where_it_is_to_come_back(machine):
    machine.deploy()
    machine.deploy(OLD, OLD_KEY)
    assert machine.holds(OLD, OLD_KEY)
    assert presented_by_openssl(machine) == OLD[0]


class Killed(BaseException):
    """The run is killed."""


@pytest.mark.parametrize("step", ["_run_verify", "_run_commands", "_prove"])
def test_the_next_run_repairs_one_that_was_killed_after_the_rename(machine, monkeypatch, step):
    machine.install(OLD, OLD_KEY)

    def be_killed(*_arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(file_service.FileService, step, be_killed)
        with pytest.raises(Killed):
            machine.deploy()
    assert machine.holds(NEW, NEW_KEY)
    machine.tls.present(OLD, OLD_KEY)  # the server has read nothing
    machine.deploy()
    assert machine.holds(NEW, NEW_KEY)
    assert presented_by_openssl(machine) == NEW[0]
    assert machine.names() == ["www.key", "www.pem"]


def test_the_next_run_repairs_one_that_was_killed_after_the_upload(machine):
    machine.install(OLD, OLD_KEY)
    service = machine.service()
    service.check(NEW)
    service.upload(NEW, NEW_KEY, "label")
    assert machine.holds(OLD, OLD_KEY)
    machine.deploy(OLD, OLD_KEY)  # presented: nobody logs in
    machine.deploy()
    assert machine.holds(NEW, NEW_KEY)
    assert machine.names() == ["www.key", "www.pem"]


def test_files_that_lie_there_are_not_uploaded_again(machine, monkeypatch):
    machine.install(NEW, NEW_KEY)
    machine.tls.present(OLD, OLD_KEY)  # the server has not been reloaded
    monkeypatch.setattr(file_service.FileService, "upload", None)
    message, _diff = machine.deploy()
    assert "uploaded" not in message
    assert presented_by_openssl(machine) == NEW[0]


def test_a_key_that_does_not_fit_the_files_that_lie_there_is_explained(machine):
    machine.install(NEW, NEW_KEY)
    machine.tls.present(OLD, OLD_KEY)
    machine.key.write_bytes(key_pem(OLD_KEY))
    sentence = refusal(machine)
    assert "'reload' ended with exit code 1" in sentence
    assert "to have all files uploaded anew, run this with certificate_force=true" in sentence


def test_a_server_that_does_not_run_is_started(by_sftp, start, tmp_path):
    (tmp_path / "later").mkdir()
    by_sftp.ssh.commands["start"] = lambda channel: 0
    port = closed_port()
    sentence = refusal(by_sftp, port=port, commands=[command("start")])
    assert "nothing listens there" in sentence


@pytest.mark.parametrize("content", ["combined", "pkcs12"])
def test_one_file_with_everything_is_written_without_reading_the_one_before(by_sftp, tmp_path, content):
    path = by_sftp.folder / "all.pem"
    path.write_bytes(key_pem(OLD_KEY) + pem(OLD))
    by_sftp.ssh.commands["reload"] = lambda channel: by_sftp.tls.present(NEW, NEW_KEY) and 0
    password = "a password" if content == "pkcs12" else None
    before = os.stat(path).st_atime_ns
    by_sftp.deploy(files=[file_of(path, content, password=password)])
    if content == "combined":
        assert path.read_bytes() == pem(NEW) + key_pem(NEW_KEY)
    else:
        shown = subprocess.run(
            ["openssl", "pkcs12", "-in", str(path), "-passin", "pass:a password", "-nodes"],
            capture_output=True,
            check=True,
        )
        assert b"BEGIN PRIVATE KEY" in shown.stdout
        assert shown.stdout.count(b"BEGIN CERTIFICATE") == len(NEW)
    assert before


def test_a_folder_that_is_not_there_is_named_before_anything_is_uploaded(machine, monkeypatch):
    monkeypatch.setattr(file_service.FileService, "upload", None)
    path = machine.folder / "none/www.pem"
    sentence = refusal(machine, files=[file_of(path, "combined")])
    assert f"the folder {path.parent} is not there; create it, or correct files of the appliance" in sentence


def test_a_link_is_not_replaced(machine):
    machine.certificate.symlink_to("elsewhere.pem")
    assert f"{machine.certificate} is a symbolic link, which would be replaced" in refusal(machine)


def test_an_upload_that_fails_leaves_nothing(machine):
    machine.install(OLD, OLD_KEY)
    full = machine.folder / "full"
    full.mkdir()
    if os.system(f"mount -t tmpfs -o size=4k tmpfs {full} 2>/dev/null"):
        pytest.skip("only root mounts a small file system")
    try:
        pathlib.Path(full / "fill").write_bytes(bytes(4096))
        files = [file_of(machine.key, "key"), file_of(full / "www.pem", "fullchain")]
        sentence = refusal(machine, files=files)
        assert os.listdir(full) == ["fill"]
    finally:
        os.system(f"umount {full}")
    assert sentence.endswith("Nothing of the appliance was changed")
    assert machine.holds(OLD, OLD_KEY)
    assert machine.names() == ["full", "www.key", "www.pem"]


def test_presets_name_files_after_the_request():
    from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.presets import PRESETS, with_preset

    assert PRESETS
    for preset in PRESETS:
        options = {"preset": preset, "files": [], "verify": None, "commands": []}
        completed = with_preset(options, "www")
        assert all("/www." in file["path"] for file in completed["files"])
        assert completed["commands"] == [command(f"systemctl reload-or-restart {preset}", timeout=30)]
        own = {**options, "commands": [command("mine")], "verify": "", "files": [file_of("/a", "combined")]}
        assert with_preset(own, "www") == own
