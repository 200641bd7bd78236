# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have the CA validate the authorizations of an order (RFC 8555, section 7.5)."""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible.utils.display import Display

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account_key import base64url, thumbprint
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.polling import Polling, growing_pauses
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    Problem,
    code_of,
    problem,
    words_of_ca,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import (
    AuthorizationObject,
    ChallengeObject,
    OrderObject,
    challenges_of,
    domain_of,
    name_of,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import FailedChallenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import (
    DNS_PERSIST_01,
    HTTP_01,
    ChallengeResponse,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

display = Display()

MAX_NAME_LENGTH = 255  # characters of a name that a CA wrote, in an error


class PendingAuthorization(t.NamedTuple):
    """An authorization that the CA has not validated yet."""

    url: str
    challenge: ChallengeObject
    response: ChallengeResponse


class Authorizations:
    """The authorizations of the orders that are sent by one Polling.

    names: of the orders. A solver never sees another name.
    """

    def __init__(self, polling: Polling, solver: Solver, names: list[str]) -> None:
        self.polling, self.solver = polling, solver
        self.domains = {name.removeprefix("*.") for name in names}

    def responses(self, order: OrderObject) -> list[ChallengeResponse]:
        """Return the responses to present before an order can be finalized."""
        return [one.response for one in self._pending(order)] if order.get("status") == "pending" else []

    def validate(self, order: OrderObject) -> None:
        """Have the CA validate all names of an order that it has not validated before.

        Raises Problem if it does not.
        """
        pending = self._pending(order)
        if not pending:
            return
        responses = [one.response for one in pending]
        try:
            self.solver.present(responses)
            for authorization in pending:
                if authorization.challenge.get("status") == "pending":  # or else an earlier run has started it
                    self._start_validation(authorization)
            self.polling.pause()
            self._wait_for([one.url for one in pending])
        finally:
            self._clean_up(responses)

    def failure(self, order: OrderObject) -> Problem | None:
        """Return why authorizations of an order failed, or None if none did."""
        authorizations = [self._fetch(url) for url in order.get("authorizations") or []]
        failed = [one for one in authorizations if one.get("status") not in ("valid", "pending")]
        return self._problem(failed) if failed else None

    def _pending(self, order: OrderObject) -> list[PendingAuthorization]:
        pending = []
        for url in order.get("authorizations") or []:
            authorization = self._fetch(url)
            self._check_name(authorization)
            if authorization.get("status") == "pending":
                response = self._response(authorization)
                pending.append(PendingAuthorization(url, self._challenge(authorization), response))
            elif authorization.get("status") != "valid":
                raise self._problem([authorization])
        return pending

    def _check_name(self, authorization: AuthorizationObject) -> None:
        """Raise TlsError for a name that is not one of the order (RFC 8555, section 7.1.4).

        A wildcard is validated by the name below it, and not every CA marks it as one.
        """
        if domain_of(authorization) not in self.domains:
            raise TlsError(
                f"{self.polling.subject}: the CA wants {name_of(authorization)[:MAX_NAME_LENGTH] or 'no name'} to be validated, which is "
                "none of the order; nothing is shown to it. See that directory of the issuer leads to the right CA"
            )

    def _start_validation(self, pending: PendingAuthorization) -> None:
        """Tell the CA that the response is there.

        Told again because its reply was lost, the CA may refuse: it has started.
        """
        try:
            self.polling.post(pending.challenge["url"], {})
        except Problem as refusal:
            if refusal.code != "malformed":
                raise
            now = self._fetch(pending.url)
            if now.get("status") == "pending" and self._challenge(now).get("status") == "pending":
                raise

    def _wait_for(self, urls: list[str]) -> None:
        """Wait until the CA has validated or refused all of them."""
        pauses, pending, failed = growing_pauses(), list(urls), []
        while True:
            authorizations = [(url, self._fetch(url)) for url in pending]
            failed += [one for _url, one in authorizations if one.get("status") not in ("pending", "valid")]
            pending = [url for url, one in authorizations if one.get("status") == "pending"]
            if not pending:
                break
            self.polling.pause(next(pauses))
        if failed:
            raise self._problem(failed)

    def _clean_up(self, responses: list[ChallengeResponse]) -> None:
        """Remove the responses.

        A response that cannot be removed is a warning: the certificate is issued all the same.
        """
        try:
            self.solver.clean_up(responses)
        except TlsError as error:
            display.warning(
                escape_control_characters(f"{self.polling.subject}: what was shown to the CA is left behind: {error}")
            )

    def _fetch(self, url: str) -> AuthorizationObject:
        return self.polling.fetch_authorization(url)

    def _challenge(self, authorization: AuthorizationObject) -> ChallengeObject:
        """Return the challenge of the solver's type."""
        kind = self.solver.challenge_type
        offered = challenges_of(authorization)
        for challenge in offered:
            if challenge.get("type") == kind and isinstance(challenge.get("url"), str):
                return challenge
        kinds = ", ".join(sorted(words_of_ca(one.get("type")) for one in offered)) or "nothing"
        raise TlsError(
            f"{self.polling.subject}: for {name_of(authorization)} the CA accepts {shorten(kinds)}, and the solver of the issuer does {kind}; "
            "choose another solver"
        )

    # not a parser: it accepts any text, or raises TlsError
    def _response(self, authorization: AuthorizationObject) -> ChallengeResponse:
        challenge = self._challenge(authorization)
        token = str(challenge.get("token", ""))
        has_no_token = challenge["type"] == DNS_PERSIST_01
        if not re.fullmatch(r"[A-Za-z0-9_-]*", token) or not (token or has_no_token):
            raise TlsError(
                f"{self.polling.subject}: the CA's token for {name_of(authorization)} is no token; see its status page"
            )
        key_authorization = f"{token}.{thumbprint(self.polling.account.signer().key.key)}"
        return ChallengeResponse(
            domain=domain_of(authorization),
            challenge_type=challenge["type"],
            token=token,
            key_authorization=key_authorization,
            dns_value=base64url(hashlib.sha256(key_authorization.encode()).digest()),
        )

    def _problem(self, authorizations: list[AuthorizationObject]) -> Problem:
        """Return why names were not validated, each in the words of the CA, as one problem."""
        subproblems = []
        for authorization in authorizations:
            errors = [one["error"] for one in challenges_of(authorization) if isinstance(one.get("error"), dict)]
            status = {"detail": f"its authorization is {words_of_ca(authorization.get('status'))}"}
            name = {"identifier": {"value": name_of(authorization)}}
            subproblems.append({**(errors[0] if errors else status), **name})
        refusal = problem(self.polling.subject, {"type": "compound", "subproblems": subproblems}, status=403)
        refusal.failed_challenges = [one for item in authorizations for one in _failed_challenges(item)]
        return refusal


# not a parser: it accepts any text, or leaves it out
def _failed_challenges(authorization: AuthorizationObject) -> list[FailedChallenge]:
    """Return the challenges of an authorization that the CA looked for over HTTP, in vain."""
    return [
        FailedChallenge(domain_of(authorization), str(one["token"]), code_of(one["error"]))
        for one in challenges_of(authorization)
        if one.get("type") == HTTP_01
        and isinstance(one.get("error"), dict)
        and re.fullmatch(r"[A-Za-z0-9_-]{16,128}", str(one.get("token")))
    ]
