# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks before an order is placed. A further one is one file, and one line in CHECKS."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.addresses import check_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.caa import check_caa_records
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.delegation import check_zones
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.dnssec import check_dnssec
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.names import check_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.way import check_way

CHECKS: dict[str, t.Callable[[Subject], list[Finding]]] = {
    "names": check_names,
    "zone": check_zones,  # where name servers are silent, there is no time for others
    "dnssec": check_dnssec,
    "caa": check_caa_records,
    "addresses": check_addresses,
    "way": check_way,
}


def run_checks(subject: Subject) -> list[Finding]:
    """Return the findings of all checks. A check that fails has found something unknown."""
    findings = []
    for name, check in CHECKS.items():
        try:
            findings += check(subject)
        except Exception as error:
            sentence = f"the check {name} before the order failed: {failure_sentence(error)}"
            findings.append(Finding("unknown", f"{name}.failed", sentence))
    return findings
