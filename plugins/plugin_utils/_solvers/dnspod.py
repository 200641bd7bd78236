# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver dnspod: dns-01, by the API of DNSPod, the DNS of Tencent Cloud."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.dnspod import DnspodZones, DnsRecord
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.cloud_account import solver_account
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns01 import DNS_SETTINGS, DnsSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import RecordLocation

MIN_TTL_S, MAX_TTL_S = 1, 604800  # of the API; plans have minimums of their own
CREDENTIALS = ("secret_id", "secret_key", "token", "role_arn", "cvm_role")


class DnspodSolver(DnsSolver):
    """Add TXT records to zones of DNSPod, and remove the same ones by their numbers."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **DNS_SETTINGS,
        "account": {"type": "raw"},
        "secret_id": {"type": "str"},
        "secret_key": {"type": "str", "no_log": True},
        "token": {"type": "str", "no_log": True},
        "role_arn": {"type": "str"},
        "cvm_role": {"type": "str"},
        "site": {"type": "str", "choices": ["china", "international"], "default": "china"},
        "endpoint": {"type": "str"},
        "ca_file": {"type": "path"},
        "ttl": {"type": "int"},
    }

    def __init__(
        self,
        acme_account: AcmeAccount,
        account: t.Any,
        ttl: int | None,
        secret_id: str | None,
        secret_key: str | None,
        token: str | None,
        role_arn: str | None,
        cvm_role: str | None,
        site: str,
        endpoint: str | None,
        ca_file: str | None,
        **dns_settings: t.Any,
    ) -> None:
        super().__init__(**dns_settings)
        own = {
            "secret_id": secret_id,
            "secret_key": secret_key,
            "token": token,
            "role_arn": role_arn,
            "cvm_role": cvm_role,
        }
        if account and any(own.values()):
            given = ", ".join(name for name in CREDENTIALS if own[name])
            raise TlsError(f"there are both account and {given}; leave one of them out")
        if ttl is not None and not MIN_TTL_S <= ttl <= MAX_TTL_S:
            raise TlsError(f"ttl is {ttl}, and DNSPod takes {MIN_TTL_S} to {MAX_TTL_S} seconds; correct it")
        if account:
            chosen = solver_account(account, "tencent")
            client = TencentClient(chosen.name, **chosen.settings)
        else:
            client = TencentClient("of the solver", **own, site=site, endpoint=endpoint, ca_file=ca_file)
        self.zones = DnspodZones(client, ttl)

    def check_permission(self, location: RecordLocation) -> None:
        """Check that the account has the zone. Whether it may change it is not known before it does."""
        self.zones.check(location.zone)

    def add(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self.zones.add(_record(location, response))

    def remove(self, location: RecordLocation, response: ChallengeResponse) -> None:
        self.zones.remove(_record(location, response))

    def add_cname(self, location: RecordLocation, target: str) -> None:
        """Add a CNAME record, which some validations want that are no ACME challenges."""
        self.zones.add(_record_of(location, "CNAME", f"{target}."))

    def remove_cname(self, location: RecordLocation, target: str) -> None:
        """Remove that record."""
        self.zones.remove(_record_of(location, "CNAME", f"{target}."))


def _record(location: RecordLocation, response: ChallengeResponse) -> DnsRecord:
    return _record_of(location, "TXT", response.dns_value)


def _record_of(location: RecordLocation, kind: str, value: str) -> DnsRecord:
    return DnsRecord(location.zone, location.name.removesuffix(f".{location.zone}"), kind, value)
