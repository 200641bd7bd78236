# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a function on many items in threads, and collect what goes wrong."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

MAX_THREADS = 16

Item = t.TypeVar("Item")
Result = t.TypeVar("Result")


def map_in_threads(function: t.Callable[[Item], Result], items: list[Item]) -> list[Result]:
    """Return the results of the function for the items, in their order."""
    if not items:
        return []
    with concurrent.futures.ThreadPoolExecutor(min(MAX_THREADS, len(items))) as pool:
        return list(pool.map(function, items))


def error_of(function: t.Callable[[], None]) -> str | None:
    """Call the function; return the sentence of the TlsError that it raises, or None."""
    try:
        function()
    except TlsError as error:
        return str(error)
    return None


def raise_errors(sentences: t.Iterable[str | None]) -> None:
    """Raise one TlsError with all sentences, each once, if there are any."""
    distinct = list(dict.fromkeys(sentence for sentence in sentences if sentence))
    if distinct:
        raise TlsError(" · ".join(distinct))
