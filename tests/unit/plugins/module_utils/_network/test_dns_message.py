# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How answers of DNS are read on hosts: bounded, compared with the question, and never in a circle."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._network.dns_message import (
    CAA,
    TXT,
    Question,
    encode_name,
    read_answer,
)

NAME = "www.example.org"
ASKED = Question(4711, NAME, CAA)
OWNER = b"\xc0\x0c"  # a pointer to the name of the question


def message(*records, question=ASKED, flags=0x8180, identifier=None, count=None, name=None):
    """Return an answer with records, each with an owner, a type and data."""
    header = (question.identifier if identifier is None else identifier, flags, 1)
    encoded = encode_name(question.name) if name is None else name
    body = b"".join(owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data for owner, kind, data in records)
    counts = (len(records) if count is None else count, 0, 0)
    return struct.pack("!HHHHHH", *header, *counts) + encoded + struct.pack("!HH", question.record_type, 1) + body


def caa(tag, value, flags=0):
    return bytes([flags, len(tag)]) + tag + value


def why(content, question=ASKED):
    with pytest.raises(TlsError) as caught:
        read_answer(content, question)
    return str(caught.value)


def test_caa_records_are_texts_as_in_zone_files():
    content = message(
        (OWNER, CAA, caa(b"issue", b"letsencrypt.org")), (OWNER, CAA, caa(b"iodef", b"mailto:a@example.org", 128))
    )
    assert read_answer(content, ASKED) == ['0 issue "letsencrypt.org"', '128 iodef "mailto:a@example.org"']


def test_strings_of_a_txt_record_are_one_text_and_others_than_ascii_are_numbers():
    question = Question(1, NAME, TXT)
    content = message((OWNER, TXT, b"\x03one\x02 2"), (OWNER, TXT, b"\x02\x1b\xff"), question=question)
    assert read_answer(content, question) == ["\\027\\255", "one 2"]


def test_records_behind_an_alias_count_and_other_types_do_not():
    alias = b"\x05other\xc0\x10"
    content = message((OWNER, 5, alias), (alias, CAA, caa(b"issue", b";")), (OWNER, TXT, b"\x01a"))
    assert read_answer(content, ASKED) == ['0 issue ";"']


def test_no_such_name_is_no_record_and_another_error_is_said():
    assert read_answer(message(flags=0x8183), ASKED) == []
    assert why(message(flags=0x8182)) == "the resolver answers SERVFAIL; see why, there"
    assert "with the code 9" in why(message(flags=0x8189))
    assert why(message(flags=0x8380)) == "the answer is too large for UDP; ask there with dig"


def test_the_name_of_the_question_is_compared_without_case():
    assert read_answer(message(name=encode_name("WWW.example.ORG")), ASKED) == []


@pytest.mark.parametrize(
    "content",
    [
        message(identifier=4712),
        message(flags=0x0100),
        message(flags=0x8980),
        message(name=encode_name("www.example.com")),
        message(question=Question(4711, NAME, TXT)),
    ],
    ids=["another identifier", "a question", "another operation", "another name", "another type"],
)
def test_what_answers_another_question_is_refused(content):
    assert why(content) == "an answer of DNS is to another question; see which resolver answers there"


@pytest.mark.parametrize(
    "content",
    [
        message((OWNER, CAA, b"\x00\x09issue")),
        message((OWNER, CAA, b"")),
        message(count=1),
        message((OWNER, CAA, caa(b"issue", b";")))[:-1],
        message((b"\xc0\x29", CAA, caa(b"issue", b";"))),
        message((b"\xc0\xff", CAA, caa(b"issue", b";"))),
        message((b"\x80", CAA, caa(b"issue", b";"))),
        message((b"\x3fabc", CAA, b"")),
        message((b"\xc0", CAA, b""))[:-10],
        message((b"\x01a" * 130 + b"\0", CAA, b"")),
    ],
    ids=[
        *("a tag beyond the data", "no data", "a record that is missing", "data that is cut off"),
        *("a pointer to itself", "a pointer to the back", "a label of an unknown kind", "a label that is cut off"),
        *("a pointer that is cut off", "a name of more than 255 bytes"),
    ],
)
def test_what_is_malformed_is_refused(content):
    assert why(content) == "an answer of DNS is malformed; see which resolver answers there"


def test_a_chain_of_pointers_is_bounded():
    pointers = b"".join(struct.pack("!H", 0xC000 + offset) for offset in [12, *range(33, 33 + 2 * 30, 2)])
    content = message()[:12] + encode_name(NAME) + struct.pack("!HH", CAA, 1) + pointers
    content = content[:6] + struct.pack("!H", 20) + content[8:]
    assert "malformed" in why(content)


def test_sizes_are_bounded():
    assert "has 11 bytes" in why(b"x" * 11)
    assert "has 4097 bytes" in why(message() + b"\0" * (4097 - len(message())))
    assert "has 101 records, more than 100" in why(message(count=101))


@pytest.mark.parametrize("name", ["", "a..example", "a" * 64, ".".join(["a" * 60] * 5)])
def test_what_is_no_name_is_not_asked(name):
    with pytest.raises(TlsError, match="is no name in DNS; correct it"):
        Question(1, name, CAA).to_bytes()
