# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spread the first renewals of certificates that were issued on one day.

Each day has a record with the first certificates of requests that begin on it. A day with more of them than three times the renewals of
an average day is spread, where that needs no place of a limit. All later generations keep the days of the first one.
"""

from __future__ import annotations

import collections
import datetime
import hashlib
import threading
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import (
    SHORT_LIFETIME,
    first_renewal_time,
)
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import RenewalAdvice
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import (
    EXACT_SET,
    RENEWAL_PERIOD,
    CaLimits,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import set_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name

DAY = datetime.timedelta(days=1)
MAX_MEANS = 3  # renewals of a day, in those of an average day, up to which nothing is spread
MIN_BATCH = 30  # certificates of a day, up to which nothing is spread
MEAN_LIFE_SHARE = 2 / 3  # of the lifetime, after which certificates are renewed by default
DIGEST_LENGTH = 16  # of a set of names, in its record


class FirstCertificate(t.NamedTuple):
    """What is recorded of the first certificate of a request."""

    day: str
    serial_number: str  # hexadecimal
    names: str  # the digest of the set of names


class FirstRenewals:
    """The first certificates of requests, by day. The records are read once."""

    def __init__(self, folder: JsonRecords, certificates: JsonRecords, limits: t.Sequence[CaLimits]) -> None:
        self.folder, self.certificates = folder, certificates
        self.limits = {one.directory_url: one for one in limits}
        self._lock = threading.Lock()
        self._days: dict[str, dict[str, FirstCertificate]] = {}
        self._recorded: set[str] | None = None  # the days that have a record
        self._requests: int | None = None
        self._sets: collections.Counter[str] | None = None

    def add(
        self, host: str, request: str, serial_number: str, begin: datetime.datetime, names: t.Iterable[str]
    ) -> None:
        """Record the first certificate of a request."""
        day = f"{begin:%Y-%m-%d}"
        with self.folder.locked(day):
            certificates = self._read(day)
            certificates[file_name(host, request)] = FirstCertificate(day, serial_number, _digest(names))
            content = {one: [serial, digest] for one, (_day, serial, digest) in certificates.items()}
            self.folder.write(day, {"certificates": content})
        with self._lock:
            self._days.pop(day, None)
            self._recorded = self._requests = self._sets = None

    # not a parser: it reads what the collection has made
    def spread(self, host: str, request: str, record: t.Mapping[str, t.Any]) -> RenewalAdvice | None:
        """Return when the first certificate of a request is renewed, and why; None where it is not spread.

        record: of the certificate, as RenewalRecords has it. A request that has C(renew_before) is not to be asked for.
        """
        begin, end = parse_date(record.get("not_before")), parse_date(record.get("not_after"))
        limits = self.limits.get(str(record.get("directory")))
        if begin is None or end is None or limits is None or end - begin < SHORT_LIFETIME:
            return None
        with self._lock:
            batch = self._day(f"{begin:%Y-%m-%d}")
            first = batch.get(file_name(host, request))
            if first is None or first.serial_number != record.get("serial_number"):
                return None
            if not is_large_batch(len(batch), self._number_of_requests(), end - begin):
                return None
            at = first_renewal_time(begin, end, f"{host}/{request}")
            if not costs_no_limit(limits, self._number_of(first.names), at - begin):
                return None
        reason = f"{len(batch)} certificates were issued on {first.day}, and their first renewals are spread over several days"
        return {"at": at.isoformat(), "reason": reason}

    def _day(self, day: str) -> dict[str, FirstCertificate]:
        if self._recorded is None:
            self._recorded = set(self.folder.names())
        if day not in self._days:
            self._days[day] = self._read(day) if day in self._recorded else {}
        return self._days[day]

    def _number_of_requests(self) -> int:
        if self._requests is None:
            self._requests = len(self.certificates.names())
        return self._requests

    def _number_of(self, digest: str) -> int:
        """Return how many requests have a set of names."""
        if self._sets is None:
            latest: dict[str, FirstCertificate] = {}
            for day in self.folder.names():
                latest.update(self._day(day))
            self._sets = collections.Counter(one.names for one in latest.values())
        return self._sets[digest]

    # not a parser: it reads what the collection has made
    def _read(self, day: str) -> dict[str, FirstCertificate]:
        recorded = self.folder.read(day).get("certificates")
        return {
            name: FirstCertificate(day, str(one[0]), str(one[1]))
            for name, one in (recorded.items() if isinstance(recorded, dict) else ())
            if isinstance(one, list) and len(one) == 2
        }


def is_large_batch(number: int, requests: int, lifetime: datetime.timedelta) -> bool:
    """Say whether certificates that were issued on one day are more than three times the renewals of an average day.

    >>> is_large_batch(1000, 1000, datetime.timedelta(days=90)), is_large_batch(40, 1000, datetime.timedelta(days=90))
    (True, False)
    """
    mean = max(number, requests) * (DAY / (lifetime * MEAN_LIFE_SHARE))
    return number > max(MIN_BATCH, MAX_MEANS * mean)


def costs_no_limit(limits: CaLimits, requests_of_set: int, age: datetime.timedelta) -> bool:
    """Say whether a renewal outside the window of its renewal information needs no place that others need.

    requests_of_set: how many requests have its names. age: of the certificate then. After RENEWAL_PERIOD, a renewal counts as a new certificate.
    """
    if limits.bucket(EXACT_SET) and requests_of_set > 1:
        return False
    is_limited = any(limits.counts.values()) or any(limits.domain_counts.values())
    return not is_limited or age < RENEWAL_PERIOD


def earliest_advice(of_ca: RenewalAdvice | None, spread: RenewalAdvice | None) -> RenewalAdvice | None:
    """Return the earlier one of what a CA advises and of the date of the spread; None where there is neither."""
    chosen = parse_date(of_ca["at"]) if of_ca else None
    spread_at = parse_date(spread["at"]) if spread else None
    return spread if chosen is None or (spread_at is not None and spread_at < chosen) else of_ca


# not a parser: names of the inventory are in their normal form
def _digest(names: t.Iterable[str]) -> str:
    return hashlib.sha256(set_of(names).encode()).hexdigest()[:DIGEST_LENGTH]
