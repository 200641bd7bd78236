# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof that clients of HTTP/3 get what clients of HTTP/1.1 and HTTP/2 get."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import describe_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, unexpected_error
from ansible_collections.evergreen.tls.plugins.plugin_utils._quic import (
    MISSING_LIBRARY,
    has_quic_library,
    quic_handshake,
)

RETRY_INTERVAL_S = 0.2
# Of handshakes that get no answer, one after the other: a worker of nginx that is shutting down reads from the same socket as a new one, and
# answers no new client. Each handshake comes from another port, and so may reach another worker.
UNANSWERED_TIMEOUTS_S = (0.7, 1.0, 1.5, 2.0)
PROTOCOL = "HTTP/3"  # in the place of the version of TLS
NOT_FROM_HOST = (
    "HTTP/3 was not proved, since a host itself makes handshakes by TCP alone; use verify_from: controller (certificate_verify_from of the "
    "role) where the controller can reach the host by UDP"
)


class ProvedHandshake(t.TypedDict):
    """A handshake that succeeded, as handshake_verify has it."""

    name: str
    address: str
    port: int
    protocol: str | None
    chain: str  # PEM, the leaf first


class Http3Proof(t.NamedTuple):
    """What handshakes over QUIC have shown."""

    proved: list[ProvedHandshake]
    problems: list[str]  # another certificate, or no handshake
    warnings: list[str]  # why HTTP/3 is not proved

    @property
    def names(self) -> list[str]:
        """Return the names that are proved."""
        return list(dict.fromkeys(one["name"] for one in self.proved))


# not a parser: it reads chains that were verified
def prove_http3(handshakes: t.Sequence[t.Mapping[str, t.Any]], names: t.Container[str], timeout: float) -> Http3Proof:
    """Return what handshakes over QUIC show, where handshakes by TCP have succeeded.

    handshakes: those by TCP, as ProvedHandshake. names: those that are to be proved. timeout: seconds for which one is tried again.
    The chain has to be the one that was verified by TCP. An address that does not answer by UDP is a warning, since it may be that
    of a network on the way.
    """
    proof = Http3Proof([], [], [])
    expected = [t.cast(ProvedHandshake, one) for one in handshakes if one["name"] in names]
    if expected and not has_quic_library():
        proof.warnings.append(MISSING_LIBRARY)
        return proof
    silent = set()
    for one in expected:
        place = one["address"], one["port"]
        if place in silent:
            continue
        try:
            _prove(one, timeout)
            proof.proved.append(t.cast(ProvedHandshake, {**one, "protocol": PROTOCOL}))
        except TlsError as error:
            if error.details.get("failure") != "nothing":
                proof.problems.append(str(error))
                continue
            silent.add(place)
            proof.warnings.append(f"HTTP/3 was not proved: {error}")
        except Exception as error:
            proof.problems.append(f"{one['name']} at {one['address']} port {one['port']}: {unexpected_error(error)}")
    return proof


# not a parser: it compares certificates
def _prove(expected: ProvedHandshake, timeout: float) -> None:
    """Make handshakes until one presents the expected chain. Raises TlsError with the last reason."""
    deadline, unanswered = time.monotonic() + timeout, 0  # the deadline is for answers
    chain = parse_chain(expected["chain"].encode())
    while True:
        try:
            address, port, attempt_timeout = expected["address"], expected["port"], UNANSWERED_TIMEOUTS_S[unanswered]
            presented = quic_handshake(address, port, expected["name"], attempt_timeout)
            if presented == chain:
                return
            what = describe_certificate(presented[0])
            raise TlsError(
                f"{expected['name']} at {address} port {port} by HTTP/3: the certificate presented is not the one that "
                f"clients get by TCP: {what}; see which server block listens there with quic"
                if presented[0] != chain[0]
                else f"{expected['name']} at {address} port {port} by HTTP/3: the certificate has another chain than "
                "clients get by TCP; see which server block listens there with quic",
                failure="another",
            )
        except TlsError as error:
            is_answered = error.details.get("failure") != "nothing"
            unanswered += not is_answered
            if unanswered >= len(UNANSWERED_TIMEOUTS_S) or (is_answered and time.monotonic() >= deadline):
                raise
        time.sleep(RETRY_INTERVAL_S)
