# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuer acme against Pebble, which refuses every fifth nonce."""

from __future__ import annotations

import datetime
import os
import re
import stat

import pytest
from cryptography import x509

from ansible_collections.evergreen.tls.plugins.module_utils.chains import names_of, not_after, not_before, parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils.errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils.keys import make_request
from ansible_collections.evergreen.tls.plugins.plugin_utils.gate import check_answer
from ansible_collections.evergreen.tls.plugins.plugin_utils.issuers import open_issuer
from ansible_collections.evergreen.tls.tests.unit.authority import new_key, openssl
from ansible_collections.evergreen.tls.tests.unit.pebble import running

NAMES = ["www.example.org", "example.org"]
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def pebble(tmp_path_factory):
    with running(tmp_path_factory.mktemp("pebble"), environment={"PEBBLE_ALTERNATE_ROOTS": "2"}) as (server, hosts):
        server.hosts = hosts
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "acme"


@pytest.fixture
def acme(pebble, folder):
    """Return a function that opens an issuer, which the hosts know."""

    def opened(**settings):
        issuer = open_issuer("pebble", {"pebble": {**said(pebble, folder), **settings}})
        pebble.hosts.thumbprint, pebble.hosts.silent = issuer.thumbprint(), set()
        return issuer

    return opened


def said(pebble, folder):
    return {
        "type": "acme",
        "directory": pebble.url,
        "ca_file": pebble.ca_file,
        "folder": str(folder),
        "profile": "default",
        "solver": {"type": "http", "check": False},
    }


def request(names=NAMES, name="www"):
    return {"name": name, "domains": list(names), "issuer": "pebble", "type": "ECC"}


def csr(names=NAMES, key=None):
    return make_request(key or new_key(), names, {})


def test_a_certificate_is_issued_that_clients_accept(acme, pebble, tmp_path):
    key = new_key()
    chain = acme().issue(request(), csr(key=key), "web1")
    check_answer(chain, key.public_key(), request(), pebble.root(), datetime.datetime.now(datetime.timezone.utc))
    (tmp_path / "root.pem").write_bytes(pebble.root())
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "leaf.pem").write_bytes(chain)
    said = openssl(
        tmp_path, "verify", "-CAfile", "root.pem", "-untrusted", "chain.pem", "-verify_hostname", NAMES[0], "leaf.pem"
    )
    assert b"leaf.pem: OK" in said
