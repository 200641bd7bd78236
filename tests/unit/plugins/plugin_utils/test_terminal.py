# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of others is printed without control characters."""

from __future__ import annotations

import dataclasses
import unicodedata

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import (
    MAX_RESULT_DEPTH,
    escape_as_one_line,
    escape_control_characters,
    escape_value,
    shorten_lines,
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


def test_no_character_moves_the_cursor_turns_the_text_or_ends_the_line():
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
    controls = "".join(map(chr, [*range(32), *range(127, 160)]))
    assert set(escape_control_characters(turning + controls)) == {"?"}
    assert set(escape_control_characters(turning + controls, keep_line_breaks=True)) == {"?", "\n"}
    kept = {character for character in map(chr, range(0x110000)) if escape_control_characters(character) == character}
    assert {unicodedata.category(character) for character in kept & {*"\u200c\u200d"}} == {"Cf"}
    assert not {one for one in kept if unicodedata.category(one)[0] == "C"} - {*"\u200c\u200d"}


@pytest.mark.parametrize("text", ["bücher.example", "例子公司", "نامه\u200cای.example", "👩\u200d🚀 ❤️", "12\u00a0%"])
def test_what_people_write_stays(text):
    assert escape_control_characters(text) == text
    assert escape_value({text: [text]}) == {text: [text]}


def test_each_line_of_a_text_is_as_long_as_people_read():
    assert shorten_lines(f"{'a' * 999}\n\nb") == f"{shorten('a' * 999)}\n\nb"


@dataclasses.dataclass(frozen=True)
class Summary:
    """Stands for the summary of a warning."""

    msg: str
    events: tuple[str, ...] = ()
    computed: str = dataclasses.field(init=False, default="x")


def test_every_text_of_a_value_is_escaped_wherever_it_is():
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    value = {
        "a\x1b": {"chain": pem, "days": 1.5, "none": None, "yes": True},
        "list": ["\x07", ("\x9b", {"\u202e": "\u2028"})],
        7: Summary("\x1b", ("\x08",)),
    }
    assert escape_value(value) == {
        "a?": {"chain": pem, "days": 1.5, "none": None, "yes": True},
        "list": ["?", ("?", {"?": "?"})],
        7: Summary("?", ("?",)),
    }


def test_a_value_that_is_nested_without_end_is_left_out():
    value = "\x1b"
    for _level in range(100_000):
        value = [value]
    shown, depth = escape_value(value), 0
    while isinstance(shown, list):
        (shown,), depth = shown, depth + 1
    assert (shown, depth) == ("…", MAX_RESULT_DEPTH)


def test_tabs_stay_in_the_content_of_files_alone():
    result = {"msg": "a\tb\nc", "diff": [{"before": "\tlisten 80;\n", "after": "\x1b\n"}]}
    assert escape_value(result) == {"msg": "a?b\nc", "diff": [{"before": "\tlisten 80;\n", "after": "?\n"}]}
