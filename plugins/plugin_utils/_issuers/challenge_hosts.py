# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the requests for which the hosts themselves respond to the challenges of a CA."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import DEFAULT_SOLVER, solver_type


def challenge_thumbprints(
    requests: list[dict[str, t.Any]],
    issuers: dict[str, t.Any],
    pretend: bool = False,
    problems: list[str] | None = None,
) -> dict[str, str]:
    """Return account key thumbprints by the names of the requests whose challenges hosts respond to.

    requests, issuers: as in the inventory. With *pretend*, no account key is made.
    problems: gets a sentence about each issuer that cannot be used, whose requests are left out. Without it, the error is raised.
    """
    issuer_names = {
        request["name"]: request["issuer"]
        for request in requests
        if hosts_respond(request, issuers) and request.get("name")
    }
    thumbprints: dict[str, str] = {}
    for name in dict.fromkeys(issuer_names.values()):
        try:
            issuer = open_issuer(name, issuers)
            if isinstance(issuer, AcmeIssuer):
                thumbprints[name] = issuer.thumbprint(pretend)
        except BaseException as error:
            sentence = failure_sentence(error)
            if problems is None:
                raise
            problems.append(f"nginx answers no challenges of {name}, which cannot be used: {sentence}")
    return {name: thumbprints[issuer] for name, issuer in issuer_names.items() if issuer in thumbprints}


def hosts_respond(request: dict[str, t.Any], issuers: dict[str, t.Any], solver: str = DEFAULT_SOLVER) -> bool:
    """Say whether hosts respond to the challenges for a request, as this solver has them do it.

    A certificate that a cloud makes has no challenges of ACME.
    """
    issuer = issuers.get(str(request.get("issuer")))
    if not isinstance(issuer, dict) or issuer.get("type") != "acme" or is_hosted(request):
        return False
    return solver_type(issuer.get("solver")) == solver
