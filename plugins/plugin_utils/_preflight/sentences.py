# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words that sentences of several checks share."""

from __future__ import annotations

import typing as t

MAX_NAMES_IN_SENTENCE = 5


def shown_names(names: t.Sequence[str]) -> str:
    """Return a few names, and how many more there are.

    >>> shown_names(["a.example", "b.example"])
    'a.example, b.example'
    """
    more = len(names) - MAX_NAMES_IN_SENTENCE
    return ", ".join(names[:MAX_NAMES_IN_SENTENCE]) + (f" and {more} more" if more > 0 else "")
