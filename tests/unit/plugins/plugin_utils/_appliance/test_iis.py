# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import subprocess
import sys

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance import iis
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.iis import parse_script_result, windows_path
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.iis_script import (
    BOOTSTRAP,
    SCRIPT,
    powershell_command,
    script_input,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.registry import open_appliance
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import CommandResult
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import Pair, deploy_certificate
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

DOMAINS = ["www.example.test"]
AUTHORITY = Authority()
KEY, OLD_KEY = some_key(2), some_key(1)
CHAIN, OLD = AUTHORITY.chain(DOMAINS, KEY), AUTHORITY.chain(DOMAINS, OLD_KEY)
HOSTILE = [
    "'; Remove-Item C:\\ -Recurse; '",
    '"$(calc)"',
    "`whoami`",
    "a\r\nb",
    "\u00fc\u2013\u201c\u201d\u2018\u2019",
    "@'\n'@",
    "$env:PATH",
    "%PATH%",
    "\0",
]
BEFORE = [{"host_name": DOMAINS[0], "thumbprint": "AB12"}]


# The parser is a library in C, which has a process of its own.
PARSER = """
import json, sys, tree_sitter, tree_sitter_powershell
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
root = parser.parse(sys.stdin.buffer.read()).root_node
waiting, nodes = [root], []
while waiting:
    node = waiting.pop()
    nodes.append([node.type, node.text.decode()])
    waiting += node.children
json.dump({"has_error": root.has_error, "nodes": nodes}, sys.stdout)
"""


def parse(script):
    command = [sys.executable, "-c", PARSER]
    return json.loads(subprocess.run(command, input=script.encode(), capture_output=True, check=True).stdout)


def texts(script, kind):
    return [text for found, text in parse(script)["nodes"] if found == kind]


@pytest.mark.parametrize("script", [SCRIPT, BOOTSTRAP], ids=["script", "bootstrap"])
def test_the_scripts_are_valid_for_a_parser_of_powershell(script):
    tree = parse(script)
    assert not tree["has_error"]
    assert len(tree["nodes"]) > 20


def test_the_parser_sees_a_fault():
    assert parse(SCRIPT.replace("try {", "try", 1))["has_error"]


def test_every_function_and_value_of_the_script_is_there():
    functions = set(texts(SCRIPT, "function_name"))
    assert functions == {
        *("Get-Binding", "Get-BoundThumbprint", "Set-BoundThumbprint", "Restore-Bindings", "Import-Keystore"),
        "Remove-OldCertificates",
    }
    commands = set(texts(SCRIPT, "command_name"))
    assert functions <= commands
    known = {  # of Windows PowerShell 5.1 and its modules PKI and WebAdministration
        *(
            "Import-PfxCertificate",
            "Get-WebBinding",
            "New-WebBinding",
            "Remove-WebBinding",
            "Get-Website",
            "Import-Module",
        ),
        *("ConvertTo-SecureString", "ConvertTo-Json", "Where-Object", "Select-Object", "ForEach-Object", "Out-Null"),
        *("Get-Item", "Remove-Item"),
    }
    assert commands - functions == known


def test_the_values_that_the_script_reads_are_those_that_it_gets(machine):
    read = {text.removeprefix("$values.") for text in texts(SCRIPT, "member_access") if text.startswith("$values.")}
    machine.presents_new = False
    with pytest.raises(TlsError):
        machine.deploy()
    assert read == {name for values in machine.calls for name in values}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_value_and_never_a_part_of_a_script(name):
    values = {"action": "bind", "site": name, "host_names": [name], "password": name}
    script, line, rest = script_input(values).split(b"\r\n")
    assert rest == b""
    assert base64.b64decode(script).decode() == SCRIPT
    assert line.isascii()
    assert b"\n" not in line
    assert json.loads(line) == values


def test_the_command_line_is_always_the_same_and_short_enough_for_cmd():
    command = powershell_command()
    assert len(command) < 8191
    assert set(command) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .-+/=")
    assert base64.b64decode(command.split()[-1]).decode("utf-16-le") == BOOTSTRAP


class Windows:
    """An SSH server that answers as the script does, and remembers what it is given."""

    def __init__(self, ssh, tls):
        self.ssh, self.tls, self.calls, self.keystores, self.errors = ssh, tls, [], [], {}
        self.presents_new = True
        ssh.commands[powershell_command()] = self.run_script
        self.options = ssh.options(preset="iis", patience="1s", site="Shop", host_names=[])

    def run_script(self, channel):
        values = json.loads(channel.received.split(b"\r\n")[1])
        self.calls.append(values)
        if values["action"] == "bind":
            with open("/" + values["pfx"].replace("\\", "/"), "rb") as stream:
                self.keystores.append((stream.read(), values["password"]))
            if self.presents_new:
                self.tls.present(CHAIN, KEY)
        error = self.errors.get(values["action"])
        channel.sendall(json.dumps({"error": error, "before": BEFORE}).encode() + b"\r\n")
        return 0

    def deploy(self):
        service = open_appliance(
            {"name": "www", "domains": DOMAINS, "appliance": self.options}, [("127.0.0.1", self.tls.port)]
        )
        return deploy_certificate(service, Pair(CHAIN, lambda: KEY, "label", contextlib.nullcontext), 10)


@pytest.fixture
def machine(appliance, start):
    machine = Windows(appliance(), start())
    machine.tls.present(OLD, OLD_KEY)
    yield machine
    assert not [name for name in os.listdir(os.path.expanduser("~")) if name.startswith(".evergreen-www")]


def test_a_keystore_is_uploaded_bound_proved_and_the_old_certificate_removed(machine):
    machine.deploy()
    assert [call["action"] for call in machine.calls] == ["bind", "clean"]
    bind, clean = machine.calls
    assert (bind["site"], bind["port"], bind["host_names"]) == ("Shop", machine.tls.port, DOMAINS)
    assert clean["before"] == BEFORE
    assert "password" not in clean
    ((keystore, password),) = machine.keystores
    shown = subprocess.run(
        ["openssl", "pkcs12", "-nodes", "-passin", "env:PASSWORD"],
        input=keystore,
        env={"PASSWORD": password},
        capture_output=True,
        check=True,
    ).stdout
    assert key_pem(KEY) in shown
    thumbprint = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha1"], input=shown, capture_output=True, check=True
    ).stdout
    assert thumbprint.decode().partition("=")[2].strip().replace(":", "") == bind["thumbprint"]
    assert not [line for line in machine.ssh.ran if password in line]


def test_each_keystore_has_a_password_of_its_own(machine):
    machine.deploy()
    machine.tls.present(OLD, OLD_KEY)
    machine.deploy()
    first, second = (password for _keystore, password in machine.keystores)
    assert first != second
    assert len(first) >= 32


def test_what_clients_do_not_see_is_put_back(machine):
    machine.presents_new = False
    with pytest.raises(TlsError, match=r"does not present the certificate within 1 s.*The bindings of before are back"):
        machine.deploy()
    assert [call["action"] for call in machine.calls] == ["bind", "restore"]
    assert machine.calls[1]["before"] == BEFORE


def test_a_refusal_of_iis_is_shown(machine):
    machine.errors["bind"] = "there is no site Shop\x1b"
    with pytest.raises(TlsError, match=r"IIS refuses it \(there is no site Shop\?\); correct site and host_names"):
        machine.deploy()


def test_an_ed25519_key_is_refused_before_anything_is_sent(machine):
    key = some_key(0, "Ed25519")
    service = open_appliance({"name": "www", "domains": DOMAINS, "appliance": machine.options}, [("127.0.0.1", 1)])
    with pytest.raises(TlsError, match="IIS has no TLS with keys of this type; write type: ECC or RSA"):
        service.check(AUTHORITY.chain(DOMAINS, key))
    assert machine.ssh.logins == 0


@pytest.mark.parametrize(
    "output", [b"", b"no JSON", b"[]", b'{"error": null}', b'{"error": null, "before": [1]}', b"\xff\xfe"]
)
def test_an_answer_that_is_none_is_explained(output):
    with pytest.raises(
        TlsError,
        match=r"PowerShell does not answer as it should \(exit code 1: a word\); the shell of OpenSSH has to be",
    ):
        parse_script_result(CommandResult(1, output, "a word"), "win port 22")


def test_the_names_of_paths_are_those_of_windows():
    paths = {"/C:/Users/Administrator/.evergreen-www.pfx": "C:\\Users\\Administrator\\.evergreen-www.pfx"}
    assert {path: windows_path(path) for path in paths} == paths


def test_the_keystore_is_removed_also_where_the_script_fails(machine):
    machine.errors["bind"] = "no"
    with pytest.raises(TlsError):
        machine.deploy()
    assert list(itertools.chain.from_iterable(call.keys() for call in machine.calls)).count("pfx") == 1
    assert iis.ENCRYPTION == "legacy"
