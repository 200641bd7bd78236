# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of text for terminals of any width. Nothing in them is cut: what does not fit goes on in another line."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.terminal_width import text_width
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

GAP = "  "
INDENT = "    "


class Entry(t.NamedTuple):
    """Rows of a table with one note about all of them."""

    rows: list[tuple[str, ...]]  # the cells of each row
    note: str = ""  # behind a single row where it fits, else below the rows
    separator: str = GAP  # between a row and the note behind it


def table_lines(
    header: tuple[str, ...], entries: list[Entry], width: int | None, droppable: t.Sequence[str] = ()
) -> list[str]:
    """Return the lines of a table, none without entries.

    width: of the terminal in columns; no line is longer. None for no limit.
    droppable: the titles of columns that are left out, one after the other, while the rows are wider than the terminal.
    Rows that are wider nevertheless are wrapped, and then nothing is aligned.
    """
    if not entries:
        return []
    entries = [_escaped(entry) for entry in entries]
    shown = list(range(len(header)))
    sizes = _column_sizes(header, entries)
    for title in droppable:
        if width is not None and _total(sizes, shown) > width:
            shown.remove(header.index(title))
    is_aligned = width is None or _total(sizes, shown) <= width
    lines = [_aligned_row(header, sizes, shown)] if is_aligned else []
    for entry in entries:
        rows = [_aligned_row(row, sizes, shown) if is_aligned else _plain_row(row, shown) for row in entry.rows]
        lines += _entry_lines(entry, rows, width)
    return lines


def wrapped_lines(text: str, width: int | None, indent: str = "", first_indent: str | None = None) -> list[str]:
    """Return a text in lines that are no wider than *width*, broken at spaces, and within words that are wider than a line.

    indent: what lines begin with. first_indent: what the first one begins with, if that is something else.
    Spaces at which a line is broken are left out, and nothing else.
    """
    beginning = indent if first_indent is None else first_indent
    if width is None or text_width(beginning + text) <= width:
        return [beginning + text]
    lines, line, is_empty = [], beginning, True
    for word in text.split(" "):
        separator = "" if is_empty else " "
        if text_width(line + separator + word) <= width:
            line, is_empty = line + separator + word, False
            continue
        if not is_empty:
            lines.append(line.rstrip(" "))
            line = indent
        for character in word:
            if text_width(line + character) > width:
                lines.append(line)
                line = indent
            line += character
        is_empty = not word
    return [*lines, line]


def _entry_lines(entry: Entry, rows: list[str], width: int | None) -> list[str]:
    if entry.note and len(rows) == 1:
        line = f"{rows[0]}{entry.separator}{entry.note}"
        if width is None or text_width(line) <= width:
            return [line]
    lines = [line for row in rows for line in wrapped_lines(row.rstrip(), width, INDENT, "")]
    return lines + (wrapped_lines(entry.note, width, INDENT if rows else "") if entry.note else [])


def _escaped(entry: Entry) -> Entry:
    rows = [tuple(escape_control_characters(cell) for cell in row) for row in entry.rows]
    return entry._replace(rows=rows, note=escape_control_characters(entry.note))


def _column_sizes(header: tuple[str, ...], entries: list[Entry]) -> list[int]:
    rows = [header, *(row for entry in entries for row in entry.rows)]
    return [max(text_width(row[column]) for row in rows) for column in range(len(header))]


def _total(sizes: list[int], shown: list[int]) -> int:
    return sum(sizes[column] for column in shown) + len(GAP) * (len(shown) - 1)


def _aligned_row(row: tuple[str, ...], sizes: list[int], shown: list[int]) -> str:
    """Return a row with each cell as wide as its column, except the last one."""
    cells = [row[column] + " " * (sizes[column] - text_width(row[column])) for column in shown[:-1]]
    return GAP.join([*cells, row[shown[-1]]])


def _plain_row(row: tuple[str, ...], shown: list[int]) -> str:
    return GAP.join(row[column] for column in shown if row[column])
