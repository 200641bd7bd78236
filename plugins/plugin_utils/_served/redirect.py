# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the redirect from HTTP to HTTPS: permanent, to the same name, in one hop, and with the path."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.addresses import shown_places
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import PROBE_PATH, Observation, Served
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import HttpResponse

PERMANENT, TEMPORARY = (301, 308), (302, 303, 307)
SOURCE = "RFC 9110, section 15.4; RFC 6797, section 7.2"
REMEDY = "for nginx: return 308 https://$host$request_uri"


def check_redirect(served: Served) -> list[Finding]:
    """Return a finding for each way in which addresses answer over HTTP. Those that do not answer there are left out."""
    groups: dict[Finding, list[Observation]] = {}
    for one in served.observations:
        if one.http:
            groups.setdefault(_judge(served, one.http), []).append(one)
    return [
        finding._replace(
            sentence=finding.sentence.replace("{places}", shown_places(places)),
            evidence=tuple(f"{one.address}: {_answer(one.http)}" for one in places if one.http),
        )
        for finding, places in groups.items()
    ]


# not a parser: it accepts any header of http.client
def _answer(response: HttpResponse) -> str:
    location = response.headers.get("Location") or ""
    return f"{response.status} to {location}" if location else str(response)


# not a parser: it accepts any header of http.client
def _judge(served: Served, response: HttpResponse) -> Finding:
    """Return the finding about one response, with C({places}) for the addresses."""
    name = served.name
    if response.status not in (*PERMANENT, *TEMPORARY):
        if response.status < 400:
            return _finding(
                "risk",
                "plain",
                f"{{places}} serves {name} over HTTP without a redirect to HTTPS, so that people stay there; redirect, {REMEDY}",
            )
        return _finding(
            "note",
            "none",
            f"over HTTP {{places}} answers {response.status} for {name}, and people who type the name see that; redirect to HTTPS, {REMEDY}",
        )
    scheme, host, port, path = _target(name, response.headers.get("Location") or "")
    if scheme != "https":
        return _finding(
            "risk",
            "hops",
            f"over HTTP {{places}} redirects {name} to {_shown(scheme, host)} instead of HTTPS; redirect to HTTPS at once, {REMEDY}",
        )
    if host != name or port != served.subject.port:
        return _finding(
            "note",
            "name",
            f"over HTTP {{places}} redirects {name} at once to {_shown(scheme, host, port)}, so that browsers see no HSTS of {name}; redirect to the "
            "same name first if it has to have HSTS",
        )
    if path != PROBE_PATH:
        return _finding(
            "risk",
            "path",
            f"the redirect of {name} at {{places}} loses path or query ({shorten(path, 60)} for {PROBE_PATH}); keep them, {REMEDY}",
        )
    if response.status in TEMPORARY:
        return _finding(
            "note",
            "temporary",
            f"the redirect of {name} at {{places}} has the status {response.status}, which browsers do not keep; use 308 or 301, {REMEDY}",
        )
    return _finding("fine", "", f"{{places}} redirects {name} from HTTP to HTTPS")


# not a parser: the standard library takes the URL apart
def _target(name: str, location: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port, and path with query of a redirect; empty texts for one that makes no sense."""
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(f"http://{name}{PROBE_PATH}", location))
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
        return (
            parts.scheme,
            (parts.hostname or "").rstrip("."),
            port,
            f"{parts.path or '/'}?{parts.query}".removesuffix("?"),
        )
    except ValueError:
        return "", "", 0, ""


def _shown(scheme: str, host: str, port: int = 443) -> str:
    return shorten(f"{scheme}://{host}{'' if port in (80, 443) else f':{port}'}", 100) if scheme else "what is no URL"


def _finding(severity: t.Literal["risk", "note", "fine"], code: str, sentence: str) -> Finding:
    return Finding(severity, f"served.redirect.{code}" if code else "served.redirect", sentence, (), SOURCE)
