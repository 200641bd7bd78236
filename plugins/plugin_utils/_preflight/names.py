# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the names of an order by the rules of public CAs. Nothing is asked."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding, Severity
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.public_names import (
    acme_name_problem,
    public_name_problem,
    reserved_domain_problem,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._inventory.reserved_words import reserved_words
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.sentences import shown_names
from ansible_collections.evergreen.tls.plugins.plugin_utils._preflight.subject import Subject
from ansible_collections.evergreen.tls.plugins.plugin_utils._solvers.internal_addresses import internal_kind

SOURCE = "CA/Browser Forum, Baseline Requirements, sections 4.2.2 and 7.1.2.7"
BOULDER_SOURCE = "Boulder, policy/pa.go"
RESERVED_SOURCE = "support.huaweicloud.com, ccm_01_0193"


def check_names(subject: Subject) -> list[Finding]:
    """Return a finding for each name that a public CA refuses, and one for all others. A private CA has rules of its own."""
    if not subject.is_public_ca:
        return []
    findings = [finding for domain in subject.domains for finding in _judge(domain, subject)]
    refused = {finding.evidence[0] for finding in findings if finding.severity == "blocks"}
    others = [domain for domain in subject.domains if domain not in refused]
    if others:
        findings.append(Finding("fine", "names", f"public CAs issue for names like {shown_names(others)}", (), SOURCE))
    return findings


# not a parser: names of the inventory are in their normal form
def _judge(domain: str, subject: Subject) -> list[Finding]:
    """Return what keeps public CAs from issuing for one name."""
    if is_ip_address(domain):
        kind = internal_kind(domain)
        sentence = f"{domain} is {kind}, for which no public CA issues; order for a name, or from a CA of your own"
        return [Finding("blocks", "names.address", sentence, (domain,), SOURCE)] if kind else []
    problem = public_name_problem(domain) or reserved_domain_problem(domain)
    if problem:
        return [Finding("blocks", f"names.{problem.code}", f"{problem.fact}; {problem.remedy}", (domain,), SOURCE)]
    findings = []
    problem = acme_name_problem(domain)
    if problem:
        severity: Severity = "blocks" if subject.is_lets_encrypt else "risk"
        sentence = f"{problem.fact}; {problem.remedy}"
        findings.append(Finding(severity, f"names.{problem.code}", sentence, (domain,), BOULDER_SOURCE))
    words = reserved_words(domain) if subject.has_word_filter else []
    if words:
        sentence = (
            f"{domain} has {' and '.join(words)} in it, and CAs refuse many names with such words; try it before you rely on it, or order "
            "from another CA"
        )
        findings.append(Finding("risk", "names.words", sentence, (domain,), RESERVED_SOURCE))
    return findings
