# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an ACME server refuses, in its own words, with what to do about it (RFC 8555, section 6.7)."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

PREFIX = "urn:ietf:params:acme:error:"
LONGEST = 600  # characters of one explanation

REMEDIES = {
    "accountDoesNotExist": "run this again, and a new account is made",
    "alreadyReplaced": "run this again",
    "badCSR": "choose another type or size of the key, or correct the domains of the request",
    "badNonce": "run this again",
    "badPublicKey": "give the issuer an account_key that the CA accepts, such as ECC with secp256r1",
    "badRevocationReason": "choose another reason",
    "badSignatureAlgorithm": "give the issuer an account_key that the CA accepts, such as ECC with secp256r1",
    "caa": "have the CAA records of the domain allow this CA, or choose another issuer",
    "connection": "see that the name leads to hosts of yours, and that the internet reaches them there",
    "dns": "correct the DNS records of that name",
    "dnssec": "correct the DNSSEC of that zone",
    "externalAccountRequired": "set eab_kid and eab_hmac of the issuer to what the CA gives you for your account there",
    "incorrectResponse": "see which server answers the CA for that name, and that it is one of yours",
    "invalidContact": "correct the email of the issuer",
    "invalidProfile": "correct the profile of the issuer, or leave it out",
    "malformed": "see that directory is the address of an ACME directory, and report this if it is",
    "rateLimited": "wait, then run this again",
    "rejectedIdentifier": "take that name out of the request, or choose another issuer",
    "serverInternal": "run this again later, and see the status page of the CA",
    "tls": "correct the TLS configuration of the server that answers for that name",
    "unauthorized": "see what answers the CA for that name, and that it is one of yours",
    "unsupportedContact": "correct the email of the issuer",
    "unsupportedIdentifier": "take that name out of the request, or choose a profile or an issuer that signs for it",
    "userActionRequired": "open that page, and do what it asks for",
}
OTHERWISE = "see the documentation of the CA"


class Problem(TlsError):
    """A refusal of the CA: its kind (C(code)), its words, the status of HTTP, and for how many seconds it wants to be left alone."""

    def __init__(
        self, sentence: str, code: str = "", status: int = 0, wait: float | None = None, what: str = "", words: str = ""
    ) -> None:
        super().__init__(sentence)
        self.code, self.status, self.wait, self.what, self.words = code, status, wait, what, words

    def advising(self, remedy: str) -> Problem:
        """Return the same refusal with something else to do about it."""
        sentence = f"{self.what}: {self.words}; {remedy}"
        return Problem(sentence, self.code, self.status, self.wait, self.what, self.words)


class Unreachable(TlsError):
    """The CA cannot be asked at all."""


def problem(what: str, document: t.Any, status: int = 0, wait: float | None = None, link: str | None = None) -> Problem:
    """Return the refusal of *what* that a problem document (RFC 7807) tells, its subproblems included."""
    document = document if isinstance(document, dict) else {}
    code = code_of(document)
    parts = subproblems(document)
    # An explanation that only points to those below it says nothing.
    said = [] if code == "compound" and parts else [explanation(document, status)]
    for name, part in parts:
        words = explanation(part, 0)
        said.append(f"{name}: {words}" if name else words)
    page = link or document.get("instance")
    if page and code in ("userActionRequired", "rateLimited") and words_of_ca(page) not in " ".join(said):
        said.append(f"see {words_of_ca(page)}")
    cause = next((one for one in [code, *(code_of(part) for _name, part in parts)] if one in REMEDIES), "")
    words = "; ".join(said)
    remedy = REMEDIES.get(cause, REMEDIES["serverInternal"] if status >= 500 else OTHERWISE)
    return Problem(f"{what}: {words}; {remedy}", cause or code, status, wait, what, words)


def explanation(document: dict, status: int) -> str:
    """Return what the CA says, and the kind of its refusal in brackets."""
    words = words_of_ca(document.get("detail") or document.get("title") or "the CA gives no reason")
    kind = code_of(document) or (f"HTTP {status}" if status else "")
    return f"{words} ({kind})" if kind else words


def subproblems(document: dict) -> list[tuple[str, dict]]:
    """Return the names that a problem is about, each with what is said of it."""
    parts = document.get("subproblems")
    return [
        (words_of_ca((part.get("identifier") or {}).get("value") or ""), part)
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict) and isinstance(part.get("identifier") or {}, dict)
    ]


def code_of(document: dict) -> str:
    """Return the kind of a refusal, such as C(rateLimited)."""
    return words_of_ca(str(document.get("type") or "")).removeprefix(PREFIX).replace("about:blank", "")


def words_of_ca(text: t.Any) -> str:
    """Return text of the CA on one line, without control characters and the full stop, LONGEST characters at most."""
    words = " ".join(escape_control_characters(str(text), replacement=" ").split()).rstrip(". ")
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}…"
