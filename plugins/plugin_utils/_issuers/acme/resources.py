# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JSON objects of ACME (RFC 8555, section 7.1), and how to read names and URLs out of them.

The types say what the RFC promises. A CA may send anything else, so whoever reads a value checks it.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import ProblemDocument, words_of_ca


class DirectoryObject(t.TypedDict, total=False):
    """RFC 8555, section 7.1.1. The values are URLs."""

    newNonce: str
    newAccount: str
    newOrder: str
    revokeCert: str
    keyChange: str
    renewalInfo: str  # RFC 9773
    meta: dict[str, t.Any]


class Identifier(t.TypedDict):
    """RFC 8555, section 9.7.7, and RFC 8738 for addresses."""

    type: str  # dns or ip
    value: str


class NewOrder(t.TypedDict, total=False):
    """RFC 8555, section 7.4: what is sent to newOrder."""

    identifiers: list[Identifier]
    profile: str  # draft-aaron-acme-profiles
    replaces: str  # RFC 9773, section 5


class OrderObject(NewOrder, total=False):
    """RFC 8555, section 7.1.3."""

    status: str  # pending, ready, processing, valid, invalid
    authorizations: list[str]  # URLs
    finalize: str  # URL
    certificate: str  # URL
    error: ProblemDocument


class ChallengeObject(t.TypedDict, total=False):
    """RFC 8555, section 7.1.5 and section 8."""

    type: str
    url: str
    status: str  # pending, processing, valid, invalid
    token: str
    error: ProblemDocument


class AuthorizationObject(t.TypedDict, total=False):
    """RFC 8555, section 7.1.4."""

    identifier: Identifier
    status: str  # pending, valid, invalid, deactivated, expired, revoked
    wildcard: bool
    challenges: list[ChallengeObject]


class RenewalInfoObject(t.TypedDict, total=False):
    """RFC 9773, section 4.2."""

    suggestedWindow: dict[str, str]  # start, end: RFC 3339
    explanationURL: str


def identifiers(names: list[str]) -> list[Identifier]:
    """Return names as identifiers.

    >>> identifiers(["*.example.org", "2001:db8::1"])
    [{'type': 'dns', 'value': '*.example.org'}, {'type': 'ip', 'value': '2001:db8::1'}]
    """
    return [{"type": "ip" if is_ip_address(name) else "dns", "value": name} for name in names]


def names_of_order(order: OrderObject) -> list[str]:
    """Return the names of an order in their normal form."""
    items = order.get("identifiers")
    return [
        _normalized(one.get("value")) for one in (items if isinstance(items, list) else []) if isinstance(one, dict)
    ]


def domain_of(authorization: AuthorizationObject) -> str:
    """Return the name of an authorization in its normal form, without "*."."""
    identifier = authorization.get("identifier")
    return _normalized(identifier.get("value", "") if identifier else "")


def name_of(authorization: AuthorizationObject) -> str:
    """Return the name of an authorization as the request has it."""
    return ("*." if authorization.get("wildcard") else "") + domain_of(authorization)


def challenges_of(authorization: AuthorizationObject) -> list[ChallengeObject]:
    """Return the challenges of an authorization, without what is none."""
    return [one for one in authorization.get("challenges") or [] if isinstance(one, dict)]


def url_in(order: OrderObject, key: t.Literal["finalize", "certificate"], subject: str) -> str:
    """Return a URL in an order. *subject* begins the TlsError that is raised if it is missing."""
    url = order.get(key)
    if not isinstance(url, str):
        raise TlsError(f"{subject}: the CA does not say where its {key} is; see the status page of the CA")
    return url


def _normalized(value: t.Any) -> str:
    """Return a name as requests have it, however the CA writes it."""
    try:
        return ipaddress.ip_address(value).compressed
    except ValueError:
        return words_of_ca(value).lower()
