# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks before an order are about."""

from __future__ import annotations

import dataclasses
import functools

from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa_records import CaaIssuer
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dns_answers import DnsAnswers, answers_of
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.base import Solver
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient

LETS_ENCRYPT = "letsencrypt.org"


@dataclasses.dataclass(frozen=True)
class Subject:
    """An order that is about to be placed.

    is_thorough: whether to look at each name server, too. Where the controller cannot reach them this takes seconds.
    """

    domains: list[str]
    title: str  # the CA, as people read it
    dns: DnsClient
    caa_issuer: CaaIssuer | None  # None: it is not known how CAA records name the CA
    deadline: float  # of all checks, by time.monotonic()
    is_public_ca: bool = False  # it is one of a well-known directory, and sees the internet alone
    challenge_type: str | None = None  # None: it is not known
    is_thorough: bool = True
    has_view_of_ca: bool = True  # the controller sees the addresses that the CA sees
    solver: Solver | None = None  # None: it is not known how the CA validates
    has_word_filter: bool = False  # the CA refuses names with certain words in them

    @property
    def is_lets_encrypt(self) -> bool:
        """Say whether the CA runs Boulder, whose rules are known."""
        return self.caa_issuer is not None and LETS_ENCRYPT in self.caa_issuer.identities

    @functools.cached_property
    def answers(self) -> DnsAnswers:
        """Return the answers of DNS, which all checks share."""
        return answers_of(self.dns)
