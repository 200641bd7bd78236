# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that a public certificate has the proofs of certificate transparency that browsers want (SCTs, RFC 6962, section 3.3)."""

from __future__ import annotations

import datetime

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.plugin_utils._findings import Finding
from ansible_collections.evergreen.tls.plugins.plugin_utils._served.observation import Served

try:
    from cryptography import x509
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

# The policies of Chrome, Firefox and Apple: so many logs up to that lifetime, and one more above it.
MIN_LOGS, MIN_LOGS_ABOVE = 2, 3
SHORT_LIFETIME = datetime.timedelta(days=180)
SOURCE = "https://googlechrome.github.io/CertificateTransparency/ct_policy.html"


def check_transparency(served: Served) -> list[Finding]:
    """Return a finding for each certificate of a public CA. Certificates of private CAs need no proofs."""
    if served.subject.roots is not None:
        return []
    return [_judge(served, chain[0]) for chain in served.trusted_chains()]


def _judge(served: Served, leaf: x509.Certificate) -> Finding:
    logs, needed = transparency_logs(leaf), needed_logs(leaf)
    evidence = (f"serial number {leaf.serial_number:x}, proofs of {len(logs)} logs", *sorted(log.hex() for log in logs))
    if len(logs) >= needed:
        sentence = f"the certificate of {served.name} has proofs of {len(logs)} certificate transparency logs"
        return Finding("fine", "served.sct", sentence, evidence, SOURCE)
    sentence = (
        f"the certificate of {served.name} has proofs (SCTs) of {len(logs)} certificate transparency logs, and browsers want {needed} for "
        "its lifetime; have it issued again, unless the server sends them by itself, or the root is one of your own"
    )
    return Finding("risk", "served.sct", sentence, evidence, SOURCE)


def needed_logs(leaf: x509.Certificate) -> int:
    """Return how many logs browsers want for the lifetime of a certificate."""
    return MIN_LOGS if not_after(leaf) - not_before(leaf) <= SHORT_LIFETIME else MIN_LOGS_ABOVE


# not a parser: the library reads the extension, and its errors are caught
def transparency_logs(leaf: x509.Certificate) -> set[bytes]:
    """Return the identifiers of the logs whose proofs are in a certificate. An extension that cannot be read has none."""
    try:
        proofs = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
        return {proof.log_id for proof in proofs}
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return set()
