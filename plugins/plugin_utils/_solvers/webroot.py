# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver webroot: hosts whose nginx is configured by others respond to http-01 with files.

The token is not known before the order is placed, and all hosts behind a name need the file. So acme_order places the order first,
acme_challenge_files writes the files on each host, and certificate_obtain checks that hosts serve them before the CA is told to
validate.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
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
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_request import HttpResponse


class WebrootSolver:
    """Name the files that hosts have to serve, and check that they do."""

    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **HttpChecker.SETTINGS,
        "path": {"type": "str", "default": "/var/www/html"},
        "owner": {"type": "str"},
        "hosts": {"type": "list", "elements": "str", "default": []},
    }

    def __init__(
        self, account: AcmeAccount, path: str, hosts: list[str], owner: str | None = None, **settings: t.Any
    ) -> None:
        if not os.path.isabs(path):
            raise TlsError(
                f"path {path!r} does not begin with a slash; write the folder that nginx serves, as its root says"
            )
        self.challenge_type = HTTP_01
        self.path, self.hosts, self.owner = path, hosts, owner
        self.checker = HttpChecker(**settings, is_public_ca=account.is_public)
        self.dns = self.checker.dns
        self.has_view_of_ca = self.checker.is_enabled

    def check(self, domains: list[str]) -> None:
        """Check that each host behind each domain speaks HTTP on port 80.

        Any response is accepted: there are no files yet.
        """
        check_challenge(HTTP_01, domains)
        self.checker.run([any_response(domain) for domain in domains])

    def find_obstacles(self, domains: list[str], deadline: float) -> list[Finding]:
        """Return what the CA meets at each host behind each domain. Any response is accepted: there are no files yet."""
        return self.checker.find_obstacles([any_response(domain) for domain in domains], deadline)

    def present(self, responses: list[ChallengeResponse]) -> None:
        """Check that each host behind each domain serves its file."""
        self.checker.run([self._check_of(response) for response in responses])

    def clean_up(self, responses: list[ChallengeResponse]) -> None:
        """Do nothing: acme_challenge_files removes the files."""

    def challenge_files(self, responses: list[ChallengeResponse], host: str) -> list[ChallengeFiles]:
        """Return the files for each host in the setting C(hosts), or else for *host*."""
        files = {response.token: response.key_authorization for response in responses}
        hosts = (self.hosts or [host]) if files else []
        places: list[ChallengeFiles] = [{"host": one, "path": self.path, "files": files} for one in hosts]
        if self.owner:
            for place in places:
                place["owner"] = self.owner
        return places

    def _check_of(self, expected: ChallengeResponse) -> HttpCheck:
        def refusal(where: str, response: HttpResponse) -> tuple[str, str]:
            form_error = response.form_error(expected.key_authorization)
            if form_error:
                return (
                    "form",
                    f"{where} shows the file of the challenge, but {form_error}; see what nginx adds to files there",
                )
            return "answer", (
                f"{where} does not show the CA what is in {self.path}/.well-known/acme-challenge/ ({response}): see that nginx serves that folder "
                "there, without a redirect that leads elsewhere, and that the host is one of hosts of the solver webroot; then run this again"
            )

        return HttpCheck(
            expected.domain,
            expected.token,
            lambda response: response.serves(expected.key_authorization),
            refusal,
            may_change_path=True,
        )
