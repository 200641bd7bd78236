# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often, after which pauses, and for how long a request to an ACME server is repeated."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import problem
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import MAX_WAIT_S, RateLimits
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.response import Response

RETRY_DELAYS_S = (0.5, 2.0, 5.0)  # after a lost connection, or a failure of the server
NONCE_TRIES = 10  # of a request whose nonce is refused; test servers refuse every twentieth, and more
READ_TIMEOUT_S = 30.0  # without a byte
CONNECT_TIMEOUT_S = 10.0
SINGLE_TRY_TIMEOUT_S = 5.0
RESPONSE_TIMEOUT_S = 90.0  # for a whole response
SINGLE_TRY_RESPONSE_TIMEOUT_S = 10.0
RATE_LIMIT_STATUSES = (429, 503)
SERVER_ERROR_STATUSES = (500, 502, 504)  # a proxy before a server that is gone sends them, too


class Retries:
    """The repetition of requests to one server."""

    def __init__(self, limits: RateLimits, is_single_try: bool = False) -> None:
        """Take the limits that the server has set; send nothing.

        is_single_try: give up at the first failure, for requests that can wait for the next run.
        """
        self.limits = limits
        self.delays: tuple[float, ...] = () if is_single_try else RETRY_DELAYS_S  # seconds
        self.read_timeout = SINGLE_TRY_TIMEOUT_S if is_single_try else READ_TIMEOUT_S
        self.response_timeout = SINGLE_TRY_RESPONSE_TIMEOUT_S if is_single_try else RESPONSE_TIMEOUT_S
        self.max_wait = 0.0 if is_single_try else MAX_WAIT_S

    def first_success(self, attempt: t.Callable[[], Response], subject: str, names: t.Sequence[str]) -> Response:
        """Return the first response that is no error. Raises Problem.

        After a rate limit, the request is repeated within max_wait; after a server error, after each of the delays, and with
        another nonce, since the server may have used up the first one.
        """
        deadline, delays = time.monotonic() + self.max_wait, iter(self.delays)
        while True:
            self.limits.wait(names, max(0.0, deadline - time.monotonic()))
            response = attempt()
            if response.status < 400:
                return response
            page = next(iter(response.links.get("help", ())), None)
            refusal = problem(subject, response.json_or_empty(), response.status, response.retry_after(), page)
            delay = next(delays, None) if response.status in SERVER_ERROR_STATUSES else None
            if delay is not None:
                time.sleep(delay)
                continue
            if response.status not in RATE_LIMIT_STATUSES:
                raise refusal
            refusal = self.limits.record(refusal, names)
            if (refusal.retry_after or 0) > deadline - time.monotonic():
                raise refusal
