# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain is built out of the certificates that a CA sends."""

from __future__ import annotations

import itertools
import time

import pytest
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.chain_order import order_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, named, some_key

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


@pytest.mark.parametrize("roots", [[CHAIN[2]], [CHAIN[2], *ROOTS], [*ROOTS, *CHAIN[1:]]])
def test_an_intermediate_among_the_roots_stays_in_the_chain_since_clients_have_the_root_alone(roots):
    leaf, lowest, issuing = CHAIN
    assert order_chain([issuing, lowest, leaf], KEY.public_key(), roots) == CHAIN


def test_an_intermediate_among_the_roots_completes_a_chain():
    assert order_chain(CHAIN[:1], KEY.public_key(), [*ROOTS, *CHAIN[1:]]) == CHAIN


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


def expired(name, above, key):
    return Authority(name, above=above, key=key, days=(-90, -1)).certificate


def valid(chain):
    """Refuse chains with a certificate that has expired."""
    if any(not_after(one) < NOW for one in chain):
        raise TlsError("expired; have it issued again")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_whatever_the_order_the_path_that_passes_is_taken(order):
    old = expired("Test Lowest CA", ISSUING, LOWEST.key)
    certificates = [CHAIN[0], old, CHAIN[1], CHAIN[2]]
    answer = [certificates[number] for number in order]
    assert order_chain(answer, KEY.public_key(), ROOTS, check=valid) == CHAIN
    assert order_chain(answer, KEY.public_key(), [], check=valid) == CHAIN


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_each_leaf_of_the_key_is_tried(order):
    others = [Authority("Stranger CA").leaf(NAMES, KEY), LOWEST.leaf(NAMES, KEY, days=(-9, -1)), CHAIN[0]]
    answer = [*(others[number] for number in order), *CHAIN[1:]]

    def check(chain):
        valid(chain)
        if chain[-1] != CHAIN[-1]:
            raise TlsError("it leads nowhere; have it issued again")

    assert order_chain(answer, KEY.public_key(), ROOTS, check=check) == CHAIN


def test_a_ca_that_two_paths_need_is_in_both():
    """The path by the other CA is longer and valid; both go through the same upper CA."""
    other = Authority("Other CA", above=ISSUING)
    crossed = Authority("Test Lowest CA", above=other, key=LOWEST.key).certificate
    direct = expired("Test Lowest CA", ISSUING, LOWEST.key)
    answer = [CHAIN[0], direct, crossed, other.certificate, ISSUING.certificate]
    expected = [CHAIN[0], crossed, other.certificate, ISSUING.certificate]
    assert order_chain(answer, KEY.public_key(), ROOTS, check=valid) == expected


def test_the_fault_of_the_shortest_path_is_told_where_none_passes():
    old = expired("Test Lowest CA", ISSUING, LOWEST.key)
    with pytest.raises(TlsError, match="^expired; have it issued again$"):
        order_chain([CHAIN[0], old, CHAIN[2]], KEY.public_key(), ROOTS, check=valid)


def test_circles_of_many_cas_end_soon():
    keys = [some_key(number) for number in range(12)]
    authorities = [Authority(f"CA {number}", key=key) for number, key in enumerate(keys)]
    certificates = [
        one.sign(named(f"CA {number}"), key.public_key(), (-1, 9), x509.BasicConstraints(True, None))
        for one in authorities
        for number, key in enumerate(keys)
        if one.key is not key
    ]
    leaf = authorities[0].leaf(NAMES, KEY)
    start = time.thread_time()
    chain = order_chain([leaf, *certificates], KEY.public_key(), [authorities[11].certificate])
    assert len(chain) == 2 and time.thread_time() - start < 10
    with pytest.raises(TlsError, match="so many CAs of the same names"):
        order_chain([leaf, *certificates], KEY.public_key(), ROOTS, check=refuse)
    assert time.thread_time() - start < 30


def refuse(_chain):
    raise TlsError("it leads nowhere; have it issued again")
