# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what an appliance answers by SSH."""

from __future__ import annotations

import struct

import paramiko

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.iis import parse_script_result
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.session import CommandResult, _last_message
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.sftp import ExtendedClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._appliance.shell_files import ShellFiles
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, encode_json

BEFORE = [{"host_name": "www.example.org", "thumbprint": "AB12"}, {"host_name": "example.org", "thumbprint": None}]


class Answers:
    """A session in which each command prints the same."""

    where = "192.0.2.1 port 22"

    def __init__(self, output: bytes) -> None:
        self.output = output

    def run(self, *_command: object) -> CommandResult:
        return CommandResult(0, self.output, _last_message(b"", self.output))


class Packets:
    """The channel of an SFTP server that sends these bytes and no more."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def send(self, data: bytes) -> int:
        return len(data)

    def recv(self, size: int) -> bytes:
        part, self.content = self.content[:size], self.content[size:]
        return part

    def get_name(self) -> str:
        return "sftp"


def read_version(content: bytes) -> frozenset[str]:
    """Read the first packet of an SFTP server. paramiko raises these itself, and the session has a sentence for each."""
    packet = struct.pack(">IB", len(content) + 1, 2) + content
    try:
        return ExtendedClient(Packets(packet)).extensions
    except (paramiko.SSHException, EOFError) as error:
        raise TlsError(f"{error}; see what answers there") from error


def read_kind(content: bytes) -> str | None:
    return ShellFiles(Answers(content)).kind("/etc/ssl/www.pem")


APPLIANCE_PARSERS = (
    Parser(
        "appliance/sftp",
        "the version and the extensions of a server",
        read_version,
        (b"\0\0\0\x03", b"\0\0\0\x03\0\0\0\x03a@b\0\0\0\x011\0\0\0\x03c@d\0\0\0\x012"),
    ),
    Parser("appliance/shell_files", "the kind of a file", read_kind, (b"file\n", b"folder\n", b"")),
    Parser(
        "appliance/iis",
        "what the script for IIS prints",
        lambda content: parse_script_result(CommandResult(0, content, ""), Answers.where),
        encode_json({"error": None, "before": BEFORE}, {"error": "there is no site", "before": []}),
    ),
)
