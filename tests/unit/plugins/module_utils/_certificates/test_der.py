# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DER: elements, headers and levels, and what is none of them."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    INTEGER,
    MAX_ELEMENTS,
    OCTET_STRING,
    SEQUENCE,
    Element,
    Header,
    children,
    descendants,
    elements,
    integer,
    leading_elements,
    read_header,
)

ONE, TWO = b"\x02\x01\x01", b"\x02\x01\x02"
LONG = b"\x04\x81\x80" + 128 * b"x"


def test_elements_are_read_one_after_the_other():
    assert list(elements(ONE + LONG)) == [Element(INTEGER, b"\x01"), Element(OCTET_STRING, 128 * b"x")]
    assert list(elements(b"")) == []


@pytest.mark.parametrize(
    "end", [b"\x02", b"\x02\x02\x01", b"\x30\x80\x00\x00", b"\x04\x84\xff\xff\xff\xff", b"\x04\x82\x01"]
)
def test_what_is_no_der_ends_the_elements(end):
    assert list(leading_elements(ONE + end)) == [Element(INTEGER, b"\x01")]
    with pytest.raises(ValueError):
        list(elements(ONE + end))


def test_a_header_says_where_the_value_is():
    assert read_header(ONE) == Header(INTEGER, 2, 3)
    assert read_header(ONE + LONG, 3) == Header(OCTET_STRING, 6, 134)
    assert read_header(b"\x30\x80") == Header(SEQUENCE, 2, None)
    with pytest.raises(ValueError):
        read_header(ONE, 2)


def test_children_and_integers_have_the_tag_that_is_expected():
    assert children(Element(SEQUENCE, ONE + TWO), SEQUENCE) == [Element(INTEGER, b"\x01"), Element(INTEGER, b"\x02")]
    assert integer(Element(INTEGER, b"\x01\x00")) == 256
    with pytest.raises(ValueError):
        children(Element(SEQUENCE, ONE), OCTET_STRING)
    with pytest.raises(ValueError):
        integer(Element(OCTET_STRING, b"\x01"))


def test_descendants_are_found_as_deep_as_is_asked():
    inner = b"\x30\x06" + ONE + TWO
    outer = b"\x04" + bytes([len(inner)]) + inner
    values = [(before and before.value, element.value) for before, element in descendants(outer, 2)]
    assert values == [(None, inner), (None, ONE + TWO), (None, b"\x01"), (b"\x01", b"\x02")]
    assert len(list(descendants(outer, 1))) == 2


def test_a_tag_of_several_bytes_is_one_tag():
    assert read_header(b"\x3f\x81\x01\x03abc") == Header(0x3F, 4, 7)
    with pytest.raises(ValueError):
        read_header(b"\x3f\x81\x81")


def test_descendants_are_found_in_ber():
    segmented = b"\x24\x80" + b"\x04\x02sa" + b"\x04\x02lt" + b"\x00\x00"
    outer = b"\x30\x80" + segmented + ONE + b"\x30\x80" + TWO + b"\x00\x00" + b"\x00\x00"
    found = [(before and before.value, element) for before, element in descendants(outer + TWO, 8)]
    assert (b"salt", Element(INTEGER, b"\x01")) in found
    assert (None, Element(OCTET_STRING, b"salt")) in found
    assert [element.value for _before, element in found if element.tag == INTEGER] == [b"\x02", b"\x01", b"\x02"]


@pytest.mark.parametrize("der", [b"\x05\x00" * (MAX_ELEMENTS + 1), b"\x30\x80" * (MAX_ELEMENTS + 1)])
def test_more_elements_than_are_looked_at_are_refused(der):
    with pytest.raises(ValueError):
        list(descendants(der, 32))
