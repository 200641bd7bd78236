# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what resolvers and web servers answer to a host that looks at names, and of its resolv.conf."""

from __future__ import annotations

import io
import pathlib
import socket
import struct
import tempfile
import types
import typing as t
from unittest import mock

from ansible_collections.evergreen.tls.plugins.module_utils._network import dns_question, name_view
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_message import (
    CAA,
    TXT,
    Question,
    encode_name,
    read_answer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._diagnosis.views import HostView, compare_views
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser

NAME = "www.example.org"
TOKEN = "t" * 43


def dns_answer(record_type: int, *records: bytes) -> bytes:
    """Return an answer with an alias and records, whose owners are compressed."""
    alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 4) + b"\x01a\xc0\x10"
    body = b"".join(b"\xc0\x2d" + struct.pack("!HHIH", record_type, 1, 60, len(data)) + data for data in records)
    header = struct.pack("!HHHHHH", 1, 0x8180, 1, 1 + len(records), 0, 0)
    return header + encode_name(NAME) + struct.pack("!HH", record_type, 1) + alias + body


def read_resolvers(content: bytes) -> list[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "resolv.conf")
        path.write_bytes(content)
        found = dns_question.system_resolvers(str(path))
    assert 1 <= len(found) <= dns_question.MAX_RESOLVERS
    return found


def judge_response(content: bytes) -> None:
    """Read the answer of a web server as a host does, and compare it with another."""
    connection = types.SimpleNamespace(
        sendall=lambda _data: None,
        setsockopt=lambda *_option: None,
        close=lambda: None,
        makefile=lambda *_mode, **_options: io.BytesIO(content),
    )
    with (
        mock.patch.object(socket, "create_connection", lambda *_arguments, **_options: connection),
        mock.patch.object(name_view, "_resolve", lambda _name: ["192.0.2.1"]),
        mock.patch.object(name_view, "ask_records", lambda *_question, **_options: []),
    ):
        # In this thread, so that the time of the processor is counted.
        value, error = name_view._value_or_error(lambda: name_view.get_challenge(NAME, TOKEN))
    assert bool(value) is not bool(error)
    view = t.cast(t.Any, {"name": NAME, "errors": {"http": error}} if error else {"name": NAME, "http": value})
    compare_views(NAME, "http-01", t.cast(t.Any, {"name": NAME}), [HostView("web1", {NAME: view})])


NETWORK_PARSERS = (
    Parser(
        "network/dns_message",
        "CAA records",
        lambda content: read_answer(content, Question(1, NAME, CAA)),
        (dns_answer(CAA, b"\x00\x05issueletsencrypt.org", b"\x80\x05iodefmailto:a@example.org"),),
    ),
    Parser(
        "network/dns_message",
        "TXT records",
        lambda content: read_answer(content, Question(1, NAME, TXT)),
        (dns_answer(TXT, b"\x03one\x03two", b"\x02\x1b\xff"),),
    ),
    Parser(
        "network/dns_question",
        "resolv.conf",
        read_resolvers,
        (b"search example.org\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\n",),
    ),
    Parser(
        "network/name_view",
        "the answer of a web server",
        judge_response,
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\nContent-Length: 2\r\n\r\nno",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nt.key\r\n0\r\n\r\n",
        ),
    ),
)
