# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import logging
import os
import socket
import subprocess
import sys
import threading
import time

import paramiko
import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance import session as session_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import Session, require_paramiko
from ansible_collections.evergreen.tls.tests.unit.plugins.plugin_utils._appliance.conftest import host_key
from ansible_collections.evergreen.tls.tests.unit.servers import closed_port
from ansible_collections.evergreen.tls.tests.unit.ssh_appliance import fingerprint_by_openssh, hang

EC, OTHER, RSA = host_key("nistp256"), host_key("nistp256", 1), host_key("rsa")


def refusal(options, action=lambda session: None):
    with pytest.raises(TlsError) as error, Session(options) as session:
        action(session)
    return str(error.value)


def known_hosts(tmp_path, *lines):
    path = tmp_path / "known_hosts"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def line_of(server, key, name="[127.0.0.1]:{port}"):
    return f"{name.format(port=server.port)} {key.get_name()} {key.get_base64()}"


def test_a_host_key_with_the_fingerprint_of_the_inventory_is_accepted(appliance):
    server = appliance(EC)
    with Session(server.options()) as session:
        assert session.run("echo hello", 5).output == b"hello\n"
    assert server.logins == 1


def test_a_fingerprint_may_be_that_of_any_key_of_the_server(appliance):
    server = appliance(EC, RSA)
    with Session(server.options(host_key=[fingerprint_by_openssh(RSA)])) as session:
        assert session.run("true", 5).status == 0


def test_one_of_several_fingerprints_is_enough_while_a_host_key_is_replaced(appliance):
    server = appliance(EC)
    keys = [fingerprint_by_openssh(key) for key in (OTHER, EC)]
    with Session(server.options(host_key=keys)) as session:
        assert session.run("true", 5).status == 0


def test_a_changed_host_key_is_refused_with_both_fingerprints_before_the_login(appliance):
    server = appliance(EC)
    sentence = refusal(server.options(host_key=[fingerprint_by_openssh(OTHER)]))
    assert "the host key has changed" in sentence
    assert fingerprint_by_openssh(EC) in sentence
    assert fingerprint_by_openssh(OTHER) in sentence
    assert "correct the host key there" in sentence
    assert server.passwords == []


def test_a_changed_host_key_is_refused_by_a_server_that_ends_the_connection_without_a_shared_algorithm(
    appliance, monkeypatch
):
    server = appliance(EC)
    start_client = paramiko.Transport.start_client

    def ended(transport, *arguments, **more):
        if "ecdsa-sha2-nistp256" not in transport.preferred_keys:
            raise EOFError
        return start_client(transport, *arguments, **more)

    monkeypatch.setattr(paramiko.Transport, "start_client", ended)
    assert "the host key has changed" in refusal(server.options(host_key=[fingerprint_by_openssh(OTHER)]))


def test_a_known_host_is_accepted_also_by_another_of_its_keys(appliance, tmp_path):
    server = appliance(EC, RSA)
    path = known_hosts(tmp_path, line_of(server, RSA))
    with Session(server.options(host_key=[], known_hosts=path)) as session:
        assert session.run("true", 5).status == 0


def test_a_hashed_line_of_known_hosts_is_read(appliance, tmp_path):
    server = appliance(EC)
    path = known_hosts(tmp_path, line_of(server, EC))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    with Session(server.options(host_key=[], known_hosts=path)) as session:
        assert session.run("true", 5).status == 0


@pytest.mark.parametrize("has_file", [True, False], ids=["with a file", "without a file"])
def test_an_unknown_host_key_is_refused_and_shown_before_the_login(appliance, tmp_path, has_file):
    server = appliance(EC)
    path = (
        known_hosts(tmp_path, line_of(server, OTHER, "elsewhere.example.org")) if has_file else str(tmp_path / "none")
    )
    sentence = refusal(server.options(host_key=[], known_hosts=path))
    assert f"the host key is not known: {path} has none for it" in sentence
    assert fingerprint_by_openssh(EC) in sentence
    assert "write it as host_key of the appliance" in sentence
    assert server.passwords == []


def test_a_changed_key_of_a_known_host_is_refused_with_both_fingerprints(appliance, tmp_path):
    server = appliance(EC)
    sentence = refusal(server.options(host_key=[], known_hosts=known_hosts(tmp_path, line_of(server, OTHER))))
    assert "the host key has changed" in sentence
    assert fingerprint_by_openssh(EC) in sentence
    assert fingerprint_by_openssh(OTHER) in sentence
    assert server.passwords == []


@pytest.mark.parametrize("passphrase", [None, "a passphrase"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_file_of_ssh_keygen_lets_the_user_in(appliance, tmp_path, kind, passphrase):
    path = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase or "", "-f", str(path)]
    subprocess.run([*command, *(["-b", "2048"] if kind == "rsa" else [])], check=True)
    kinds = {"ed25519": paramiko.Ed25519Key, "ecdsa": paramiko.ECDSAKey, "rsa": paramiko.RSAKey}
    key = kinds[kind].from_private_key(io.StringIO(path.read_text()), passphrase)
    server = appliance(EC, user_key=key)
    options = server.options(password=None, key_file=str(path), key_passphrase=passphrase)
    with Session(options) as session:
        assert session.run("true", 5).status == 0
    if passphrase:
        for wrong in (None, "another passphrase"):
            assert "it is encrypted, and key_passphrase is missing or wrong" in refusal(
                {**options, "key_passphrase": wrong}
            )


def test_a_wrong_password_is_refused_without_being_shown(appliance):
    server = appliance(EC)
    sentence = refusal(server.options(password="a wrong secret"))
    assert "operator cannot log in (password: Authentication failed" in sentence
    assert "correct user, password, key_file or agent of the appliance" in sentence
    assert "a wrong secret" not in sentence


def test_a_key_file_that_is_none_is_named(appliance, tmp_path):
    server = appliance(EC)
    assert "is not there" in refusal(server.options(key_file=str(tmp_path / "none")))
    (tmp_path / "other").write_text("no key", encoding="utf-8")
    assert "it is no private key of OpenSSH" in refusal(server.options(key_file=str(tmp_path / "other")))


def test_legacy_algorithms_are_used_only_when_asked_for(appliance):
    server = appliance(EC)
    server.disabled = {"ciphers": [name for name in paramiko.Transport._preferred_ciphers if "cbc" not in name]}
    sentence = refusal(server.options())
    assert "the SSH server ends the connection before the login" in sentence
    assert "write legacy_algorithms: true" in sentence
    assert server.passwords == []
    with Session(server.options(legacy_algorithms=True)) as session:
        assert session.run("true", 5).status == 0


def test_a_command_returns_what_it_writes_and_how_it_ends(appliance):
    server = appliance(EC)
    with Session(server.options()) as session:
        result = session.run("cat; echo \x1b[31mwarning >&2; exit 3", 5, b"from stdin")
    assert (result.status, result.output, result.errors) == (3, b"from stdin", "?[31mwarning")


def test_a_command_may_leave_a_program_in_the_background_that_keeps_its_output_open(appliance):
    server = appliance(EC)

    def answer(channel):
        channel.sendall(b"started")
        channel.send_exit_status(0)
        return hang(channel)

    server.commands["start"] = answer
    with Session(server.options()) as session:
        assert session.run("start", 20)[:2] == (0, b"started")


def test_a_command_that_the_server_does_not_start_is_tried_in_a_new_session(appliance, monkeypatch):
    server = appliance(EC)
    exec_command = paramiko.Channel.exec_command
    ends = [lambda channel: channel.close(), lambda channel: channel.get_transport().close()]

    def ended(channel, command):
        if ends:
            ends.pop()(channel)
        return exec_command(channel, command)

    monkeypatch.setattr(paramiko.Channel, "exec_command", ended)
    with Session(server.options()) as session:
        assert session.run("echo hello", 5).output == b"hello\n"
    assert server.logins == 3
    assert server.ran == ["echo hello"]


def test_output_that_comes_after_the_exit_code_is_read(appliance):
    server = appliance(EC)

    def answer(channel):
        channel.send_exit_status(7)
        time.sleep(0.3)
        channel.sendall(b"late")
        return 7

    server.commands["late"] = answer
    with Session(server.options()) as session:
        assert session.run("late", 5)[:2] == (7, b"late")


def test_a_command_that_hangs_is_ended_at_its_time_limit(appliance):
    server = appliance(EC)
    server.commands["hang"] = hang
    sentence = refusal(server.options(), lambda session: session.run("hang", 1))
    assert "'hang' has not ended within 1 s; see what it waits for, or raise its timeout" in sentence


def test_a_command_that_writes_without_end_is_ended(appliance):
    server = appliance(EC)
    sentence = refusal(server.options(), lambda session: session.run("yes", 20))
    assert "'yes' was ended, since it writes more than 1048576 bytes" in sentence


def test_a_session_that_takes_too_long_is_ended(appliance, monkeypatch):
    monkeypatch.setattr(session_module, "SESSION_TIMEOUT_S", 0.5)
    server = appliance(EC)
    server.commands["hang"] = hang
    sentence = refusal(server.options(), lambda session: session.run("hang", 20))
    assert "'hang' was ended, since the session has taken 0.5 s; see what the appliance is busy with" in sentence


def test_a_port_without_a_server_and_one_with_another_are_explained(appliance, start):
    server = appliance(EC)
    sentence = refusal(server.options(port=closed_port()))
    assert "Connection refused); start its SSH server, or correct host and port of the appliance" in sentence
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        sentence = refusal(server.options(port=silent.getsockname()[1], timeout=1))
    assert "the SSH server ends the connection before the login (SSHException: " in sentence
    assert "); see its log" in sentence


def test_no_secret_is_in_the_debug_log_of_paramiko(appliance, caplog):
    caplog.set_level(logging.DEBUG)
    server = appliance(EC)
    with Session(server.options()) as session:
        session.run("cat > /dev/null", 5, b"-----BEGIN PRIVATE KEY-----secret")
    assert "userauth is OK" in caplog.text
    assert server.password not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def test_a_controller_without_paramiko_is_told_how_to_install_it(monkeypatch):
    require_paramiko()
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(TlsError, match="run pip install 'paramiko >= 3.4' with the Python of ansible-playbook"):
        require_paramiko()


def test_what_needs_paramiko_can_be_imported_without_it():
    package = "ansible_collections.evergreen.tls.plugins.plugin_utils._appliance"
    code = (
        f"import sys; sys.modules['paramiko'] = None; import {package}.iis, {package}.registry, {package}.file_service"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_no_traceback_of_paramiko_is_printed_where_nobody_configures_logging():
    code = (
        "import logging; from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import require_paramiko; "
        "require_paramiko(); logging.getLogger('paramiko.transport').error('Traceback'); logging.getLogger('other').error('seen')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == "seen\n"


def test_a_session_leaves_no_thread_behind(appliance):
    before = set(threading.enumerate())
    server = appliance(EC)
    with Session(server.options()) as session:
        session.run("true", 5)
    assert not [one for one in set(threading.enumerate()) - before if isinstance(one, threading.Timer)]
