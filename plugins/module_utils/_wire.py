# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of hosts as it travels between a host and the controller.

Ansible transports UTF-8 only, and files and programs of a host may hold any bytes. So each byte travels as one character
(ISO 8859-1). Inside the collection, text is UTF-8 with C(surrogateescape) for all other bytes (PEP 383).
"""

from __future__ import annotations

WIRE_ENCODING = "latin-1"


def to_wire(text: str) -> str:
    """Return text with one character for each of its bytes."""
    return text.encode(errors="surrogateescape").decode(WIRE_ENCODING)


def from_wire(text: str) -> str:
    """Return the text of which to_wire() made this. Raises UnicodeError where a character is no byte."""
    return text.encode(WIRE_ENCODING).decode(errors="surrogateescape")
