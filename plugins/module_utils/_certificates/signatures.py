# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures of certificates: who made them, and with which digest."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import has_issuer
from ansible_collections.evergreen.tls.plugins.module_utils._errors import is_failure

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
except ImportError:  # reported by require_cryptography() before anything here is called
    pass


def is_signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Say whether the key of *ca* made the signature of a certificate, and subject and issuer agree."""
    if not has_issuer(certificate, ca):
        return False
    try:
        key = ca.public_key()
        signature, content = certificate.signature, certificate.tbs_certificate_bytes
        if isinstance(key, rsa.RSAPublicKey):
            return any(_has_rsa_signature(key, certificate, *scheme) for scheme in _rsa_schemes(certificate))
        digest = t.cast(
            hashes.HashAlgorithm, signature_digest(certificate)
        )  # None raises TypeError where one is needed
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(digest))
        elif isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            key.verify(signature, content)
        elif isinstance(key, dsa.DSAPublicKey):
            key.verify(signature, content, digest)
        else:
            return False
    except BaseException as error:  # the library raises what it does not document, such as panics
        if not is_failure(error):
            raise
        return False
    return True


def signature_digest(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    """Return the digest of the signature, or None if it is unknown: RSA-PSS before cryptography 41."""
    try:
        return certificate.signature_hash_algorithm
    except Exception:  # an algorithm that is not known here
        return None


def _rsa_schemes(certificate: x509.Certificate) -> list[tuple[t.Any, t.Any]]:
    """Return the padding and digest of an RSA signature, or all that may have been used."""
    digest = signature_digest(certificate)
    if hasattr(certificate, "signature_algorithm_parameters"):
        return [(certificate.signature_algorithm_parameters, digest)]
    if digest is not None:  # before cryptography 41
        return [(padding.PKCS1v15(), digest)]
    digests = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
    return [(padding.PSS(padding.MGF1(digest), digest.digest_size), digest) for digest in digests]


def _has_rsa_signature(
    key: rsa.RSAPublicKey,
    certificate: x509.Certificate,
    scheme: padding.AsymmetricPadding,
    digest: hashes.HashAlgorithm,
) -> bool:
    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, scheme, digest)
    except InvalidSignature:
        return False
    return True
