# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask resolvers over UDP, without a library for DNS."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import socket
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_message import (
    HEADER,
    MAX_MESSAGE_BYTES,
    TYPE_NAMES,
    Question,
    read_answer,
)

RESOLVERS_FILE = "/etc/resolv.conf"
MAX_FILE_BYTES = 65536
MAX_RESOLVERS = 3  # as the C library does (resolv.conf(5))
DNS_PORT = 53
ANSWER_TIMEOUT_S = 2.0  # of one resolver
ATTEMPTS = 2  # at each resolver
MAX_IGNORED = 50  # messages with another identifier, while an answer is waited for

Resolver = tuple[str, int]  # address and port


# not a parser: the options are the controller's
def parse_resolver(text: str) -> Resolver:
    """Return the address and the port of a resolver. Raises TlsError for what is neither an address nor one with a port.

    >>> parse_resolver("192.0.2.53"), parse_resolver("[2001:db8::53]:5353")
    (('192.0.2.53', 53), ('2001:db8::53', 5353))
    """
    address, port = text, str(DNS_PORT)
    if text.startswith("[") or text.count(":") == 1:
        address, _colon, port = text.rpartition(":")
        address = address.strip("[]")
    with contextlib.suppress(ValueError):
        if 0 < int(port) < 65536:
            return str(ipaddress.ip_address(address)), int(port)
    raise TlsError(f"the resolver {text[:100]!r} is no address; write it as 192.0.2.53, or as [2001:db8::53]:5353")


def system_resolvers(path: str = RESOLVERS_FILE) -> list[Resolver]:
    """Return the resolvers that the system asks (resolv.conf(5)). Without the file this is a resolver on the host itself."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(MAX_FILE_BYTES).splitlines()
    except FileNotFoundError:
        lines = []
    found: list[Resolver] = []
    for words in (line.split() for line in lines):
        if words[:1] == ["nameserver"] and len(words) > 1:
            address, _percent, zone = words[1].partition("%")
            with contextlib.suppress(ValueError):
                ipaddress.ip_address(address)
                found.append((f"{address}%{zone}" if zone else address, DNS_PORT))
    return found[:MAX_RESOLVERS] or [("127.0.0.1", DNS_PORT)]


# not a parser: read_answer() is
def ask_records(name: str, record_type: int, resolvers: t.Sequence[Resolver], deadline: float) -> list[str]:
    """Return the records of a name, none where there is no such name.

    deadline: by time.monotonic(). Raises TlsError where no resolver answers.
    """
    why = "there is no time left; look at fewer names"
    for resolver in [*resolvers] * ATTEMPTS:
        if time.monotonic() >= deadline:
            break
        try:
            return _ask(name, record_type, resolver, min(deadline, time.monotonic() + ANSWER_TIMEOUT_S))
        except TlsError as error:
            why = str(error)
        except OSError as error:
            why = f"{error.strerror or 'it does not answer in time'}; see that it runs"
    shown = ", ".join(address for address, _port in resolvers)
    raise TlsError(f"the resolvers ({shown}) do not say which {TYPE_NAMES[record_type]} records {name} has: {why}")


# not a parser: read_answer() is
def _ask(name: str, record_type: int, resolver: Resolver, deadline: float) -> list[str]:
    """Return the records that a resolver answers with. Raises OSError if it does not answer, TlsError for a wrong answer."""
    question = Question(secrets.randbits(16), name, record_type)
    kind, _type, protocol, _canonical, address = socket.getaddrinfo(
        *resolver, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(kind, socket.SOCK_DGRAM, protocol) as connection:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        connection.connect(address)  # so that the system drops what comes from others
        connection.send(question.to_bytes())
        for _number in range(MAX_IGNORED):
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            message = connection.recv(MAX_MESSAGE_BYTES + 1)
            if len(message) >= HEADER.size and HEADER.unpack_from(message)[0] == question.identifier:
                return read_answer(message, question)
    raise TlsError("it answers other questions only; see which resolver that is")
