# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver http: hosts answer http-01 without knowing of it.

What the CA wants to read is its token, which it says in the URL, and the thumbprint of the account's key, which is always
the same. So nginx_sites lays one location that answers whatever is asked, and any host behind a name may be asked. During
a renewal nothing is written to a host and nothing is loaded. What is left to do here is to look before an order is spent.
"""

from __future__ import annotations

import secrets
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import HTTP, Answer, check_challenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_check import Question, Seen, Visits


class Stateless:
    """Have the hosts answer by themselves, and see beforehand that they do."""

    CHALLENGE = HTTP
    SETTINGS = Visits.SETTINGS

    def __init__(self, thumbprint: str, **settings: t.Any) -> None:
        self.thumbprint = thumbprint
        self.visits = Visits(**settings)

    def check(self, domains: list[str]) -> None:
        """Make sure that each host behind each domain would answer the CA."""
        check_challenge(HTTP, domains)
        self.visits.make_sure([self._question(domain) for domain in domains])

    def present(self, answers: list[Answer]) -> None:
        """Do nothing: the answer is there, always."""

    def clean_up(self, answers: list[Answer]) -> None:
        """Do nothing: the next CA to ask gets the same answer."""

    def _question(self, domain: str) -> Question:
        token = secrets.token_urlsafe(32)
        right = f"{token}.{self.thumbprint}"

        def refusal(where: str, answer: Seen) -> str:
            return self._refusal(where, answer, token)

        return Question(domain, token, lambda answer: answer.shows(right), refusal)

    # not a parser: it accepts any text, or raises TlsError
    def _refusal(self, where: str, answer: Seen, token: str) -> str:
        if answer.status == 200 and answer.body.startswith(f"{token}.".encode()):
            return (
                f"{where} answers for another ACME account, as if that host were of another fleet or its nginx had "
                "the location of an earlier key; run evergreen.tls.deploy on it, or correct the DNS record"
            )
        return (
            f"{where} does not answer challenges ({answer}): run "
            "evergreen.tls.deploy on the host whose address that is, or correct the DNS record; where nginx is configured by others, "
            f"have it answer /.well-known/acme-challenge/TOKEN with TOKEN.{self.thumbprint}"
        )
