# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a solver is: a way to respond to the challenges of an ACME server."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import ChallengeResponse

if t.TYPE_CHECKING:  # it needs dnspython, which a survey does not load
    from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient

DEFAULT_SOLVER = "http"


class AcmeAccount(t.NamedTuple):
    """What solvers need to know of the ACME account."""

    thumbprint: str  # of the account key (RFC 7638); empty while there is none
    url: t.Callable[[], str] = str  # called only where it is needed: it may have to create the account
    directory_meta: t.Callable[[], dict[str, t.Any]] = dict  # C(meta) of the directory (RFC 8555, section 7.1.1)
    is_public: bool = False  # whether it is at a well-known CA, which sees the internet alone


class ChallengeFiles(t.TypedDict):
    """The files that one host has to serve for http-01."""

    host: str  # its name in the inventory
    path: str  # the webroot, above .well-known
    files: dict[str, str]  # token: key authorization
    owner: t.NotRequired[str]  # the user to whom the folders of the webroot may belong besides root


class Solver(t.Protocol):
    """A solver, as it is configured with an issuer."""

    SETTINGS: t.ClassVar[dict[str, t.Any]]  # the argument spec of the settings
    challenge_type: str
    dns: DnsClient  # whose resolvers see names as the CA does
    has_view_of_ca: (
        bool  # whether the controller sees the addresses that the CA sees; false with the setting check: false
    )

    def __init__(self, account: AcmeAccount, **settings: t.Any) -> None:
        """Take the settings. Raises TlsError if they are malformed; connects to nothing."""

    def check(self, domains: list[str]) -> None:
        """Check, before the order is placed, that the CA can validate the domains.

        Raises TlsError with a sentence for each cause.
        """

    def find_obstacles(self, domains: list[str], deadline: float) -> list[Finding]:
        """Return what the CA meets when it validates the domains. Nothing is added anywhere.

        deadline: by time.monotonic(). What is not known until then is unknown.
        """

    def present(self, responses: list[ChallengeResponse]) -> None:
        """Return once the CA can read the responses.

        The caller calls clean_up() afterwards, also if this fails.
        """

    def clean_up(self, responses: list[ChallengeResponse]) -> None:
        """Remove the responses. Those that were never presented are no error."""

    def challenge_files(self, responses: list[ChallengeResponse], host: str) -> list[ChallengeFiles]:
        """Return the files to put on hosts before present(). *host* is the one that the order is for."""


def solver_type(setting: t.Any) -> t.Any:
    """Return the type in the setting C(solver) of an issuer.

    It may be anything: nobody has checked the setting.
    """
    setting = setting or DEFAULT_SOLVER
    return setting.get("type") if isinstance(setting, dict) else setting
