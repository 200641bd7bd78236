# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The solver webroot: hosts whose nginx is configured by others answer http-01 with files.

The token of a CA is not known before the order is placed, and all hosts behind a name have to have the file, whichever of them the
order is for. So the order is begun first (acme_order), then each host gets its files (acme_challenge_files), and then whoever goes on
with the order (certificate_obtain) sees that they are shown, before the CA is told to look.
"""

from __future__ import annotations

import os
import secrets
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import HTTP, Answer, check_challenge
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.http_check import Question, Seen, Visits


class Webroot:
    """Have hosts show files, and see that they do."""

    CHALLENGE = HTTP
    SETTINGS: t.ClassVar[dict[str, t.Any]] = {
        **Visits.SETTINGS,
        "path": {"type": "str", "default": "/var/www/html"},
        "hosts": {"type": "list", "elements": "str", "default": []},
    }

    def __init__(self, path: str, hosts: list[str], **settings: t.Any) -> None:
        if not os.path.isabs(path):
            raise TlsError(
                f"path {path!r} does not begin with a slash; write the folder that nginx serves, as its root says"
            )
        self.path, self.hosts = path, hosts
        self.visits = Visits(**settings)

    def check(self, domains: list[str]) -> None:
        """Make sure that each host behind each domain speaks HTTP where the CA would ask, whatever it says."""
        check_challenge(HTTP, domains)
        self.visits.make_sure(
            [Question(domain, secrets.token_urlsafe(32), lambda _answer: True, _refusal) for domain in domains]
        )

    def present(self, answers: list[Answer]) -> None:
        """Make sure that each host behind each domain shows its file."""
        self.visits.make_sure([self._question(answer) for answer in answers])

    def clean_up(self, answers: list[Answer]) -> None:
        """Do nothing: whoever has the files written has them removed."""

    def places(self, answers: list[Answer], host: str) -> list[dict[str, t.Any]]:
        """Return where files have to be for the CA to read, by default on the *host* that the order is for: C(host), C(path) and C(files)."""
        files = {answer.token: answer.key_authorization for answer in answers}
        return [{"host": one, "path": self.path, "files": files} for one in self.hosts or [host]] if files else []

    def _question(self, answer: Answer) -> Question:
        def refusal(where: str, seen: Seen) -> str:
            return (
                f"{where} does not show the CA what is in {self.path}/.well-known/acme-challenge/ ({seen}): see that nginx serves that folder "
                "there, without a redirect that leads elsewhere, and that the host is one of hosts of the solver webroot; then run this again"
            )

        return Question(answer.domain, answer.token, lambda seen: seen.shows(answer.key_authorization), refusal)


def _refusal(where: str, seen: Seen) -> str:
    return f"{where} answers {seen}; see what it does there"
