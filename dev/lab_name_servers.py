# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name servers of a lab, each with one kind of answer that is wrong, or none.

They need nothing but the standard library, since they run in a container without others.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
import time
import typing as t

PORT = 53
NOERROR, SERVFAIL, NOTIMP, REFUSED = 0, 2, 4, 5
RESPONSE, AUTHORITATIVE, TRUNCATED = 0x8000, 0x0400, 0x0200
TYPES = {"A": 1, "NS": 2, "SOA": 6, "TXT": 16, "CAA": 257}
TTL_S = 60
OLD_SERIAL = 1
LARGE_RECORDS = 220  # of 256 bytes and their names: a message has 65 535 bytes at most
TRICKLE_TIMEOUT_S = 120.0


class Zone(t.NamedTuple):
    """What a server knows: it has authority over one zone, in which each name has the same address."""

    name: str
    address: str  # of each name
    name_server: str  # its own address
    labels: tuple[str, ...] = ("ns",)  # of the name servers


class Question(t.NamedTuple):
    """A question of DNS (RFC 1035, section 4.1)."""

    id: int
    flags: int
    name: str
    rdatatype: int
    wire: bytes  # as it stands in the message


def read_question(message: bytes) -> Question:
    """Return the question of a message. Raises ValueError or IndexError for what is none."""
    if len(message) < 17:
        raise ValueError("a message of DNS is longer")
    number, flags = struct.unpack("!HH", message[:4])
    labels, at = [], 12
    while message[at]:
        length = message[at]
        if length > 63:
            raise ValueError("a name of a question is not compressed")
        labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    (rdatatype,) = struct.unpack("!H", message[at + 1 : at + 3])
    return Question(number, flags, ".".join(labels), rdatatype, message[12 : at + 5])


def encoded_name(name: str) -> bytes:
    r"""Return a name as it stands in a message.

    >>> encoded_name("ns.test")
    b'\x02ns\x04test\x00'
    """
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


def record(name: str, rdatatype: str, data: bytes) -> bytes:
    """Return a record as it stands in a message."""
    return encoded_name(name) + struct.pack("!HHIH", TYPES[rdatatype], 1, TTL_S, len(data)) + data


def soa(zone: str, serial: int) -> bytes:
    """Return the SOA record of a zone."""
    data = (
        encoded_name(f"ns.{zone}")
        + encoded_name(f"hostmaster.{zone}")
        + struct.pack("!5I", serial, 3600, 600, 86400, 60)
    )
    return record(zone, "SOA", data)


def response(
    question: Question,
    rcode: int = NOERROR,
    answers: t.Sequence[bytes] = (),
    authority: t.Sequence[bytes] = (),
    flags: int = 0,
) -> bytes:
    """Return a message that responds to a question."""
    head = struct.pack(
        "!6H", question.id, RESPONSE | (question.flags & 0x0100) | flags | rcode, 1, len(answers), len(authority), 0
    )
    return head + question.wire + b"".join(answers) + b"".join(authority)


def right_response(question: Question, zone: Zone, serial: int = 2026120100) -> bytes:
    """Return what a server with authority over a zone says; outside of it, that it refuses."""
    if question.name != zone.name and not question.name.endswith(f".{zone.name}"):
        return response(question, REFUSED)
    answers = []
    server_names = [f"{label}.{zone.name}" for label in zone.labels]
    if question.rdatatype == TYPES["A"]:
        address = zone.name_server if question.name in server_names else zone.address
        answers = [record(question.name, "A", socket.inet_aton(address))]
    elif question.name == zone.name and question.rdatatype == TYPES["SOA"]:
        answers = [soa(zone.name, serial)]
    elif question.name == zone.name and question.rdatatype == TYPES["NS"]:
        answers = [record(zone.name, "NS", encoded_name(name)) for name in server_names]
    return response(question, NOERROR, answers, () if answers else [soa(zone.name, serial)], AUTHORITATIVE)


Responder = t.Callable[[Question, Zone, bool], "bytes | None"]  # the last one: by TCP


def _large(question: Question, zone: Zone, by_tcp: bool) -> bytes:
    if question.rdatatype not in (TYPES["TXT"], TYPES["CAA"]):
        return right_response(question, zone)
    if not by_tcp:
        return response(question, NOERROR, flags=AUTHORITATIVE | TRUNCATED)
    text = b"\xff" + b"x" * 255
    if question.rdatatype == TYPES["CAA"]:
        text = b"\x00\x05issue" + b"x" * 249
    return response(
        question, NOERROR, [record(question.name, _type_name(question), text)] * LARGE_RECORDS, flags=AUTHORITATIVE
    )


def _type_name(question: Question) -> str:
    return next(name for name, number in TYPES.items() if number == question.rdatatype)


def _only_caa(otherwise: Responder) -> Responder:
    """Return a server that is right but for CAA questions."""

    def respond(question: Question, zone: Zone, by_tcp: bool) -> bytes | None:
        if question.rdatatype == TYPES["CAA"]:
            return otherwise(question, zone, by_tcp)
        return right_response(question, zone)

    return respond


def _other_id(question: Question, zone: Zone, by_tcp: bool) -> bytes:
    return right_response(question._replace(id=question.id ^ 0xFFFF), zone)


def _other_question(question: Question, zone: Zone, by_tcp: bool) -> bytes:
    wire = encoded_name(f"other.{zone.name}") + struct.pack("!HH", question.rdatatype, 1)
    return right_response(question._replace(name=f"other.{zone.name}", wire=wire), zone)


KINDS: dict[str, Responder] = {
    "right": lambda question, zone, by_tcp: right_response(question, zone),
    "notimp": lambda question, zone, by_tcp: response(question, NOTIMP),
    "refused": lambda question, zone, by_tcp: response(question, REFUSED),
    "servfail": lambda question, zone, by_tcp: response(question, SERVFAIL),
    "silent": lambda question, zone, by_tcp: None,
    "lame": lambda question, zone, by_tcp: response(question),  # neither an answer nor authority
    "old": lambda question, zone, by_tcp: right_response(question, zone, OLD_SERIAL),
    "other_id": _other_id,
    "other_question": _other_question,
    "large": _large,
    "garbage": lambda question, zone, by_tcp: struct.pack("!H", question.id) + b"\x84\x00\xff\xff" * 20,
    "caa_refused": _only_caa(lambda question, zone, by_tcp: response(question, REFUSED)),
    "caa_notimp": _only_caa(lambda question, zone, by_tcp: response(question, NOTIMP)),
    "caa_silent": _only_caa(lambda question, zone, by_tcp: None),
    "caa_truncated": _only_caa(
        lambda question, zone, by_tcp: None if by_tcp else response(question, flags=AUTHORITATIVE | TRUNCATED)
    ),
}  # fmt: skip
TRICKLE = "trickle"  # says by UDP that it has more, and sends it by TCP one byte a second


class UdpServer(socketserver.ThreadingUDPServer):
    """A name server by UDP."""

    daemon_threads = True
    max_packet_size = 4096

    def __init__(self, address: str, kind: str, zone: Zone, port: int = PORT) -> None:
        self.kind, self.zone = kind, zone
        super().__init__((address, port), UdpHandler)


class TcpServer(socketserver.ThreadingTCPServer):
    """A name server by TCP."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str, kind: str, zone: Zone, port: int = PORT) -> None:
        self.kind, self.zone, self.closing = kind, zone, threading.Event()
        super().__init__((address, port), TcpHandler)

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Say nothing of clients that break off."""


class UdpHandler(socketserver.BaseRequestHandler):
    """A question by UDP."""

    server: UdpServer

    def handle(self) -> None:
        """Respond as the server does."""
        message, connection = self.request
        with contextlib.suppress(ValueError, IndexError, OSError):
            question = read_question(message)
            if self.server.kind == TRICKLE:
                answer: bytes | None = response(question, flags=AUTHORITATIVE | TRUNCATED)
            else:
                answer = KINDS[self.server.kind](question, self.server.zone, False)
            if answer is not None:
                connection.sendto(answer, self.client_address)


class TcpHandler(socketserver.StreamRequestHandler):
    """Questions by TCP (RFC 1035, section 4.2.2)."""

    server: TcpServer
    timeout = 20.0

    def handle(self) -> None:
        """Respond as the server does."""
        with contextlib.suppress(ValueError, IndexError, OSError, struct.error):
            while True:
                (length,) = struct.unpack("!H", self.rfile.read(2))
                question = read_question(self.rfile.read(length))
                if self.server.kind == TRICKLE:
                    self._trickle()
                    return
                answer = KINDS[self.server.kind](question, self.server.zone, True)
                if answer is None:
                    self.server.closing.wait(TRICKLE_TIMEOUT_S)
                    return
                self.wfile.write(struct.pack("!H", len(answer)) + answer)

    def _trickle(self) -> None:
        deadline = time.monotonic() + TRICKLE_TIMEOUT_S
        self.wfile.write(struct.pack("!H", 4096))
        while time.monotonic() < deadline and not self.server.closing.wait(1.0):
            self.wfile.write(b"\x00")


def servers_of(address: str, kind: str, zone: Zone, port: int = PORT) -> list[socketserver.BaseServer]:
    """Return the listening servers of a name server at an address, by UDP and TCP. port: 0 for one that is free for both."""
    while True:
        udp = UdpServer(address, kind, zone, port)
        try:
            return [udp, TcpServer(address, kind, zone, udp.server_address[1])]
        except OSError:
            udp.server_close()
            if port:
                raise
