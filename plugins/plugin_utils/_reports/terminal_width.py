# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The width of the terminal of ansible-playbook, as an action plugin sees it, and how many columns a text takes there."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible.utils.display import Display, get_text_width

MIN_WIDTH_COLUMNS = 20  # a narrower terminal is taken for one of this width
UNKNOWN_DISPLAY_COLUMNS = 79  # what Display.columns is without a terminal, and for one of 80 columns


# not a parser: it reads the environment of the person who runs it
def terminal_width(environment: t.Mapping[str, str] | None = None) -> int | None:
    """Return how many columns the terminal has; None where standard output is no terminal, such as a pipe or a file.

    C(COLUMNS) decides where it is exported. Otherwise the terminal of the parent process is asked: since ansible-core 2.19,
    the process that runs an action plugin has no terminal of its own. C(Display.columns) is the last resort.
    """
    exported = (os.environ if environment is None else environment).get("COLUMNS", "")
    columns = int(exported) if exported.isascii() and exported.isdigit() else 0
    columns = columns or _width_of_descriptor(1) or _width_of_process(os.getppid()) or _width_of_display()
    return max(MIN_WIDTH_COLUMNS, columns) if columns else None


def text_width(text: str) -> int:
    """Return how many columns a text takes on a terminal: two for a wide character, none for one that joins another.

    text: without control characters.
    """
    if text.isascii():
        return len(text)
    try:
        return get_text_width(text)
    except OSError:  # no character of it takes a column
        return 0


def _width_of_descriptor(descriptor: int) -> int:
    try:
        return os.get_terminal_size(descriptor).columns
    except OSError:
        return 0


def _width_of_process(process: int) -> int:
    """Return the width of the terminal that is the standard output of a process, by procfs; 0 where it has none."""
    path = f"/proc/{process}/fd/1"
    try:
        if not stat.S_ISCHR(os.stat(path).st_mode):
            return 0
        descriptor = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        return _width_of_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _width_of_display() -> int:
    columns = t.cast(int, Display().columns)
    return columns + 1 if columns > UNKNOWN_DISPLAY_COLUMNS else 0
