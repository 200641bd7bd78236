# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one reader of DER (X.690): for checks before a library reads it, and what no library returns."""

from __future__ import annotations

import contextlib
import typing as t

INTEGER, OCTET_STRING, OBJECT_IDENTIFIER, BMP_STRING, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x1E, 0x30, 0x31  # tags
EXPLICIT_0 = 0xA0  # the tag of what is marked [0] EXPLICIT
CONSTRUCTED = 0x20  # the bit of a tag for elements with elements in them


class Element(t.NamedTuple):
    """An element of DER."""

    tag: int
    value: bytes


class Header(t.NamedTuple):
    """The header of an element: its tag, and the offsets of its value."""

    tag: int
    start: int
    end: int | None  # None: of indefinite length


def read_header(der: bytes, at: int = 0) -> Header:
    """Return the header of the element at an offset. Raises ValueError where it is cut short."""
    if at + 2 > len(der):
        raise ValueError(at)
    tag, length, start = der[at], der[at + 1], at + 2
    if length == 0x80:
        return Header(tag, start, None)
    if length > 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(der[start : start + count], "big"), start + count
    return Header(tag, start, start + length)


def elements(der: bytes) -> t.Iterator[Element]:
    """Yield the elements of DER. Raises ValueError at anything else, such as BER of indefinite length."""
    at = 0
    while at < len(der):
        tag, start, end = read_header(der, at)
        if end is None or end > len(der):
            raise ValueError(at)
        yield Element(tag, der[start:end])
        at = end


def leading_elements(der: bytes) -> t.Iterator[Element]:
    """Yield the elements up to the first that is not DER."""
    with contextlib.suppress(ValueError):
        yield from elements(der)


def children(element: Element, tag: int) -> list[Element]:
    """Return the elements within one. Raises ValueError unless that one has this *tag*, and DER in it."""
    if element.tag != tag:
        raise ValueError(element.tag)
    return list(elements(element.value))


def integer(element: Element) -> int:
    """Return the value of an INTEGER that is not negative. Raises ValueError for another element."""
    if element.tag != INTEGER:
        raise ValueError(element.tag)
    return int.from_bytes(element.value, "big")


def descendants(der: bytes, max_depth: int) -> t.Iterator[tuple[Element | None, Element]]:
    """Yield each element and those within it, also in octet strings, with the one before on its level.

    Elements deeper than *max_depth* levels below the first, and what is not DER, are left out.
    """
    remaining = [(der, 0)]
    while remaining:
        content, depth = remaining.pop()
        before = None
        for element in leading_elements(content):
            yield before, element
            if (element.tag & CONSTRUCTED or element.tag == OCTET_STRING) and depth < max_depth:
                remaining.append((element.value, depth + 1))
            before = element
