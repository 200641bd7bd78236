# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of a name that is served: whether clients get the certificate, everywhere. One file for each, and one line in CHECKS."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten
from ansible_collections.evergreen.tls.plugins.plugin_utils._boundary import failure_sentence
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.addresses import check_addresses
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.alpn import check_application_protocol
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.hsts import check_hsts
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Served, observe, served_places
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.page import BrowserOptions, check_page
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.redirect import check_redirect
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.revocation import check_revocation
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.sni import check_clients_without_name
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.stapling import check_staples
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.subject import ServedSubject
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.transparency import check_transparency
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.trust_stores import check_trust_stores
from ansible_collections.evergreen.tls.plugins.plugin_utils._terminal import escape_as_one_line

MAX_EVIDENCE = 20  # lines of one finding
MAX_PAGES = 4  # addresses of a name that are looked at in a browser, one after the other
MAX_SENTENCE_CHARACTERS = 700  # of our own words and several texts of others

CHECKS: dict[str, t.Callable[[Served], list[Finding]]] = {
    "served": check_addresses,
    "served.sni": check_clients_without_name,
    "served.alpn": check_application_protocol,
    "served.sct": check_transparency,
    "served.staple": check_staples,
    "served.crl": check_revocation,
    "served.trust": check_trust_stores,
    "served.hsts": check_hsts,
    "served.redirect": check_redirect,
}


def check_served(subject: ServedSubject) -> list[Finding]:
    """Return what clients get who ask for a name, at each of its addresses. A check that fails has found something unknown.

    Nothing is raised but interrupts. It ends soon after the deadline of the subject, whatever servers do.
    """
    try:
        served = observe(subject)
    except Exception as error:
        sentence = f"{subject.domain} cannot be looked at: {failure_sentence(error)}"
        return [_printable(Finding("unknown", "served.failed", sentence))]
    findings: list[Finding] = []
    for code, check in CHECKS.items():
        try:
            findings += check(served)
        except Exception as error:
            sentence = f"the check {code} of {subject.domain} failed: {failure_sentence(error)}"
            findings.append(Finding("unknown", f"{code}.failed", sentence))
    return [_printable(finding) for finding in findings]


def check_pages(subject: ServedSubject, browser: BrowserOptions) -> list[Finding]:
    """Return what Chromium finds on the page of a name at each of its addresses, one after the other.

    Nothing is raised but interrupts. It ends soon after the deadline of the subject.
    """
    try:
        places, error = served_places(subject)
    except Exception as failure:
        places, error = {}, failure_sentence(failure)
    ports: dict[str, int] = {}
    for address, port in places:
        ports.setdefault(address, port)
    findings = [
        finding
        for address, port in list(ports.items())[:MAX_PAGES]
        for finding in check_page(subject._replace(port=port), address, browser)
    ]
    if not ports:
        findings.append(Finding("unknown", "served.page", f"the page of {subject.domain} is not looked at: {error}"))
    return [_printable(finding) for finding in findings]


def _printable(finding: Finding) -> Finding:
    """Return a finding without control characters of others, and of a length that people read."""
    evidence = tuple(shorten(escape_as_one_line(line)) for line in finding.evidence[:MAX_EVIDENCE])
    sentence = shorten(escape_as_one_line(finding.sentence), MAX_SENTENCE_CHARACTERS)
    return finding._replace(sentence=sentence, evidence=evidence)
