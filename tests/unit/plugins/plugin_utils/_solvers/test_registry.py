# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which solver an issuer has, and for which requests hosts answer by themselves."""

from __future__ import annotations

import pytest

from ansible_collections.evergreen.tls.plugins.filter.answering_requests import answering_requests
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_hosts import challenge_thumbprints
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import SOLVERS, open_solver


def requests(*issuers):
    return [{"name": f"site{number}", "issuer": issuer} for number, issuer in enumerate(issuers)]


@pytest.mark.parametrize("setting", [None, "http", {"type": "http"}, {"type": "http", "check": False}])
def test_hosts_answer_over_http_unless_something_else_is_wanted(setting):
    assert isinstance(open_solver(setting, AcmeAccount("thumbprint")), SOLVERS["http"])
    assert answering_requests(requests("le"), {"le": {"type": "acme", "solver": setting}}) == ["site0"]


@pytest.mark.parametrize("setting", ["files", {"type": "dns"}, {"type": 5}, {}, {"resolvers": []}, 5, ["http"]])
def test_a_solver_that_there_is_not_is_reported(setting):
    with pytest.raises(
        TlsError, match=f"^there is no solver .*, only http, webroot, .*{list(SOLVERS)[-1]}; write solver: http, or"
    ):
        open_solver(setting, AcmeAccount("thumbprint"))


@pytest.mark.parametrize(
    "issuer",
    [
        {"type": "local_ca"},
        {"type": "acme", "solver": "persist"},
        {"type": "acme", "solver": {"type": "command", "challenge": "http-01"}},
        "nothing that makes sense",
        None,
    ],
)
def test_hosts_answer_for_no_other_issuer(issuer):
    assert answering_requests(requests("le"), {"le": issuer}) == []
    assert challenge_thumbprints(requests("le"), {"le": issuer}) == {}


def test_requests_that_make_no_sense_are_left_to_those_who_say_so():
    assert answering_requests([{}, {"issuer": ["a"]}], {}) == []
    assert answering_requests(None, {}) == []
    assert (
        challenge_thumbprints(
            [{"issuer": "le"}, {"name": "a"}, {"name": "b", "issuer": ["le"]}], {"le": {"type": "acme"}}
        )
        == {}
    )


def test_the_thumbprint_is_that_of_the_account(tmp_path):
    issuers = {
        "le": {"type": "acme", "folder": str(tmp_path / "a")},
        "other": {"type": "acme", "folder": str(tmp_path / "b")},
        "local": {"type": "local_ca"},
    }
    thumbprints = challenge_thumbprints(requests("le", "local", "le", "other"), issuers)
    assert sorted(thumbprints) == ["site0", "site2", "site3"]
    assert thumbprints["site0"] == thumbprints["site2"] != thumbprints["site3"]
    assert len(thumbprints["site0"]) == 43
    assert thumbprints == challenge_thumbprints(requests("le", "local", "le", "other"), issuers)


def test_who_only_pretends_makes_no_key(tmp_path):
    issuers = {"le": {"type": "acme", "folder": str(tmp_path / "a")}}
    (placeholder,) = challenge_thumbprints(requests("le"), issuers, pretend=True).values()
    assert not (tmp_path / "a").exists() and len(placeholder) == 43
    (real,) = challenge_thumbprints(requests("le"), issuers).values()
    assert challenge_thumbprints(requests("le"), issuers, pretend=True) == {"site0": real} != {"site0": placeholder}


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"type": "acme", "directory": 7}, "issuer broken: "),
        ({"type": "acme", "account_key": "no key"}, "account_key of the issuer holds no private key in PEM"),
    ],
)
def test_an_issuer_that_cannot_be_used_hides_no_other(tmp_path, broken, sentence):
    issuers = {"le": {"type": "acme", "folder": str(tmp_path / "a")}, "broken": {"folder": str(tmp_path), **broken}}
    problems = []
    thumbprints = challenge_thumbprints(requests("broken", "le", "broken"), issuers, problems=problems)
    assert list(thumbprints) == ["site1"]
    (problem,) = problems
    assert problem.startswith("nginx answers no challenges of broken, which cannot be used: ") and sentence in problem
    with pytest.raises(TlsError):
        challenge_thumbprints(requests("broken"), issuers)
