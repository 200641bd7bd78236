# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For which certificates the hosts themselves answer the challenges of a CA."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import DEFAULT_SOLVER, solver_type


def challenge_thumbprints(
    requests: list[dict[str, t.Any]], issuers: dict[str, t.Any], pretend: bool = False
) -> dict[str, str]:
    """Return the thumbprint with which hosts answer challenges, by the name of each request for which they do.

    Where somebody only *pretends*, no account gets a key by it.
    """
    answering = {
        request["name"]: request["issuer"]
        for request in requests
        if hosts_answer(request, issuers) and request.get("name")
    }
    opened = {name: open_issuer(name, issuers) for name in set(answering.values())}
    thumbprints = {
        name: issuer.thumbprint(pretend) for name, issuer in opened.items() if isinstance(issuer, AcmeIssuer)
    }
    return {name: thumbprints[issuer] for name, issuer in answering.items()}


def hosts_answer(request: dict[str, t.Any], issuers: dict[str, t.Any], solver: str = DEFAULT_SOLVER) -> bool:
    """Say whether hosts answer challenges for a request in the way of a solver, by default with the thumbprint of the account's key."""
    issuer = issuers.get(str(request.get("issuer")))
    if not isinstance(issuer, dict) or issuer.get("type") != "acme":
        return False
    return solver_type(issuer.get("solver")) == solver
