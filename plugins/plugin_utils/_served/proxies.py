# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which CDN or load balancer stands before a server, by the headers of its response."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Observation
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import printable

# What caches and load balancers add (Via: RFC 9110, section 7.6.3; the others by the documentation of CDNs).
PROXY_HEADERS = ("Server", "Via", "X-Cache", "X-Served-By", "CF-RAY", "X-Amz-Cf-Id", "X-Swift-CacheTime", "EagleId")
MAX_VALUE_CHARACTERS = 60


# not a parser: it accepts any header of http.client
def proxy_headers(observations: list[Observation]) -> list[str]:
    """Return the headers of responses that name what answered, each once and printable."""
    responses = [response for one in observations for response in (one.https or one.http,) if response]
    return list(
        dict.fromkeys(
            f"{name}: {printable(value, MAX_VALUE_CHARACTERS)}"
            for response in responses
            for name in PROXY_HEADERS
            for value in (response.headers.get(name) or "",)
            if value
        )
    )
