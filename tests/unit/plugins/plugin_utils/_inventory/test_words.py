# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words that YAML takes for booleans and numbers are refused with what to write."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.words import check_site_words
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import with_defaults

REQUEST = "name: shop\ndomains: [www.example.org]\n"


def refusal(text, issuers=""):
    with pytest.raises(TlsError) as caught:
        with_defaults(yaml.safe_load(REQUEST + text), yaml.safe_load(issuers) or {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "country_name: NO",
            "country_name: false is no text: YAML reads NO, off, n or false so; write the word in quotes, as in ",
        ),
        (
            "domains: [www.example.org, yes]",
            "domains: true is no text: YAML reads yes, on, y or true so; write the word in quotes",
        ),
        ("allowed_domains: [off]", "allowed_domains: false is no text"),
        (
            "organization_name: 2024",
            "organization_name: 2024 is a number, and a text belongs there; write it in quotes, as in ",
        ),
        ("domains: [1.10]", "domains: 1.1 is a number"),
        ("issuer: on", "issuer: true is no text"),
        ("domains: [www.example.org, 12:30:45]", "domains: 45045 is a number"),
        ("domains: [0x10]", "domains: 16 is a number"),
        (
            "domains: [2026-01-01]",
            "domains: 2026-01-01 is a date, and a text belongs there; write it in quotes, as in ",
        ),
        (
            "domains: [www.example.org, ~]",
            "domains has an item without text: YAML reads null, ~ and nothing so; remove",
        ),
        ("domains: [www.example.org, null]", "domains has an item without text"),
        ("domains:\n- www.example.org\n-\n", "domains has an item without text"),
    ],
)
def test_a_word_of_a_request_is_named_with_its_option(text, sentence):
    assert refusal(text).startswith(f"certificate request shop: {sentence}")


def test_the_name_of_a_request_is_a_text():
    assert refusal("name: 007") == (
        'certificate request 7: name: 7 is a number, and a text belongs there; write it in quotes, as in name: "7", or, as YAML reads 007, '
        "0x10 and 12:30 as numbers, too, what was meant"
    )


def test_a_word_that_yaml_leaves_as_it_is_passes():
    assert (
        with_defaults(yaml.safe_load(REQUEST + "organization_name: 1e3\nissuer: 0o17\n"), {})["organization_name"]
        == "1e3"
    )


@pytest.mark.parametrize("setting", ["defaults: {country_name: NO}", "organizations: {acme: {country_name: NO}}"])
def test_words_in_the_settings_of_an_issuer_are_found(setting):
    text = "issuer: bought\norganization: acme\n" if "organizations" in setting else "issuer: bought\n"
    issuers = f"bought: {{type: manual, directory: /tmp/x, {setting}}}"
    assert refusal(text, issuers).startswith("certificate request shop: country_name: false is no text")


def test_texts_in_quotes_and_options_that_are_no_texts_pass():
    text = 'country_name: "NO"\nkeep: 3\nreuse_key: yes\nrenew_before: 0.5\nport: 8443\n'
    assert with_defaults(yaml.safe_load(REQUEST + text), {})["country_name"] == "NO"


@pytest.mark.parametrize(
    "site", ["{name: on}", "{name: shop, server_names: [www.example.org, 443]}", "{name: shop, certificate: no}"]
)
def test_a_word_of_a_site_is_refused(site):
    with pytest.raises(TlsError, match="^the site .* cannot be configured: .* in quotes, as in "):
        check_site_words([yaml.safe_load("{name: other}"), yaml.safe_load(site)])


@pytest.mark.parametrize("sites", [None, "sites", [None], [{"name": "shop", "root": 5}], {}])
def test_what_is_no_list_of_sites_is_left_to_the_argument_spec(sites):
    check_site_words(sites)
