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
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_install as installation
from ansible_collections.evergreen.tls.plugins.module_utils._module_backends import certificate_request as preparation
from ansible_collections.evergreen.tls.plugins.module_utils._system import procfs, systemd
from ansible_collections.evergreen.tls.plugins.module_utils._tls import handshake as handshakes
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, signed_by, text
from ansible_collections.evergreen.tls.tests.faults.parsers.samples import CHAIN, CSRS, KEY, PEM, ROOT, WANTED
from ansible_collections.evergreen.tls.tests.unit.fake_ca import key_pem


def read_waiting_request(content: bytes) -> t.Any:
    files = {"privkey.pem": key_pem(KEY), "request.csr": content, "issuer": b"local"}
    store = types.SimpleNamespace(
        file=lambda _version, name: files[name],
        check_private=lambda *_arguments: None,
        private_key=lambda *_arguments: KEY,
        current=lambda: None,
    )
    return preparation.waiting_request(store, WANTED)


def read_state_of_unit(content: bytes) -> None:
    with mock.patch.object(systemd, "run_command", return_value=(0, text(content))):
        systemd.refresh_unit("reload", "haproxy")


def read_chain_in_use(content: bytes) -> t.Any:
    """Have a chain installed beside these bytes, which are what every file of the version in use holds."""
    module = types.SimpleNamespace(params={"chain": ROOT.pem.decode(), "roots": None}, check_mode=True)
    store = types.SimpleNamespace(
        check_links=lambda _wanted: None,
        current=lambda: "v0001",
        file=lambda version, _name: content if version == "v0001" else None,
        private_key=lambda _version: load_key(content),
        next="/etc/evergreen/www/next",
    )
    return installation.install(module, WANTED, store)


def read_processes(content: bytes) -> None:
    with mock.patch.object(procfs, "_read", return_value=text(content)):
        procfs.listening_sockets()
        for read in (procfs.program_name, procfs.command_line, procfs.start_time):
            read(1)
        procfs.child_pids(1)


def shake_hands(content: bytes) -> None:
    """Have a server answer to a client's hello with these bytes, whatever it said, and hang up."""
    server, client = socket.socketpair()
    with server, client:
        server.settimeout(0)
        with contextlib.suppress(OSError):  # more than the system holds for the client
            server.send(content)
        server.shutdown(socket.SHUT_WR)
        with mock.patch.object(handshakes, "_connect", return_value=client):
            handshakes.handshake("192.0.2.1", 443, "www.example.org")
    raise AssertionError("a handshake succeeded over bytes that were recorded")


def flights() -> tuple[bytes, ...]:
    """Return what servers say first: to a client of TLS 1.3, to one of TLS 1.2, and to one they do not like."""
    found = [b"\x15\x03\x03\x00\x02\x02\x28", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""]
    with tempfile.NamedTemporaryFile() as file:
        file.write(to_pem(CHAIN) + key_pem(KEY))
        file.flush()
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), handshakes._context(None, False)
            server_side.load_cert_chain(file.name)
            server_side.maximum_version = newest
            to_server, to_client, rest = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
            for side in (
                client_side.wrap_bio(rest, to_server),
                server_side.wrap_bio(to_server, to_client, server_side=True),
            ):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
            found.append(to_client.read())
    return tuple(found)


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
    Parser("preparation", "a signing request that waits", read_waiting_request, CSRS, "der", signed_by(KEY)),
    Parser("installation", "the chain in use", read_chain_in_use, (PEM,), "der"),
    Parser(
        "units", "the state of a unit", read_state_of_unit, (b"LoadState=loaded\nActiveState=active\nCanReload=yes\n",)
    ),
    Parser("handshakes", "what a server answers", shake_hands, flights()),
    Parser(
        "processes",
        "listings in /proc",
        read_processes,
        (SOCKETS.encode(), STAT.encode(), b"nginx: master process\0-g\0"),
    ),
)
