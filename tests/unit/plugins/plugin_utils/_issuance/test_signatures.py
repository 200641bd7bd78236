# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains out of CAs that have signed each other, and of many of one name: found in bounded time, or refused."""

from __future__ import annotations

import time

import pytest
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import signatures
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.chain_order import order_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.signatures import (
    MAX_CHAIN_LENGTH,
    SignatureChecks,
    has_same_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual.intermediates import best_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, named, some_key

NAMES = ["www.example.org"]
KEY = some_key()
ROOT = Authority("Signatures Root CA")
CAS = [Authority(f"Mutual CA {number}", above=ROOT, key=some_key(100 + number)) for number in range(9)]


def signed(name, key, by):
    """Return the certificate of a CA that another one has signed."""
    return by.sign(named(name), key.public_key(), (-1, 900), x509.BasicConstraints(True, None))


MUTUAL = [signed(ca.certificate.subject.rfc4514_string()[3:], ca.key, by) for ca in CAS for by in CAS if ca is not by]
LEAF = CAS[0].leaf(NAMES, KEY)
BUILDERS = {
    "order_chain": lambda certificates, roots: order_chain([LEAF, *certificates], KEY.public_key(), roots),
    "best_chain": lambda certificates, roots: best_chain(LEAF, certificates, roots, NOW),
}


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("roots", [[], [ROOT.certificate], [Authority("Stranger").certificate]])
def test_cas_that_have_all_signed_each_other_take_no_longer_than_others(build, roots):
    start = time.process_time()
    chain = BUILDERS[build](MUTUAL, roots)
    assert time.process_time() - start < 5
    assert chain[0] == LEAF and 1 < len(chain) <= MAX_CHAIN_LENGTH
    subjects = [one.subject for one in chain]
    assert len(set(map(str, subjects))) == len(subjects), "the chain goes in a circle"
    assert all(is_signed_by(one, upper) for one, upper in zip(chain, chain[1:]))


@pytest.mark.parametrize("build", BUILDERS)
def test_the_way_to_the_root_is_found_among_them(build):
    chain = BUILDERS[build]([*MUTUAL, CAS[5].certificate], [ROOT.certificate])
    assert chain[-1] == CAS[5].certificate and len(chain) == 3


@pytest.mark.parametrize("build", BUILDERS)
def test_many_cas_of_one_name_are_refused_when_too_many_signatures_are_to_be_checked(build, monkeypatch):
    checked = []

    def count(certificate, ca):
        checked.append(ca)
        return is_signed_by(certificate, ca)

    monkeypatch.setattr(signatures, "is_signed_by", count)
    name = CAS[0].certificate.subject.rfc4514_string()[3:]
    above = Authority("Above", key=some_key(2))
    strangers = [signed(name, some_key(1), above) for _number in range(1200)]
    with pytest.raises(TlsError, match="so many CAs of the same names that their signatures are not all checked; have"):
        BUILDERS[build](strangers, [])
    assert len(checked) <= signatures.MAX_SIGNATURE_CHECKS


def test_a_signature_is_checked_once(monkeypatch):
    checked = []
    monkeypatch.setattr(signatures, "is_signed_by", lambda *pair: bool(checked.append(pair)) or True)
    checks = SignatureChecks(limit=1)
    assert all(checks(LEAF, CAS[0].certificate) for _number in range(10))
    assert checked == [(LEAF, CAS[0].certificate)]
    assert not checks(LEAF, CAS[1].certificate), "another name costs nothing"
    assert has_same_ca([LEAF, CAS[0].certificate], signed("Mutual CA 0", CAS[0].key, ROOT))
    assert not has_same_ca([LEAF, CAS[0].certificate], signed("Mutual CA 0", CAS[1].key, ROOT))
