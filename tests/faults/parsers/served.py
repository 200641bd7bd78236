# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsers of what servers present, and of what their certificates lead to: revocation lists, staples, headers."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ansible_collections.evergreen.tls.plugins.plugin_utils._served import crl, hsts, stapling
from ansible_collections.evergreen.tls.tests.faults.parsers.parser import Parser, decode_text, signer_of
from ansible_collections.evergreen.tls.tests.unit.fake_ca import DAY, NOW, Authority, some_key

POINT = x509.DistributionPoint([x509.UniformResourceIdentifier("http://crl.example.org/a")], None, None, None)
CA = Authority("CA", key=some_key())
LEAF = CA.leaf(["www.example.org"], some_key(1), extensions=[x509.CRLDistributionPoints([POINT])])


def revocation_list() -> bytes:
    """Return a list with one entry."""
    entry = x509.RevokedCertificateBuilder().serial_number(LEAF.serial_number).revocation_date(NOW)
    reason = x509.CRLReason(x509.ReasonFlags.superseded)
    builder = x509.CertificateRevocationListBuilder().issuer_name(CA.certificate.subject).last_update(NOW - DAY)
    scope = x509.IssuingDistributionPoint(POINT.full_name, None, False, False, None, False, False)
    builder = builder.next_update(NOW + DAY).add_extension(scope, critical=True)
    builder = builder.add_revoked_certificate(entry.add_extension(reason, critical=False).build())
    return builder.sign(CA.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def staple() -> bytes:
    """Return an OCSP response."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        LEAF, CA.certificate, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, NOW - DAY, NOW + DAY, None, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, CA.certificate)
    return builder.sign(CA.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def judge_list(content: bytes) -> None:
    """Read a list, and look for a certificate in it."""
    revocations = crl.read_crl(content)
    crl.describe_crl(revocations, "http://crl.example.org/a")
    crl.has_ended(revocations, NOW)
    crl.find_revocation(revocations, LEAF)
    crl.check_crl(revocations, LEAF, CA.certificate, crl.crl_urls(LEAF)[0])


SERVED_PARSERS = (
    Parser("served/crl", "a revocation list", judge_list, (revocation_list(),), "der", signer_of(CA.key)),
    Parser(
        "served/stapling",
        "an OCSP response",
        lambda der: stapling.staple_error(der, LEAF),
        (staple(),),
        "der",
    ),
    Parser(
        "served/hsts",
        "a header",
        lambda content: hsts.parse_policy(decode_text(content)),
        (b'max-age="31536000"; includeSubDomains; preload', b"max-age=0"),
    ),
)
