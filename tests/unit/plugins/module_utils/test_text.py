# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of others is as long as people read it, wherever it is from."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import describe_certificate
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import check_chain, describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import parse_library_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import MAX_TEXT_CHARACTERS, shorten
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, some_key


@pytest.mark.parametrize("length", [0, 1, MAX_TEXT_CHARACTERS, MAX_TEXT_CHARACTERS + 1, 10**6])
def test_a_text_keeps_its_beginning_and_its_end(length):
    text = "a" * (length // 2) + "b" * (length - length // 2)
    shown = shorten(text)
    assert len(shown) == min(length, MAX_TEXT_CHARACTERS)
    assert (shown == text) == (length <= MAX_TEXT_CHARACTERS) and (shown[:1], shown[-1:]) == (text[:1], text[-1:])


def long_attribute(oid):
    """Return an attribute that is longer than RFC 5280 allows."""
    try:
        return x509.NameAttribute(oid, "a" * 5000, _validate=False)
    except TypeError:  # before cryptography 37, which checked no length
        return x509.NameAttribute(oid, "a" * 5000)


@pytest.mark.filterwarnings("ignore:Attribute.s length")
def test_names_in_certificates_are_as_long_as_people_read():
    names = [f"{number}.{'a' * 60}.example.org" for number in range(2000)]
    leaf = Authority("CA").leaf(["www.example.org", *names], some_key())
    with pytest.raises(TlsError, match="; have it issued for www.example.org$") as caught:
        check_chain([leaf], some_key().public_key(), ["www.example.org"], NOW)
    assert len(str(caught.value)) < 2 * MAX_TEXT_CHARACTERS
    name = x509.Name([long_attribute(NameOID.COMMON_NAME)])
    assert parse_library_name(name).common_name == shorten("a" * 5000)
    with_unit = x509.Name([long_attribute(NameOID.ORGANIZATIONAL_UNIT_NAME)])
    assert len(parse_library_name(with_unit).common_name) == MAX_TEXT_CHARACTERS
    assert len(describe_certificate(leaf)) < 2 * MAX_TEXT_CHARACTERS
    assert describe_chain([leaf])["names"] == sorted(["www.example.org", *names])
