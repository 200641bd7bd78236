# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of others (certificates, hosts, programs, CAs) made safe to print on a terminal."""

from __future__ import annotations

import collections.abc
import dataclasses
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS, shorten

MAX_RESULT_DEPTH = 50  # of dictionaries and lists in each other; those of the collection have fewer than ten
# Joiners, which names in Persian and Indic scripts (RFC 5892, appendix A) and emoji need, and spaces of scripts and typography.
KEPT = "\u200c\u200d\u00a0\u2009\u202f\u3000"


def escape_control_characters(
    text: str, replacement: str = "?", keep_line_breaks: bool = False, keep_tabs: bool = False
) -> str:
    r"""Return the text with *replacement* for each character that C(str.isprintable) denies, such as ESC.

    These are the control characters C0 and C1, those that change the direction of text, separators of lines and paragraphs,
    and halves of surrogate pairs. Characters in KEPT stay.

    >>> escape_control_characters("a\x1b[2Jb\nc"), escape_control_characters("a\nb", keep_line_breaks=True)
    ('a?[2Jb?c', 'a\nb')
    """
    kept = KEPT + ("\n" if keep_line_breaks else "") + ("\t" if keep_tabs else "")
    return "".join(character if character.isprintable() or character in kept else replacement for character in text)


def escape_as_one_line(text: str) -> str:
    r"""Return the text on one line, with single spaces and without control characters.

    >>> escape_as_one_line(" two\n  lines\x07")
    'two lines?'
    """
    return escape_control_characters(" ".join(text.split()))


def shorten_lines(text: str, maximum: int = MAX_TEXT_CHARACTERS) -> str:
    """Return a text of others whose lines have *maximum* characters at most."""
    return "\n".join(shorten(line, maximum) for line in text.split("\n"))


def escape_value(value: t.Any, depth: int = MAX_RESULT_DEPTH, keep_tabs: bool = False) -> t.Any:
    r"""Return a value of any shape, such as the result of a task, with each text in it without control characters.

    Line breaks are kept, so that PEM and tables stay as they are, and tabs in a C(diff), which shows the content of files.
    What is nested deeper than *depth* is left out.
    A mapping loses the type that it has beside dict. The summaries of warnings of Ansible are dataclasses.

    >>> escape_value({"a\x1b": ["b\x07", 1, None]})
    {'a?': ['b?', 1, None]}
    """
    if isinstance(value, str):
        escaped = escape_control_characters(value, keep_line_breaks=True, keep_tabs=keep_tabs)
        return value if escaped == value else escaped
    if not isinstance(value, (collections.abc.Mapping, list, tuple, set, frozenset)) and not _is_dataclass(value):
        return value
    if depth <= 0:
        return "…"
    if isinstance(value, collections.abc.Mapping):
        return {
            escape_value(key, depth - 1): escape_value(one, depth - 1, keep_tabs or key == "diff")
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [escape_value(one, depth - 1, keep_tabs) for one in value]
        return tuple(items) if isinstance(value, tuple) else items
    texts = {
        field.name: escape_value(getattr(value, field.name), depth - 1, keep_tabs)
        for field in dataclasses.fields(value)
        if field.init
    }
    return dataclasses.replace(value, **texts)


def _is_dataclass(value: t.Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
