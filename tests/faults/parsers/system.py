# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what a host has: processes, units, files of a store, and the bytes of a TLS server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import types
import typing as t
from unittest import mock

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import (
    load_key,
)
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import (
    certificate_install,
)
from ansible_collections.evergreen.tls.plugins.module_utils._store import pending_csr
from ansible_collections.evergreen.tls.plugins.module_utils._system import procfs, systemd
from ansible_collections.evergreen.tls.plugins.module_utils._system.limited_command import Ended
from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS
from ansible_collections.evergreen.tls.plugins.module_utils._tls import handshake
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text, signer_of
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import CHAIN, CSRS, KEY, PEM, REQUEST, ROOT
from ansible_collections.evergreen.tls.tests.unit.fake_ca import key_pem


def read_pending_csr(content: bytes) -> t.Any:
    files = {"privkey.pem": key_pem(KEY), "request.csr": content, "issuer": b"local"}
    store = types.SimpleNamespace(
        file=lambda _version, name: files[name],
        check_key_mode=lambda *_arguments: None,
        private_key=lambda *_arguments: KEY,
        current=lambda: None,
    )
    return pending_csr.matching_csr(store, REQUEST)


def read_unit_state(content: bytes) -> None:
    with mock.patch.object(systemd, "run_limited", return_value=Ended(0, decode_text(content))):
        systemd.refresh_unit("reload", "haproxy")


def read_words_of_command(content: bytes) -> None:
    words = Ended(1, decode_text(content)).words
    assert len(words) <= MAX_TEXT_CHARACTERS and words.isprintable()


def read_chain_in_use(content: bytes) -> t.Any:
    """Install a chain while each file of the version in use holds these bytes."""
    store = types.SimpleNamespace(
        current=lambda: "v0001",
        file=lambda version, _name: content if version == "v0001" else None,
        private_key=lambda _version: load_key(content),
        next="/etc/evergreen/www/next",
    )
    call = certificate_install.Installation(REQUEST, store, check_mode=True, chain=ROOT.pem.decode())
    return certificate_install.install(call)


def read_processes(content: bytes) -> None:
    with mock.patch.object(procfs, "_read", return_value=decode_text(content)):
        procfs.listening_sockets()
        for read in (procfs.program_name, procfs.command_line, procfs.start_time, procfs.user_ids):
            read(1)
        procfs.child_pids(1)


def read_server_bytes(content: bytes) -> None:
    """Have a server respond to any ClientHello with these bytes, and close the connection."""
    server, client = socket.socketpair()
    with server, client:
        server.settimeout(0)
        with contextlib.suppress(OSError):  # more than the system holds for the client
            server.send(content)
        server.shutdown(socket.SHUT_WR)
        with mock.patch.object(handshake, "_connect", return_value=client):
            handshake.handshake("192.0.2.1", 443, "www.example.org")
    raise AssertionError("a handshake succeeded over bytes that were recorded")


def server_flights() -> tuple[bytes, ...]:
    """Return the first bytes of servers: in TLS 1.2, in TLS 1.3, an alert, an HTTP error, and nothing."""
    flights = [b"\x15\x03\x03\x00\x02\x02\x28", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""]
    with tempfile.NamedTemporaryFile() as file:
        file.write(to_pem(CHAIN) + key_pem(KEY))
        file.flush()
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), handshake._context(None, False)
            server_side.load_cert_chain(file.name)
            server_side.maximum_version = newest
            to_server, to_client, rest = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
            for side in (
                client_side.wrap_bio(rest, to_server),
                server_side.wrap_bio(to_server, to_client, server_side=True),
            ):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
            flights.append(to_client.read())
    return tuple(flights)


SOCKETS = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23456 1 0000000000000000\n"
    "   1: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 "
    "00000000     0        0 23457 1 0000000000000000\n"
)
STAT = (
    "1234 (nginx: (x) y) S 1 1234 1234 0 -1 4194560 97 0 0 0 0 0 0 0 20 0 1 0 8563 10567680 376 18446744073709551615\n"
)

SYSTEM_PARSERS = (
    Parser(
        "store/pending_csr",
        "a pending signing request",
        read_pending_csr,
        CSRS,
        "der",
        signer_of(KEY),
    ),
    Parser("module_backends/certificate_install", "the chain in use", read_chain_in_use, (PEM,), "der"),
    Parser(
        "system/systemd",
        "the state of a unit",
        read_unit_state,
        (b"LoadState=loaded\nActiveState=active\nCanReload=yes\n",),
    ),
    Parser(
        "system/limited_command",
        "the words of a command",
        read_words_of_command,
        (b"postfix: \x1b[31mfatal\x1b[0m: no certificate\n",),
    ),
    Parser("tls/handshake", "the bytes of a server", read_server_bytes, server_flights()),
    Parser(
        "system/procfs",
        "listings in /proc",
        read_processes,
        (SOCKETS.encode(), STAT.encode(), b"nginx: master process\0-g\0"),
    ),
)
