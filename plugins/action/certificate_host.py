# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import parse_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import REQUEST_SPEC, Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.base import TlsAction, cloud_accounts
from ansible_collections.evergreen.tls.plugins.plugin_utils._actions.batching import Background
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.installed import upload_prefix
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import fit_bindings
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.cloud import is_hosted
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.complete_request import complete_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.durations import parse_duration
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.reserved_words import reserved_words
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.hosted_obstacles import (
    CAA_IDENTITIES,
    find_hosted_obstacles,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import check_caa, find_caa_set
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.validation import validation_summary
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.hosting import (
    HostedService,
    open_hosted,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.free_certificates import ISSUED, REVOKED
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.hosted import (
    Hosted,
    obtain_hosted,
    revoke_hosted,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.order_pauses import OrderPauses
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount, solver_type
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.registry import open_solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.validation_records import SolverRecords

VALIDATION_TIMEOUT_S = 10.0  # for what one request waits for
LOCKS = "~/.evergreen/orders"


class ActionModule(TlsAction):
    """Have the cloud issue the certificate of a request, of which it keeps the key."""

    _requires_connection = False
    ARGUMENTS: t.ClassVar[dict[str, t.Any]] = {
        "request": REQUEST_SPEC,
        "issuers": {"type": "dict", "default": {}, "no_log": True},
        "accounts": {"type": "dict", "no_log": True},
        "force": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["issued", "revoked"], "default": "issued"},
        "certificate": {"type": "str"},
        "reason": {"type": "str", "default": ""},
    }

    async def decide(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        request = complete_request(arguments["request"])
        if not is_hosted(request):
            raise TlsError(
                f"certificate request {request['name']} has its key on the controller; write served_by: cloud and cloud.hosted: true for one "
                "that the cloud makes"
            )
        accounts = cloud_accounts(task_vars) if arguments["accounts"] is None else arguments["accounts"]
        service = open_hosted(request, accounts, upload_prefix(request, task_vars.get("inventory_hostname", "")))
        records = _records(request, arguments["issuers"])
        if arguments["state"] == "revoked":
            named = functools.partial(self._revoke, certificate=arguments["certificate"], reason=arguments["reason"])
            return await Background(functools.partial(named, service, records, request))
        result = await Background(functools.partial(self._obtain, service, records, request, arguments["force"]))
        if result.get("waiting") and request["validation"]:
            looked = functools.partial(_with_validation, result, request, records.solver.dns)
            return await Background(looked)
        return result

    def _obtain(
        self, service: HostedService, records: SolverRecords, request: Request, is_forced: bool
    ) -> dict[str, t.Any]:
        """Return the result of having a certificate issued, where one is due."""
        warnings: list[str] = []
        domains = request["domains"]
        words = [word for domain in domains for word in reserved_words(domain)]

        def check_order(domain: str) -> None:
            if words:
                warnings.append(
                    f"{domain} has {' and '.join(words)} in it, and CAs refuse many such names for free certificates; take an issuer of type acme if "
                    "the review fails"
                )
            warnings.extend(_caa_warnings(records, domain, is_forced))

        fit_bindings(service)  # an order for a resource that cannot present it would cost quota
        cloud = request["cloud"] or {}
        patience_s = parse_duration(cloud["patience"]).total_seconds()
        hosted = obtain_hosted(
            service.orders,
            records,
            request,
            service.prefix,
            utc_now(),
            cloud["free_quota"],
            patience_s,
            is_forced,
            self._task.check_mode,
            pauses=OrderPauses(_orders_folder(), service.orders.client.name, service.key),
            check_order=check_order,
            lock=contextlib.nullcontext if self._task.check_mode else functools.partial(_lock, service.prefix),
        )
        result = _result(hosted, service.title, self._task.check_mode)
        return {**result, "warnings": warnings} if warnings else result

    def _revoke(
        self, service: HostedService, records: SolverRecords, request: Request, certificate: str | None, reason: str
    ) -> dict[str, t.Any]:
        """Return the result of revoking a certificate of the request, the newest one if none is named.

        Raises TlsError while a resource presents it, with the keys hosted and bound_to for the result.
        """
        orders = service.orders.ours(service.prefix)
        order = next(
            (one for one in orders if one.certificate == certificate or (one.status == ISSUED and not certificate)),
            None,
        )
        if order is None:
            which = f"no certificate {certificate}" if certificate else "no valid certificate"
            return {"changed": False, "msg": f"the cloud has {which} of {request['name']}"}
        if order.status != ISSUED:
            state = "was revoked before" if order.status in REVOKED else "is not valid any more"
            return {"changed": False, "hosted": order.certificate, "msg": f"{order.certificate} {state}"}
        bound = [one.resource for one in service.bindings() if one.certificate == order.certificate]
        if self._task.check_mode and not bound:
            return {"changed": True, "hosted": order.certificate, "msg": f"would revoke {order.certificate}"}
        needed = revoke_hosted(service.orders, records, order.certificate, request["domains"][0], bound, reason)
        more = (
            f"; these records validate that, and may go afterwards: {', '.join(one.name for one in needed)}"
            if needed
            else ""
        )
        return {"changed": True, "hosted": order.certificate, "msg": f"{order.certificate} is revoked{more}"}


def _with_validation(result: dict[str, t.Any], request: Request, client: DnsClient) -> dict[str, t.Any]:
    """Return the result for a certificate that waits, with what its CA does not see yet, or how long it usually takes."""
    since = parse_date(str(result["waiting"].get("since") or ""))
    findings = find_hosted_obstacles(request, client, time.monotonic() + VALIDATION_TIMEOUT_S, since)
    summary = validation_summary(findings)
    if not summary:
        return result
    sentence = f"{result['msg']}; {summary}"
    return {**result, "msg": sentence, "waiting": {**result["waiting"], "for": sentence}}


# not a parser: it hashes what this collection chose
def _lock(prefix: str) -> contextlib.AbstractContextManager[None]:
    """Return the lock of the orders of a request, among the runs on this machine."""
    return _orders_folder().locked(hashlib.sha256(prefix.encode()).hexdigest())


def _orders_folder() -> JsonRecords:
    return JsonRecords(os.path.expanduser(LOCKS))


def _caa_warnings(records: SolverRecords, domain: str, is_forced: bool) -> list[str]:
    """Raise TlsError where CAA records forbid the CA of free certificates, unless the order is forced. Return what is not certain."""
    try:
        caa = find_caa_set(records.solver.dns, domain)
    except TlsError as error:
        return [f"the CAA records of {domain} are not known: {error}"]
    try:
        check_caa(caa, domain, CAA_IDENTITIES, "free certificates of Tencent Cloud")
    except TlsError as error:
        if not is_forced:
            raise TlsError(f"{error}, or order one all the same with certificate_force=true") from error
        return [str(error)]
    return []


def _records(request: Request, issuers: dict[str, t.Any]) -> SolverRecords:
    """Return the DNS records of the solver that validates a request. Raises TlsError where its issuer has none."""
    name = request["issuer"]
    settings = issuers.get(name)
    if not isinstance(settings, dict) or settings.get("type") != "acme":
        raise TlsError(
            f"certificate request {request['name']}: the cloud issues the certificate, and needs DNS records for that; name an issuer of type "
            f"acme whose solver adds them by issuer, in place of {name}"
        )
    solver = settings.get("solver")
    return SolverRecords(open_solver(solver, AcmeAccount("")), str(solver_type(solver)))


def _result(hosted: Hosted, title: str, is_check: bool) -> dict[str, t.Any]:
    """Return the result of certificate_host."""
    result: dict[str, t.Any] = {"changed": hosted.is_ordered, "due": hosted.is_ordered or hosted.is_waiting}
    if hosted.order:
        result["hosted"] = hosted.order.certificate
    if hosted.is_waiting:
        sentence = f"{title}: {hosted.reason}; the next run looks again"
        return {**result, "waiting": {"for": sentence, "since": hosted.since}, "msg": sentence}
    if hosted.is_ordered:
        verb = "would have" if is_check else "had"
        result.update(reason=hosted.reason, msg=f"{verb} the cloud issue a certificate: {hosted.reason}")
    return result
