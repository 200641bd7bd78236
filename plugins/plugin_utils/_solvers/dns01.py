# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What solvers of dns-01 have in common: where the record of a domain stands, and the wait until all its servers have it."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import DNS, Answer, check_challenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import (
    RESOLVERS,
    NameServers,
    Place,
    side_by_side,
)

LABEL = "_acme-challenge"

WAITING = {
    **RESOLVERS,
    "name_servers": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "str", "default": "2m"},
    "pause": {"type": "str"},
}


class DnsAnswers:
    """A solver that puts TXT records into zones, in a way that a subclass knows."""

    CHALLENGE = DNS

    def __init__(self, resolvers: list[str], name_servers: list[str], timeout: str, pause: str | None) -> None:
        self.name_servers = NameServers(resolvers)
        self.asked = name_servers
        self.timeout = duration(timeout).total_seconds()
        self.pause = duration(pause).total_seconds() if pause else 0.0
        self._places: dict[str, Place] = {}

    def rehearse(self, place: Place) -> None:
        """Make sure, without a trace, that a record may be put at a place."""

    def add(self, place: Place, answer: Answer) -> None:
        """Put a record at a place, beside those that are there."""
        raise NotImplementedError

    def remove(self, place: Place, answer: Answer) -> None:
        """Take away that record, and none of the others."""
        raise NotImplementedError

    def check(self, domains: list[str]) -> None:
        """Make sure that the record of each domain has a place, and that it may be put there."""
        check_challenge(self.CHALLENGE, domains)
        hosts = list(dict.fromkeys(domain.removeprefix("*.") for domain in domains))
        _complain(side_by_side(lambda host: _complaint(lambda: self.rehearse(self._place(host))), hosts))

    def present(self, answers: list[Answer]) -> None:
        """Return once all servers of the zones have the records.

        Whoever calls this calls clean_up in the end, also where it fails.
        """
        servers = [self.name_servers.server(text) for text in self.asked]
        wanted: dict[Place, set[str]] = {}
        for answer in answers:
            wanted.setdefault(self._place(answer.domain), set()).add(answer.validation)
        before = self._memory(wanted)
        for answer in answers:
            self.add(self._place(answer.domain), answer)
        self.name_servers.wait_for(wanted, servers, self.timeout, "the solver's timeout")
        # A resolver of the CA that was asked for an order of somebody else a moment ago does not know our records yet.
        time.sleep(max(self.pause, min(self.timeout, max(before, self._memory(wanted)))))

    def clean_up(self, answers: list[Answer]) -> None:
        """Take away the records that were put there; one that cannot be taken away keeps none of the others there."""
        # One after the other: a program that changes a zone by reading and writing all of it would lose changes.
        _complain([_complaint(lambda one=answer: self.remove(self._place(one.domain), one)) for answer in answers])

    def _memory(self, wanted: dict[Place, set[str]]) -> int:
        return max((self.name_servers.memory_of_others(place, own) for place, own in wanted.items()), default=0)

    def _place(self, domain: str) -> Place:
        """Return where the record of a domain stands; it is taken away from where it was put."""
        if domain not in self._places:
            self._places[domain] = self.name_servers.place(record_of(domain))
        return self._places[domain]


def record_of(domain: str) -> str:
    """Return the name of the record of a domain, which it shares with its wildcard (RFC 8555, section 8.4)."""
    return f"{LABEL}.{domain}"


def _complaint(work: t.Callable[[], None]) -> str | None:
    try:
        work()
    except TlsError as error:
        return str(error)
    return None


def _complain(complaints: list[str | None]) -> None:
    """Say in one error what could not be done."""
    said = list(dict.fromkeys(complaint for complaint in complaints if complaint))
    if said:
        raise TlsError(" · ".join(said))
