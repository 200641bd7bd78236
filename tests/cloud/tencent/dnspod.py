# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNSPod: zones of one account. Its methods are the actions. Needs the standard library only."""

from __future__ import annotations

import itertools

from ansible_collections.evergreen.tls.tests.cloud.refused import Refused


class Dnspod:
    """The API dnspod.

    zones: the names of zones, and for each its status. min_ttl: of the plan. added, removed: called with zone, name, type and value of
    a record.
    unlisted: how many of the newest records lists lack, as they are behind.
    """

    service = "dnspod"

    def __init__(self, *zones, min_ttl=600, added=None, removed=None):
        self.zones = {zone: {"Status": "ENABLE", "DnsStatus": ""} for zone in zones}
        self.min_ttl, self.records, self.numbers = min_ttl, {}, itertools.count(101)
        self.added = added or (lambda *_record: None)
        self.removed = removed or (lambda *_record: None)
        self.unlisted = 0

    def _zone(self, name):
        if name not in self.zones:
            raise Refused("ResourceNotFound.NoDataOfDomain", "The domain does not exist.")
        return self.zones[name]

    def DescribeDomain(self, Domain):
        names = ["a.dnspod.com", "b.dnspod.com"]
        return {"DomainInfo": {"Domain": Domain, "TTL": self.min_ttl, "DnspodNsList": names, **self._zone(Domain)}}

    def CreateTXTRecord(self, **parameters):
        return self.CreateRecord(RecordType="TXT", **parameters)

    def CreateRecord(self, Domain, RecordType, RecordLine, Value, SubDomain="@", RecordLineId=None, TTL=600, Remark=""):
        self._zone(Domain)
        if self.min_ttl > TTL:
            raise Refused("LimitExceeded.RecordTtlLimit", "The TTL exceeds the limit.")
        if RecordLineId != "0" and RecordLine != "默认":
            raise Refused("InvalidParameter.RecordLineInvalid", "The line is incorrect.")
        record = (Domain, SubDomain, RecordType, Value)
        if record in self.records.values():
            raise Refused("InvalidParameter.DomainRecordExist", "The record exists.")
        number = next(self.numbers)
        self.records[number] = record
        self.added(*record)
        return {"RecordId": number}

    def DeleteRecord(self, Domain, RecordId):
        self._zone(Domain)
        if self.records.get(RecordId, ("",))[0] != Domain:
            raise Refused("InvalidParameter.RecordIdInvalid", "The record ID is invalid.")
        self.removed(*self.records.pop(RecordId))
        return {}

    def DescribeRecordList(self, Domain, SubDomain=None, RecordType=None, ErrorOnEmpty="yes", Limit=100):
        self._zone(Domain)
        shown = list(self.records.items())
        rows = [
            {"RecordId": number, "Name": name, "Type": kind, "Value": value, "TTL": self.min_ttl}
            for number, (zone, name, kind, value) in shown[: len(shown) - self.unlisted]
            if zone == Domain and SubDomain in (None, name) and RecordType in (None, kind)
        ][:Limit]
        if not rows and ErrorOnEmpty == "yes":
            raise Refused("ResourceNotFound.NoDataOfRecord", "The record list is empty.")
        return {"RecordList": rows}
