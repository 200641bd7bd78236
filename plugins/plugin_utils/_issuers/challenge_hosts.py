# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the requests for which the hosts themselves respond to the challenges of a CA."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import DEFAULT_SOLVER, solver_type


def challenge_thumbprints(
    requests: list[dict[str, t.Any]], issuers: dict[str, t.Any], pretend: bool = False
) -> dict[str, str]:
    """Return account key thumbprints by the names of the requests whose challenges hosts respond to.

    requests, issuers: as in the inventory. With *pretend*, no account key is made.
    """
    issuer_names = {
        request["name"]: request["issuer"]
        for request in requests
        if hosts_respond(request, issuers) and request.get("name")
    }
    opened = {name: open_issuer(name, issuers) for name in set(issuer_names.values())}
    thumbprints = {
        name: issuer.thumbprint(pretend) for name, issuer in opened.items() if isinstance(issuer, AcmeIssuer)
    }
    return {name: thumbprints[issuer] for name, issuer in issuer_names.items()}


def hosts_respond(request: dict[str, t.Any], issuers: dict[str, t.Any], solver: str = DEFAULT_SOLVER) -> bool:
    """Say whether hosts respond to the challenges for a request, as this solver has them do it."""
    issuer = issuers.get(str(request.get("issuer")))
    if not isinstance(issuer, dict) or issuer.get("type") != "acme":
        return False
    return solver_type(issuer.get("solver")) == solver
