# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Renewals for which a limit has to leave places free."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import names_of, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import renewal_time
from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import WEEK
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.renewal_info import (
    CertificateRecord,
    RenewalRecords,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import file_name


# not a parser: it reads what the collection has made or checked
def due_renewals(
    renewals: RenewalRecords, directory_url: str, names: t.Iterable[str], now: datetime.datetime
) -> list[datetime.datetime]:
    """Return when the renewals for exactly these names are due that need places of a limit, from a week ago to a week ahead.

    All records are read. A certificate that is due for longer than a week is taken for one whose host is gone. C(renew_before) of requests is not recorded.
    """
    dates, expected = [], set(names)
    for name in renewals.folder.names():
        content = renewals.folder.read(name)
        host, request = content.get("host"), content.get("request")
        if not isinstance(host, str) or not isinstance(request, str) or file_name(host, request) != name:
            continue
        for record in renewals.current(host, request).values():
            at = (
                _place_needed_at(record, f"{host}/{request}", now) if record.get("directory") == directory_url else None
            )
            if at and names_of(parse_chain(record["certificate"].encode())[0]) == expected:
                dates.append(at)
    return dates


def _place_needed_at(record: CertificateRecord, seed: str, now: datetime.datetime) -> datetime.datetime | None:
    """Return when the renewal of a certificate needs a place; None where it does not, since it is inside its window or far away."""
    begin, end = parse_date(record["not_before"]), parse_date(record["not_after"])
    if begin is None or end is None or end <= now:
        return None
    at = renewal_time(begin, end, None, seed, parse_date(record.get("chosen")))
    edges = [edge for edge in map(parse_date, record.get("window") or []) if edge]
    is_in_window = len(edges) == 2 and edges[0] <= max(at, now) < edges[1]
    return None if is_in_window or abs(at - now) > WEEK else at
