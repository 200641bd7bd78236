# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks before an order are about."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient


class Subject(t.NamedTuple):
    """An order that is about to be placed."""

    domains: list[str]
    title: str  # the CA, as people read it
    dns: DnsClient
    caa_issuer: CaaIssuer | None  # None: it is not known how CAA records name the CA
    deadline: float  # of all checks, by time.monotonic()
