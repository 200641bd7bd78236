# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate is issued once for a CSR, by any issuer, whenever a run is killed."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import fingerprint, to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr, make_csr
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import cache
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cache import IssuedCache
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cross_signing import NO_CROSS_SIGNING
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers import issue
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, Authority, new_key, some_key

NAMES = ["www.example.org"]
KEY = {"type": "ECC", "curve": "secp256r1", "size": 2048}
REQUEST = {"name": "web", "domains": NAMES, "issuer": "bought", "lifetime": None, "renew_before": None, **KEY}


class Seller:
    """An issuer without records that counts what it issues."""

    def __init__(self, folder, authority=None, days=(-1, 90), knows_roots=True):
        self.cache_directory = str(folder / "answers")
        self.cross_signing = NO_CROSS_SIGNING
        self.remarks = []
        self.authority = authority or Authority()
        self.days = days
        self.knows_roots = knows_roots
        self.sold = 0
        self.recorded = []

    def roots(self):
        return self.authority.pem if self.knows_roots else None

    def terms(self, request):
        return {"lifetime": request["lifetime"]}

    def issue(self, request, csr, host):
        self.sold += 1
        return to_pem(self.authority.chain(NAMES, Key(load_csr(csr).public_key()), days=self.days))

    def record(self, request, chain, host):
        self.recorded.append((host, fingerprint(chain[0])))


class Key:
    """A key pair of which only the public key is known."""

    def __init__(self, public_key):
        self.public_key = lambda: public_key


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def csr():
    return make_csr(some_key(), NAMES, {})


@pytest.mark.parametrize("knows_roots", [True, False])
def test_the_same_csr_is_issued_once(tmp_path, csr, knows_roots):
    seller = Seller(tmp_path, knows_roots=knows_roots)
    first, again = (issue_once(seller, REQUEST, csr, "web1") for _run in range(2))
    assert seller.sold == 1
    assert (first.is_new, again.is_new) == (True, False)
    assert to_pem(first.chain) == to_pem(again.chain)
    assert seller.recorded == [("web1", fingerprint(first.chain[0]))] * 2


def test_another_csr_and_other_terms_are_issued_anew(tmp_path, csr):
    seller = Seller(tmp_path)
    issue_once(seller, REQUEST, csr, "web1")
    issue_once(seller, REQUEST, make_csr(some_key(1), NAMES, {}), "web1")
    issue_once(seller, {**REQUEST, "lifetime": "47d"}, csr, "web1")
    assert seller.sold == 3


@pytest.mark.parametrize("kind", ["RSA", "Ed25519"])
def test_the_certificate_in_use_is_not_returned_again(tmp_path, kind):
    seller, request = Seller(tmp_path), {**REQUEST, "type": kind}
    first = issue_once(seller, request, make_csr(some_key(kind=kind), NAMES, {}), "web1")
    again = make_csr(some_key(kind=kind), NAMES, {})
    second = issue_once(seller, request, again, "web1", in_use=fingerprint(first.chain[0]))
    assert second.is_new
    assert to_pem(second.chain) != to_pem(first.chain)
    assert not issue_once(seller, request, again, "web1", in_use=fingerprint(first.chain[0])).is_new
    assert seller.sold == 2


def test_a_cached_chain_that_is_due_is_not_used(tmp_path, csr):
    seller = Seller(tmp_path, days=(-80, 10))
    issue_once(seller, REQUEST, csr, "web1")
    assert issue_once(seller, REQUEST, csr, "web1").is_new
    assert not issue_once(seller, {**REQUEST, "renew_before": "0.05"}, csr, "web1").is_new


def test_a_cached_chain_that_is_not_trusted_any_more_is_not_used(tmp_path, csr):
    issue_once(Seller(tmp_path), REQUEST, csr, "web1")
    assert issue_once(Seller(tmp_path), REQUEST, csr, "web1").is_new


def test_a_cached_chain_for_another_key_is_not_used(tmp_path, csr):
    seller = Seller(tmp_path)
    issue_once(seller, REQUEST, csr, "web1")
    with IssuedCache(seller.cache_directory).entry(csr, seller.terms(REQUEST)) as entry:
        entry.write(seller.authority.chain(NAMES, new_key()), issue.utc_now())
    assert issue_once(seller, REQUEST, csr, "web1").is_new


def test_a_wrong_chain_is_not_cached(tmp_path, csr):
    seller = Seller(tmp_path, days=(-80, -1))
    for _run in range(2):
        with pytest.raises(TlsError) as caught:
            issue_once(seller, REQUEST, csr, "web1")
        assert str(caught.value).startswith(
            "the answer of bought for the certificate of web is refused, and nothing is changed: "
        )
    assert seller.sold == 2
    assert seller.recorded == []
    seller.days = (-1, 90)
    assert issue_once(seller, REQUEST, csr, "web1").is_new


def test_a_wrong_csr_makes_no_cache(tmp_path, csr):
    seller = Seller(tmp_path)
    with pytest.raises(TlsError, match="look at what the host is doing"):
        issue_once(seller, {**REQUEST, "domains": ["other.example.org"]}, csr, "web1")
    assert not os.path.exists(seller.cache_directory)


def test_nothing_is_issued_without_a_cache(tmp_path, csr):
    seller = Seller(tmp_path)
    (tmp_path / "answers").write_bytes(b"")
    with pytest.raises(OSError):
        issue_once(seller, REQUEST, csr, "web1")
    assert seller.sold == 0


def test_a_chain_that_cannot_be_cached_is_used(tmp_path, csr, monkeypatch):
    def refuse(path, *_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(cache, "replace_file", refuse)
    issued = issue_once(Seller(tmp_path), REQUEST, csr, "web1")
    (warning,) = issued.warnings
    assert issued.chain
    assert warning.startswith("bought issues this certificate again if this run dies now: ")
    assert warning.endswith(": No space left on device; free some space there and run this again")


@pytest.mark.parametrize("moment", ["write", "record"])
def test_a_private_ca_records_a_certificate_once_whenever_it_is_killed(tmp_path, csr, monkeypatch, moment):
    owner = {"write": cache.CachedChain, "record": LocalCa}[moment]
    done = getattr(owner, moment)

    def die(*arguments):
        if moment == "write":
            done(*arguments)
        raise Killed

    ca = LocalCa(str(tmp_path / "pki"), "Test", "90d", None, None)
    with monkeypatch.context() as patched:
        patched.setattr(owner, moment, die)
        with pytest.raises(Killed):
            issue_once(ca, REQUEST, csr, "web1")
    assert list((tmp_path / "pki/issued").iterdir()) == []
    issued = issue_once(ca, REQUEST, csr, "web1")
    assert not issued.is_new
    assert [path.stem for path in (tmp_path / "pki/issued").iterdir()] == [f"{issued.chain[0].serial_number:x}"]


def test_a_cached_chain_is_used_while_it_is_not_due(tmp_path, csr, monkeypatch):
    seller, now = Seller(tmp_path), issue.utc_now()
    issue_once(seller, REQUEST, csr, "web1")
    monkeypatch.setattr(issue, "utc_now", lambda: now + 29 * DAY)
    assert not issue_once(seller, REQUEST, csr, "web1").is_new
    monkeypatch.setattr(issue, "utc_now", lambda: now + 80 * DAY)
    with pytest.raises(TlsError, match="expired"):
        seller.days = (-1, 0)
        issue_once(seller, REQUEST, csr, "web1")
