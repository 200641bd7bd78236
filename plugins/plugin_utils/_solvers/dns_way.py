# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at the TXT record of dns-01 as a CA does, before there is one (RFC 8555, section 8.4)."""

from __future__ import annotations

import secrets

from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.dns_client import DnsClient, RecordLocation

SOURCE = "RFC 8555, section 8.4"
MAX_VALUES = 5  # in the evidence


# not a parser: it only passes on foreign input
def record_obstacles(dns: DnsClient, name: str, location: RecordLocation) -> list[Finding]:
    """Return what stands at the name of a TXT record, and at two names where people put it by mistake.

    Raises TlsError if the name servers do not say.
    """
    values = dns.texts(name)
    findings = []
    place = f"{name} in the zone {location.zone}" if location.name == name else f"{location.name} by the CNAME {name}"
    if location.name != name:
        sentence = f"the TXT record belongs to {place}; see that the solver may write in the zone {location.zone}"
        findings.append(Finding("note", "txt.alias", sentence, (f"{name} CNAME {location.name}",), SOURCE))
    if values:
        sentence = (
            f"{name} has {len(values)} TXT record{'s' if len(values) > 1 else ''} already; remove those of finished orders, since CAs refuse answers "
            "that are too long"
        )
        findings.append(Finding("note", "txt.values", sentence, _shown(values), SOURCE))
    doubled = f"{name}.{location.zone}"
    strays = _texts(dns, doubled)
    wildcard = _texts(dns, f"x{secrets.token_hex(8)}.{name.partition('.')[2]}")
    if wildcard:
        sentence = (
            f"any name in {name.partition('.')[2]} has TXT records, by a wildcard; a CA gets them where {name} has none, so remove the wildcard if "
            "validation fails"
        )
        findings.append(Finding("risk", "txt.wildcard", sentence, _shown(wildcard), SOURCE))
    elif strays:
        sentence = (
            f"a TXT record stands at {doubled}, as if the zone was typed twice; write the name without .{location.zone} in the form of the DNS "
            "provider"
        )
        findings.append(Finding("risk", "txt.doubled", sentence, _shown(strays), SOURCE))
    return findings or [Finding("fine", "txt", f"the TXT record has its place: {place}", (), SOURCE)]


def _texts(dns: DnsClient, name: str) -> list[str]:
    """Return the TXT records of a name that need not exist."""
    try:
        return dns.texts(name)
    except TlsError:
        return []


def _shown(values: list[str]) -> tuple[str, ...]:
    return tuple(shorten(value) for value in values[:MAX_VALUES])
