# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sizes of the waves in which certificates are renewed, as C(serial) of a play takes them."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

DEFAULT_WAVES: tuple[int | str, ...] = (1, "10%", "100%")
NUMBER = re.compile(r"[1-9][0-9]{0,6}")
SHARE = re.compile(r"(?:[1-9][0-9]?|100)%")


# not a parser: it reads what the inventory says
def wave_sizes(value: t.Any) -> list[int | str]:
    """Return the sizes that C(renew_waves) names: numbers of hosts, and shares such as 10%.

    value: a list, one size, or a text with commas as C(-e renew_waves=1,10%) passes it. Raises TlsError for anything else.

    >>> wave_sizes("1, 10%"), wave_sizes(5), wave_sizes([1, "100%"])
    ([1, '10%'], [5], [1, '100%'])
    """
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    sizes = [_size(str(item).strip()) for item in items]
    if not sizes or None in sizes:
        raise TlsError(
            f"renew_waves is {shorten(repr(value), 80)}, and a wave is a number of hosts or a share such as 10%; write a list such as "
            "[1, 10%, 100%], or a text such as 1,10%,100%"
        )
    return [size for size in sizes if size is not None]


# not a parser: it reads what the inventory says
def _size(text: str) -> int | str | None:
    if NUMBER.fullmatch(text):
        return int(text)
    return text if SHARE.fullmatch(text) else None
