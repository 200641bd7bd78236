# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains as people read them."""

from __future__ import annotations

import re

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.chain_tree import chain_tree
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, openssl, some_key

ROOT = Authority("Drawn Root")
ISSUING = Authority("Drawn Issuing", above=ROOT, key=some_key(7, "RSA"))
KEY = some_key()


def described(certificate, left, key):
    begin, end = (NOW + days * DAY for days in ((-1, 90) if left == "90 days left" else (-1, 3650)))
    return f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}, {left}, {key}, {fingerprint(certificate)[:16]}…"


def test_a_chain_is_drawn_from_the_leaf_up_to_the_root_which_is_not_sent(tmp_path):
    leaf, issuing = ISSUING.chain(["www.example.org", "example.org"], KEY)
    lines = chain_tree([leaf, issuing], NOW)
    assert lines == [
        f"example.org, www.example.org: {described(leaf, '90 days left', 'ECC secp256r1')}",
        f"└─ Drawn Issuing: {described(issuing, '3650 days left', 'RSA 2048')}",
        "   └─ Drawn Root: root not sent",
    ]
    (tmp_path / "ca.pem").write_bytes(ISSUING.pem)
    digits = (
        openssl(tmp_path, "x509", "-in", "ca.pem", "-noout", "-fingerprint", "-sha256")
        .decode()
        .replace(":", "")
        .lower()
    )
    assert re.search(r"RSA 2048, (\w{16})…", lines[1])[1] in digits


def test_a_root_that_is_sent_and_a_certificate_without_a_ca_are_told_as_such():
    chain = [*ISSUING.chain(["www.example.org"], KEY), ROOT.certificate]
    lines = chain_tree(chain, NOW)
    assert len(lines) == 3 and lines[2].startswith("   └─ Drawn Root: ")
    assert lines[2].endswith("…, the root, which need not be sent")
    assert chain_tree([ROOT.certificate], NOW)[0].endswith("…, signed by itself")


def test_a_chain_that_is_broken_is_drawn_broken():
    stranger = Authority("Stranger", above=ROOT)
    lines = chain_tree([ISSUING.leaf(["www.example.org"], KEY), stranger.certificate], NOW)
    assert [line.partition(":")[0] for line in lines] == [
        "www.example.org",
        "└─ (signed by Drawn Issuing, and not by what follows)",
        "└─ Stranger",
        "   └─ Drawn Root",
    ]


def test_what_is_left_is_told_in_what_people_count_in():
    leaf = ISSUING.leaf(["www.example.org"], KEY)
    for days, remark in ((-2, "not valid yet"), (80, "10 days left"), (89, "24 hours left"), (90, "expired")):
        assert f", {remark}, ECC" in chain_tree([leaf], NOW + days * DAY)[0]


def test_many_names_are_counted_and_their_control_characters_escaped():
    names = [f"www{number}.example.org" for number in range(9)]
    assert ", www5.example.org, 3 more: " in chain_tree([ISSUING.leaf(names, KEY)], NOW)[0]
    evil = Authority("\x1b[2JEvil")
    assert chain_tree([evil.certificate], NOW)[0].startswith("?[2JEvil: ")
