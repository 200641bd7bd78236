# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate that the cloud makes, keeps and presents: order it once, validate it, wait for it, bind it.

A run may be killed between any two calls. The next one finds the order by its alias, and places no second one.
"""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.renewal import renewal_time
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._deployment.walk import SYSTEM_CLOCK, Clock, intervals
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_suffixes import registered_domain
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.errors import TencentError
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.free_certificates import (
    FAILED,
    ISSUED,
    PENDING,
    RENEWAL_DAYS,
    FreeCertificates,
    Order,
    Record,
    check_domain,
    read_records,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.inventory import bindings_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._providers.tencent.order_pauses import OrderPauses

BOUND_ELSEWHERE = "FailedOperation.RevokeResourceFailed"


class Records(t.Protocol):
    """What adds and removes DNS records: a solver of dns-01."""

    def zone(self, domain: str) -> str:
        """Return the zone that a domain is in."""

    def add(self, record: Record) -> None:
        """Add a record beside those that are there. One that is there already stays."""

    def remove(self, record: Record) -> None:
        """Remove that record, and none of the others. One that is not there is no error."""


class Hosted(t.NamedTuple):
    """What was done about an order."""

    order: Order | None  # the certificate to present; None where there is none yet
    is_ordered: bool  # whether this run ordered a certificate, or would
    reason: str  # why it was due, or what is waited for; else empty
    is_waiting: bool = False
    since: str = ""  # of what is waited for: the alias of the order has it


def obtain_hosted(
    orders: FreeCertificates,
    records: Records,
    request: Request,
    prefix: str,
    now: datetime.datetime,
    quota: int,
    patience_s: float,
    is_forced: bool = False,
    is_check: bool = False,
    clock: Clock = SYSTEM_CLOCK,
    lock: t.Callable[[], contextlib.AbstractContextManager[t.Any]] = contextlib.nullcontext,
    pauses: OrderPauses | None = None,
    check_order: t.Callable[[str], None] = lambda _domain: None,
) -> Hosted:
    """Return the certificate to present: the one in use, a new one, or what is waited for. Raises TlsError.

    prefix: of the aliases of the request's orders. quota: of free certificates, for the account and for each primary domain.
    lock: against another run on this machine, for the look and the order.
    pauses: of orders after refusals. check_order: raises TlsError where an order for a domain would fail.
    """
    domain = check_domain(request["domains"], request["type"], request.get("size"), request.get("curve"))
    with lock():
        ours = orders.ours(prefix)
        issued = next((one for one in ours if one.status == ISSUED and (one.end is None or one.end > now)), None)
        reason, order = "", ours[0] if ours else None
        if order is None or order.status not in PENDING:
            reason = why_due(issued, request, prefix, now, is_forced)
            if not reason:
                return Hosted(issued, False, "")
            if order and order.status == FAILED and not is_forced:
                raise TlsError(
                    f"the cloud could not issue the certificate {order.certificate} ({order.message or 'without a reason'}); correct that, and "
                    "order another one with certificate_force=true"
                )
            zone = records.zone(domain.removeprefix("*."))
            if pauses and not is_forced:
                pauses.check(zone)
            check_order(domain)
            orders.check_quota(registered_domain(domain) or zone, quota, now)
            if is_check:
                return Hosted(issued, True, reason)
            try:
                order = _place(orders, domain, request["type"], f"{prefix}{now:%Y-%m-%dT%H:%M:%SZ}", issued, now)
            except TlsError as error:
                raise pauses.refused(error, zone) if pauses else error from error
    return _validated(orders, records, order, domain, issued, reason, patience_s, is_check, clock)


def _place(
    orders: FreeCertificates, domain: str, algorithm: str, alias: str, issued: Order | None, now: datetime.datetime
) -> Order:
    """Order a certificate that renews the one in use, where that is in its last days."""
    is_renewal = issued and issued.end and issued.end - now < datetime.timedelta(days=RENEWAL_DAYS)
    renewed = issued.certificate if issued and is_renewal else None
    return Order(orders.apply(domain, algorithm, alias, renewed), alias, PENDING[0], "", None, None)


def why_due(issued: Order | None, request: Request, seed: str, now: datetime.datetime, is_forced: bool = False) -> str:
    """Return why a new certificate is due, or an empty text."""
    if issued is None:
        return "there is no certificate yet"
    if is_forced:
        return "certificate_force is set"
    if issued.begin is None or issued.end is None or issued.end <= issued.begin:
        return ""
    if now < renewal_time(issued.begin, issued.end, request["renew_before"], seed):
        return ""
    return f"it expires on {issued.end:%Y-%m-%d}"


def _validated(
    orders: FreeCertificates,
    records: Records,
    order: Order,
    domain: str,
    issued: Order | None,
    reason: str,
    patience_s: float,
    is_check: bool,
    clock: Clock,
) -> Hosted:
    """Validate an order, and wait until it is issued, at most for the patience. The records stay while it is not decided."""
    deadline = clock.now() + patience_s
    has_records = False
    for interval in intervals():
        current, entries = orders.look(order.certificate)
        current = current._replace(alias=order.alias)
        needed = read_records([one for one in entries if one.get("DvAuthKey")], domain)
        if current.status == ISSUED:
            _remove(records, [] if is_check else needed)
            return Hosted(current, bool(reason), reason)
        if current.status not in PENDING:
            _remove(records, [] if is_check else needed)
            raise TlsError(
                f"the cloud could not issue the certificate {order.certificate} ({current.message or f'status {current.status}'}); correct that, and "
                "order another one with certificate_force=true"
            )
        if needed and not has_records and not is_check:
            for record in needed:
                records.add(record)
            has_records = True
        if has_records:
            orders.complete(order.certificate)
        if is_check or clock.now() + interval > deadline:
            return _waiting(orders, current, order, issued, reason)
        clock.sleep(interval)
    raise AssertionError("the intervals have no end")


# not a parser: it reads an alias that this collection chose
def _waiting(orders: FreeCertificates, current: Order, order: Order, issued: Order | None, reason: str) -> Hosted:
    obstacles = ". ".join(orders.obstacles(order.certificate)) or current.message or "the CA reviews it"
    since = order.alias.rpartition("/")[2]
    return Hosted(
        issued, bool(reason), f"the certificate {order.certificate} is not issued yet ({obstacles})", True, since
    )


def _remove(records: Records, needed: list[Record]) -> None:
    """Remove records. One that stays does no harm, and the next order has another value."""
    for record in needed:
        with contextlib.suppress(TlsError):
            records.remove(record)


def revoke_hosted(
    orders: FreeCertificates, records: Records, certificate: str, domain: str, bound: list[str], reason: str
) -> list[Record]:
    """Revoke a certificate, and return the records that were added to validate that. Raises TlsError while it is bound.

    bound: the resources that present it, by a look now.
    """
    if bound:
        raise TlsError(
            f"the certificate {certificate} is bound to {', '.join(bound)}, and is not revoked while it is; have another certificate bound first, "
            "as evergreen.tls.revoke does",
            hosted=certificate,
            bound_to=bound,
        )
    try:
        needed = read_records(orders.revoke(certificate, reason), domain)
    except TencentError as error:
        if error.code != BOUND_ELSEWHERE:
            raise
        raise TlsError(f"{error}{_bound_elsewhere(orders, certificate)}", hosted=certificate) from error
    for record in needed:
        records.add(record)
    return needed


def _bound_elsewhere(orders: FreeCertificates, certificate: str) -> str:
    """Return what presents a certificate, as the end of a sentence; empty where that is not known."""
    try:
        bound = bindings_of(orders.client, [certificate]).get(certificate)
    except TlsError:
        return ""
    places = [f"{one['service']}{one['region'] and ' in ' + one['region']} ({one['resources']})" for one in bound or []]
    return f". It is bound to {', '.join(places)}" if places else ""
