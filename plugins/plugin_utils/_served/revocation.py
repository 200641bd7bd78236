# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that the CA has not revoked what is served, by its revocation list."""

from __future__ import annotations

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.chain import parse_chain
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.signatures import is_signed_by
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date, utc_now
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.crl import (
    check_crl,
    crl_urls,
    describe_crl,
    find_revocation,
    has_ended,
    read_crl,
)
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.crl_fetch import FETCH_TIMEOUT_S, fetch_crl
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Served, seconds_left

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

SOURCE = "RFC 5280, sections 5 and 6.3"


def check_revocation(served: Served) -> list[Finding]:
    """Return a finding for each certificate with a distribution point. What clients do not trust is left out: it may name any URL."""
    if not served.subject.checks_revocation:
        return []
    findings = []
    for chain in served.trusted_chains():
        issuer = _issuer(chain, served.subject.roots)
        urls = crl_urls(chain[0])
        if issuer is not None and urls:
            findings.append(_judge(served, chain[0], issuer, urls))
    return findings


# not a parser: parse_chain() reads the certificates
def _issuer(chain: tuple[x509.Certificate, ...], roots: str | None) -> x509.Certificate | None:
    """Return the certificate of the CA that has signed the leaf, out of the chain or the roots of the inventory."""
    candidates = [*chain[1:], *(parse_chain(roots.encode()) if roots else [])]
    return next((one for one in candidates if is_signed_by(chain[0], one)), None)


def _judge(served: Served, leaf: x509.Certificate, issuer: x509.Certificate, urls: list[str]) -> Finding:
    """Return what the first list says that can be had."""
    errors = []
    for url in urls:
        try:
            return _judge_by(served, leaf, issuer, url)
        except TlsError as error:
            errors.append(str(error))
    sentence = f"it is not known whether the certificate of {served.name} is revoked: {errors[0]}"
    return Finding("unknown", "served.crl", sentence, tuple(errors), SOURCE)


def _judge_by(served: Served, leaf: x509.Certificate, issuer: x509.Certificate, url: str) -> Finding:
    subject, name, now = served.subject, served.name, utc_now()
    seconds = seconds_left(subject.deadline, FETCH_TIMEOUT_S)
    crl = read_crl(fetch_crl(url, subject.dns, subject.roots is not None, subject.crl_folder, seconds))
    check_crl(crl, leaf, issuer, url)
    revocation = find_revocation(crl, leaf)
    evidence = (f"serial number {leaf.serial_number:x}", describe_crl(crl, url))
    if revocation:
        reason = f", {revocation.reason}" if revocation.reason else ""
        sentence = (
            f"the CA has revoked the certificate of {name} on {format_date(revocation.date)}{reason}; replace it: run evergreen.tls.renew "
            "with certificate_force=true"
        )
        return Finding("blocks", "served.revoked", sentence, evidence, SOURCE)
    if has_ended(crl, now) and crl.next_update_utc:
        sentence = (
            f"the revocation list for the certificate of {name} has ended on {format_date(crl.next_update_utc)}, and clients that check "
            "it refuse the certificate; have the CA publish a new list"
        )
        return Finding("risk", "served.crl.ended", sentence, evidence, SOURCE)
    return Finding("fine", "served.crl", f"the certificate of {name} is not on the revocation list", evidence, SOURCE)
