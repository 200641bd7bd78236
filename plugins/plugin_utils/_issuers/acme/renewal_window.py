# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The window that a CA suggests for a renewal (RFC 9773, section 4.2), and the time in it at which the renewal is due."""

from __future__ import annotations

import datetime
import hashlib

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import RenewalInfoObject


def window(
    renewal_info: RenewalInfoObject, expiry: datetime.datetime
) -> tuple[datetime.datetime, datetime.datetime] | None:
    """Return the suggested window, its end at most the expiry.

    None if it does not begin before its end and the expiry.
    """
    edges = renewal_info.get("suggestedWindow")
    if not isinstance(edges, dict):
        return None
    start, end = parse_date(edges.get("start")), parse_date(edges.get("end"))
    if start is None or end is None or end <= start or start >= expiry:
        return None
    return start, min(end, expiry)


def renewal_instant(certificate: str, start: datetime.datetime, end: datetime.datetime) -> datetime.datetime:
    """Return the time in a window at which a certificate, by ID, is due: uniform over a fleet, in the first half of the window.

    Runs come some time after it, and then they are still inside the window. The middle of a window is also the latest time by default
    (renewal_time() in module_utils): a later time would be moved there, and so would half of a fleet. RFC 9773, section 4.2, leaves the choice to
    clients. The time is the same on every controller, and after the loss of all records.
    """
    digest = hashlib.sha256(f"{certificate} {int(start.timestamp())} {int(end.timestamp())}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return (start + (end - start) / 2 * share).astimezone(datetime.timezone.utc).replace(microsecond=0)
