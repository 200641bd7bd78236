# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of names before an order, by the rules of public CAs."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.names import check_names

CASES = {
    "co.uk": ("names.suffix", "a domain below which anybody can register names"),
    "*.co.uk": ("names.suffix", "covers all of co.uk"),
    "www.example.cmo": ("names.suffix", "ends in cmo, which is no top-level domain of the internet"),
    "www.example.test": ("names.suffix", "ends in test, which is for tests and documentation alone"),
    "db.internal": ("names.internal", "is in internal"),
    "printer.local": ("names.internal", "is in local"),
    "web1": ("names.internal", "the name of a machine in a network of your own"),
    "1.2.0.192.in-addr.arpa": ("names.internal", "is in in-addr.arpa"),
    "8.b.d.0.1.0.0.2.ip6.arpa": ("names.internal", "is in ip6.arpa"),
    "my_host.example.org": ("names.underscore", "has an underscore"),
    "ab--cd.example.org": ("names.hyphens", "has the part ab--cd"),
    "a." * 9 + "example.org": ("names.labels", "has 11 parts between its dots"),
    "shop.onion": ("names.onion", "is a name of the Tor network"),
    "10.0.0.7": ("names.address", "is a private address"),
    "::1": ("names.address", "is a loopback address"),
}


@pytest.mark.parametrize(("domain", "code", "words"), [(name, *case) for name, case in CASES.items()], ids=CASES)
def test_a_name_that_public_cas_refuse_is_told_with_a_remedy(subject_of, domain, code, words):
    [finding] = check_names(subject_of(domain))
    assert (finding.severity, finding.code, finding.evidence) == ("blocks", code, (domain,))
    assert words in finding.sentence and "; " in finding.sentence and finding.source


@pytest.mark.parametrize("domain", ["www.example.org", "*.example.org", "xn--bcher-kva.example.org", "9.9.9.9"])
def test_a_name_that_public_cas_accept_is_fine(subject_of, domain):
    [finding] = check_names(subject_of(domain))
    assert (finding.severity, finding.code) == ("fine", "names") and domain in finding.sentence


def test_what_only_lets_encrypt_refuses_is_a_risk_at_others(subject_of):
    [finding, _fine] = check_names(subject_of("a." * 9 + "example.org", issuer=CaaIssuer(("ssl.com",))))
    assert (finding.severity, finding.code) == ("risk", "names.labels")


def test_words_are_a_risk_where_the_ca_filters_them(subject_of):
    [finding, fine] = check_names(subject_of("mybank.cn", has_word_filter=True))
    assert (finding.severity, finding.code, fine.severity) == ("risk", "names.words", "fine")
    assert "mybank.cn has bank in it" in finding.sentence
    assert [one.severity for one in check_names(subject_of("mybank.cn"))] == ["fine"]


def test_a_private_ca_has_rules_of_its_own(subject_of):
    assert check_names(subject_of("db.internal", is_public_ca=False)) == []


def test_one_name_that_is_refused_says_nothing_of_the_others(subject_of):
    [refused, fine] = check_names(subject_of("www.example.org", "co.uk"))
    assert refused.evidence == ("co.uk",) and "co.uk" not in fine.sentence and "www.example.org" in fine.sentence
