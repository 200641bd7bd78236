# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of others is printed without control characters."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import (
    escape_as_one_line,
    escape_control_characters,
)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("", ""),
        ("bücher 本", "bücher 本"),
        ("a\x1b[2Jb", "a?[2Jb"),
        ("a\tb\nc\r\n", "a?b?c??"),
        ("\x7f\x9b\u202e\u2028\ud800", "?????"),  # DEL, CSI, right-to-left override, line separator, half a character
    ],
)
def test_each_control_character_is_replaced(text, escaped):
    assert escape_control_characters(text) == escaped
    assert escape_control_characters(text, replacement=" ") == escaped.replace("?", " ")


def test_line_breaks_are_kept_on_request():
    assert escape_control_characters("a\x1b\n\nb\r\n\u2028", keep_line_breaks=True) == "a?\n\nb?\n?"


@pytest.mark.parametrize(
    ("text", "line"), [("", ""), (" \n", ""), (" two\n  lines\x07 ", "two lines?"), ("a\tb\x1bc", "a b?c")]
)
def test_white_space_becomes_single_spaces_on_one_line(text, line):
    assert escape_as_one_line(text) == line
