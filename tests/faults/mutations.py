# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutations of valid text, DER and JSON."""

from __future__ import annotations

import base64
import copy
import json
import re

MAX_BYTES = 200_000  # bytes of what comes out; what is to be larger is in regressions.py, by name
BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+)-----END \1-----\n?")
NUMBER = re.compile(rb"\d+")
WORD = re.compile(rb"[\w.:/@*-]+")
ODD_NUMBERS = (
    b"0",
    b"-1",
    b"65536",
    b"4294967296",
    b"9" * 30,
    b"9" * 5000,
    b"0x10",
    b"1e400",
    b"007",
    "²".encode(),
    "٣".encode(),
)
ODD_WORDS = (
    *(
        b"\0",
        b"\xff\xfe",
        b"\x80",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\t",
        b"\x1c",
        "\u2028".encode(),
        "ı".encode(),
        "\u202e".encode(),
    ),
    *(
        b"{",
        b"}",
        b";",
        b"'",
        b'"',
        b"\\",
        b"#",
        b"$",
        b"${",
        b"{{ 7 * 7 }}",
        b"!",
        b"%",
        b"-",
        b"/",
        b":",
        b"*",
        b"@",
        b"=",
    ),
    *(b"../../x", b"[::]", b"::/0", b"0.0.0.0/33", b"unix:", b"xn--", b"*.", b"-----BEGIN CERTIFICATE-----\n"),
)
ODD_VALUES = (
    *(None, True, False, 0, -1, 2**64, 10**400, 0.5, float("inf"), float("nan"), "", "\0", "²", "x" * 300, "../../x"),
    *([], {}, [[]], [{}], {"": None}, [None, None], "2026-11-21T10:00:00", "2026-11-21T10:00:00+00:00", "\udc80", "٣"),
)


def mutate(kind, content, random, others, signer=None):
    """Return a mutation of content. kind: text, der or json. others: contents from which parts are taken."""
    if kind != "text" and random.random() < 0.8:
        try:
            changed = mutate_pem(content, random, signer) if kind == "der" else mutate_json(content, random, others)
        except (LookupError, RecursionError, ValueError):  # it is what was changed before, and no DER or JSON any more
            changed = content
        if changed != content:
            return changed[:MAX_BYTES]
    for _time in range(random.randint(1, 4)):
        content = random.choice(TEXT_CHANGES)(content, random, others)
    return content[:MAX_BYTES]


# -- text ------------------------------------------------------------------------------------------------------------


def _place(content, random):
    begin = random.randint(0, len(content))
    return begin, min(len(content), begin + random.choice((0, 1, 2, 8, 40)))


def _insert(content, random, _others):
    begin, end = _place(content, random)
    return content[:begin] + random.choice(ODD_WORDS) + content[end:]


def _flip(content, random, _others):
    begin, _end = _place(content, random)
    return content[:begin] + bytes([random.randint(0, 255)]) + content[begin + 1 :]


def _cut(content, random, _others):
    begin, end = _place(content, random)
    return content[:begin] + content[end:]


def _end(content, random, _others):
    return content[: random.randint(0, len(content))]


def _repeat(content, random, _others):
    begin, end = _place(content, random)
    return content[:begin] + content[begin:end] * random.choice((2, 3, 60, 3000)) + content[end:]


def _number(content, random, _others):
    return _replaced(content, random, NUMBER, ODD_NUMBERS)


def _word(content, random, others):
    return _replaced(content, random, WORD, WORD.findall(random.choice(others)) or ODD_WORDS)


def _replaced(content, random, pattern, choices):
    matches = list(pattern.finditer(content))
    if not matches:
        return content
    match = random.choice(matches)
    return content[: match.start()] + random.choice(choices) + content[match.end() :]


def _lines(content, random, others):
    lines = content.splitlines(keepends=True) or [b""]
    other = random.choice(others).splitlines(keepends=True) or [b""]
    at = random.randrange(len(lines))
    change = random.randrange(4)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, random.choice(lines))
    elif change == 2:
        lines[at:at] = other[: random.randint(1, len(other))]
    else:
        random.shuffle(lines)
    return b"".join(lines)


def _splice(content, random, others):
    other = random.choice(others)
    return content[: random.randint(0, len(content))] + other[random.randint(0, len(other)) :]


def _other_ends(content, random, _others):
    return content.replace(b"\n", random.choice((b"\r\n", b"\r", b"\0", b" ", b"\n\n")))


TEXT_CHANGES = (
    _insert,
    _insert,
    _flip,
    _cut,
    _end,
    _repeat,
    _number,
    _number,
    _word,
    _word,
    _lines,
    _lines,
    _splice,
    _other_ends,
)


# -- DER -------------------------------------------------------------------------------------------------------------


def mutate_pem(content, random, signer=None):
    """Return PEM or DER with changed elements, whose lengths are usually correct.

    With *signer*, a private key, what was changed is signed anew, so that more than the signature is looked at.
    """
    blocks = list(BLOCK.finditer(content))
    if not blocks:
        return mutate_der(content, random, signer)
    block = random.choice(blocks)
    der = mutate_der(base64.b64decode(block[2]), random, signer)
    body = base64.encodebytes(der)
    pem = b"-----BEGIN " + block[1] + b"-----\n" + body + b"-----END " + block[1] + b"-----\n"
    return content[: block.start()] + pem + content[block.end() :]


def mutate_der(content, random, signer=None):
    """Return DER with one to three elements changed."""
    tree = read_der(content)
    signed = tree[0][1] if signer and len(tree) == 1 else None
    is_signed = isinstance(signed, list) and len(signed) == 3 and isinstance(signed[0][1], list)
    for _time in range(random.randint(1, 3)):
        _change_der(signed[0][1] if is_signed else tree, random)
    if is_signed:
        signed[2] = (3, b"\0" + signer(write_der(signed[:1])))
    return write_der(tree)


def read_der(content):
    """Return the elements of DER, each a tag and either its content or its elements."""
    elements, at = [], 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(content[at : at + size], "big"), at + size
        if at + length > len(content):
            raise ValueError("it is cut off")
        inner, at = content[at : at + length], at + length
        elements.append((tag, _inside(tag, inner)))
    return elements


def _inside(tag, content):
    if tag & 0x20:
        return read_der(content)
    if tag == 4 and content[:1] == b"\x30":  # an extension, or a private key
        try:
            return read_der(content)
        except (IndexError, ValueError):
            pass
    return content


def write_der(elements):
    """Return the DER of elements."""
    written = []
    for tag, inner in elements:
        content = inner if isinstance(inner, bytes) else write_der(inner)
        size = len(content)
        length = bytes([size]) if size < 128 else size.to_bytes((size.bit_length() + 7) // 8, "big")
        written.append(bytes([tag]) + (length if size < 128 else bytes([0x80 | len(length)]) + length) + content)
    return b"".join(written)


def _change_der(tree, random):
    """Change one element somewhere below a list of elements."""
    places = list(_places(tree))
    if not places:
        return
    level, at = random.choice(places)
    tag, inner = level[at]
    change = random.randrange(9)
    if change == 0:
        del level[at]
    elif change == 1:
        level.insert(at, level[at])
    elif change == 2:
        level[at] = (
            random.choice(
                (
                    0x01,
                    0x02,
                    0x03,
                    0x04,
                    0x05,
                    0x06,
                    0x0C,
                    0x13,
                    0x16,
                    0x17,
                    0x18,
                    0x1E,
                    0x30,
                    0x31,
                    0x80,
                    0x82,
                    0xA0,
                    0xA3,
                    0xFF,
                )
            ),
            inner,
        )
    elif change == 3:
        level[at] = (
            tag,
            random.choice(
                (
                    b"",
                    b"\0",
                    b"\xff",
                    b"\x80" + b"\0" * 40,
                    b"\x7f" * 2000,
                    b"99991231235959Z",
                    b"\xff" * 4,
                    b"\0" * 8,
                    b"*.*",
                    b"a\0b",
                )
            ),
        )
    elif change == 4:
        other, place = random.choice(places)
        level[at] = copy.deepcopy(other[place])  # it may be one of those that are around it
    elif change == 5:
        level[at] = (tag, _nested(level[at], random.choice((1, 20, 2000))))
    elif change == 6 and isinstance(inner, bytes):
        level[at] = (tag, _flip(inner, random, ()))
    elif change == 7 and isinstance(inner, list):
        random.shuffle(inner)
    else:
        level[at] = (tag, write_der([level[at]])[: random.randint(1, 12)])


def _nested(element, depth):
    content = write_der([element])
    for _level in range(depth):
        content = write_der([(0x30, content)])
    return content


def _places(level):
    for at, (_tag, inner) in enumerate(level):
        yield level, at
        if isinstance(inner, list):
            yield from _places(inner)


# -- JSON ------------------------------------------------------------------------------------------------------------


def mutate_json(content, random, others):
    """Return JSON with one to three values changed."""
    value = json.loads(content)
    for _time in range(random.randint(1, 3)):
        value = _changed_json(value, random, others)
    return json.dumps(value).encode()


def _changed_json(value, random, others):
    places = list(_json_places(value))
    if not places or random.random() < 0.02:
        return random.choice(ODD_VALUES)
    level, key = random.choice(places)
    texts = [(inner, at) for inner, at in places if isinstance(inner[at], str)]
    if texts and random.random() < 0.5:
        level, key = random.choice(texts)
        text = level[key].encode(errors="surrogatepass")
        level[key] = mutate("text", text, random, [text, *others]).decode(errors="surrogateescape")
        return value
    change = random.randrange(5)
    if change == 0:
        del level[key]
    elif change == 1 and isinstance(level, dict):
        level[random.choice(("", "x", *level))] = level.pop(key)
    elif change == 1:
        level.insert(key, level[key])
    elif change == 2:
        other, place = random.choice(places)
        level[key] = copy.deepcopy(other[place])
    elif change == 3:
        level[key] = [level[key]]
    else:
        level[key] = random.choice(ODD_VALUES)
    return value


def _json_places(value):
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _json_places(value[key])
