# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much people read of a text of others (certificates, hosts, programs, CAs)."""

from __future__ import annotations

import re

MAX_TEXT_CHARACTERS = 300


def shorten(text: str, maximum: int = MAX_TEXT_CHARACTERS) -> str:
    """Return a text of others with *maximum* characters at most. What is left out is in its middle: sentences end in what to do.

    >>> shorten("one two three", 7)
    'one…ree'
    """
    if len(text) <= maximum:
        return text
    end = (maximum - 1) // 2
    return f"{text[: maximum - 1 - end]}…{text[-end:]}"


def printable(text: str) -> str:
    r"""Return a text of others with a question mark in the place of each run of characters that a terminal would not print.

    >>> printable("a\\x1b[1m\\x00b")
    'a?[1m?b'
    """
    return re.sub(
        r"\?{2,}",
        "?",
        "".join(character if character.isprintable() and character != "\ufffd" else "?" for character in text),
    )
