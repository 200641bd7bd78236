# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records in zones of DNSPod, which each caller removes by the number it was given (API dnspod, version 2021-03-23)."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.client import TencentClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import TencentError
from ansible_collections.evergreen.tls.plugins.plugin_utils._untrusted import reject_malformed_input

DEFAULT_LINE = {"RecordLine": "默认", "RecordLineId": "0"}  # the identifier holds whatever the language of the site is
DEFAULT_TTL_S = 600  # the minimum of free plans
REMARK = "evergreen.tls"
EXISTS_CODES = ("InvalidParameter.DomainRecordExist",)
GONE_CODES = ("InvalidParameter.RecordIdInvalid", "ResourceNotFound.NoDataOfRecord")
STATUS_REASONS = {
    "PAUSE": "is paused; resume it in the console of DNSPod",
    "SPAM": "is blocked by DNSPod; only its console can change this",
}


class DnsRecord(t.NamedTuple):
    """A record: its zone, its name within the zone, its type (TXT, CNAME) and its value."""

    zone: str
    name: str
    type: str
    value: str


class DnspodZones:
    """The zones of one account."""

    def __init__(self, client: TencentClient, ttl: int | None = None) -> None:
        """Take the client of the account, and the TTL of new records in seconds."""
        self.client = client
        self.ttl = ttl or DEFAULT_TTL_S
        self._numbers: dict[DnsRecord, int] = {}  # RecordId; the list of records is up to 30 seconds behind

    def check(self, zone: str) -> None:
        """Raise TlsError unless the account has this zone, and DNSPod answers for it. Changes nothing."""
        answer = self.client.call("dnspod", "DescribeDomain", {"Domain": zone})
        with reject_malformed_input(f"DNSPod does not describe {zone}; try again later"):
            info = answer["DomainInfo"]
            status, dns_status = str(info["Status"]).upper(), str(info.get("DnsStatus") or info.get("DNSStatus") or "")
            expected = ", ".join(map(str, info.get("DnspodNsList") or [])) or "those of DNSPod"
        if status in STATUS_REASONS:
            raise TlsError(f"{zone} {STATUS_REASONS[status]}")
        if dns_status.lower() == "dnserror":
            raise TlsError(
                f"DNSPod does not answer for {zone}; set its name servers to {expected} at the registrar, or take the solver of the provider "
                "that answers"
            )

    def add(self, record: DnsRecord) -> None:
        """Add a record beside those that are there. One with the same value is taken over."""
        parameters = {
            "Domain": record.zone,
            "SubDomain": record.name,
            **DEFAULT_LINE,
            "Value": record.value,
            "TTL": self.ttl,
            "Remark": REMARK,
        }
        try:
            if record.type == "TXT":
                answer = self.client.call("dnspod", "CreateTXTRecord", parameters)
            else:
                answer = self.client.call("dnspod", "CreateRecord", {**parameters, "RecordType": record.type})
        except TencentError as error:
            if error.code in EXISTS_CODES:
                return  # left by an earlier run; remove() looks for its number
            raise
        with reject_malformed_input(
            f"DNSPod gives no number for the record {record.name}.{record.zone}; try again later"
        ):
            self._numbers[record] = int(answer["RecordId"])

    def remove(self, record: DnsRecord) -> None:
        """Remove the records with exactly this name, type and value, and none of the others."""
        number = self._numbers.pop(record, None)
        for each in [number] if number is not None else self._find(record):
            try:
                self.client.call("dnspod", "DeleteRecord", {"Domain": record.zone, "RecordId": each})
            except TencentError as error:
                if error.code not in GONE_CODES:
                    raise

    def _find(self, record: DnsRecord) -> list[int]:
        """Return the numbers of the records with this value."""
        parameters = {
            "Domain": record.zone,
            "SubDomain": record.name,
            "RecordType": record.type,
            "ErrorOnEmpty": "no",
            "Limit": 3000,
        }
        answer = self.client.call("dnspod", "DescribeRecordList", parameters)
        with reject_malformed_input(
            f"DNSPod does not list the records of {record.name}.{record.zone}; try again later"
        ):
            return [
                int(one["RecordId"])
                for one in answer.get("RecordList") or []
                if (one["Name"], one["Type"]) == (record.name, record.type) and _is_value(record, one["Value"])
            ]


def _is_value(record: DnsRecord, value: str) -> bool:
    """Say whether a listed value is that of a record: DNSPod writes names with a dot at their end."""
    return value == record.value or (record.type == "CNAME" and value.rstrip(".") == record.value.rstrip("."))
