# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Solvers: ways to show a CA that a name is ours. A further one is one file, and one line in SOLVERS."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import complaints
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import DEFAULT, Answer
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.command import Command
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http import Stateless
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.persist import Persist
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.rfc2136 import Rfc2136
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.webroot import Webroot


class Solver(t.Protocol):
    """A way to answer challenges, as it is configured with an issuer."""

    SETTINGS: dict[str, t.Any]  # the argument spec of the settings
    CHALLENGE: str  # the type of challenge that it answers

    def check(self, domains: list[str]) -> None:
        """Make sure, before an order is spent, that it can be answered. Raises TlsError with a sentence for each cause."""

    def present(self, answers: list[Answer]) -> None:
        """Return once the CA can see the answers. Whatever comes of it, clean_up has to be called afterwards."""

    def clean_up(self, answers: list[Answer]) -> None:
        """Take the answers away; those that were never shown are no mistake."""


SOLVERS: dict[str, t.Any] = {
    "http": Stateless,
    "webroot": Webroot,
    "rfc2136": Rfc2136,
    "command": Command,
    "persist": Persist,
}


def open_solver(
    wanted: str | dict[str, t.Any] | None,
    thumbprint: str,
    account_uri: t.Callable[[], str] | None = None,
    directory_meta: t.Callable[[], dict] | None = None,
) -> Solver:
    """Return the solver that an issuer's setting C(solver) describes, once its settings make sense.

    The thumbprint is that of the account's key. The account's URL and the C(meta) of the CA's directory are asked for only
    where they are needed.
    """
    kind, settings = _normal(wanted)
    solver = SOLVERS[kind]
    checked = ArgumentSpecValidator(solver.SETTINGS).validate(settings)
    if checked.error_messages:
        raise TlsError(f"solver {kind}: {complaints(checked)}; correct it in certificate_issuers")
    account: dict[str, t.Any] = {}
    if solver in (Stateless, Persist):
        account["thumbprint"] = thumbprint
    if solver is Persist:
        account.update(account_uri=account_uri, directory_meta=directory_meta)
    try:
        return solver(**account, **checked.validated_parameters)
    except TlsError as error:
        raise TlsError(f"solver {kind}: {error}", **error.details) from error


def _normal(wanted: str | dict[str, t.Any] | None) -> tuple[str, dict[str, t.Any]]:
    """Return the type of a solver and its settings."""
    settings = dict(wanted) if isinstance(wanted, dict) else {"type": wanted or DEFAULT}
    kind = settings.pop("type", None)
    if not isinstance(kind, str) or kind not in SOLVERS:
        raise TlsError(
            f"there is no solver {kind!r}, only {', '.join(SOLVERS)}; write solver: http, or a dictionary with the type and its "
            "settings, in certificate_issuers"
        )
    return kind, settings
