# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver rfc2136: dns-01, by dynamic updates that are signed with TSIG (RFC 2136, RFC 8945)."""

from __future__ import annotations

import base64
import binascii
import secrets
import socket
import struct
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import DNS, Answer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import WAITING, DnsAnswers
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    Place,
    Server,
    require_dnspython,
)

try:
    import dns.exception
    import dns.message
    import dns.rcode
    import dns.tsig
    import dns.update
except ImportError:  # said by require_dnspython(), before anything here is called
    pass

LONGER = 10.0  # seconds for a change
ALGORITHMS = ["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1"]


class Rfc2136(DnsAnswers):
    """Put TXT records into zones, each beside those that are there, and take away the same ones."""

    CHALLENGE = DNS
    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **WAITING,
        "server": {"type": "str"},
        "key_name": {"type": "str", "required": True, "no_log": False},
        "key_secret": {"type": "str", "required": True, "no_log": True},
        "key_algorithm": {"type": "str", "choices": ALGORITHMS, "default": "hmac-sha256", "no_log": False},
        "ttl": {"type": "int", "default": 0},
    }

    def __init__(
        self,
        server: str | None,
        key_name: str,
        key_secret: str,
        key_algorithm: str,
        ttl: int,
        **waiting: t.Any,
    ) -> None:
        super().__init__(**waiting)
        require_dnspython()
        self.server = server
        self.key_name = key_name
        self.key = tsig_key(key_name, key_secret, key_algorithm)
        self.ttl = ttl

    def rehearse(self, place: Place) -> None:
        """Make sure that a record may be put there, by taking away one that cannot be there: that needs the same permission."""
        self._update(place, lambda update: update.delete(f"{place.name}.", "TXT", secrets.token_urlsafe(32)))

    def add(self, place: Place, answer: Answer) -> None:
        self._update(place, lambda update: update.add(f"{place.name}.", self.ttl, "TXT", f'"{answer.validation}"'))

    def remove(self, place: Place, answer: Answer) -> None:
        self._update(place, lambda update: update.delete(f"{place.name}.", "TXT", f'"{answer.validation}"'))

    def _update(self, place: Place, change: t.Callable[[t.Any], None]) -> None:
        update = dns.update.UpdateMessage(f"{place.zone}.", keyring={self.key.name: self.key}, keyname=self.key.name)
        change(update)
        server = self.name_servers.server(self.server or place.primary)
        try:
            status, complaint = _sent(update, server)
        except (OSError, dns.exception.DNSException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise TlsError(
                f"{server} takes no changes of the zone {place.zone} ({why}); see that it runs, and that its port {server.port} can be "
                "reached from the controller by TCP, or name the server that takes them by the solver's server"
            ) from error
        if status != dns.rcode.NOERROR:
            raise TlsError(self._refusal(place, server, status, complaint))

    def _refusal(self, place: Place, server: Server, status: int, complaint: int) -> str:
        """Return why a server has not changed a zone: the status of its answer, or what it has against the signature."""
        if complaint == dns.rcode.BADKEY:
            return (
                f"{server} does not know the key {self.key_name}, or knows it with another algorithm; correct key_name and "
                "key_algorithm, or add the key to its configuration"
            )
        if complaint == dns.rcode.BADSIG:
            return f"{server} has another secret for the key {self.key_name}; correct key_secret"
        if complaint == dns.rcode.BADTIME:
            return f"the clocks of {server} and of the controller differ by more than 5 minutes; set them right"
        if status == dns.rcode.REFUSED:
            return (
                f"{server} does not let the key {self.key_name} change the TXT record {place.name}; allow that in its configuration "
                "(BIND: update-policy, Knot: acl)"
            )
        if status in (dns.rcode.NOTAUTH, dns.rcode.NOTZONE):
            return (
                f"{server} takes no changes of the zone {place.zone} from the key {self.key_name}: it is no primary of the zone, or the "
                "key is unknown there, or not allowed to; name the server that takes them by the solver's server, or allow the key there"
            )
        return f"{server} answers a change of {place.name} with {dns.rcode.to_text(status)}; its log says why, remove the cause there"


def tsig_key(name: str, secret: str, algorithm: str) -> t.Any:
    """Return a key for TSIG."""
    try:
        raw = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TlsError(
            f"the key_secret of the key {name} is not base64; write it as it stands in the configuration of the name server"
        ) from error
    try:
        return dns.tsig.Key(name, raw, f"{algorithm}.")
    except (dns.exception.DNSException, ValueError) as error:
        raise TlsError(f"{name!r} is no name of a key; write it as in the configuration of the name server") from error


# not a parser: it only passes on foreign input
def _sent(update: t.Any, server: Server) -> tuple[int, int]:
    """Send an update; return the status of the answer, and what the server has against the signature.

    Servers that do not know who asks cannot sign what they answer. So an answer without a good signature is believed
    where it is a refusal, and never where it is a consent.
    """
    wire = update.to_wire()
    with socket.create_connection((server.address, server.port), timeout=LONGER) as connection:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        with connection.makefile("rb") as stream:
            length = stream.read(2)
            answer = stream.read(struct.unpack("!H", length)[0]) if len(length) == 2 else b""
    if not answer:
        raise ConnectionError("it hung up")
    try:
        return dns.message.from_wire(answer, keyring=update.keyring, request_mac=update.mac).rcode(), 0
    except dns.exception.DNSException:
        unproved = dns.message.from_wire(answer, keyring=False)
        status, complaint = unproved.rcode(), unproved.tsig_error or 0
        if unproved.id != update.id or (status == dns.rcode.NOERROR and not complaint):
            raise
        return status, complaint
