# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Issued chains are cached by their CSR and terms, for a while."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance import cache as cache_module
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cache import IssuedCache
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, Authority, some_key

NOW = datetime.datetime.now(datetime.timezone.utc)
TERMS = {"lifetime": 90}
CHAIN = Authority().chain(["www.example.org"], some_key())

HOLD = """
import sys
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.cache import IssuedCache
with IssuedCache(sys.argv[1]).entry(sys.argv[2].encode(), {}):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "issuer" / "answers"


@pytest.fixture
def hold(folder):
    """Return a function that has another process hold the lock of a CSR."""
    started = []

    def begin(csr):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", HOLD, str(folder), csr]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def write(folder, csr=b"one", terms=None, chain=None, now=NOW):
    with IssuedCache(str(folder)).entry(csr, TERMS if terms is None else terms) as entry:
        entry.write(chain or CHAIN, now)


def read(folder, csr=b"one", terms=None):
    with IssuedCache(str(folder)).entry(csr, TERMS if terms is None else terms) as entry:
        return entry.read()


def test_the_same_csr_on_the_same_terms_gets_the_same_chain(folder):
    assert read(folder) is None
    write(folder)
    assert to_pem(read(folder)) == to_pem(CHAIN)
    assert read(folder, csr=b"two") is None
    assert read(folder, terms={"lifetime": 47}) is None


def test_a_chain_replaces_the_previous_one(folder):
    other = Authority().chain(["www.example.org"], some_key())
    write(folder)
    write(folder, chain=other)
    assert to_pem(read(folder)) == to_pem(other)


@pytest.mark.parametrize("content", [b"", b"garbage", to_pem(CHAIN)[:200]])
def test_a_malformed_file_is_no_chain(folder, content):
    write(folder)
    next(folder.glob("*.pem")).write_bytes(content)
    assert read(folder) is None


def test_the_cache_is_closed_to_others(folder):
    before = os.umask(0)
    try:
        write(folder)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.parent.stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_the_lock_is_held_for_one_csr_only(folder, hold, monkeypatch):
    monkeypatch.setattr(cache_module, "LOCK_TIMEOUT_S", 0.1)
    holder = hold("one")
    assert read(folder, csr=b"two", terms={}) is None
    with pytest.raises(TlsError) as caught:
        read(folder, terms={})
    assert str(caught.value) == (
        f"another process has held {folder}/lock for 0 seconds; wait for it, then run this again"
    )
    holder.kill()
    holder.wait()
    assert read(folder, terms={}) is None


def test_a_forgotten_certificate_is_not_returned(folder):
    other = Authority().chain(["www.example.org"], some_key())
    write(folder)
    write(folder, csr=b"two", chain=other)
    (folder / "garbage.pem").write_bytes(b"garbage")
    IssuedCache(str(folder)).forget(CHAIN[0].serial_number)
    assert read(folder) is None
    assert to_pem(read(folder, csr=b"two")) == to_pem(other)


def test_forgetting_makes_no_cache(folder):
    IssuedCache(str(folder)).forget(1)
    assert not folder.exists()


def test_chains_and_temporary_files_are_removed_after_a_month(folder):
    write(folder)
    (folder / ".half.pem.0a1b").write_bytes(b"half")
    for path in folder.iterdir():
        os.utime(path, times=((NOW - 31 * DAY).timestamp(),) * 2)
    write(folder, csr=b"two")
    assert {path.name for path in folder.iterdir()} == {"lock", *(path.name for path in folder.glob("*.pem"))}
    assert read(folder) is None
    assert read(folder, csr=b"two") is not None


def test_the_cache_is_cleaned_up_once_an_hour(folder):
    write(folder)
    old = folder / "old.pem"
    old.write_bytes(b"")
    os.utime(old, (1, 1))
    write(folder, csr=b"two")
    assert old.exists()
    write(folder, csr=b"three", now=NOW + datetime.timedelta(hours=2))
    assert not old.exists()
