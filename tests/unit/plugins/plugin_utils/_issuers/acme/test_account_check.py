# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps the account of an issuer from ordering, found without an account."""

from __future__ import annotations

import time

import pytest

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import Problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import RateLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer

pytestmark = pytest.mark.usefixtures("hurry")


@pytest.fixture
def account_findings(server, here, tmp_path):
    def found(**settings):
        settings = {"directory": server.url, "ca_file": server.ca_file, "folder": str(tmp_path / "acme"), **settings}
        solver = {"type": "http", "check": False}
        issuer = open_issuer("ca", {"ca": {"type": "acme", "solver": solver, **settings}})
        found.issuer = issuer
        request = {"name": "www", "domains": ["www.example.org"], "issuer": "ca", "type": "ECC"}
        findings = issuer.find_obstacles(request, "web1", time.monotonic() + 10)
        return [one for one in findings if one.code.startswith("account")]

    return found


def test_a_ca_that_answers_is_fine_and_no_account_is_made(account_findings, server):
    [finding] = account_findings()
    assert (finding.severity, finding.code) == ("fine", "account")
    assert finding.sentence == f"{server.url} answers; the account is created with the first order"
    assert server.count("/account") == 0


def test_a_profile_that_is_not_offered_blocks(account_findings):
    [finding] = account_findings(profile="shortlived")
    assert (finding.severity, finding.code) == ("blocks", "account.profile")
    assert "correct the profile of the issuer, or leave it out" in finding.sentence


def test_a_ca_that_makes_accounts_for_customers_only_wants_their_credentials(account_findings, server):
    server.meta = {"externalAccountRequired": True}
    [finding] = account_findings()
    assert (finding.severity, finding.code) == ("blocks", "account.eab")
    assert "set eab_kid and eab_hmac of the issuer" in finding.sentence


def test_a_ca_that_asked_to_wait_is_not_asked_before(account_findings, server):
    account_findings()
    limits = RateLimits(account_findings.issuer.folder.subfolder("limits"), server.url)
    limits.record(Problem("too many", "rateLimited", retry_after=3600, subject="the order", words="too many"))
    [finding] = account_findings()
    assert (finding.severity, finding.code) == (
        "blocks",
        "account.wait",
    ) and "nothing is asked again before" in finding.sentence
