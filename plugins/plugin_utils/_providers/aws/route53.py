# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Amazon Route 53: TXT records of hosted zones, read, changed and written.

Route 53 has all values of a name in one record set. A change deletes the set as it was read and creates it with or without our value, in one
batch: Route 53 refuses the batch if somebody else changed the set in between. Source: API reference of Route 53 2013-04-01.
"""

from __future__ import annotations

import secrets
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.client import AwsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.aws.errors import RefusedCall

MAX_TRIES = 5  # of a change, where others change the same name
CHANGED_MEANWHILE = "InvalidChangeBatch"
NOT_COMPLETE = "PriorRequestNotComplete"  # Route 53 takes one change of a zone at a time
PAUSE_S = 1.0  # between two looks at a change
DEFAULT_TTL_S = 60

RecordSet = dict[str, t.Any]


class Route53Zones:
    """The hosted zones of one account."""

    def __init__(self, client: AwsClient, hosted_zone: str | None, ttl: int | None) -> None:
        """Take the ID of a hosted zone, where DNS does not say which it is, and the TTL of new record sets in seconds."""
        self.client = client
        self.hosted_zone = hosted_zone
        self.ttl = ttl or DEFAULT_TTL_S
        self._identifiers: dict[str, str] = {}  # by the name of the zone

    def check_permission(self, zone: str, name: str) -> None:
        """Raise TlsError unless the account has the zone, and may change this name in it.

        It asks to delete a random value that is not there, which Route 53 refuses after it has looked at the permission.
        """
        record_set = self._record_set(name, self.ttl, [f'"{secrets.token_urlsafe(32)}"'])
        try:
            self._change(self._identifier(zone), [("DELETE", record_set)])
        except RefusedCall as error:
            if error.code not in (CHANGED_MEANWHILE, "InvalidInput", NOT_COMPLETE):
                raise

    def add(self, zone: str, name: str, value: str, timeout: float) -> None:
        """Add a value to those of a name, and return once all name servers of Route 53 have it, or after so many seconds."""
        change = self._modify(zone, name, lambda values: values if value in values else [*values, value])
        deadline = time.monotonic() + timeout
        while change and self._status(change) != "INSYNC" and time.monotonic() < deadline:
            time.sleep(PAUSE_S)

    def remove(self, zone: str, name: str, value: str) -> None:
        """Remove a value from those of a name. One that is not there is no error."""
        self._modify(zone, name, lambda values: [one for one in values if one != value])

    # not a parser: botocore has parsed it, and what is no number is refused below
    def _modify(self, zone: str, name: str, change: t.Callable[[list[str]], list[str]]) -> str | None:
        """Change the values of a name, and return the ID of the change; None if there is nothing to change."""
        identifier = self._identifier(zone)
        for tries_left in reversed(range(MAX_TRIES)):
            current = self._current(identifier, name)
            before = [str(one["Value"]) for one in current["ResourceRecords"]] if current else []
            after = change(before)
            if after == before:
                return None
            ttl = int(current["TTL"]) if current else self.ttl
            batch = [("DELETE", current)] if current else []
            batch += [("CREATE", self._record_set(name, ttl, after))] if after else []
            try:
                return self._change(identifier, batch)
            except RefusedCall as error:
                if error.code not in (CHANGED_MEANWHILE, NOT_COMPLETE) or not tries_left:
                    raise
                time.sleep(PAUSE_S)
        raise AssertionError

    def _current(self, identifier: str, name: str) -> RecordSet | None:
        """Return the record set of a name, or None. Raises TlsError for one that is not a plain list of values."""
        record_sets = self.client.call(
            "ListResourceRecordSets",
            "ResourceRecordSets",
            HostedZoneId=identifier,
            StartRecordName=f"{name}.",
            StartRecordType="TXT",
            MaxItems="1",
        )
        for one in record_sets:
            if (str(one.get("Name")).lower().rstrip("."), one.get("Type")) == (name.lower(), "TXT"):
                if "ResourceRecords" not in one or "SetIdentifier" in one:
                    raise TlsError(
                        f"the TXT record {name} in Route 53 has a routing policy or is an alias, which this collection does not change; make it "
                        "a simple record, or delete it"
                    )
                return t.cast(RecordSet, one)
        return None

    # not a parser: botocore has parsed it, and any text will do
    def _identifier(self, zone: str) -> str:
        """Return the ID of the public hosted zone of this name."""
        if self.hosted_zone:
            return self.hosted_zone
        if zone not in self._identifiers:
            listed = self.client.call("ListHostedZonesByName", "HostedZones", DNSName=f"{zone}.", MaxItems="20")
            identifiers = [
                str(one.get("Id")).rpartition("/")[2]
                for one in listed
                if str(one.get("Name")).rstrip(".") == zone and not (one.get("Config") or {}).get("PrivateZone")
            ]
            if not identifiers:
                raise TlsError(
                    f"the account {self.client.account} has no public hosted zone {zone} in Route 53; name the account that has it, or another solver"
                )
            if len(identifiers) > 1:
                raise TlsError(
                    f"the account {self.client.account} has several public hosted zones {zone} ({', '.join(identifiers)}); name the one that the "
                    "domain is delegated to by hosted_zone of the solver"
                )
            self._identifiers[zone] = identifiers[0]
        return self._identifiers[zone]

    def _change(self, identifier: str, batch: list[tuple[str, RecordSet]]) -> str:
        """Send a batch of actions with record sets, and return the ID of the change."""
        changes = [{"Action": action, "ResourceRecordSet": record_set} for action, record_set in batch]
        info = self.client.call_once(
            "ChangeResourceRecordSets",
            "ChangeInfo",
            HostedZoneId=identifier,
            ChangeBatch={"Comment": "evergreen.tls", "Changes": changes},
        )
        return str(info.get("Id"))

    def _status(self, change: str) -> str:
        return str(self.client.call("GetChange", "ChangeInfo", Id=change).get("Status"))

    @staticmethod
    def _record_set(name: str, ttl: int, values: list[str]) -> RecordSet:
        return {
            "Name": f"{name}.",
            "Type": "TXT",
            "TTL": ttl,
            "ResourceRecords": [{"Value": value} for value in values],
        }
