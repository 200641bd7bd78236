# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what a CA meets when it validates the names: by HTTP at each address, or by the TXT record."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.challenge import check_challenge


def check_way(subject: Subject) -> list[Finding]:
    """Return what the solver sees. Right before an order it checks by itself, with its own settings, so this is for those who look."""
    if subject.solver is None or not subject.is_thorough:
        return []
    try:
        check_challenge(subject.solver.challenge_type, subject.domains)
    except TlsError as error:
        return [Finding("blocks", "way.challenge", str(error))]
    return subject.solver.find_obstacles(subject.domains, subject.deadline)
