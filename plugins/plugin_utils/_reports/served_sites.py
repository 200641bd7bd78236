# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sites that clients were seen to reach, as a deployment ends: their addresses, how long they are valid, and what to trust."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, parse_date
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.sites import HTTPS_PORT
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.local_ca import LocalCa
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import open_issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

URL_PORT = 443  # of https, which a URL leaves out (RFC 9110, section 4.2.2)
MAX_LINES = 100  # that are printed for a host
MAX_FAILURE_CHARACTERS = 300  # of a failure that was printed in full before


class ServedSite(t.TypedDict):
    """A site of nginx whose certificate was proved, as certificate_serve returns it."""

    name: str
    url: str
    not_after: str | None  # in ISO 8601, of the certificate that clients get
    root: str | None  # the file on the controller that clients of a private CA trust


def served_sites(
    request: t.Mapping[str, t.Any],
    sites: t.Iterable[t.Mapping[str, t.Any]],
    handshakes: t.Sequence[t.Mapping[str, t.Any]],
    issuers: dict[str, t.Any],
) -> list[ServedSite]:
    """Return the sites that have the certificate of a request.

    sites: those of the request, as in the inventory; without one, nginx has a site of somebody else with the certificate.
    handshakes: of its proof, with a described certificate each.
    """
    certificate = handshakes[0].get("certificate") if handshakes else None
    not_after = certificate.get("not_after") if isinstance(certificate, dict) else None
    root = root_file(str(request["issuer"]), issuers)
    is_foreign = request.get("served_by") == "nginx"
    sites = list(sites) or ([{"name": request["name"], "https_port": request.get("port")}] if is_foreign else [])
    return [
        {"name": str(site["name"]), "url": _url(site, request["domains"]), "not_after": not_after, "root": root}
        for site in sites
    ]


def root_file(name: str, issuers: dict[str, t.Any]) -> str | None:
    """Return the file of the root of a private CA on this controller, or None for another issuer."""
    issuer = open_issuer(name, issuers)
    path = os.path.join(issuer.directory, "root.pem") if isinstance(issuer, LocalCa) else ""
    return path if path and os.path.exists(path) else None


def sites_text(sites: t.Sequence[ServedSite]) -> str:
    """Return one line for each site."""
    lines = [_line(site) for site in sites[:MAX_LINES]]
    return "\n".join([*lines, *([f"… and {len(sites) - MAX_LINES} more"] if len(sites) > MAX_LINES else [])])


def failures_text(obtained: t.Mapping[str, t.Any]) -> str:
    """Return one line for each certificate that could not be obtained, from the result of certificate_obtain; nothing without one."""
    failed = [one for one in obtained.get("certificates") or [] if one.get("failed")]
    if not failed and obtained.get("failed"):
        return f"failed: {_short(obtained.get('msg'))}"
    lines = [f"{escape_as_one_line(str(one['name']))} failed: {_short(one.get('msg'))}" for one in failed[:MAX_LINES]]
    return "\n".join([*lines, *([f"… and {len(failed) - MAX_LINES} more"] if len(failed) > MAX_LINES else [])])


def _short(message: t.Any) -> str:
    return shorten(escape_as_one_line(str(message or "no reason was given")), MAX_FAILURE_CHARACTERS)


def _line(site: ServedSite) -> str:
    end = parse_date(site["not_after"]) if site["not_after"] else None
    parts = [
        site["url"],
        f"valid until {format_date(end, 'minutes')}" if end else "",
        f"clients trust {site['root']}" if site["root"] else "",
    ]
    return escape_as_one_line(", ".join(filter(None, parts)))


def _url(site: t.Mapping[str, t.Any], domains: t.Sequence[str]) -> str:
    """Return where clients reach a site: at its first name that is no wildcard, if it has one."""
    names = [str(name) for name in site.get("server_names") or domains]
    name = next((name for name in names if not name.startswith("*")), names[0])
    host = f"[{name}]" if ":" in name else name
    port = str(site.get("https_port") or HTTPS_PORT)
    return f"https://{host}/" if port == str(URL_PORT) else f"https://{host}:{port}/"
