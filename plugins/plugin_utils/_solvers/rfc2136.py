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
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import DNS_SETTINGS, DnsSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import NameServer, RecordLocation
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.resolvers import require_dnspython
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

try:
    import dns.exception
    import dns.message
    import dns.rcode
    import dns.tsig
    import dns.update
except ImportError:  # said by require_dnspython(), before anything here is called
    pass

UPDATE_TIMEOUT_S = 10.0
ALGORITHMS = ["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1"]


class Rfc2136Solver(DnsSolver):
    """Add TXT records to zones beside those that are there, and remove the same ones."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **DNS_SETTINGS,
        "server": {"type": "str"},
        "key_name": {"type": "str", "required": True, "no_log": False},
        "key_secret": {"type": "str", "required": True, "no_log": True},
        "key_algorithm": {"type": "str", "choices": ALGORITHMS, "default": "hmac-sha256", "no_log": False},
        "ttl": {"type": "int", "default": 0},
    }

    def __init__(
        self,
        account: AcmeAccount,
        server: str | None,
        key_name: str,
        key_secret: str,
        key_algorithm: str,
        ttl: int,
        **dns_settings: t.Any,
    ) -> None:
        super().__init__(**dns_settings)
        require_dnspython()
        self.server = server
        self.key_name = key_name
        self.key = tsig_key(key_name, key_secret, key_algorithm)
        self.ttl = ttl

    def check_permission(self, location: RecordLocation) -> None:
        """Delete a random record, which cannot be there. That needs the same permission as adding one."""
        self._update(location, lambda update: update.delete(f"{location.name}.", "TXT", secrets.token_urlsafe(32)))

    def add(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self._update(
            location, lambda update: update.add(f"{location.name}.", self.ttl, "TXT", f'"{response.dns_value}"')
        )

    def remove(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self._update(location, lambda update: update.delete(f"{location.name}.", "TXT", f'"{response.dns_value}"'))

    def add_cname(self, location: RecordLocation, target: str) -> None:
        """Add a CNAME record, which some validations want that are no ACME challenges."""
        self._update(location, lambda update: update.add(f"{location.name}.", self.ttl, "CNAME", f"{target}."))

    def remove_cname(self, location: RecordLocation, target: str) -> None:
        """Remove that record."""
        self._update(location, lambda update: update.delete(f"{location.name}.", "CNAME", f"{target}."))

    def _update(self, location: RecordLocation, change: t.Callable[[t.Any], None]) -> None:
        update = dns.update.UpdateMessage(f"{location.zone}.", keyring={self.key.name: self.key}, keyname=self.key.name)
        change(update)
        server = self.dns.name_server(self.server or location.primary)
        try:
            rcode, tsig_error = run_with_timeout(UPDATE_TIMEOUT_S, lambda: _send(update, server))
        except (OSError, dns.exception.DNSException) as error:
            why = getattr(error, "strerror", None) or str(error) or "no whole answer in time"
            raise TlsError(
                f"{server} takes no changes of the zone {location.zone} ({why}); see that it runs, and that its port {server.port} can be "
                "reached from the controller by TCP, or name the server that takes them by the solver's server"
            ) from error
        if rcode != dns.rcode.NOERROR:
            raise TlsError(self._refusal(location, server, rcode, tsig_error))

    def _refusal(self, location: RecordLocation, server: NameServer, rcode: dns.rcode.Rcode, tsig_error: int) -> str:
        """Return why a server refused an update, by its response code or TSIG error (RFC 8945, section 3)."""
        if tsig_error == dns.rcode.BADKEY:
            return (
                f"{server} does not know the key {self.key_name}, or knows it with another algorithm; correct key_name and "
                "key_algorithm, or add the key to its configuration"
            )
        if tsig_error == dns.rcode.BADSIG:
            return f"{server} has another secret for the key {self.key_name}; correct key_secret"
        if tsig_error == dns.rcode.BADTIME:
            return f"the clocks of {server} and of the controller differ by more than 5 minutes; set them right"
        if rcode == dns.rcode.REFUSED:
            return (
                f"{server} does not let the key {self.key_name} change the TXT record {location.name}; allow that in its configuration "
                "(BIND: update-policy, Knot: acl)"
            )
        if rcode in (dns.rcode.NOTAUTH, dns.rcode.NOTZONE):
            return (
                f"{server} takes no changes of the zone {location.zone} from the key {self.key_name}: it is no primary of the zone, or the "
                "key is unknown there, or not allowed to; name the server that takes them by the solver's server, or allow the key there"
            )
        return f"{server} answers a change of {location.name} with {dns.rcode.to_text(rcode)}; its log says why, remove the cause there"


def tsig_key(name: str, secret: str, algorithm: str) -> t.Any:
    """Return a key for TSIG. Raises TlsError if the secret is not base64, or the name is malformed."""
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
def _send(update: dns.update.UpdateMessage, server: NameServer) -> tuple[dns.rcode.Rcode, int]:
    """Send an update over TCP; return the response code and the TSIG error (0 for none).

    Servers that do not know the key cannot sign their response. So an unsigned refusal is accepted, and an unsigned success is not.
    """
    wire = update.to_wire()
    with socket.create_connection((server.address, server.port), timeout=UPDATE_TIMEOUT_S) as connection:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        with connection.makefile("rb") as stream:
            length = stream.read(2)
            response = stream.read(struct.unpack("!H", length)[0]) if len(length) == 2 else b""
    if not response:
        raise ConnectionError("it hung up")
    try:
        return dns.message.from_wire(response, keyring=update.keyring, request_mac=update.mac).rcode(), 0
    except dns.exception.DNSException:
        unsigned = dns.message.from_wire(response, keyring=False)
        rcode, tsig_error = unsigned.rcode(), unsigned.tsig_error or 0
        if unsigned.id != update.id or (rcode == dns.rcode.NOERROR and not tsig_error):
            raise
        return rcode, tsig_error
