# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people see on a terminal, of texts that strangers have written."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text without what a stranger may have put into a certificate or a file name to play with the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
