# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The response of an ACME server to one request."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import MalformedResponse, words_of_ca
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.rate_limits import retry_after
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.resources import is_url

MAX_QUOTED_BYTES = 60  # of a response that is no JSON, in an error


class Response(t.NamedTuple):
    """The response of an ACME server."""

    url: str
    status: int
    headers: t.Mapping[str, str]
    body: bytes
    links: dict[str, list[str]]  # relation: URLs (RFC 8288)

    def json(self) -> dict[str, t.Any]:
        """Return the JSON object in the body. Raises MalformedResponse if it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise MalformedResponse(
                f"{self.url} does not answer as an ACME server does, but with "
                f"{words_of_ca(self.body[:MAX_QUOTED_BYTES].decode(errors='replace'))!r}; "
                "see that directory is the address of an ACME directory, and that no proxy answers in its place"
            )
        return value

    def location(self, subject: str) -> str | None:
        """Return the URL in the header Location, None if there is none. *subject* begins the MalformedResponse for what is none."""
        url = self.headers.get("Location")
        if url and not is_url(url):
            raise MalformedResponse(
                f"{subject}: {self.url} answers with the Location {words_of_ca(url)!r}, which is no URL that begins with https://; "
                "see the status page of the CA"
            )
        return url or None

    def retry_after(self) -> float | None:
        """Return the seconds after which the server accepts the next request, if it says so."""
        return retry_after(self.headers, utc_now())

    def json_or_empty(self) -> t.Any:
        """Return the JSON in the body, or an empty dictionary if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
