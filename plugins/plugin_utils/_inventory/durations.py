# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations, and shares of a lifetime, as people write them in the inventory."""

from __future__ import annotations

import datetime
import re

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

SECONDS_OF_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
MAX_DURATION = datetime.timedelta(days=36500)


def parse_duration(text: str) -> datetime.timedelta:
    """Return a duration that is written as a number and a unit: s, m, h, d or w.

    Raises TlsError for anything else.

    >>> parse_duration("90d")
    datetime.timedelta(days=90)
    """
    match = re.fullmatch(r"([0-9]{1,9})\s*([smhdw])", str(text).strip())
    if not match or not int(match[1]):
        raise TlsError(f"{text!r} is not a length of time; write a number and a unit, such as 90d, 12h or 30m")
    seconds = int(match[1]) * SECONDS_OF_UNIT[match[2]]
    if seconds > MAX_DURATION.total_seconds():
        raise TlsError(f"{text!r} is longer than a hundred years; write a shorter time, such as 90d")
    return datetime.timedelta(seconds=seconds)


def parse_renew_before(renew_before: str) -> float | datetime.timedelta:
    """Return C(renew_before) as a share of the lifetime, between 0 and 1, or a duration.

    Raises TlsError for anything else.

    >>> parse_renew_before("1/4"), parse_renew_before("30d")
    (0.25, datetime.timedelta(days=30))
    """
    match = re.fullmatch(
        r"([0-9]{1,3})\s*/\s*([0-9]{1,3})|([0-9]{1,3})\s*%|(0?\.[0-9]{1,6})", str(renew_before).strip()
    )
    if not match:
        try:
            return parse_duration(renew_before)
        except TlsError as error:
            raise TlsError(f"renew_before: {error}, or a share such as 1/3") from error
    if match[1]:
        share = int(match[1]) / int(match[2]) if int(match[2]) else 1.0
    else:
        share = int(match[3]) / 100 if match[3] else float(match[4])
    if not 0 < share < 1:
        raise TlsError(
            f"renew_before: {renew_before} is no share of a lifetime; write one between none and all of it, such as 1/3, "
            "or a duration such as 30d"
        )
    return share


def normal_renew_before(renew_before: str) -> str:
    """Return C(renew_before) in the one form that hosts read: a decimal share, or seconds.

    >>> normal_renew_before("1/4"), normal_renew_before("30d")
    ('0.250000', '2592000s')
    """
    rest = parse_renew_before(renew_before)
    return f"{rest.total_seconds():.0f}s" if isinstance(rest, datetime.timedelta) else f"{rest:.6f}"
