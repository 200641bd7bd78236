# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes in the variables of a host that are visible before anybody logs in to it: unknown issuers, and misspelled requests of sites."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.misspellings import closest_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import check_issuer_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

MAX_MISTAKES = 3  # of a host that are listed
MAX_SENTENCE_CHARACTERS = 300


def mistakes_of_host(host: str, variables: t.Mapping[str, t.Any]) -> list[str]:
    """Return a sentence for each of the first mistakes of a host, each with its name.

    What is of another type than it has to be, or cannot be read, is left to the checks that tell of it.
    """
    try:
        sentences = [*_issuer_mistakes(variables), *_site_mistakes(variables)]
    except Exception:  # whatever a template or an inventory plugin raises; the survey has a finding about it
        return []
    distinct = list(dict.fromkeys(sentences))[:MAX_MISTAKES]
    return [shorten(escape_as_one_line(f"{host}: {one}"), MAX_SENTENCE_CHARACTERS) for one in distinct]


# not a parser: it reads what the person who runs it has written
def _issuer_mistakes(variables: t.Mapping[str, t.Any]) -> list[str]:
    """Return a sentence for each request whose issuer there is not."""
    issuers = variables.get("certificate_issuers") or {}
    sentences = []
    for request in _named(variables.get("certificate_requests")) if isinstance(issuers, dict) else ():
        name = request.get("issuer")
        if not isinstance(name, str):
            continue
        try:
            check_issuer_name(name, issuers)
        except TlsError as error:
            sentences.append(f"{shorten(request['name'], 60)} of certificate_requests: {error}")
    return sentences


# not a parser: it reads what the person who runs it has written
def _site_mistakes(variables: t.Mapping[str, t.Any]) -> list[str]:
    """Return a sentence for each site whose certificate is named almost as a request of which no site is.

    Another name may be that of a certificate that the host has, which only the host knows.
    """
    if not boolean(variables.get("nginx_manage", True), strict=False) or variables.get("nginx_state") == "absent":
        return []
    requests = [request["name"] for request in _named(variables.get("certificate_requests"))]
    names = {
        site["name"]: str(site.get("certificate") or site["name"]) for site in _named(variables.get("nginx_sites"))
    }
    free = [name for name in requests if name not in names.values()]
    sentences = []
    for site, name in names.items():
        meant = closest_name(name, free) if name not in requests else None
        if meant:
            sentences.append(
                f"the site {shorten(site, 60)} has no certificate: there is no certificate request named {shorten(name, 60)} (did you mean "
                f"{shorten(meant, 60)}?); correct the name, or say which certificate it has"
            )
    return sentences


def _named(listed: t.Any) -> list[dict[str, t.Any]]:
    """Return the dictionaries of a list that have a name."""
    items = listed if isinstance(listed, (list, tuple)) else ()
    return [item for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)]
