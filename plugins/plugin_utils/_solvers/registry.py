# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solvers by their type. A new one is one file, and one line in SOLVERS."""

from __future__ import annotations

import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.spec import spec_errors
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import DEFAULT_SOLVER, AcmeAccount, Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.command import CommandSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dnspod import DnspodSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http import HttpSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.persist import PersistSolver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.rfc2136 import Rfc2136Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.route53 import Route53Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.webroot import WebrootSolver

SOLVERS: dict[str, type[Solver]] = {
    "http": HttpSolver,
    "webroot": WebrootSolver,
    "rfc2136": Rfc2136Solver,
    "command": CommandSolver,
    "persist": PersistSolver,
    "dnspod": DnspodSolver,
    "route53": Route53Solver,
}


def open_solver(setting: t.Any, account: AcmeAccount) -> Solver:
    """Return the solver of an issuer's setting C(solver): a type, or a dictionary with type and settings.

    Raises TlsError if there is no such solver, or its settings are malformed.
    """
    kind, settings = _type_and_settings(setting)
    checked = ArgumentSpecValidator(SOLVERS[kind].SETTINGS).validate(settings)
    if checked.error_messages:
        raise TlsError(f"solver {kind}: {spec_errors(checked)}; correct it in certificate_issuers")
    try:
        return SOLVERS[kind](account, **checked.validated_parameters)
    except TlsError as error:
        raise TlsError(f"solver {kind}: {error}", **error.details) from error


def _type_and_settings(setting: t.Any) -> tuple[str, dict[str, t.Any]]:
    settings = dict(setting) if isinstance(setting, dict) else {"type": setting or DEFAULT_SOLVER}
    kind = settings.pop("type", None)
    if not isinstance(kind, str) or kind not in SOLVERS:
        raise TlsError(
            f"there is no solver {kind!r}, only {', '.join(SOLVERS)}; write solver: http, or a dictionary with the type and its "
            "settings, in certificate_issuers"
        )
    return kind, settings
