# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of solvers with accounts at clouds share."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.cloud_account import with_solver_accounts
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.tests.unit.fake_internet import RESOLVER


def cloud_solver(here, kind, accounts, **settings):
    """Return a solver of an issuer with the account main, which asks the resolver of the fake internet."""
    resolvers = [f"{RESOLVER}:{here.port}"]
    setting = {"type": kind, "resolvers": resolvers, "timeout": "20s", "account": "main", **settings}
    issuers = with_solver_accounts({"le": {"type": "acme", "solver": setting}}, lambda: accounts)
    return open_solver(issuers["le"]["solver"], AcmeAccount("thumbprint"))


def response(value, domain="example.org"):
    """Return the response to a challenge of dns-01."""
    return ChallengeResponse(domain, "dns-01", "token", "key authorization", value)


def error_text(work):
    """Return the sentence with which a function fails."""
    with pytest.raises(TlsError) as caught:
        work()
    return str(caught.value)
