# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Intermediates from the URL in a certificate: a server that takes its time is left in bounded time."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.manual import intermediates
from ansible_collections.evergreen.tls.tests.unit.fake_ca import Authority, some_key
from ansible_collections.evergreen.tls.tests.unit.servers import answering_port

NAMES = ["www.example.org"]
ROOT = Authority("Fetched Root CA")
ISSUING = Authority("Fetched Issuing CA", above=ROOT)


@pytest.mark.parametrize(
    "drip", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b""], ids=["headers", "body", "nothing"]
)
def test_an_answer_that_trickles_is_left_in_time(monkeypatch, drip):
    monkeypatch.setattr(intermediates, "FETCH_TIMEOUT_S", 0.5)

    def trickle(connection):
        connection.sendall(drip)
        connection.settimeout(0.05)
        is_client_there = True
        while is_client_there:
            try:
                is_client_there = connection.recv(4096) != b""
            except TimeoutError:
                connection.sendall(b"X" if drip else b"")

    with answering_port(trickle) as port:
        start = time.monotonic()
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS,
            x509.UniformResourceIdentifier(f"http://127.0.0.1:{port}/issuing.cer"),
        )
        leaf = ISSUING.leaf(NAMES, some_key(), extensions=[x509.AuthorityInformationAccess([place])])
        with pytest.raises(TlsError, match="the answer is too long, or takes too long.*; put it into the inbox"):
            intermediates.fetch_intermediates([leaf], [ROOT.certificate])
    assert time.monotonic() - start < 3


def test_all_intermediates_together_have_a_time(monkeypatch):
    monkeypatch.setattr(intermediates, "AIA_TIMEOUT_S", 0.0)
    place = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS,
        x509.UniformResourceIdentifier("http://192.0.2.1/\x1b[2J" + "x" * 1000),
    )
    leaf = ISSUING.leaf(NAMES, some_key(), extensions=[x509.AuthorityInformationAccess([place])])
    with pytest.raises(TlsError) as caught:
        intermediates.fetch_intermediates([leaf], [ROOT.certificate])
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
