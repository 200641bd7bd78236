# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof that HTTP is redirected to HTTPS: one GET on port 80."""

from __future__ import annotations

import http.client
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line
from ansible_collections.evergreen.tls.plugins.plugin_utils._timeouts import run_with_timeout

HTTP_PORT = 80
GET_TIMEOUT_S = 10.0
REDIRECTS = (301, 302, 303, 307, 308)


def check_redirect(domain: str, address: str, port: int = HTTP_PORT) -> None:
    """Raise TlsError unless a GET of C(/) is answered by a redirect to HTTPS at the same name. address: a name or an IP address."""
    where = f"http://{domain}/ at {address}"
    try:
        status, location = run_with_timeout(GET_TIMEOUT_S, lambda: _get(domain, address, port))
    except TimeoutError:
        raise TlsError(f"{where} has no answer within {GET_TIMEOUT_S:.0f} seconds; see what listens there") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        words = shorten(escape_as_one_line(str(error) or type(error).__name__))
        raise TlsError(f"{where} cannot be read ({words}); see what listens there") from error
    target = urllib.parse.urlsplit(location)
    if status not in REDIRECTS or target.scheme != "https" or target.hostname != domain:
        lead = f" to {shorten(escape_as_one_line(location))}" if location else ""
        raise TlsError(
            f"{where} is answered with status {status}{lead}, and not by a redirect to https://{domain}/; see the settings of the domain"
        )


def _get(domain: str, address: str, port: int) -> tuple[int, str]:
    """Return the status of the answer, and its Location."""
    connection = http.client.HTTPConnection(address, port, timeout=GET_TIMEOUT_S)
    try:
        connection.request("GET", "/", headers={"Host": domain, "User-Agent": "evergreen.tls"})
        response = connection.getresponse()
        return response.status, response.getheader("Location") or ""
    finally:
        connection.close()
