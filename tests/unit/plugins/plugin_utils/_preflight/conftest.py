# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets tests check an order with a resolver and name servers on the loopback network."""

from __future__ import annotations

import time

import pytest

TITLE = "https://acme-v02.api.letsencrypt.org/directory"


@pytest.fixture
def subject_of(here):
    """Return a function that makes the subject of domains, at Let's Encrypt and with the resolver of the test."""
    from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
    from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
    from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
    from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER

    def made(*domains, timeout=5.0, **words):
        issuer = words.pop("issuer", CaaIssuer(("letsencrypt.org",), (), "http-01"))
        client = words.pop("client", None) or DnsClient([f"{RESOLVER}:{here.port}"])
        words = {"is_public_ca": True, "challenge_type": "http-01", **words}
        return Subject(list(domains), TITLE, client, issuer, time.monotonic() + timeout, **words)

    return made
