# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check which certificate clients get that send no name (SNI, RFC 6066, section 3)."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    describe_certificate,
    fingerprint,
)
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.addresses import (
    MAX_CERTIFICATE_CHARACTERS,
    shown_places,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Observation, Served

SOURCE = "RFC 6066, section 3"


def check_clients_without_name(served: Served) -> list[Finding]:
    """Return a finding for each other certificate that clients without SNI get, and for addresses that refuse them."""
    refused: list[Observation] = []
    others: dict[str, list[Observation]] = {}
    for one in served.observations:
        if one.nameless_error:
            refused.append(one)
        elif one.nameless_chain and fingerprint(one.nameless_chain[0]) != one.fingerprint:
            others.setdefault(fingerprint(one.nameless_chain[0]), []).append(one)
    findings = [_other(served, places) for places in others.values()]
    if refused:
        sentence = (
            f"{shown_places(refused)} refuses clients that send no name (SNI), as programs from before 2010 do; if {served.name} needs "
            "them, let its site be the default server of that port"
        )
        evidence = tuple(one.nameless_error for one in refused)
        findings.append(Finding("note", "served.sni.refused", sentence, evidence, SOURCE))
    return findings


def _other(served: Served, places: list[Observation]) -> Finding:
    leaf = places[0].nameless_chain[0]
    sentence = (
        f"clients that send no name (SNI) get another certificate from {shown_places(places)} than that of {served.name} "
        f"({shorten(describe_certificate(leaf), MAX_CERTIFICATE_CHARACTERS)}); if there are such clients, let the site of {served.name} "
        "be the default server of that port"
    )
    evidence = tuple(f"{one.place}: SHA-256 {fingerprint(one.nameless_chain[0])} without SNI" for one in places)
    return Finding("risk", "served.sni", sentence, evidence, SOURCE)
