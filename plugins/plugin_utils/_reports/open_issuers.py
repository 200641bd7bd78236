# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The issuers of all hosts of an inventory, each opened once."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import Issuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.registry import (
    BUILT_IN,
    check_request_for_issuer,
    open_issuer,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._reports.private_authorities import Authority, authority_of

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass


class OpenIssuer(t.NamedTuple):
    """An issuer, with the roots that its clients trust; None for those of the system."""

    issuer: Issuer
    roots: list[x509.Certificate] | None
    authority: Authority | None = None  # of a private CA


# By name and settings, since hosts may have different settings under the same name.
OpenIssuers = dict[tuple[str, str], OpenIssuer]


def open_once(name: str, issuers: dict[str, t.Any], open_issuers: OpenIssuers) -> OpenIssuer:
    """Return an issuer out of those that are open, or open it. Raises TlsError when its settings are wrong."""
    key = (name, repr(issuers.get(name)))
    if key not in open_issuers:
        issuer = open_issuer(name, issuers)
        authority = authority_of(issuer, issuers)
        try:
            pem = issuer.roots()
        except TlsError:
            if not (authority and authority.absence):
                raise
            pem = None
        open_issuers[key] = OpenIssuer(issuer, parse_chain(pem) if pem else None, authority)
    return open_issuers[key]


def refusal_by_rules(request: Request, issuers: dict[str, t.Any]) -> str:
    """Return why a complete request breaks the rules of its issuer, empty where it keeps them."""
    try:
        check_request_for_issuer(request, issuers)
    except TlsError as error:
        return str(error)
    return ""


def open_private_authorities(issuers: dict[str, t.Any], open_issuers: OpenIssuers) -> None:
    """Open private CAs of which no request is left: what they issued may be in use, and their revocation lists are renewed as well."""
    for name, settings in {**BUILT_IN, **issuers}.items():
        if isinstance(settings, dict) and settings.get("type") == "local_ca":
            with contextlib.suppress(TlsError, OSError):  # whoever needs it is told
                open_once(name, issuers, open_issuers)
