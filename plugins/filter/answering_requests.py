# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_hosts import hosts_respond
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import DEFAULT_SOLVER


def answering_requests(requests: t.Any, issuers: t.Any, solver: str = DEFAULT_SOLVER) -> list[t.Any]:
    """Return the names of the requests whose hosts respond to challenges with this solver."""
    try:
        return [request.get("name") for request in requests if hosts_respond(request, issuers, solver)]
    except (AttributeError, TypeError):  # certificate_obtain says what is wrong with them
        return []


class FilterModule:
    """The filter of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"answering_requests": answering_requests}
