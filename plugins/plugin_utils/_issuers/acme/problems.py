# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Problem documents of ACME servers (RFC 8555, section 6.7), as errors that say what to do."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.acme.remedies import (
    REMEDIES,
    date_in,
    is_paused,
    remedy_of,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuers.base import FailedChallenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_control_characters

PAGE = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,2000}")  # a token in it cannot be shortened
ERROR_PREFIX = "urn:ietf:params:acme:error:"
MAX_CODE_CHARACTERS = 80  # of an error type
MAX_SUBPROBLEMS = 20  # that a sentence names
MAX_REMEDIES = 3  # of a sentence about several names
PREFLIGHT_REFUSAL = "preflight"  # our own code, for an order that was not placed since the CA would refuse it


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
        self.failed_challenges: list[FailedChallenge] = []  # that hosts had to answer over HTTP

    def with_remedy(self, remedy: str) -> Problem:
        """Return the same refusal with another remedy."""
        sentence = f"{self.subject}: {self.words}; {remedy}"
        changed = Problem(sentence, self.code, self.status, self.retry_after, self.subject, self.words)
        changed.failed_challenges = self.failed_challenges
        return changed


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
    page = _page(document, code, link)
    if page and page not in " ".join(sentences):
        sentences.append(f"see {page}")
    causes = [(code_of(one), one) for one in (document, *(part for _name, part in parts)) if code_of(one) in REMEDIES]
    cause = causes[0][0] if causes else ""
    remedies = [remedy_of(kind, _detail(one), status) for kind, one in causes] or [
        remedy_of(code, _detail(document), status)
    ]
    if retry_after is None and cause == "rateLimited":
        until = next(filter(None, (date_in(_detail(one)) for _kind, one in causes)), None)
        retry_after = max(0.0, (until - utc_now()).total_seconds()) if until else None
    words = "; ".join(sentences)
    remedy = "; ".join(list(dict.fromkeys(remedies))[:MAX_REMEDIES])
    return Problem(f"{subject}: {words}; {remedy}", cause or code, status, retry_after, subject, words)


def _detail(document: ProblemDocument) -> str:
    return str(document.get("detail") or "")


def _page(document: ProblemDocument, code: str, link: str | None) -> str | None:
    """Return the page of the CA about a refusal, whole where it is a URL: the one in the words of a pause, else the one beside them."""
    in_words = PAGE.search(_detail(document)) if is_paused(_detail(document)) else None
    page = in_words[0] if in_words else link or document.get("instance")
    if not isinstance(page, str) or not page or not (in_words or code in ("userActionRequired", "rateLimited")):
        return None
    return page if PAGE.fullmatch(page) else words_of_ca(page)


def explanation(document: ProblemDocument, status: int) -> str:
    """Return the words of the CA, with the error type or else the HTTP status in brackets."""
    detail = document.get("detail")
    if is_paused(_detail(document)):
        detail = PAGE.sub("", _detail(document)).rstrip(": ")  # which is told of whole
    words = words_of_ca(detail or document.get("title") or "the CA gives no reason")
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
