# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the limits of a CA leave room for an order, as a finding."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import (
    LETSENCRYPT_PAGE,
    PUBLISHED,
    OrderKind,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import LimitRecords

OTHERS = "what other controllers and programs order is not known here"


def check_limits(records: LimitRecords, names: t.Sequence[str], kind: OrderKind, now: datetime.datetime) -> Finding:
    """Return whether the limits leave room for an order. Nothing is counted.

    Where the CA publishes no limits and the inventory names none, that is a note: a CA of one's own needs none.
    """
    url = records.limits.directory_url
    server = re.sub("^https?://([^/]*).*", r"\1", url)
    source = LETSENCRYPT_PAGE if url in PUBLISHED else ""
    if not (records.limits.counts or records.limits.domain_counts):
        return Finding(
            "note", "limits", f"the limits of {server} are not known here; write them as limits of the issuer"
        )
    standing = records.standing(names, kind, now)
    if standing.free:
        sentence = f"{standing.sentence}; the order is put off until {format_date(standing.free)}. {standing.remedy}"
        return Finding("blocks", "limits", sentence, source=source)
    if kind.is_in_window:
        return Finding(
            "fine",
            "limits",
            "it renews inside the window of its renewal information, which no limit counts",
            source=source,
        )
    if standing.is_renewal:
        sets = standing.uses[:1]  # renewals count for the set of names only
        return Finding("fine", "limits", f"it is a renewal; used: {', '.join(sets) or 'nothing'}", sets, source)
    return Finding("fine", "limits", f"used: {', '.join(standing.uses)}; {OTHERS}", standing.uses, source)
