# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of options and variables that were probably meant by one that there is not."""

from __future__ import annotations

import difflib
import typing as t

OPTION_SIMILARITY = 0.75  # from which on an option is probably another one, by difflib.SequenceMatcher.ratio()


def closest_name(name: str, known: t.Iterable[str], similarity: float = OPTION_SIMILARITY) -> str | None:
    """Return the known name that was probably meant by another one, or None.

    >>> closest_name("domain", ["domains", "links"]), closest_name("kind", ["domains", "links"])
    ('domains', None)
    """
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=similarity)), None)
