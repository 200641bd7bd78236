# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JSON objects of ACME (RFC 8555, section 7.1), and how to read names and URLs out of them.

The types say what the RFC promises. A CA may send anything else, so whoever reads a value checks it.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import address_text, is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.problems import (
    MalformedResponse,
    ProblemDocument,
    words_of_ca,
)

DIRECTORY_URLS = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo")
MAX_URL_CHARACTERS = 2000
MAX_TOKEN_CHARACTERS = 256  # real ones have 43; it is the name of a file on a host
MAX_AUTHORIZATIONS_PER_NAME = 4  # there is one of each (RFC 8555, section 7.1.3)
MAX_SHOWN_CHARACTERS = 100  # of a value that is not as expected
CA_REMEDY = "see the status page of the CA"


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


def is_url(value: t.Any) -> t.TypeGuard[str]:
    """Say whether a value is a URL of an ACME resource (RFC 8555, section 6.1)."""
    return (
        isinstance(value, str)
        and len(value) <= MAX_URL_CHARACTERS
        and re.fullmatch(r"https://[!-~]+", value) is not None
    )


# not a parser: is_url() has checked what it gets
def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL (RFC 6454, section 4).

    >>> origin_of("https://CA.example:443/acme/order?a=b")
    'https://ca.example'
    """
    authority = re.split("[/?#]", url.removeprefix("https://"), maxsplit=1)[0].rpartition("@")[2]
    return f"https://{authority.lower().removesuffix(':443')}"


def read_directory(value: dict[str, t.Any], url: str) -> DirectoryObject:
    """Return a directory. Raises TlsError, which names the *url*, for what is none."""
    if not isinstance(value.get("newOrder"), str) or not isinstance(value.get("newNonce"), str):
        raise TlsError(
            f"{url} is no ACME directory: it names no newOrder and newNonce; correct the directory of the issuer"
        )
    reader = Reader(value, f"{url} is no ACME directory", "correct the directory of the issuer")
    for name in DIRECTORY_URLS:
        reader.check(name, "a URL that begins with https://", is_url)
    reader.check("meta", "an object", lambda meta: isinstance(meta, dict))
    meta = Reader(value.get("meta") or {}, reader.subject, reader.remedy, prefix="meta.")
    meta.check("termsOfService", "a text", lambda terms: isinstance(terms, str))
    meta.check("externalAccountRequired", "true or false", lambda required: isinstance(required, bool))
    meta.check("profiles", "an object", lambda profiles: isinstance(profiles, dict))
    meta.check("accountHashPrefix", "a text", lambda prefix: isinstance(prefix, str))
    for name in ("caaIdentities", "issuerDomainNames"):
        meta.check(name, "a list of texts", _is_list_of_texts)
    return t.cast(DirectoryObject, {name: one for name, one in value.items() if one is not None})


def read_order(value: dict[str, t.Any], url: str, subject: str) -> OrderObject:
    """Return an order out of the response of a *url*. *subject* begins the MalformedResponse for what is none."""
    reader = Reader(value, f"{subject}: {url} answers with what is no order", CA_REMEDY)
    reader.check("status", "a text", lambda status: isinstance(status, str))
    reader.check("identifiers", "a list of objects with the texts type and value", _are_identifiers)
    reader.check("authorizations", "a list of URLs that begin with https://", _are_urls)
    reader.check("finalize", "a URL that begins with https://", is_url)
    reader.check("certificate", "a URL that begins with https://", is_url)
    count, names = len(value.get("authorizations") or []), len(value.get("identifiers") or [])
    if count > MAX_AUTHORIZATIONS_PER_NAME * max(1, names):
        raise MalformedResponse(f"{reader.subject}: it has {count} authorizations for {names} names; {CA_REMEDY}")
    return t.cast(OrderObject, value)


def read_authorization(value: dict[str, t.Any], url: str, subject: str) -> AuthorizationObject:
    """Return an authorization out of the response of a *url*. *subject* begins the MalformedResponse for what is none.

    Its identifier is not checked: domain_of() reads it, and it has to be one of the order.
    """
    reader = Reader(value, f"{subject}: {url} answers with what is no authorization", CA_REMEDY)
    reader.check("status", "a text", lambda status: isinstance(status, str))
    reader.check("challenges", "a list of objects", lambda all_of_them: isinstance(all_of_them, list))
    for number, challenge in enumerate(challenges_of(t.cast(AuthorizationObject, value))):
        one = Reader(challenge, reader.subject, CA_REMEDY, prefix=f"challenges[{number}].")
        for key in ("type", "status"):
            one.check(key, "a text", lambda text: isinstance(text, str))
        one.check("token", f"a text of {MAX_TOKEN_CHARACTERS} characters at most", _is_token)
        one.check("url", "a URL that begins with https://", is_url)
    return t.cast(AuthorizationObject, value)


class Reader:
    """Checks the values of an object that a CA sent. *subject* begins, and *remedy* ends, its errors."""

    def __init__(self, value: t.Mapping[str, t.Any], subject: str, remedy: str, prefix: str = "") -> None:
        """Take an object. *prefix* is that of its keys in errors."""
        self.value, self.subject, self.remedy, self.prefix = value, subject, remedy, prefix

    def check(self, key: str, expected: str, is_valid: t.Callable[[t.Any], bool]) -> None:
        """Raise MalformedResponse if there is a value of this key that is not as expected. No value, or null, is none."""
        value = self.value.get(key)
        if value is not None and not is_valid(value):
            raise MalformedResponse(
                f"{self.subject}: {self.prefix}{key} is {words_of_ca(repr(value)[:MAX_SHOWN_CHARACTERS])}, and not {expected}; {self.remedy}"
            )


def _is_list_of_texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_urls(value: t.Any) -> bool:
    return isinstance(value, list) and all(is_url(one) for one in value)


def _is_identifier(value: t.Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("value"), str)


def _are_identifiers(value: t.Any) -> bool:
    return isinstance(value, list) and all(_is_identifier(one) for one in value)


def _is_token(value: t.Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TOKEN_CHARACTERS


def names_of_order(order: OrderObject) -> list[str]:
    """Return the names of an order in their normal form."""
    items = order.get("identifiers")
    return [
        _normalized(one.get("value")) for one in (items if isinstance(items, list) else []) if isinstance(one, dict)
    ]


def domain_of(authorization: AuthorizationObject) -> str:
    """Return the name of an authorization in its normal form, without "*."."""
    identifier = authorization.get("identifier")
    return _normalized(identifier.get("value", "")) if isinstance(identifier, dict) else ""


def name_of(authorization: AuthorizationObject) -> str:
    """Return the name of an authorization as the request has it."""
    return ("*." if authorization.get("wildcard") else "") + domain_of(authorization)


def challenges_of(authorization: AuthorizationObject) -> list[ChallengeObject]:
    """Return the challenges of an authorization, without what is none."""
    challenges = authorization.get("challenges")
    return [one for one in challenges if isinstance(one, dict)] if isinstance(challenges, list) else []


def url_in(order: OrderObject, key: t.Literal["finalize", "certificate"], subject: str) -> str:
    """Return a URL in an order. *subject* begins the TlsError that is raised if it is missing."""
    url = order.get(key)
    if not isinstance(url, str):
        raise TlsError(f"{subject}: the CA does not say where its {key} is; see the status page of the CA")
    return url


def _normalized(value: t.Any) -> str:
    """Return a name as requests have it, however the CA writes it."""
    try:
        return address_text(value if isinstance(value, str) else "")
    except ValueError:
        return words_of_ca(value).lower()
