# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roots come from the file that an issuer names, else from the store of the system, and decide without it too."""

from __future__ import annotations

import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    ignore_serial_number_warnings,
    to_pem,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import subject_name
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.file_formats import read_certificate_file
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import roots
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import chain_warnings, check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.roots import system_roots
from ansible_collections.evergreen.tls.tests.unit.chain_factory import certificate_chain
from ansible_collections.evergreen.tls.tests.unit.fake_ca import NOW, Authority, garbled_pem, some_key
from ansible_collections.evergreen.tls.tests.unit.plugins.module_utils._certificates.test_path_validation import (
    LATIN_NAME,
    UNKNOWN,
)

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")  # pytest takes the filter of the process away
REQUEST = {"name": "web", "domains": ["www.example.org"], "type": "ECC", "size": 2048, "curve": "secp256r1"}
KEY = some_key(0)
ADVICE = "and most clients do not; tell the CA, or have those clients leave out strict checks"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a function that makes the store of the system of these files in PEM."""

    def write(*pems):
        path = tmp_path / "store.pem"
        path.write_bytes(b"".join(pems))
        monkeypatch.setenv("SSL_CERT_FILE", str(path))

    return write


def check(chain, roots=None, **changes):
    answer = b"".join(one.pem for one in chain[:-1])
    return check_issued_chain(answer, chain[0].key.public_key(), {**REQUEST, **changes}, roots, NOW)


def test_the_store_of_the_system_is_read_without_what_cannot_be_read(store):
    good, odd = Authority("Good Root"), Authority("Odd Root")
    latin = certificate_chain("ECC", {3: {"subject": LATIN_NAME}})[-1]
    broken = garbled_pem(odd.certificate, b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x06")
    store(broken, latin.pem, good.pem)
    assert [subject_name(one) for one in system_roots()] == ["Autorité", "Good Root"]


def test_nothing_is_printed_about_a_root_of_the_store_whose_serial_number_is_zero(store, recwarn):
    zero = certificate_chain("ECC", {3: {"serial": 0}})[-1]
    store(zero.pem)
    ignore_serial_number_warnings()  # which recwarn has taken away
    assert [one.public_bytes(Encoding.DER) for one in system_roots()] == [zero.der]
    assert [str(one.message) for one in recwarn] == []


def test_the_filters_of_warnings_are_those_of_the_process_while_the_store_is_read(store, monkeypatch):
    """Other threads read certificates at the same time, and filters belong to all of them."""
    seen = []

    def read(content):
        seen.append(list(warnings.filters))
        return read_certificate_file(content)

    monkeypatch.setattr(roots, "read_certificate_file", read)
    store(Authority("Filtered Root").pem)
    assert [subject_name(one) for one in system_roots()] == ["Filtered Root"]
    assert seen == [list(warnings.filters)]


def test_a_root_with_latin_letters_is_a_root(store):
    changes = {3: {"subject": LATIN_NAME}, 2: {"issuer": LATIN_NAME}}
    chain = certificate_chain("ECC", changes)
    assert len(check(chain, roots=chain[-1].pem)) == 3
    store(chain[-1].pem)
    assert len(check(chain)) == 3


@pytest.mark.parametrize("kind", ["ECC", "Ed25519"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({3: {"days": (-90, -1)}}, "the root Root CA expired on .*; have it issued again"),
        ({3: {"path_length": 0}}, r"the root Root CA allows 0 CAs below it \(pathlen\), and the chain has 2; .*"),
        (
            {3: {"extensions": [(UNKNOWN, True)]}},
            r"the root Root CA has the critical extension 1\.3\.6\.1\.4\.1\.99999\.1, which clients do not know .*",
        ),
    ],
)
def test_a_fault_of_the_root_is_a_refusal_with_roots_and_by_the_system_s_store(store, kind, changes, sentence):
    chain = certificate_chain(kind, changes)
    request = {"type": kind}
    with pytest.raises(TlsError, match=f"^{sentence}$"):
        check(chain, chain[-1].pem, **request)
    store(Authority("Another Root").pem)
    assert check(chain, **request)
    store(chain[-1].pem)
    with pytest.raises(TlsError, match=f"^{sentence}$"):
        check(chain, **request)


def test_names_with_underscores_are_checked_like_others(store):
    limits = x509.NameConstraints([x509.DNSName("example.com")], None)
    chain = certificate_chain("ECC", {0: {"names": ["a_b.example.org"]}, 2: {"extensions": [(limits, True)]}})
    with pytest.raises(
        TlsError, match="the CA Upper CA does not permit a_b.example.org, a name of www.example.org; have a CA"
    ):
        check(chain, domains=["a_b.example.org"])


def test_the_root_of_a_company_without_key_usage_is_accepted_with_a_warning():
    chain = certificate_chain("ECC", {3: {"usages": None}})
    accepted = check(chain, chain[-1].pem)
    assert chain_warnings(accepted, chain[-1].pem, NOW) == [
        f"the root Root CA has no keyUsage: Python 3.13 and later refuse it, {ADVICE}"
    ]


def test_a_public_ca_has_to_keep_the_profile_of_the_web():
    chain = certificate_chain("ECC", {3: {"usages": None}})
    with pytest.raises(
        TlsError, match="clients would not accept the chain for www.example.org: .*; have the CA correct it"
    ):
        check(chain, chain[-1].pem, strict_profile=True)


def test_a_key_that_the_verifier_of_the_web_does_not_know_is_validated_too():
    authority = Authority("Root")
    key = some_key(kind="Ed25519")
    leaf = authority.leaf(["www.example.org"], key, days=(-9, 90))
    answer = check_issued_chain(to_pem([leaf]), key.public_key(), {**REQUEST, "type": "Ed25519"}, authority.pem, NOW)
    assert answer == [leaf]


def test_a_continuation_that_has_expired_is_left_out_where_clients_know_the_root_below(store):
    """As the chain of Let's Encrypt was, when the root of IdenTrust had expired."""
    new, old = Authority("New Root"), Authority("Old Root", days=(-90, -1))
    crossed = Authority("New Root", above=old, key=new.key, days=(-90, -1))
    issuing = Authority("Issuing CA", above=new)
    leaf = issuing.leaf(["www.example.org"], KEY)
    answer = to_pem([leaf, issuing.certificate, crossed.certificate])
    with pytest.raises(TlsError, match="the CA New Root expired on"):
        check_issued_chain(answer, KEY.public_key(), REQUEST, None, NOW)
    store(new.pem)
    assert check_issued_chain(answer, KEY.public_key(), REQUEST, None, NOW) == [leaf, issuing.certificate]
