# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the file that a CA with people in it wants to see: over HTTP and HTTPS, at each address, without a redirect."""

from __future__ import annotations

import http.client
import time
import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Validation
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers import http_request
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import HttpResponse, bracketed
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.parallel import map_in_threads
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

SCHEMES = ("http", "https")
REQUEST_TIMEOUT_S = 5.0  # for one address and scheme
OK = 200
MAX_PLACES = 4  # that a sentence names
MAX_EVIDENCE = 20


class Visit(t.NamedTuple):
    """What one address answered. error: what is wrong, empty where it is right."""

    scheme: str
    place: str  # https://www.example.org at 192.0.2.1
    error: str
    is_silent: bool = False  # nothing answers there

    def __str__(self) -> str:
        return f"{self.place}: {self.error or 'as the CA wants it'}"


def check_file(entry: Validation, client: DnsClient, deadline: float) -> list[Finding]:
    """Return what each address answers over both schemes. deadline: by time.monotonic()."""
    parts = urllib.parse.urlsplit(entry["url"])
    host, path = parts.hostname or "", parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        addresses = [host] if is_ip_address(host) else client.addresses(host)
    except TlsError as error:
        return [Finding("unknown", "validation.address", f"the file {entry['url']} is not looked at: {error}")]
    places = [(scheme, address) for scheme in SCHEMES for address in addresses]
    visits = map_in_threads(lambda place: _visit(*place, host, path, entry["content"], deadline), places)
    return _judge(entry["url"], visits)


def _judge(url: str, visits: list[Visit]) -> list[Finding]:
    evidence = tuple(map(str, visits))[:MAX_EVIDENCE]
    findings = []
    silent = [scheme for scheme in SCHEMES if all(one.is_silent for one in visits if one.scheme == scheme)]
    # Before the first certificate, nothing answers over HTTPS, and CAs take HTTP.
    wrong = [one for one in visits if one.error and not (one.scheme in silent and len(silent) == 1)]
    errors: dict[str, list[str]] = {}
    for one in wrong:
        errors.setdefault(one.error, []).append(one.place)
    for error, places in errors.items():
        shown = f"{', '.join(places[:MAX_PLACES])}{' …' if len(places) > MAX_PLACES else ''}"
        findings.append(Finding("blocks", "validation.file", f"the file of the CA at {shown}: {error}", evidence))
    if len(silent) == 1 and not findings:
        port = http_request.PORTS[silent[0]]
        sentence = (
            f"the file {url} is as the CA wants it, but nothing answers over {silent[0]} (port {port}); some CAs ask over both: have the site "
            "answer there, too"
        )
        findings.append(Finding("note", "validation.file", sentence, evidence))
    if not findings:
        sentence = (
            f"the file {url} is as the CA wants it, over http and https at {len(visits) // len(SCHEMES)} addresses"
        )
        findings.append(Finding("fine", "validation.file", sentence, evidence))
    return findings


def _visit(scheme: str, address: str, host: str, path: str, content: str, deadline: float) -> Visit:
    place = f"{scheme}://{bracketed(host)} at {address}"
    left = min(REQUEST_TIMEOUT_S, deadline - time.monotonic())
    if left <= 0:
        return Visit(scheme, place, "there was no time left to look; run this again", is_silent=True)
    try:
        response = http_request.get(scheme, address, host, path, left)
    except TimeoutError:
        return Visit(
            scheme, place, "no answer in time; open the port to the world, or correct the DNS record", is_silent=True
        )
    except http.client.HTTPException:
        return Visit(scheme, place, "it does not speak HTTP; see what answers there")
    except OSError as error:
        why = shorten(escape_as_one_line(error.strerror or str(error)), 100)
        return Visit(scheme, place, f"it cannot be reached ({why}); have the site answer there", is_silent=True)
    return Visit(scheme, place, _response_error(response, content))


# not a parser: http.client has taken it apart
def _response_error(response: HttpResponse, content: str) -> str:
    """Return what a CA would not accept, and what to do; an empty text for what is right."""
    if 300 <= response.status < 400:
        target = shorten(escape_as_one_line(str(response.headers.get("Location") or "nowhere")), 100)
        return f"it redirects to {target} ({response.status}), and CAs follow none here; answer that path without a redirect"
    if response.status != OK:
        return f"it answers {escape_as_one_line(str(response))}; put the file there"
    body = response.body.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
    wanted = content.replace("\r\n", "\n").rstrip("\n")
    if body == wanted:
        return ""
    if body.strip("\ufeff \t\n") == wanted.strip():
        return "blanks, line breaks or a byte order mark stand around the content; write the file exactly as the CA gave it"
    if wanted in body:
        return "other text stands beside the content; write the file exactly as the CA gave it"
    return f"it has another content ({escape_as_one_line(str(response))}); write the file exactly as the CA gave it"
