# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate is issued once for a CSR, by any issuer, whenever a run is killed."""

from __future__ import annotations

import datetime
import errno
import os
import pathlib
import re

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
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, new_key, some_key

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
    with pytest.raises(TlsError) as caught:
        issue_once(seller, REQUEST, csr, "web1")
    assert str(caught.value).startswith(
        "the answer of bought for the certificate of web is refused, and nothing is changed: "
    )
    assert seller.sold == 1
    assert seller.recorded == []
    seller.days = (-1, 90)
    assert issue_once(seller, REQUEST, make_csr(some_key(1), NAMES, {}), "web1").is_new


def test_what_was_refused_is_not_bought_by_each_run(tmp_path, csr, monkeypatch):
    seller, bought_at = Seller(tmp_path, days=(-80, -1)), []
    for minute in range(0, 3000, 5):
        monkeypatch.setattr(issue, "utc_now", lambda minute=minute: NOW + datetime.timedelta(minutes=minute))
        sold = seller.sold
        with pytest.raises(TlsError) as caught:
            issue_once(seller, REQUEST, csr, "web1")
        if seller.sold > sold:
            bought_at.append(minute)
        else:
            assert str(caught.value).startswith("the CA is asked again from ")
            assert "since what it issued was refused: the certificate expired on " in str(caught.value)
    assert bought_at == [0, 5, 15, 115, 1555, 2995]


def test_what_was_refused_is_bought_again_when_the_terms_are_others_or_the_record_is_removed(tmp_path, csr):
    seller = Seller(tmp_path, days=(-80, -1))
    with pytest.raises(TlsError, match="is refused"):
        issue_once(seller, REQUEST, csr, "web1")
    with pytest.raises(TlsError, match="is asked again from .*have it asked at once") as caught:
        issue_once(seller, REQUEST, csr, "web1")
    seller.days = (-1, 90)
    assert issue_once(seller, {**REQUEST, "lifetime": "47d"}, csr, "web1").is_new
    (path,) = re.findall(r"remove (\S+\.refused) to", str(caught.value))
    os.unlink(path)
    assert issue_once(seller, REQUEST, csr, "web1").is_new


def test_a_certificate_that_a_failing_program_printed_is_not_bought_by_each_run(tmp_path, csr):
    (tmp_path / "chain.pem").write_bytes(to_pem(Authority().chain(NAMES, some_key())))
    argv = ["sh", "-c", f"echo asked >> {tmp_path}/log; cat {tmp_path}/chain.pem; exit 1"]
    settings = {"type": "command", "argv": argv, "directory": str(tmp_path / "command")}
    for sentence in ("the certificate that it printed is refused", "is asked again from"):
        with pytest.raises(TlsError, match=sentence):
            issue_once(open_issuer("bought", {"bought": settings}), REQUEST, csr, "web1")
    assert (tmp_path / "log").read_text() == "asked\n"


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"until": 7}', b'{"until": "2999", "count": "x"}'])
def test_a_record_of_refusals_that_makes_no_sense_keeps_nothing_back(tmp_path, csr, content):
    seller = Seller(tmp_path)
    with IssuedCache(seller.cache_directory).entry(csr, seller.terms(REQUEST)) as entry:
        pathlib.Path(entry.refusal_path).write_bytes(content)
    assert issue_once(seller, REQUEST, csr, "web1").is_new
    assert not os.path.exists(entry.refusal_path)


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
