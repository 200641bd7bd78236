# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DER (X.690), as far as somebody has to look at it before a library reads it."""

from __future__ import annotations

import typing as t

INTEGER, OCTETS = 0x02, 0x04  # tags
CONSTRUCTED = 0x20  # the bit of a tag that says that elements are within


def elements(der: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Yield tag and value of each element of DER, as long as it is DER."""
    at = 0
    while at + 1 < len(der):
        tag, length, start = der[at], der[at + 1], at + 2
        if length > 0x80:
            count = length & 0x7F
            length, start = int.from_bytes(der[start : start + count], "big"), start + count
        elif length == 0x80:  # of indefinite length
            return
        at = start + length
        if at > len(der):
            return
        yield tag, der[start:at]
