# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import typing as t

from ansible.errors import AnsibleError

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import describe_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import csr_to_pem
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.host_variables import (
    variables_of_host,
    variables_of_task,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.targets import request_targets
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_csr
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.pending import (
    PLAIN,
    Pending,
    Validity,
    pending_message,
    pending_result,
)

# Loaded before Ansible forks, so that each fork need not load the libraries of ACME:
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme import orders as acme_orders  # noqa: F401, pylint: disable=unused-import
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.after_refusal import (
    checks_for,
    seen_from_here,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import (
    AcmeIssuer,
    Issuer,
    IssueRequest,
    PendingIssuer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.challenge_requests import (
    LogResult,
    challenges_in_logs,
    log_sentences,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.issue import issue_once
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.private_authority import MAKE_CA, absence_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    check_request_for_issuer,
    open_issuer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.private_authorities import (
    authority_of,
    why_not_issue,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.survey import why_not_make
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import registry as solvers  # noqa: F401, pylint: disable=unused-import


class ActionModule(TlsAction):
    """Have a CSR signed. Neither the host nor the CA is trusted."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST_SPEC,
        "csr": {"type": "str"},
        "in_use": {"type": "str"},
        "valid": {"type": "dict"},
        "reason": {"type": "str"},
        "since": {"type": "str"},
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "make_ca": {"type": "str", "choices": list(MAKE_CA), "default": "first"},
    }

    # not a parser: it only passes on foreign input
    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        request = complete_request(arguments["request"])
        check_request_for_issuer(request, arguments["issuers"])
        issuer = open_issuer(request["issuer"], arguments["issuers"])
        subject, host = f"the certificate of {request['name']}", task_vars.get("inventory_hostname", "")
        csr = (arguments["csr"] or "").encode(errors="replace")  # of a host, so it may hold lone surrogates
        context = {key: arguments[key] for key in ("valid", "reason", "since")}
        if isinstance(issuer, LocalCa) and arguments["in_use"] and arguments["make_ca"] != "always":
            await self._check_served(issuer, request, arguments["issuers"], task_vars)
        if self._task.check_mode:
            issue_request = t.cast(IssueRequest, {**request, **context})
            pending = None
            if csr and isinstance(issuer, PendingIssuer):
                pending = issuer.find_pending(issue_request, csr_to_pem(check_csr(csr, request)), host)
            if pending is not None:
                return _result_while_pending(pending, issuer, arguments["valid"])
            return await self._pretended(issuer, request, host, is_deployed=arguments["in_use"] is not None)
        if not arguments["csr"]:
            raise TlsError(f"there is no signing request for {subject}; pass the csr that certificate_request returned")
        if isinstance(issuer, LocalCa):
            check_ca(issuer, arguments["make_ca"], task_vars.get("hostvars") or {})
        # ACME issuers hold locks for what they share with other runs, and so with other requests of this run.
        issue = functools.partial(issue_once, issuer, request, csr, host, arguments["in_use"], context)
        try:
            issued = await Background(issue) if isinstance(issuer, AcmeIssuer) else issue()
        except TlsError as error:
            sentences = await self._look_in_logs(request, host, error, task_vars)
            if checks_for(error):
                look = functools.partial(issuer.find_obstacles, request, host)
                sentences += await Background(functools.partial(seen_from_here, error, look))
            if not sentences:
                raise
            raise TlsError("; ".join([str(error), *sentences]), **error.details) from error
        if isinstance(issued, Pending):
            return _result_while_pending(issued, issuer, arguments["valid"])
        return {
            "changed": True,
            "chain": to_pem(issued.chain).decode(),
            "roots": issued.roots.decode() if issued.roots else None,
            "certificate": describe_chain(issued.chain),
            "warnings": issued.warnings,
            "msg": f"{request['issuer']} issued {subject}{'' if issued.is_new else ' in an earlier run'}",
        }

    # not a parser: it only passes on foreign input
    async def _pretended(self, issuer: Issuer, request: Request, host: str, is_deployed: bool) -> dict[str, t.Any]:
        """Return the result of check mode, with what the CA would refuse as warnings."""
        would = f"would have the certificate of {request['name']} issued by {request['issuer']}"
        result: dict[str, t.Any] = {"changed": True, "msg": would, "diff": {"before": "", "after": f"{would}\n"}}
        if isinstance(issuer, AcmeIssuer):
            expected = await Background(functools.partial(issuer.expected_refusals, request, host, is_deployed))
            result["warnings"] = [f"{request['name']}: {sentence}" for sentence in expected]
        return result

    async def _look_in_logs(
        self, request: Request, host: str, error: TlsError, task_vars: dict[str, t.Any]
    ) -> list[str]:
        """Return what the access logs of the host say about a refusal. The host is logged in to only if a CA did not find an answer there."""
        challenges = challenges_in_logs(error)
        if not challenges or request["served_by"] != "nginx":
            return []
        arguments = {
            "domains": list(dict.fromkeys(one.domain for one in challenges)),
            "tokens": list(dict.fromkeys(one.token for one in challenges)),
        }
        try:
            result = await self.run_module("challenge_requests", arguments, task_vars)
        except (TlsError, AnsibleError):  # the refusal counts, whatever the host does
            return []
        return [] if result.get("failed") else log_sentences(host, challenges, t.cast(LogResult, result))

    # not a parser: it only passes on foreign input
    async def _check_served(
        self, issuer: LocalCa, request: Request, issuers: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> None:
        """Raise TlsError where the host serves a certificate of another private CA of this name: this is not the controller of the fleet.

        The playbooks look at the whole fleet before. A play with the roles alone learns of it here.
        """
        authority, variables = authority_of(issuer, issuers), variables_of_task(task_vars)
        if authority is None or authority.absence or variables.get("certificate_verify_from") == "host":
            return
        targets = request_targets(variables, task_vars.get("inventory_hostname", ""), request)
        refusal = await Background(functools.partial(why_not_issue, authority, targets))
        if refusal:
            raise TlsError(refusal)


def check_ca(issuer: LocalCa, make_ca: str, hostvars: t.Mapping[str, t.Any]) -> None:
    """Raise TlsError where a private CA is missing and may not be made. Otherwise hosts are looked at before it is made, unless one is made in any case."""
    absence = issuer.absence()
    if absence and (issuer.root or make_ca == "never"):
        raise TlsError(absence_sentence(issuer.issuer, absence, bool(issuer.root)))
    if absence and make_ca == "first":
        issuer.why_not_make = functools.partial(
            why_not_make, issuer, list(hostvars), functools.partial(variables_of_host, hostvars)
        )
        refusal = issuer.why_not_make()  # asked here too, before the folder of the CA gets locks and a cache
        if refusal:
            raise TlsError(refusal)


def _result_while_pending(pending: Pending, issuer: Issuer, valid: Validity | None) -> dict[str, t.Any]:
    """Return the result while a person has to act. Raises TlsError when the request is overdue."""
    now = utc_now()
    message, result = pending_message(pending, valid, now), pending_result(pending, valid, now)
    # A deployment has no report at its end, so warn once at the start, and again when it becomes urgent.
    reminder = [message] if pending.changed or result["urgency"] != PLAIN else []
    warnings = [*reminder, *issuer.remarks]
    return {
        "changed": pending.changed,
        "waiting": result,
        "msg": message,
        **({"warnings": warnings} if warnings else {}),
    }
