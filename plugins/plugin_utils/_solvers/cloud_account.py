# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts of C(cloud_accounts) that solvers name by C(account)."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.accounts import Account, find_account


def with_solver_accounts(issuers: dict[str, t.Any], accounts: t.Callable[[], t.Any]) -> dict[str, t.Any]:
    """Return issuers whose solvers have the settings of their account in place of its name.

    issuers: the value of certificate_issuers, unchecked. accounts: returns the value of cloud_accounts; called only where a solver names one.
    An account that cannot be used is an error of those requests alone whose issuer has that solver: solver_account() raises it.
    """
    named = {name: solver for name, solver in _solvers(issuers) if isinstance(solver.get("account"), str)}
    if not named:
        return issuers
    known = accounts()
    resolved = {
        name: {**issuers[name], "solver": {**solver, "account": _resolved(solver["account"], known)}}
        for name, solver in named.items()
    }
    return {**issuers, **resolved}


def _solvers(issuers: dict[str, t.Any]) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for name, settings in issuers.items():
        solver = settings.get("solver") if isinstance(settings, dict) else None
        if isinstance(solver, dict):
            yield name, solver


def _resolved(name: str, accounts: t.Any) -> dict[str, t.Any]:
    try:
        account = find_account(name, accounts)
    except TlsError as error:
        return {"error": str(error)}
    return account._asdict()


def solver_account(value: t.Any, kind: str) -> Account:
    """Return the account in the setting C(account) of a solver. Raises TlsError where there is none of this type.

    value: as with_solver_accounts() leaves it.
    """
    if not isinstance(value, dict) or "error" in value:
        why = value["error"] if isinstance(value, dict) else "account is not the name of one; add it to cloud_accounts"
        raise TlsError(str(why))
    account = Account(**value)
    if account.type != kind:
        raise TlsError(
            f"account {account.name} is of type {account.type}, and this solver needs one of type {kind}; name another account"
        )
    return account
