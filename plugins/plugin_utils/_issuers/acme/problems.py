# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Problem documents of ACME servers (RFC 8555, section 6.7), as errors that say what to do."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

ERROR_PREFIX = "urn:ietf:params:acme:error:"
MAX_CODE_CHARACTERS = 80  # of an error type
MAX_SUBPROBLEMS = 20  # that a sentence names

# By error type (RFC 8555, section 6.7; RFC 9773, section 7.4).
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
OTHER_REMEDY = "see the documentation of the CA"


class ProblemDocument(t.TypedDict, total=False):
    """RFC 7807, and RFC 8555, section 6.7.1.

    A CA may send anything else, so whoever reads a value checks it.
    """

    type: str
    title: str
    detail: str
    instance: str  # URL
    identifier: dict[str, t.Any]  # of a subproblem: type, value
    subproblems: list[t.Any]


class Problem(TlsError):
    """A refusal of the CA."""

    def __init__(
        self,
        sentence: str,
        code: str = "",
        status: int = 0,
        retry_after: float | None = None,
        subject: str = "",
        words: str = "",
    ) -> None:
        """Take the sentence for the user, and its parts.

        code: the error type, such as C(rateLimited). status: of HTTP. retry_after: seconds.
        subject: what was requested. words: the explanation of the CA.
        """
        super().__init__(sentence)
        self.code, self.status, self.retry_after, self.subject, self.words = code, status, retry_after, subject, words

    def with_remedy(self, remedy: str) -> Problem:
        """Return the same refusal with another remedy."""
        sentence = f"{self.subject}: {self.words}; {remedy}"
        return Problem(sentence, self.code, self.status, self.retry_after, self.subject, self.words)


class Unreachable(TlsError):
    """The CA cannot be reached."""


class MalformedResponse(TlsError):
    """The CA sent what is no object of ACME."""


def error_code(error: TlsError) -> str:
    """Return the error type of a refusal, or an empty text for another error."""
    return error.code if isinstance(error, Problem) else ""


def is_server_failure(error: TlsError) -> bool:
    """Say whether the CA is unreachable or failed, and did not refuse."""
    return isinstance(error, Unreachable) or (isinstance(error, Problem) and error.status >= 500)


def problem(
    subject: str, content: t.Any, status: int = 0, retry_after: float | None = None, link: str | None = None
) -> Problem:
    """Return the error that a problem document describes, its subproblems included.

    subject: what was requested. content: the document; anything else is taken as an empty one. link: the page of the CA about it.
    """
    document = t.cast(ProblemDocument, content if isinstance(content, dict) else {})
    code = code_of(document)
    parts = subproblems(document)
    # A compound error only points to its subproblems.
    sentences = [] if code == "compound" and parts else [explanation(document, status)]
    for name, part in parts[:MAX_SUBPROBLEMS]:
        words = explanation(part, 0)
        sentences.append(f"{name}: {words}" if name else words)
    if len(parts) > MAX_SUBPROBLEMS:
        sentences.append(f"and {len(parts) - MAX_SUBPROBLEMS} more")
    page = link or document.get("instance")
    if page and code in ("userActionRequired", "rateLimited") and words_of_ca(page) not in " ".join(sentences):
        sentences.append(f"see {words_of_ca(page)}")
    cause = next((one for one in [code, *(code_of(part) for _name, part in parts)] if one in REMEDIES), "")
    words = "; ".join(sentences)
    remedy = REMEDIES.get(cause, REMEDIES["serverInternal"] if status >= 500 else OTHER_REMEDY)
    return Problem(f"{subject}: {words}; {remedy}", cause or code, status, retry_after, subject, words)


def explanation(document: ProblemDocument, status: int) -> str:
    """Return the words of the CA, with the error type or else the HTTP status in brackets."""
    words = words_of_ca(document.get("detail") or document.get("title") or "the CA gives no reason")
    kind = code_of(document) or (f"HTTP {status}" if status else "")
    return f"{words} ({kind})" if kind else words


def subproblems(document: ProblemDocument) -> list[tuple[str, ProblemDocument]]:
    """Return the subproblems of a problem document, each with the name that it is about."""
    parts = document.get("subproblems")
    return [
        (words_of_ca((part.get("identifier") or {}).get("value") or ""), t.cast(ProblemDocument, part))
        for part in (parts if isinstance(parts, list) else [])
        if isinstance(part, dict) and isinstance(part.get("identifier") or {}, dict)
    ]


def code_of(document: ProblemDocument) -> str:
    """Return the error type of a problem document, such as C(rateLimited)."""
    code = words_of_ca(str(document.get("type") or "")).removeprefix(ERROR_PREFIX).replace("about:blank", "")
    return shorten(code, MAX_CODE_CHARACTERS)


def words_of_ca(text: t.Any) -> str:
    """Return text of the CA on one line, without control characters and the full stop.

    It has MAX_TEXT_CHARACTERS at most.
    """
    words = " ".join(escape_control_characters(str(text), replacement=" ").split()).rstrip(". ")
    return shorten(words)
