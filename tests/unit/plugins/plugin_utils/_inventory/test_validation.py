# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people write as validation is completed, or refused with one sentence for each mistake."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.validation import completed_validation

DOMAINS = ["www.shop.example.org", "example.org"]
RECORD = {"type": "dns", "name": "_26a5.example.org", "record": "CNAME", "value": "abc.sectigo.com"}
FILE = {"type": "file", "url": "http://example.org/.well-known/pki-validation/fileauth.txt", "content": "2026abc"}


def refusal(value, domains=tuple(DOMAINS)):
    with pytest.raises(TlsError) as caught:
        completed_validation(value, domains)
    return str(caught.value)


def test_nothing_is_an_empty_list():
    assert completed_validation(None, DOMAINS) == completed_validation([], DOMAINS) == []


def test_one_dictionary_is_a_list_of_one():
    assert completed_validation(RECORD, DOMAINS) == [RECORD]
    assert completed_validation([RECORD, FILE], DOMAINS) == [RECORD, FILE]


def test_names_are_written_in_their_normal_form_and_values_of_txt_stay():
    written = {"type": "dns", "name": "_26A5.Example.org.", "record": "cname", "value": "ABC.sectigo.com."}
    assert completed_validation(written, DOMAINS) == [RECORD]
    text = {"type": "dns", "name": "example.org", "value": " 2026Abc.="}
    assert completed_validation(text, DOMAINS) == [
        {"type": "dns", "name": "example.org", "record": "TXT", "value": "2026Abc.="}
    ]


@pytest.mark.parametrize("name", ["_x.example.org", "_x.www.shop.example.org", "_x.shop.example.org", "example.org"])
def test_a_record_may_be_at_a_domain_at_its_parents_and_below(name):
    assert completed_validation({**RECORD, "name": name}, DOMAINS)[0]["name"] == name


MISTAKES = {
    "a text": ("dns", "validation is 'dns', and it is a dictionary; write for example {type: dns"),
    "no type": ({}, "validation.type is missing, and it is dns or file"),
    "a list as type": ({"type": [""]}, "validation.type is [''], and it is dns or file"),
    "another type": ({"type": "mail"}, "validation.type is 'mail', and it is dns or file"),
    "a misspelled key": (
        {**RECORD, "values": "x"},
        "has 'values', and a validation of the type dns has name, record, value; did you mean value?",
    ),
    "a key of the other type": (
        {**FILE, "name": "x"},
        "has 'name', and a validation of the type file has url, content; Write",
    ),
    "no value": ({**RECORD, "value": None}, "validation.value is missing, and a text belongs there"),
    "an empty value": ({**RECORD, "value": " "}, "validation.value is ' ', and a text belongs there"),
    "a number": (
        {**RECORD, "record": "TXT", "value": 20261201},
        "validation.value is 20261201, and a text belongs there, in quotes",
    ),
    "another record": ({**RECORD, "record": "A"}, "validation.record is 'A', and CAs ask for CNAME or TXT"),
    "no zone": (
        {**RECORD, "name": "_26a5"},
        "validation.name is '_26a5', which is not in a domain of the request; write the full name, such as _26a5.www.shop.example.org",
    ),
    "another domain": ({**RECORD, "name": "_x.example.com"}, "is '_x.example.com', which is not in a domain"),
    "a label alone": ({**RECORD, "name": "org"}, "is 'org', which is not in a domain"),
    "a blank in a name": ({**RECORD, "name": "a b.example.org"}, "which is not in a domain of the request"),
    "a CNAME to a value": ({**RECORD, "value": "2026 abc"}, "and a CNAME record leads to a name"),
    "a CNAME to itself": ({**RECORD, "value": RECORD["name"]}, "is the name of the record itself"),
    "control characters": ({**RECORD, "record": "TXT", "value": "a\x1bb"}, "validation.value has control characters"),
    "a long value": ({**RECORD, "record": "TXT", "value": "a" * 1001}, "more than 1000 characters"),
    "no URL": ({**FILE, "url": "example.org/x"}, "validation.url is 'example.org/x', and it is the URL of a file"),
    "another scheme": ({**FILE, "url": "ftp://example.org/x"}, "and it is the URL of a file"),
    "no path": ({**FILE, "url": "http://example.org/"}, "and it is the URL of a file"),
    "a user": ({**FILE, "url": "http://a@example.org/x"}, "and it is the URL of a file"),
    "a broken host": ({**FILE, "url": "http://[::1/x"}, "and it is the URL of a file"),
    "a broken port": ({**FILE, "url": "http://example.org:99999/x"}, "and it is the URL of a file"),
    "another port": (
        {**FILE, "url": "http://example.org:8080/x"},
        "validation.url has the port 8080, and CAs ask the ports 80 and 443 alone",
    ),
    "another host": (
        {**FILE, "url": "http://example.com/x"},
        "validation.url is on example.com, which is none of the domains",
    ),
    "a long content": (
        {**FILE, "content": "a" * 4001},
        "validation.content has control characters or more than 4000 bytes",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_has_its_sentence(name):
    value, words = MISTAKES[name]
    assert words in refusal(value)
    assert len(refusal(value)) < 500


def test_a_mistake_of_a_list_is_told_with_its_number():
    assert refusal([RECORD, {**FILE, "url": 7}]).startswith("validation[1].url is 7, and a text belongs there")
    assert "validation has 101 items" in refusal([RECORD] * 101)


def test_wildcards_are_not_validated_by_a_file():
    assert "CAs validate *.example.org by DNS alone" in refusal(FILE, ["example.org", "*.example.org"])
