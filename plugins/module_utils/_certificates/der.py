# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one reader of DER and BER (X.690): for checks before a library reads it, and what no library returns."""

from __future__ import annotations

import contextlib
import typing as t

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER = 0x01, 0x02, 0x03, 0x04, 0x06  # tags
BMP_STRING, SEQUENCE, SET = 0x1E, 0x30, 0x31
EXPLICIT_0 = 0xA0  # the tag of what is marked [0] EXPLICIT
CONSTRUCTED = 0x20  # the bit of a tag for elements with elements in them
LONG_TAG = 0x1F  # the bits of a tag whose number is in the bytes behind it
MORE = 0x80  # the bit of a byte of such a number that is not its last
END_OF_CONTENTS = b"\0\0"  # of an element of indefinite length (X.690, section 8.1.5)
MAX_ELEMENTS = 200_000  # that are looked at in one piece of data; keystores with all roots of the web have fewer


class Element(t.NamedTuple):
    """An element of DER."""

    tag: int
    value: bytes


class Header(t.NamedTuple):
    """The header of an element: its tag, and the offsets of its value."""

    tag: int
    start: int
    end: int | None  # None: of indefinite length


class TooManyElements(ValueError):
    """There are more elements than are looked at."""


def read_header(der: bytes, at: int = 0) -> Header:
    """Return the header of the element at an offset. Raises ValueError where it is cut short."""
    number = at + 1
    if at < len(der) and der[at] & LONG_TAG == LONG_TAG:
        while number < len(der) and der[number] & MORE:
            number += 1
        number += 1
    if number >= len(der):
        raise ValueError(at)
    tag, length, start = der[at], der[number], number + 1
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


def element_of(element: Element) -> bytes:
    """Return the DER of an element whose tag is one byte."""
    size = len(element.value).to_bytes((len(element.value).bit_length() + 7) // 8, "big") or b"\0"
    header = bytes([element.tag, *([0x80 + len(size)] if len(element.value) > 0x7F else [])])
    return header + size + element.value


def integer(element: Element) -> int:
    """Return the value of an INTEGER that is not negative. Raises ValueError for another element."""
    if element.tag != INTEGER:
        raise ValueError(element.tag)
    return int.from_bytes(element.value, "big")


def descendants(ber: bytes, max_depth: int) -> t.Iterator[tuple[Element | None, Element]]:
    """Yield each element and those within it, also in octet strings, with the one before on its level.

    It reads BER as OpenSSL does: elements may be of indefinite length, and octet strings in segments, which are joined.
    Elements deeper than *max_depth* levels below the first, and what is not BER, are left out.
    Raises ValueError for more than MAX_ELEMENTS.
    """
    remaining, budget = [(ber, 0)], _Budget(MAX_ELEMENTS)
    while remaining:
        content, depth = remaining.pop()
        before = None
        for element in _leading_ber_elements(content, budget):
            yield before, element
            if (element.tag & CONSTRUCTED or element.tag == OCTET_STRING) and depth < max_depth:
                remaining.append((element.value, depth + 1))
            before = element


class _Budget:
    """The number of elements that may be looked at still."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> None:
        """Count one element. Raises TooManyElements where it is one too many."""
        self.left -= 1
        if self.left < 0:
            raise TooManyElements(MAX_ELEMENTS)


def _leading_ber_elements(ber: bytes, budget: _Budget) -> t.Iterator[Element]:
    """Yield the elements up to the end of contents, or to the first that is not BER."""
    at = 0
    while at < len(ber):
        budget.take()
        try:
            header = read_header(ber, at)
            end, after = _extent(ber, header, budget)
        except TooManyElements:
            raise
        except ValueError:
            return
        if end > len(ber):
            return
        value = ber[header.start : end]
        if header.tag == OCTET_STRING | CONSTRUCTED:
            segments = _leading_ber_elements(value, budget)
            yield Element(OCTET_STRING, b"".join(segment.value for segment in segments))
        else:
            yield Element(header.tag, value)
        at = after


def _extent(ber: bytes, header: Header, budget: _Budget) -> tuple[int, int]:
    """Return the offsets of the end of an element's value, and of what comes after the element."""
    if header.end is not None:
        return header.end, header.end
    at, levels = header.start, 1
    while True:
        budget.take()
        if ber[at : at + 2] == END_OF_CONTENTS:
            levels -= 1
            if not levels:
                return at, at + 2
            at += 2
            continue
        inner = read_header(ber, at)
        levels += inner.end is None
        at = inner.start if inner.end is None else inner.end
