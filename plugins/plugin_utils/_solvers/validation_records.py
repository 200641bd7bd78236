# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of any solver of dns-01 for validations that are no ACME challenges: TXT, and CNAME where the solver has it."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import DNS_01, ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.command import CommandSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import DnsSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import RecordLocation


class ValidationRecord(t.Protocol):
    """A record that a cloud asks for."""

    @property
    def name(self) -> str:
        """Return its full name."""

    @property
    def type(self) -> str:
        """Return TXT or CNAME."""

    @property
    def value(self) -> str:
        """Return its value."""


@t.runtime_checkable
class CnameSolver(t.Protocol):
    """A solver that can add CNAME records as well."""

    def add_cname(self, location: RecordLocation, target: str) -> None:
        """Add a CNAME record. One that leads there already stays."""

    def remove_cname(self, location: RecordLocation, target: str) -> None:
        """Remove that record."""


class SolverRecords:
    """Records of one solver."""

    def __init__(self, solver: Solver | DnsSolver, kind: str) -> None:
        """Take a solver and its type. Raises TlsError unless it is one of dns-01."""
        solver = solver.records if isinstance(solver, CommandSolver) else solver
        if not isinstance(solver, DnsSolver):
            raise TlsError(
                f"the solver {kind} adds no DNS records, and the cloud validates a domain by a TXT or CNAME record here: a file would have to be on the "
                "origin behind the domain, which this collection does not configure; name an issuer with a solver of dns-01 by issuer"
            )
        self.solver: DnsSolver = solver
        self.kind = kind

    def zone(self, domain: str) -> str:
        """Return the zone that a domain is in."""
        return self.solver.dns.locate(f"_validation.{domain}").zone

    def add(self, record: ValidationRecord) -> None:
        """Add a record beside those that are there."""
        if record.type == "TXT":
            self.solver.add(self.solver.dns.locate(record.name), _response(record))
        else:
            self._cname_solver().add_cname(self._cname_location(record.name), record.value.rstrip("."))

    def remove(self, record: ValidationRecord) -> None:
        """Remove that record, and none of the others."""
        if record.type == "TXT":
            self.solver.remove(self.solver.dns.locate(record.name), _response(record))
        else:
            self._cname_solver().remove_cname(self._cname_location(record.name), record.value.rstrip("."))

    def _cname_solver(self) -> CnameSolver:
        if isinstance(self.solver, CnameSolver):
            return self.solver
        raise TlsError(
            f"the cloud wants a CNAME record, which the solver {self.kind} cannot add; name an issuer whose solver is dnspod or rfc2136 by issuer"
        )

    # not a parser: the name was checked before
    def _cname_location(self, name: str) -> RecordLocation:
        """Return where a CNAME record has to be, also where one leads elsewhere already."""
        label, _dot, parent = name.partition(".")
        beside = self.solver.dns.locate(f"_validation.{parent}")
        return dataclasses.replace(beside, name=f"{label}.{parent}")


def _response(record: ValidationRecord) -> ChallengeResponse:
    return ChallengeResponse(record.name, DNS_01, "", "", record.value)
