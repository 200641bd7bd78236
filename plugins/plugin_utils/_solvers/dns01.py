# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the solvers of dns-01 share: locating records, and waiting for the name servers."""

from __future__ import annotations

import functools
import time

from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import ChallengeFiles
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import (
    DNS_01,
    ChallengeResponse,
    check_challenge,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    RESOLVERS,
    DnsClient,
    RecordLocation,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_findings import DnsWay, look_at_record
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import (
    error_of,
    map_in_threads,
    raise_errors,
)

LABEL = "_acme-challenge"  # RFC 8555, section 8.4

# The settings that all solvers of dns-01 have.
DNS_SETTINGS = {
    **RESOLVERS,
    "name_servers": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "str", "default": "2m"},
    "pause": {"type": "str"},
}


class DnsSolver:
    """A solver that adds TXT records to zones. Subclasses say how."""

    def __init__(self, resolvers: list[str], name_servers: list[str], timeout: str, pause: str | None) -> None:
        self.challenge_type = DNS_01
        self.dns = DnsClient(resolvers)
        self.has_view_of_ca = True
        self.name_servers = name_servers  # to wait for, in the place of those of the zone
        self.timeout = parse_duration(timeout).total_seconds()
        self.pause = parse_duration(pause).total_seconds() if pause else 0.0
        self._locations: dict[str, RecordLocation] = {}

    def check_permission(self, location: RecordLocation) -> None:
        """Raise TlsError if a record may not be added there. Leaves no trace."""

    def add(self, location: RecordLocation, response: ChallengeResponse) -> None:
        """Add a record beside those that are there."""
        raise NotImplementedError

    def remove(self, location: RecordLocation, response: ChallengeResponse) -> None:
        """Remove that record, and none of the others."""
        raise NotImplementedError

    def check(self, domains: list[str]) -> None:
        """Check that the record of each domain has a location, and may be added there."""
        check_challenge(self.challenge_type, domains)
        hosts = list(dict.fromkeys(domain.removeprefix("*.") for domain in domains))
        raise_errors(map_in_threads(lambda host: error_of(lambda: self.check_permission(self._location(host))), hosts))

    def find_obstacles(self, domains: list[str], deadline: float) -> list[Finding]:
        """Return what is said of the place of each record, the permission to add it, and the records that are there."""
        hosts = [domain.removeprefix("*.") for domain in domains]
        ways = [
            DnsWay(
                record_name(host),
                hosts.count(host),
                functools.partial(self._location, host),
                self.check_permission,
            )
            for host in dict.fromkeys(hosts)
        ]
        findings = map_in_threads(lambda way: look_at_record(self.dns, way, deadline), ways)
        return [finding for of_record in findings for finding in of_record]

    def present(self, responses: list[ChallengeResponse]) -> None:
        """Add the records; return once all name servers have them, and resolvers cache no older ones."""
        servers = [self.dns.name_server(text) for text in self.name_servers]
        values: dict[RecordLocation, set[str]] = {}
        for response in responses:
            values.setdefault(self._location(response.domain), set()).add(response.dns_value)
        ttl_before = self._foreign_ttl(values)
        for response in responses:
            self.add(self._location(response.domain), response)
        self.dns.wait_for(values, servers, self.timeout, "the solver's timeout")
        # A resolver that the CA asked for another order a moment ago still caches the records without ours.
        time.sleep(max(self.pause, min(self.timeout, max(ttl_before, self._foreign_ttl(values)))))

    def clean_up(self, responses: list[ChallengeResponse]) -> None:
        """Remove the records. If one cannot be removed, the others are removed all the same."""
        # One after the other: a program that changes a zone by reading and writing all of it would lose changes.
        raise_errors([error_of(functools.partial(self._remove, response)) for response in responses])

    def challenge_files(self, responses: list[ChallengeResponse], host: str) -> list[ChallengeFiles]:
        """Return nothing: dns-01 needs no files."""
        return []

    def _remove(self, response: ChallengeResponse) -> None:
        self.remove(self._location(response.domain), response)

    def _foreign_ttl(self, values: dict[RecordLocation, set[str]]) -> int:
        """Return for how many seconds resolvers may cache records that others have at these locations."""
        return max((self.dns.foreign_ttl(location, own) for location, own in values.items()), default=0)

    def _location(self, domain: str) -> RecordLocation:
        """Return where the record of a domain is.

        It is removed from where it was added, whatever DNS says by then.
        """
        if domain not in self._locations:
            self._locations[domain] = self.dns.locate(record_name(domain))
        return self._locations[domain]


def record_name(domain: str) -> str:
    """Return the name of the TXT record of a domain, which its wildcard shares (RFC 8555, section 8.4)."""
    return f"{LABEL}.{domain}"
