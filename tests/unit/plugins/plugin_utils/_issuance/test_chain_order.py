# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain is built out of the certificates that a CA sends."""

from __future__ import annotations

import itertools

import pytest
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.chain_order import order_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, named, some_key

NAMES = ["www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"]
KEY = some_key()
ROOT = Authority("Test Root CA")
ISSUING = Authority("Test Issuing CA", above=ROOT)
LOWEST = Authority("Test Lowest CA", above=ISSUING)
CHAIN = LOWEST.chain(NAMES, KEY)
STRANGER = Authority("Stranger CA")
ROOTS = [ROOT.certificate]


def deliveries():
    """Return the certificates of one chain as CAs were seen to send them."""
    leaf, lowest, issuing = CHAIN
    root, stranger = ROOT.certificate, STRANGER.certificate
    for order in itertools.permutations([leaf, lowest, issuing]):
        yield list(order)
    yield [leaf, lowest, issuing, root]
    yield [root, issuing, lowest, leaf]
    yield [stranger, issuing, root, leaf, stranger, lowest]
    yield [leaf, leaf, lowest, issuing, lowest, issuing, root, root]
    yield [Authority("Test Lowest CA").certificate, leaf, Authority("Test Issuing CA").certificate, lowest, issuing]
    yield [leaf, lowest, issuing, STRANGER.leaf(NAMES, some_key(5))]


@pytest.mark.parametrize("certificates", list(deliveries()))
def test_unrelated_certificates_duplicates_and_the_root_are_left_out(certificates):
    assert order_chain(certificates, KEY.public_key(), ROOTS) == CHAIN


def test_without_roots_the_chain_is_ordered_and_the_root_left_out():
    leaf, lowest, issuing = CHAIN
    assert order_chain([ROOT.certificate, issuing, lowest, leaf], KEY.public_key(), []) == CHAIN


def test_a_chain_without_an_intermediate_ends_below_it():
    leaf, lowest, _issuing = CHAIN
    assert order_chain([lowest, leaf], KEY.public_key(), ROOTS) == [leaf, lowest]


def test_a_trusted_intermediate_ends_the_chain():
    leaf, lowest, issuing = CHAIN
    assert order_chain([issuing, lowest, leaf], KEY.public_key(), [issuing]) == [leaf, lowest]


def test_cas_that_signed_each_other_make_no_endless_loop():
    one, other = Authority("One"), Authority("Other")
    crossed = [
        other.sign(named("One"), one.key.public_key(), (-1, 9), x509.BasicConstraints(True, None)),
        one.sign(named("Other"), other.key.public_key(), (-1, 9), x509.BasicConstraints(True, None)),
    ]
    leaf = one.leaf(NAMES, KEY)
    assert order_chain([leaf, *crossed], KEY.public_key(), []) == [leaf, *crossed]


def test_certificates_without_one_for_the_key_are_refused():
    with pytest.raises(TlsError) as caught:
        order_chain(CHAIN[1:], KEY.public_key(), ROOTS)
    assert str(caught.value) == (
        "no certificate in the answer belongs to the key of the request; have the same request issued again"
    )
