# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver http: nginx on the hosts responds to http-01 by itself.

The CA expects its token, which stands in the URL, and the thumbprint of the account key, which never changes (RFC 8555, section 8.3).
So nginx_sites writes one location that responds to any token, and any host behind a name can respond. A renewal
writes nothing to a host and reloads nothing. The solver only checks that the hosts respond, before an order is placed.
"""

from __future__ import annotations

import secrets
import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import AcmeAccount, ChallengeFiles
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import (
    HTTP_01,
    ChallengeResponse,
    check_challenge,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_check import (
    HttpCheck,
    HttpChecker,
    any_response,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_pages import recognise_page
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import HttpResponse


class HttpSolver:
    """Check that hosts respond by themselves."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = HttpChecker.SETTINGS

    def __init__(self, account: AcmeAccount, **settings: t.Any) -> None:
        self.challenge_type = HTTP_01
        self.thumbprint = account.thumbprint
        self.checker = HttpChecker(**settings, is_public_ca=account.is_public)
        self.dns = self.checker.dns
        self.has_view_of_ca = self.checker.is_enabled

    def check(self, domains: list[str]) -> None:
        """Check that each host behind each domain would respond to the CA."""
        check_challenge(HTTP_01, domains)
        self.checker.run([self._check_of(domain) for domain in domains])

    def find_obstacles(self, domains: list[str], deadline: float) -> list[Finding]:
        """Return what the CA meets at each host. Without an account key any response is accepted: none can be the right one."""
        if self.thumbprint:
            return self.checker.find_obstacles([self._check_of(domain) for domain in domains], deadline)
        findings = self.checker.find_obstacles([any_response(domain) for domain in domains], deadline)
        sentence = "there is no ACME account key yet, so no host can answer challenges; run evergreen.tls.deploy"
        return [*(one for one in findings if one.severity != "fine"), Finding("unknown", "http.key", sentence)]

    def present(self, responses: list[ChallengeResponse]) -> None:
        """Do nothing: hosts respond at any time."""

    def clean_up(self, responses: list[ChallengeResponse]) -> None:
        """Do nothing: the next CA gets the same response."""

    def challenge_files(self, responses: list[ChallengeResponse], host: str) -> list[ChallengeFiles]:
        """Return nothing: nginx has no files for this."""
        return []

    def _check_of(self, domain: str) -> HttpCheck:
        token = secrets.token_urlsafe(32)
        key_authorization = f"{token}.{self.thumbprint}"

        def refusal(where: str, response: HttpResponse) -> tuple[str, str]:
            return self._refusal(where, response, token)

        return HttpCheck(
            domain, token, lambda response: response.serves(key_authorization), refusal, expected=self.thumbprint
        )

    # not a parser: it accepts any text, or raises TlsError
    def _refusal(self, where: str, response: HttpResponse, token: str) -> tuple[str, str]:
        """Return the code and the sentence about a wrong response."""
        form_error = response.form_error(f"{token}.{self.thumbprint}")
        if form_error:
            return "answer", (
                f"{where} answers challenges, but {form_error}; have it answer with TOKEN.{self.thumbprint} alone, "
                "or run evergreen.tls.deploy on the host whose address that is"
            )
        if response.status == 200 and response.body.startswith(f"{token}.".encode()):
            return "key", (
                f"{where} answers for another ACME account, as if this controller had another account key than the one that deployed; give it "
                "that key (folder or account_key of the issuer), run evergreen.tls.deploy from here, or correct the DNS record"
            )
        page = recognise_page(response)
        title = f"; {page.title}" if page else ""
        remedy = f"{page.remedy}, or " if page and page.remedy else ""
        return "answer", (
            f"{where} does not answer challenges ({response}{title}): {remedy}run "
            "evergreen.tls.deploy on the host whose address that is, or correct the DNS record; where nginx is configured by others, "
            f"have it answer /.well-known/acme-challenge/TOKEN with TOKEN.{self.thumbprint}"
        )
