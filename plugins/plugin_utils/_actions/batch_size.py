# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many requests of a host are worked on side by side, and how many of them may be with a CA at a time."""

from __future__ import annotations

import contextlib
import math
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import AcmeIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer

MAX_REQUESTS = 50  # in one batch, so that what goes to the host stays small


# not a parser: it only passes on foreign input
def orders_at_once(arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> int:
    """Return how many requests of a host may be with their CA at a time: what the CAs allow, divided among the hosts of the run."""
    limits = []
    for name in {request["issuer"] for request in arguments["requests"]}:
        with contextlib.suppress(Exception):  # the requests that need this issuer fail with the reason
            issuer = open_issuer(name, arguments["issuers"])
            limits.append(issuer.at_once if isinstance(issuer, AcmeIssuer) else 1)
    hosts = min(int(task_vars.get("ansible_forks") or 1), len(task_vars.get("ansible_play_batch") or [""]))
    return math.ceil(min(limits, default=1) / hosts)
