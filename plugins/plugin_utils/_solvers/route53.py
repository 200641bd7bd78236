# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver route53: dns-01, by the API of Amazon Route 53."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.route53 import Route53Zones
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.session import AwsSession
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.cloud_account import solver_account
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import DNS_SETTINGS, DnsSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import RecordLocation

MIN_TTL_S, MAX_TTL_S = 1, 86400  # Route 53 takes more, and resolvers would keep the values of a challenge as long
REGION = "us-east-1"  # of a service without regions
# The settings of an account that only this solver uses.
OWN_ACCOUNT: dict[str, dict[str, t.Any]] = {
    "access_key": {"type": "str"},
    "secret_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "profile": {"type": "str"},
    "role_arn": {"type": "str"},
    "external_id": {"type": "str"},
    "endpoint": {"type": "str", "aliases": ["endpoint_url"]},
    "ca_file": {"type": "path", "aliases": ["ca_bundle"]},
}


class Route53Solver(DnsSolver):
    """Add values to TXT records of hosted zones, and remove the same ones."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **DNS_SETTINGS,
        "account": {"type": "raw"},
        **OWN_ACCOUNT,
        "hosted_zone": {"type": "str"},
        "ttl": {"type": "int"},
    }

    def __init__(
        self, acme_account: AcmeAccount, account: t.Any, hosted_zone: str | None, ttl: int | None, **settings: t.Any
    ) -> None:
        own = {name: settings.pop(name, None) for name in OWN_ACCOUNT}
        for alias in ("endpoint_url", "ca_bundle"):
            settings.pop(alias, None)
        super().__init__(**settings)
        given = [name for name, value in own.items() if value]
        if account and given:
            raise TlsError(f"there are both account and {', '.join(given)}; leave one of them out")
        if ttl is not None and not MIN_TTL_S <= ttl <= MAX_TTL_S:
            raise TlsError(f"ttl is {ttl}, and has to be {MIN_TTL_S} to {MAX_TTL_S} seconds; correct it")
        chosen = solver_account(account, "aws") if account else None
        session = AwsSession(chosen.name, chosen.settings) if chosen else AwsSession("of the solver", own)
        region = (chosen.settings.get("region") if chosen else None) or REGION
        self.zones = Route53Zones(session.client("route53", region), hosted_zone, ttl)

    def check_permission(self, location: RecordLocation) -> None:
        """Check that the account has the zone, and may change this name. Changes nothing."""
        self.zones.check_permission(location.zone, location.name)

    def add(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self.zones.add(location.zone, location.name, _quoted(response), self.timeout)

    def remove(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self.zones.remove(location.zone, location.name, _quoted(response))


def _quoted(response: ChallengeResponse) -> str:
    """Return a value as Route 53 has those of TXT records."""
    return f'"{response.dns_value}"'
