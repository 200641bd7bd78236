# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inbox: one odd file is a sentence, and neither ends a run nor keeps other files from being read."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import make_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import Pending
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual import inbox
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, key_pem, some_key

NAMES = ["www.example.org"]
ROOT = Authority("Inbox Root CA")
CHAIN = Authority("Inbox Issuing CA", above=ROOT).chain(NAMES, some_key())


def put(folder, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)


@pytest.mark.parametrize("error", [KeyError("k"), RecursionError(), MemoryError(), ZeroDivisionError("division")])
def test_whatever_a_file_raises_is_a_sentence_about_that_file(tmp_path, monkeypatch, error):
    put(tmp_path, a__pem=b"odd", b__pem=to_pem(CHAIN))
    read = inbox.read_certificates

    def fail(content, passwords):
        if content == b"odd":
            raise error
        return read(content, passwords)

    monkeypatch.setattr(inbox, "read_certificates", fail)
    odd, good = inbox.read_inbox(str(tmp_path), [])
    assert odd.path == f"{tmp_path}/a.pem" and good.certificates == CHAIN
    assert odd.messages[0].startswith("it cannot be read: it ended in an error that is not foreseen (")


def test_files_that_are_too_much_together_keep_no_small_one_from_being_read(tmp_path, monkeypatch):
    monkeypatch.setattr(inbox, "MAX_INBOX_BYTES", 100_000)
    put(tmp_path, a__pem=b"x" * 60_000, b__pem=b"x" * 70_000, c__pem=to_pem(CHAIN))
    first, second, third = inbox.read_inbox(str(tmp_path), [])
    assert third.certificates == CHAIN and third.messages == []
    assert first.messages[0].startswith("it holds no certificate")
    assert second.messages == [inbox.TOO_MUCH] and ";" in inbox.TOO_MUCH


def test_time_is_limited(tmp_path, monkeypatch):
    put(tmp_path, a__pem=to_pem(CHAIN), b__pem=to_pem(CHAIN))
    moments = iter([0.0, 1.0, inbox.INBOX_TIMEOUT_S + 1])
    monkeypatch.setattr(inbox.time, "monotonic", lambda: next(moments))
    first, second = inbox.read_inbox(str(tmp_path), [])
    assert first.certificates == CHAIN and second.messages == [inbox.TOO_MUCH]


@pytest.mark.parametrize("name", ["key\n.pem", "key\x1b[2J.pem", "\u202ekey.pem", "a\tb"])
def test_a_private_key_in_a_file_of_any_name_is_a_sentence(tmp_path, name):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / name).write_bytes(key_pem(some_key(5)))
    issuer = open_issuer("bought", {"bought": {"type": "manual", "directory": str(tmp_path)}})
    request = {"name": "www", "domains": NAMES, "issuer": "bought", "type": "ECC"}
    assert isinstance(issuer.issue(request, make_csr(some_key(), NAMES, {}), "web1"), Pending)
    (sentence,) = issuer.remarks
    assert (sentence.startswith(f"{tmp_path}/inbox/") and "key" in sentence) or "a?b" in sentence
    assert sentence.endswith(inbox.PRIVATE_KEY_MESSAGE) and sentence.isprintable()


def test_an_odd_file_keeps_no_answer_from_being_taken(tmp_path):
    (tmp_path / "roots.pem").write_bytes(ROOT.pem)
    (tmp_path / "inbox").mkdir()
    put(tmp_path / "inbox", a__zip=b"PK\x03\x04" + b"\xff" * 100, b__p12=b"\x30\x80\x02\x01\x03" + b"\x30\x80" * 5000)
    put(tmp_path / "inbox", c__pem=to_pem(CHAIN))
    settings = {"type": "manual", "directory": str(tmp_path), "roots": str(tmp_path / "roots.pem")}
    issuer = open_issuer("bought", {"bought": settings})
    request = {"name": "www", "domains": NAMES, "issuer": "bought", "type": "ECC"}
    assert issuer.issue(request, make_csr(some_key(), NAMES, {}), "web1") == to_pem(CHAIN)
    assert len(issuer.remarks) == 2 and all(";" in remark for remark in issuer.remarks)
