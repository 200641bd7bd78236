# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders (RFC 8555, section 7.4). Each is recorded before the step that follows.

A run that was killed continues with its order, and downloads the certificate that the CA has issued already: nothing is bought twice.
The record of an order is named after its directory and the digest of its CSR.
"""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import csr_to_der, load_csr
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_check import profile_refusal
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import base64url
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.authorizations import Authorizations
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.ca_limits import OrderKind
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.limit_records import LimitRecords
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.polling import Polling, growing_pauses
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.preflight import check_before_order
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    Problem,
    problem,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.remedies import REMEDIES
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import (
    NewOrder,
    OrderObject,
    identifiers,
    names_of_order,
    read_order,
    url_in,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import JsonRecords, file_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse

Result = t.TypeVar("Result")

CHAIN_MEDIA_TYPE = "application/pem-certificate-chain"
COMMON_NAME_OID = "2.5.4.3"
ORDER_TIMEOUT_S = 300.0
NAMES_LOCK_TIMEOUT_S = 900.0  # for which others may work on orders for the same names
REUSED_SHARE = 1 / 3  # of a certificate's lifetime, in which the same CSR gets the same certificate
# Errors that are about the order itself. About C(replaces), CAs say alreadyReplaced, unauthorized, malformed, or anything else.
ORDER_ERRORS = set(REMEDIES) - {"alreadyReplaced", "unauthorized", "malformed", "serverInternal"}
UNFINISHED_STATUSES = ("pending", "ready", "processing", "valid")
UNKNOWN_ORDER_STATUSES = (403, 404, 410)  # of HTTP, for an order that the server does not know
WRONG_CHAIN = "wrongAnswer"  # our own code, for a chain that check_issued_chain() refuses
# Errors of the order of an earlier run, after which a new order is placed.
STALE_ORDER_ERRORS = ("", "compound", "malformed", "orderNotReady", "accountDoesNotExist", WRONG_CHAIN)


class OrderSpec(t.NamedTuple):
    """What to order."""

    csr: bytes  # PEM
    names: list[str]
    profile: str | None = None
    replaces: str | None = None  # the certificate that is renewed (RFC 9773, section 5)
    preferred_root: str | None = None  # the common name of a root
    kind: OrderKind = OrderKind()
    request: Request | None = None  # whose subject the certificate may have; without it, only a common name


class OrderRecord(t.TypedDict, total=False):
    """What is recorded of an order."""

    directory: str
    names: list[str]
    step: str  # ordered, finalizing, issued
    order: str  # its URL
    certificate: str  # its URL
    chain: str  # PEM


RECORDED_TEXTS = ("directory", "step", "order", "certificate", "chain")  # of an OrderRecord


class Orders:
    """The orders of an account."""

    def __init__(
        self,
        folder: JsonRecords,
        account: Account,
        solver: Solver,
        counts: LimitRecords,
        timeout: float = ORDER_TIMEOUT_S,
        preflight: str = "off",
    ) -> None:
        self.folder, self.account, self.solver, self.timeout = folder, account, solver, timeout
        self.preflight = preflight
        self.counts = counts
        self.directory_url = account.client.url

    def obtain(self, spec: OrderSpec) -> bytes:
        """Return the chain in PEM, from the order of an earlier run if there is one."""
        with self._order(spec) as order:
            return order.finish()

    def begin(self, spec: OrderSpec) -> list[ChallengeResponse]:
        """Place the order; return the responses to present before obtain().

        None if the CA has validated the names before.
        """
        with self._order(spec) as order:
            return order.begin()

    @contextlib.contextmanager
    def _order(self, spec: OrderSpec) -> t.Iterator[Order]:
        """Yield the order, while nobody else works on an order for these names.

        Let's Encrypt returns the same pending order to whoever orders the same names (boulder, pull request 4164), and only one CSR
        gets a certificate from it. So hosts behind one name order one after the other.
        """
        name = order_name(self.directory_url, spec.csr, spec.names)
        lock = file_name(self.directory_url, *sorted(spec.names))
        with self.folder.locked(lock, NAMES_LOCK_TIMEOUT_S):
            yield Order(self, name, spec, t.cast(OrderRecord, self.folder.read(name, RECORDED_TEXTS)))


class Order:
    """One order, from the step that an earlier run reached."""

    def __init__(self, orders: Orders, name: str, spec: OrderSpec, record: OrderRecord) -> None:
        self.orders, self.name, self.spec, self.record = orders, name, spec, record
        self.account, self.client = orders.account, orders.account.client
        self.subject = f"the order for {', '.join(spec.names)} at {orders.directory_url}"
        self.polling = Polling(orders.account, self.subject, orders.timeout)
        self.authorizations = Authorizations(self.polling, orders.solver, spec.names)

    def finish(self) -> bytes:
        """Take all steps that are left; return the chain in PEM."""
        return self._recorded_chain() or self._resumed_or_new(self._complete)

    def begin(self) -> list[ChallengeResponse]:
        """Place the order if there is none to resume; return the responses to present before finish()."""
        return [] if self._recorded_chain() else self._resumed_or_new(self.authorizations.responses)

    def _resumed_or_new(self, step: t.Callable[[OrderObject], Result]) -> Result:
        """Return the result of a step with the order of an earlier run, or with a new one."""
        order = self._resumable()
        try:
            if order is not None:
                try:
                    return step(order)
                except Problem as refusal:
                    if refusal.code not in STALE_ORDER_ERRORS:
                        raise
            self.client.limits.wait(self.spec.names)  # before anything is requested
            # An order that is put off asks neither name servers nor hosts. It is counted last, so that no failed check counts.
            self.orders.counts.check(self.name, self.spec.names, self.spec.kind)
            check_before_order(self.account, self.orders.solver, self.spec.names, self.orders.preflight)
            self.orders.solver.check(self.spec.names)
            self.orders.counts.reserve(self.name, self.spec.names, self.spec.kind)
            return step(self._place())
        except Problem:  # the CA issues nothing for it
            self.orders.counts.release(self.name, self.spec.names)
            raise

    # not a parser: it reads what the collection has made or checked
    def _recorded_chain(self) -> bytes | None:
        """Return the chain of an earlier run, unless REUSED_SHARE of its lifetime is over."""
        pem = self.record.get("chain", "").encode()
        try:
            leaf = parse_chain(pem)[0]
        except TlsError:
            return None
        return pem if utc_now() - not_before(leaf) < REUSED_SHARE * (not_after(leaf) - not_before(leaf)) else None

    def _resumable(self) -> OrderObject | None:
        """Return the present state of the order of an earlier run, or None if there is none to continue with."""
        if not self.record.get("order") or self.record.get("chain"):
            return None
        try:
            order = self._fetch()
        except Problem as refusal:
            if refusal.status not in UNKNOWN_ORDER_STATUSES and refusal.code not in (
                "malformed",
                "accountDoesNotExist",
            ):
                raise
            return None
        # If another controller was given the same order and has finalized it, the certificate is for its CSR.
        is_ours = order.get("status") in ("pending", "ready") or self.record.get("step") == "finalizing"
        return order if order.get("status") in UNFINISHED_STATUSES and is_ours and self._has_our_names(order) else None

    def _place(self) -> OrderObject:
        """Place a new order. It says which certificate it replaces, unless the CA does not accept that."""
        new_order: NewOrder = {"identifiers": identifiers(self.spec.names)}
        if self.spec.profile:
            new_order["profile"] = self._checked_profile(self.spec.profile)
        replaces = {"replaces": self.spec.replaces} if self.spec.replaces else {}
        url = self.client.resource_url("newOrder")
        try:
            response = self.polling.send(url, {**new_order, **replaces}, self.spec.names)
        except Problem as refusal:
            if not replaces or refusal.status in (429, 503) or refusal.code in ORDER_ERRORS:
                raise
            response = self.polling.send(url, new_order, self.spec.names)
        order, order_url = read_order(response.json(), url, self.subject), response.location(self.subject)
        if not order_url or not self._has_our_names(order):
            raise TlsError(
                f"{self.subject}: the CA made another order of it, for {shorten(', '.join(names_of_order(order))) or 'nothing'}; "
                "see the status page of the CA"
            )
        self._write({"order": order_url, "step": "ordered"}, without=("chain",))
        return order

    def _complete(self, order: OrderObject) -> bytes:
        """Take an order from any state to its certificate (RFC 8555, section 7.1.6)."""
        pauses = growing_pauses()
        while True:
            status = order.get("status")
            if status == "valid":
                return self._download(order)
            if status in ("pending", "ready"):
                if status == "pending":
                    self.authorizations.validate(order)  # after which it is ready, without a request to see that
                order = self._finalize(order, pauses)
                if order.get("status") in ("pending", "ready"):  # the CA has not noticed yet what it got
                    self.polling.pause(next(pauses))
            elif status == "processing":
                self.polling.pause(next(pauses))
                order = self._fetch()
            else:
                raise self._failure(order)

    def _fetch(self) -> OrderObject:
        return self.polling.fetch_order(self.record["order"])

    def _finalize(self, order: OrderObject, pauses: t.Iterator[float]) -> OrderObject:
        """Send the CSR; return the order. A second time does no harm: the order says how far it is.

        A CA that has not noticed yet that all names are validated gets time for it.
        """
        self._write({"step": "finalizing"})
        url = url_in(order, "finalize", self.subject)
        try:
            response = self.polling.post(url, {"csr": base64url(_pem_to_der(self.spec.csr))}, self.spec.names)
        except Problem as refusal:
            if refusal.code != "orderNotReady":
                raise
            self.polling.pause(next(pauses))
            return self._fetch()
        return read_order(response.json(), url, self.subject)

    # not a parser: it only passes on foreign input
    def _download(self, order: OrderObject) -> bytes:
        """Return the issued chain, or an alternate that leads to the preferred root (RFC 8555, section 7.4.2)."""
        url = url_in(order, "certificate", self.subject)
        response = self.polling.send(url, None, accept=CHAIN_MEDIA_TYPE)
        chain = response.body
        if self.spec.preferred_root and not leads_to(chain, self.spec.preferred_root):
            for alternate_url in response.links.get("alternate", []):
                alternate = b""
                with contextlib.suppress(
                    TlsError
                ):  # one that cannot be had keeps no other, nor the first, from being used
                    alternate = self.polling.send(alternate_url, None, accept=CHAIN_MEDIA_TYPE).body
                if leads_to(alternate, self.spec.preferred_root):
                    chain = alternate
                    break
        self._check(chain)
        self.orders.counts.confirm(self.name, self.spec.names, self.spec.kind)
        self._write({"step": "issued", "certificate": url, "chain": chain.decode(errors="replace")})
        return chain

    # not a parser: it only passes on foreign input
    def _check(self, chain: bytes) -> None:
        """Raise Problem if the chain is not what was ordered.

        Its order is forgotten, since it would yield the same one.
        """
        public_key = load_csr(self.spec.csr).public_key()
        try:
            check_issued_chain(chain, public_key, self.spec.request or {"domains": self.spec.names}, None, utc_now())
        except TlsError as error:
            self.orders.folder.remove(self.name)
            raise Problem(
                f"{self.subject}: the answer of the CA is refused, and nothing is changed: {error}", WRONG_CHAIN
            ) from error

    def _failure(self, order: OrderObject) -> Problem:
        """Return why an order is invalid."""
        if isinstance(order.get("error"), dict):
            return problem(self.subject, order["error"], status=403)
        status = {"detail": f"the order is {words_of_ca(order.get('status'))}"}
        return self.authorizations.failure(order) or problem(self.subject, status, status=403)

    def _checked_profile(self, profile: str) -> str:
        """Return the profile, if the CA offers it."""
        refusal = profile_refusal(self.orders.directory_url, profile, self.client.meta("profiles"))
        if refusal:
            raise TlsError(refusal)
        return profile

    def _has_our_names(self, order: OrderObject) -> bool:
        return sorted(names_of_order(order)) == sorted(self.spec.names)

    def _write(self, changes: OrderRecord, without: tuple[str, ...] = ()) -> None:
        """Record how far the order is."""
        record = {**self.record, **changes, "directory": self.orders.directory_url, "names": self.spec.names}
        self.record = t.cast(OrderRecord, {key: value for key, value in record.items() if key not in without})
        self.orders.folder.write(self.name, dict(self.record))


def order_name(directory_url: str, csr: bytes, names: list[str]) -> str:
    """Return the name of the record of an order."""
    return file_name(directory_url, hashlib.sha256(csr).hexdigest(), names[0].replace("*.", ""))


def leads_to(chain: bytes, root: str) -> bool:
    """Say whether a chain in PEM leads to a root with this common name. The root may be missing in it."""
    try:
        top = parse_chain(chain)[-1]
    except TlsError:
        return False
    return root in {
        attribute.value
        for name in (top.subject, top.issuer)
        for attribute in name
        if attribute.oid.dotted_string == COMMON_NAME_OID
    }


def _pem_to_der(pem: bytes) -> bytes:
    return csr_to_der(load_csr(pem))
