# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of others (certificates, hosts, programs, CAs) made safe to print on a terminal."""

from __future__ import annotations


def escape_control_characters(text: str, replacement: str = "?", keep_line_breaks: bool = False) -> str:
    r"""Return the text with *replacement* for each character that C(str.isprintable) denies, such as ESC.

    >>> escape_control_characters("a\x1b[2Jb\nc"), escape_control_characters("a\nb", keep_line_breaks=True)
    ('a?[2Jb?c', 'a\nb')
    """
    return "".join(
        character if character.isprintable() or (keep_line_breaks and character == "\n") else replacement
        for character in text
    )


def escape_as_one_line(text: str) -> str:
    r"""Return the text on one line, with single spaces and without control characters.

    >>> escape_as_one_line(" two\n  lines\x07")
    'two lines?'
    """
    return escape_control_characters(" ".join(text.split()))
