# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders for certificates (RFC 8555, section 7.4): each is written down before the step that follows.

So a run that was killed goes on with the order that it had, and gets the certificate that the CA has issued already; nothing is
bought twice. The record of an order is named after the digest of its signing request and the directory.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import random
import re
import time
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import load_csr
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.checks import check_issued_chain
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import base64url, thumbprint
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    REMEDIES,
    Problem,
    problem,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._json_records import State, file_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse

display = Display()
Result = t.TypeVar("Result")

CHAIN = "application/pem-certificate-chain"
TIMEOUT = 300.0  # seconds for one order
PATIENCE = 900.0  # seconds for which others may be at work on orders for the same names
FIRST_LOOK, LONGEST_WAIT = 0.25, 15.0  # seconds between two looks at what the CA is doing
FRESH = 1 / 3  # of a certificate's lifetime: for so long a signing request that comes again gets the same one
# Refusals that tell what is wrong with an order. Of its predecessor CAs say alreadyReplaced, unauthorized, malformed, or what they like.
OF_THE_ORDER = set(REMEDIES) - {"alreadyReplaced", "unauthorized", "malformed", "serverInternal"}
OPEN = ("pending", "ready", "processing", "valid")
FORGOTTEN = (403, 404, 410)  # how servers answer to orders that they have forgotten
SPOILT = (
    "",
    "compound",
    "malformed",
    "orderNotReady",
    "accountDoesNotExist",
    "wrongAnswer",
)  # what an old order may end in and a new one not


class Wanted(t.NamedTuple):
    """What is ordered."""

    csr: bytes
    names: list[str]
    profile: str | None = None
    replaces: str | None = None
    preferred_root: str | None = None


class Orders:
    """The orders of an account."""

    def __init__(self, state: State, account: Account, solver: Solver, timeout: float = TIMEOUT) -> None:
        self.state, self.account, self.solver, self.timeout = state, account, solver, timeout
        self.url = account.network.url

    def obtain(self, wanted: Wanted) -> bytes:
        """Return the chain in PEM for a signing request; out of the order of an earlier run, if there is one."""
        with self._order(wanted) as order:
            return order.finish()

    def begin(self, wanted: Wanted) -> list[ChallengeResponse]:
        """Return what has to be shown before obtain() can have a chain; nothing where the CA believes the names already."""
        with self._order(wanted) as order:
            return order.begin()

    @contextlib.contextmanager
    def _order(self, wanted: Wanted) -> t.Iterator[Order]:
        """Be the only one who works on an order for these names.

        Let's Encrypt gives whoever places one for the same names the order that is under way (boulder, pull request 4164), and of all
        the signing requests for it, one gets a certificate. So hosts behind one name have theirs one after the other.
        """
        name, names = order_name(self.url, wanted.csr, wanted.names), file_name(self.url, *sorted(wanted.names))
        with self.state.locked(names, patience=PATIENCE):
            yield Order(self, name, wanted, self.state.read(name))


class Order:
    """One order, on its way from wherever an earlier run has left it."""

    def __init__(self, orders: Orders, name: str, wanted: Wanted, record: dict[str, t.Any]) -> None:
        self.orders, self.name, self.wanted, self.record = orders, name, wanted, record
        self.post, self.network = orders.account.post, orders.account.network
        self.about = f"the order for {', '.join(wanted.names)} at {orders.url}"
        self.deadline = time.monotonic() + orders.timeout
        self.patience: float | None = None  # the seconds after which the CA wants to be looked at again

    def finish(self) -> bytes:
        """Take every step that is left, and return the chain."""
        return self._kept() or self._gone_on_with(self._pursue)

    def begin(self) -> list[ChallengeResponse]:
        """Place the order if there is none to go on with; return what has to be shown before it can be finished."""
        return [] if self._kept() else self._gone_on_with(self._unshown)

    def _gone_on_with(self, step: t.Callable[[dict[str, t.Any]], Result]) -> Result:
        """Return what a step makes of the order of an earlier run, or of a new one."""
        found = self._found()
        if found is not None:
            try:
                return step(found)
            except Problem as refusal:
                if refusal.code not in SPOILT:
                    raise
        self.network.limits.respect(self.wanted.names)  # before anybody is asked anything
        self.orders.solver.check(self.wanted.names)
        return step(self._placed())

    # not a parser: it reads what the collection has made or checked
    def _kept(self) -> bytes | None:
        """Return the chain that an earlier run got, as long as most of its life is before it."""
        try:
            leaf = parse_chain(self.record.get("chain", "").encode())[0]
        except TlsError:
            return None
        age = utc_now() - not_before(leaf)
        return self.record["chain"].encode() if age < FRESH * (not_after(leaf) - not_before(leaf)) else None

    def _found(self) -> dict[str, t.Any] | None:
        """Return the order of an earlier run as it is now, or None where there is none that can be gone on with."""
        if not self.record.get("order") or self.record.get("chain"):
            return None
        try:
            order = self._look()
        except Problem as refusal:
            if refusal.status not in FORGOTTEN and refusal.code not in ("malformed", "accountDoesNotExist"):
                raise
            return None
        # Of an order that somebody else has finished, who was given the same one, there is nothing to be had.
        is_ours = order.get("status") in ("pending", "ready") or self.record.get("step") == "finalizing"
        return order if order.get("status") in OPEN and is_ours and self._is_for_us(order) else None

    def _placed(self) -> dict[str, t.Any]:
        """Place a new order, as the successor of the certificate that it replaces if the CA lets it."""
        order = {"identifiers": identifiers(self.wanted.names)}
        if self.wanted.profile:
            order["profile"] = self._profile(self.wanted.profile)
        successor = {"replaces": self.wanted.replaces} if self.wanted.replaces else {}
        url = self.network.address("newOrder")
        try:
            reply = self.post(url, {**order, **successor}, self.about, self.wanted.names)
        except Problem as refusal:
            if not successor or refusal.status in (429, 503) or refusal.code in OF_THE_ORDER:
                raise
            reply = self.post(url, order, self.about, self.wanted.names)
        placed, address = reply.json(), reply.headers.get("Location")
        if not address or not self._is_for_us(placed):
            raise TlsError(
                f"{self.about}: the CA made another order of it, for {', '.join(_values(placed)) or 'nothing'}; see the status page of the CA"
            )
        self._write(order=address, step="ordered", chain=None)
        return placed

    def _pursue(self, order: dict[str, t.Any]) -> bytes:
        """Take an order from whatever state it is in to its certificate."""
        pauses = _pauses()
        while True:
            status = order.get("status")
            if status == "valid":
                return self._downloaded(order)
            if status in ("pending", "ready"):
                if status == "pending":
                    self._validate(order)  # by which it is ready (section 7.1.6), and need not be looked at to see that
                order = self._finalized(order, pauses)
            elif status == "processing":
                self._pause(next(pauses))
                order = self._look()
            else:
                raise self._failed(order)

    def _look(self) -> dict[str, t.Any]:
        reply = self.post(self.record["order"], None, self.about)
        self.patience = reply.wait()
        return reply.json()

    def _finalized(self, order: dict[str, t.Any], pauses: t.Iterator[float]) -> dict[str, t.Any]:
        """Have the certificate made. A second time does no harm: the CA tells that it is at it, and the order how far it is.

        A CA that takes its time to notice that all names are validated is given that.
        """
        self._write(step="finalizing")
        csr = base64url(_der(self.wanted.csr))
        try:
            reply = self.post(_url(order, "finalize", self.about), {"csr": csr}, self.about, self.wanted.names)
        except Problem as refusal:
            if refusal.code != "orderNotReady":
                raise
            self._pause(next(pauses))
            return self._look()
        self.patience = reply.wait()
        return reply.json()

    # not a parser: it only passes on foreign input
    def _downloaded(self, order: dict[str, t.Any]) -> bytes:
        """Return the chain of a certificate that was issued, the one that leads to the preferred root if there is a choice."""
        url = _url(order, "certificate", self.about)
        reply = self.post(url, None, self.about, accept=CHAIN)
        chain = reply.body
        if self.wanted.preferred_root and not leads_to(chain, self.wanted.preferred_root):
            for other in reply.links.get("alternate", []):
                alternative = self.post(other, None, self.about, accept=CHAIN).body
                if leads_to(alternative, self.wanted.preferred_root):
                    chain = alternative
                    break
        self._check(chain)
        self._write(step="issued", certificate=url, chain=chain.decode())
        return chain

    # not a parser: it only passes on foreign input
    def _check(self, chain: bytes) -> None:
        """Make sure that a certificate is what was ordered; one that is not would come again from the same order."""
        public_key, now = load_csr(self.wanted.csr).public_key(), utc_now()
        try:
            check_issued_chain(chain, public_key, {"domains": self.wanted.names}, None, now)
        except TlsError as error:
            self.orders.state.remove(self.name)
            raise Problem(
                f"{self.about}: the answer of the CA is refused, and nothing is changed: {error}", "wrongAnswer"
            ) from error

    def _unshown(self, order: dict[str, t.Any]) -> list[ChallengeResponse]:
        """Return what has to be shown before an order can go on."""
        pending = self._pending(order) if order.get("status") == "pending" else []
        return [answer for _url, _challenge, answer in pending]

    def _pending(self, order: dict[str, t.Any]) -> list[tuple[str, dict[str, t.Any], ChallengeResponse]]:
        """Return the authorizations that wait for an answer, each with its challenge and the answer."""
        pending = []
        for url in order.get("authorizations") or []:
            authorization = self._authorization(url)
            if authorization.get("status") == "pending":
                pending.append((url, self._challenge(authorization), self._answer(authorization)))
            elif authorization.get("status") != "valid":
                raise self._spoilt([authorization])
        return pending

    def _validate(self, order: dict[str, t.Any]) -> None:
        """Show the CA that the names are ours, those that it does not believe already."""
        pending = self._pending(order)
        if not pending:
            return
        answers = [answer for _url, _challenge, answer in pending]
        try:
            self.orders.solver.present(answers)
            for url, challenge, _answer in pending:
                # Not one that an earlier run has already asked to be looked at.
                if challenge.get("status") == "pending":
                    self._have_looked_at(url, challenge)
            self._pause(FIRST_LOOK)
            self._await([url for url, _challenge, _answer in pending])
        finally:
            self._clean_up(answers)

    def _have_looked_at(self, url: str, challenge: dict[str, t.Any]) -> None:
        """Have the CA look at what answers a challenge. Asked again since its answer was lost, it may refuse, being at it already."""
        try:
            self.patience = self.post(challenge["url"], {}, self.about).wait()
        except Problem as refusal:
            if refusal.code != "malformed":
                raise
            found = self._authorization(url)
            if found.get("status") == "pending" and self._challenge(found).get("status") == "pending":
                raise

    def _clean_up(self, answers: list) -> None:
        """Take away what was shown; what cannot be taken away is told, and keeps nobody from the certificate."""
        try:
            self.orders.solver.clean_up(answers)
        except TlsError as error:
            display.warning(f"{self.about}: what was shown to the CA is left behind: {error}")

    def _await(self, urls: list[str]) -> None:
        """Wait until the CA has looked at all of them."""
        pauses, waiting, failed = _pauses(), list(urls), []
        while True:
            found = [(url, self._authorization(url)) for url in waiting]
            failed += [one for _url, one in found if one.get("status") not in ("pending", "valid")]
            waiting = [url for url, one in found if one.get("status") == "pending"]
            if not waiting:
                break
            self._pause(next(pauses))
        if failed:
            raise self._spoilt(failed)

    def _authorization(self, url: str) -> dict[str, t.Any]:
        reply = self.post(url, None, self.about)
        self.patience = reply.wait()
        return reply.json()

    def _challenge(self, authorization: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the challenge of the solver's kind."""
        kind, name = self.orders.solver.challenge_type, _name(authorization)
        offered = [one for one in authorization.get("challenges") or [] if isinstance(one, dict)]
        for challenge in offered:
            if challenge.get("type") == kind and isinstance(challenge.get("url"), str):
                return challenge
        kinds = ", ".join(sorted(words_of_ca(one.get("type")) for one in offered)) or "nothing"
        raise TlsError(
            f"{self.about}: for {name} the CA accepts {kinds}, and the solver of the issuer does {kind}; choose another solver"
        )

    # not a parser: it accepts any text, or raises TlsError
    def _answer(self, authorization: dict[str, t.Any]) -> ChallengeResponse:
        challenge = self._challenge(authorization)
        token = str(challenge.get("token", ""))
        if not re.fullmatch(r"[A-Za-z0-9_-]*", token):
            raise TlsError(f"{self.about}: the CA's token for {_name(authorization)} is no token; see its status page")
        key_authorization = f"{token}.{thumbprint(self.orders.account.signer().key.key)}"
        return ChallengeResponse(
            domain=_identifier(authorization),
            challenge_type=challenge["type"],
            token=token,
            key_authorization=key_authorization,
            dns_value=base64url(hashlib.sha256(key_authorization.encode()).digest()),
        )

    def _spoilt(self, authorizations: list[dict[str, t.Any]]) -> Problem:
        """Return why names could not be validated, each in the CA's words, as one refusal."""
        parts = []
        for authorization in authorizations:
            errors = [
                one["error"]
                for one in authorization.get("challenges") or []
                if isinstance(one, dict) and isinstance(one.get("error"), dict)
            ]
            untold = {"detail": f"its authorization is {words_of_ca(authorization.get('status'))}"}
            parts.append({**(errors[0] if errors else untold), "identifier": {"value": _name(authorization)}})
        return problem(self.about, {"type": "compound", "subproblems": parts}, status=403)

    def _failed(self, order: dict[str, t.Any]) -> Problem:
        """Return why an order came to nothing."""
        if isinstance(order.get("error"), dict):
            return problem(self.about, order["error"], status=403)
        failed = [self._authorization(url) for url in order.get("authorizations") or []]
        failed = [one for one in failed if one.get("status") not in ("valid", "pending")]
        untold = {"detail": f"the order is {words_of_ca(order.get('status'))}"}
        return self._spoilt(failed) if failed else problem(self.about, untold, status=403)

    def _profile(self, profile: str) -> str:
        offered = self.network.meta("profiles") or {}
        if profile not in offered:
            choice = f"only {', '.join(sorted(offered))}" if offered else "no profiles at all"
            raise TlsError(
                f"{self.orders.url} does not offer the profile {profile}, {choice}; correct the profile of the issuer, or leave it out"
            )
        return profile

    def _is_for_us(self, order: dict[str, t.Any]) -> bool:
        """Say whether an order is for the names that are wanted, no more and no fewer."""
        return sorted(_values(order)) == sorted(self.wanted.names)

    def _pause(self, seconds: float) -> None:
        """Wait for as long as the CA asks for, or for some time where it does not say."""
        seconds = seconds if self.patience is None else min(self.patience, LONGEST_WAIT)
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TlsError(
                f"{self.about} is not finished after {self.orders.timeout:.0f} seconds; run this again, and it is gone on with"
            )
        time.sleep(min(max(seconds, FIRST_LOOK), left))

    def _write(self, **changes: t.Any) -> None:
        """Write down how far the order is."""
        record = {**self.record, **changes, "directory": self.orders.url, "names": self.wanted.names}
        self.record = {key: value for key, value in record.items() if value is not None}
        self.orders.state.write(self.name, self.record)


def order_name(url: str, csr: bytes, names: list[str]) -> str:
    """Return the name of the record of an order."""
    return file_name(url, hashlib.sha256(csr).hexdigest(), names[0].replace("*.", ""))


def identifiers(names: list[str]) -> list[dict[str, str]]:
    """Return names as an order has them.

    >>> identifiers(["*.example.org", "2001:db8::1"])
    [{'type': 'dns', 'value': '*.example.org'}, {'type': 'ip', 'value': '2001:db8::1'}]
    """
    return [{"type": "ip" if is_ip_address(name) else "dns", "value": name} for name in names]


def leads_to(chain: bytes, root: str) -> bool:
    """Say whether a chain leads to a root of this name, which it may hold or not."""
    try:
        top = parse_chain(chain)[-1]
    except TlsError:
        return False
    return root in {
        attribute.value
        for name in (top.subject, top.issuer)
        for attribute in name
        if attribute.oid.dotted_string == "2.5.4.3"
    }


def _pauses() -> t.Iterator[float]:
    """Yield times between two looks, longer and longer, and not the same for everybody."""
    seconds = FIRST_LOOK
    while True:
        yield seconds * random.uniform(0.8, 1.2)
        seconds = min(seconds * 1.5, LONGEST_WAIT)


def _values(order: dict[str, t.Any]) -> list[str]:
    """Return the names of an order."""
    told = order.get("identifiers")
    found = [one.get("value") for one in (told if isinstance(told, list) else []) if isinstance(one, dict)]
    return [_normal(value) for value in found]


def _identifier(authorization: dict[str, t.Any]) -> str:
    return _normal((authorization.get("identifier") or {}).get("value", ""))


def _normal(value: t.Any) -> str:
    """Return a name as requests have it, however the CA writes it."""
    try:
        return ipaddress.ip_address(value).compressed
    except ValueError:
        return words_of_ca(value).lower()


def _name(authorization: dict[str, t.Any]) -> str:
    """Return the name that an authorization is about, as the request has it."""
    return ("*." if authorization.get("wildcard") else "") + _identifier(authorization)


def _url(order: dict[str, t.Any], what: str, about: str) -> str:
    if not isinstance(order.get(what), str):
        raise TlsError(f"{about}: the CA does not say where its {what} is; see the status page of the CA")
    return order[what]


# not a parser: it reads what the collection has made or checked
def _der(pem: bytes) -> bytes:
    body = b"".join(line for line in pem.splitlines() if line and not line.startswith(b"-----"))
    return base64.b64decode(body)
