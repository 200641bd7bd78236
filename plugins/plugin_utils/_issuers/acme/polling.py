# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send the requests of one order, and wait between them (RFC 8555, section 7.5.1)."""

from __future__ import annotations

import random
import time
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.account import Account
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.client import Response
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import (
    AuthorizationObject,
    OrderObject,
    read_authorization,
    read_order,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.time_limit import receive_until

MIN_RECEIVING_S = 10.0  # for a response, however late it is in an order
MIN_PAUSE_S, MAX_PAUSE_S = 0.25, 15.0  # between two requests for the same status


class Polling:
    """The requests of one order until its deadline."""

    def __init__(self, account: Account, subject: str, timeout: float) -> None:
        """Set the deadline, *timeout* seconds from now. *subject* names the order in errors."""
        self.account, self.subject, self.timeout = account, subject, timeout
        self.deadline = time.monotonic() + timeout
        self._retry_after: float | None = None  # seconds, of the last response

    def post(self, url: str, payload: t.Any, names: t.Sequence[str] = ()) -> Response:
        """Send a request; remember for how long the CA wants the next one to wait."""
        response = self.send(url, payload, names)
        self._retry_after = response.retry_after()
        return response

    def send(self, url: str, payload: t.Any, names: t.Sequence[str] = (), accept: str | None = None) -> Response:
        """Send a request, and receive its response until MIN_RECEIVING_S after the deadline at most.

        Raises TlsError after the deadline.
        """
        self._check_deadline()
        with receive_until(max(self.deadline, time.monotonic() + MIN_RECEIVING_S)):
            return self.account.post(url, payload, self.subject, names, accept)

    def fetch_order(self, url: str) -> OrderObject:
        """Return the order at a URL (POST-as-GET, RFC 8555, section 6.3)."""
        return read_order(self.post(url, None).json(), url, self.subject)

    def fetch_authorization(self, url: str) -> AuthorizationObject:
        """Return the authorization at a URL (POST-as-GET, RFC 8555, section 6.3)."""
        return read_authorization(self.post(url, None).json(), url, self.subject)

    def pause(self, seconds: float = MIN_PAUSE_S) -> None:
        """Wait as long as the CA asks for, or *seconds* if it does not say.

        Raises TlsError after the deadline.
        """
        if self._retry_after is not None:
            seconds = min(self._retry_after, MAX_PAUSE_S)
        self._check_deadline()
        time.sleep(min(max(seconds, MIN_PAUSE_S), max(0.0, self.deadline - time.monotonic())))

    def _check_deadline(self) -> None:
        if time.monotonic() >= self.deadline:
            raise TlsError(
                f"{self.subject} is not finished after {self.timeout:.0f} seconds; run this again, and it is gone on with"
            )


def growing_pauses() -> t.Iterator[float]:
    """Yield growing numbers of seconds between two requests.

    They are random in part, so that hosts do not send all at the same time.
    """
    seconds = MIN_PAUSE_S
    while True:
        yield seconds * random.uniform(0.8, 1.2)
        seconds = min(seconds * 1.5, MAX_PAUSE_S)
