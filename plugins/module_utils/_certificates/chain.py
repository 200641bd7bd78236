# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains of certificates as servers send them: the leaf first, each signed by the next, without the root.

check_chain() is the one definition of a good chain. It answers "may this be installed?" and, through why_renew(),
"must what is there be renewed?".
"""

from __future__ import annotations

import datetime
import ssl

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import (
    common_name,
    fingerprint,
    not_after,
    not_before,
    parse_certificate,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.keys import describe_key, public_bytes
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import alternative_names
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def parse_chain(pem: bytes) -> list:
    """Return the certificates in *pem*, in their order. TlsError when there is none or one cannot be read."""
    blocks = [BEGIN + block for block in pem.split(BEGIN)[1:]]
    if not any(END in block for block in blocks):
        raise TlsError("it holds no PEM certificate; have it issued again")
    try:
        return [parse_certificate(ssl.PEM_cert_to_DER_cert(_until_end(block).decode())) for block in blocks]
    except (ValueError, TlsError) as error:
        raise TlsError("it holds a PEM certificate that cannot be read; have it issued again") from error


def names_of(certificate) -> set[str]:
    """Return the DNS names and IP addresses of a certificate, in their normal form."""
    names = _extension(certificate, "SubjectAlternativeName")
    return alternative_names(names) if names is not None else set()


def is_ca(certificate) -> bool:
    """Say whether a certificate may sign others (RFC 5280, section 4.2.1.9)."""
    constraints = _extension(certificate, "BasicConstraints")
    return constraints is not None and constraints.ca


def is_signed_by(lower, upper) -> bool:
    """Say whether the key of *upper* made the signature of *lower*, and their names agree."""
    if lower.issuer != upper.subject:
        return False
    key = upper.public_key()
    signature, content = lower.signature, lower.tbs_certificate_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey):
            return any(_verifies(key, signature, content, *way) for way in _rsa_ways(lower))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, ec.ECDSA(lower.signature_hash_algorithm))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, content)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def check_chain(
    chain: list,
    public_key,
    names: list[str],
    now: datetime.datetime,
    roots: list | None = None,
    allowed: tuple | list = (),
) -> None:
    """Make sure that a server with *public_key* can answer to *names* with *chain*, for clients that trust *roots*.

    A good chain passes in silence; a bad one raises TlsError with the first thing that is wrong. Without *roots*,
    trust is left to the handshake from outside. Names are expected in their normal form. Those that are *allowed* may be
    covered besides.
    """
    leaf = chain[0]
    if public_bytes(leaf.public_key()) != public_bytes(public_key):
        raise TlsError("the certificate belongs to another private key; have the request of this host issued again")
    wanted = set(names)
    found = names_of(leaf) - (set(allowed) - wanted)
    if found != wanted:
        raise TlsError(_names_differ(found, wanted))
    if is_ca(leaf):
        raise TlsError("the certificate is one of a CA, not of a server; have it issued for a server")
    usage = _extension(leaf, "ExtendedKeyUsage")
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise TlsError("the certificate is not for servers (no serverAuth); have it issued for a server")
    for certificate in chain:
        what = "the certificate" if certificate is leaf else f"the CA {common_name(certificate.subject)}"
        digest = _digest(certificate)
        is_root = (
            certificate.subject == certificate.issuer
        )  # which is trusted for what it is, and not for its signature
        if isinstance(digest, (hashes.MD5, hashes.SHA1)) and not is_root:
            raise TlsError(f"{what} is signed with {digest.name}, which clients refuse; have it issued again")
        _check_dates(certificate, what, now)
    for lower, upper in zip(chain, chain[1:]):
        if not is_ca(upper) or not is_signed_by(lower, upper):
            raise TlsError(
                f"{common_name(upper.subject)} did not sign the certificate before it; order the chain leaf first, without strangers"
            )
    # A chain may go on above a root that is trusted, for clients that know an older one.
    if roots is not None and not any(one == root or is_signed_by(one, root) for one in chain for root in roots):
        wanted = ", ".join(sorted(common_name(root.subject) for root in roots)) or "none"
        raise TlsError(
            f"the chain ends at {common_name(chain[-1].issuer)}, which is not a root of the issuer ({wanted}); have it issued again"
        )


def describe_chain(chain: list) -> dict:
    """Return what people ask of a certificate, for results, diffs and reports. Dates are UTC in ISO 8601."""
    leaf = chain[0]
    return {
        "common_name": common_name(leaf.subject),
        "names": sorted(names_of(leaf)),
        "issuer": common_name(leaf.issuer),
        "chain": [common_name(certificate.subject) for certificate in chain],
        "key": describe_key(leaf.public_key()),
        "serial_number": f"{leaf.serial_number:x}",
        "fingerprint": fingerprint(leaf),
        "not_before": not_before(leaf).isoformat(),
        "not_after": not_after(leaf).isoformat(),
    }


def _until_end(block: bytes) -> bytes:
    """Return a block of PEM without what stands behind it. ValueError when it has no end."""
    return block[: block.index(END) + len(END)]


def _check_dates(certificate, what: str, now: datetime.datetime) -> None:
    if now < not_before(certificate):
        raise TlsError(
            f"{what} is valid only from {format_date(not_before(certificate))}, and the clock here says "
            f"{now:%Y-%m-%d %H:%M:%S}; set the clock of this host, or wait"
        )
    if not_after(certificate) <= now:
        raise TlsError(f"{what} expired on {format_date(not_after(certificate))}; have it issued again")


def _names_differ(found: set[str], wanted: set[str]) -> str:
    parts = []
    if wanted - found:
        parts.append(f"does not cover {', '.join(sorted(wanted - found))}")
    if found - wanted:
        parts.append(f"covers {', '.join(sorted(found - wanted))}, which nobody asked for")
    return f"the certificate {' and '.join(parts)}; have it issued for {', '.join(sorted(wanted))}"


def _extension(certificate, name: str):
    try:
        return certificate.extensions.get_extension_for_class(getattr(x509, name)).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise TlsError("the extensions of the certificate cannot be read; have it issued again") from error


def _digest(certificate):
    """Return what was signed with, or None where the library cannot tell: RSA-PSS before cryptography 41."""
    try:
        return certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def _rsa_ways(certificate) -> list:
    """Return the ways in which an RSA key may have signed a certificate: padding and digest."""
    digest = _digest(certificate)
    if hasattr(certificate, "signature_algorithm_parameters"):
        return [(certificate.signature_algorithm_parameters, digest)]
    if digest is not None:  # before cryptography 41
        return [(padding.PKCS1v15(), digest)]
    digests = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
    return [(padding.PSS(padding.MGF1(digest), digest.digest_size), digest) for digest in digests]


def _verifies(key, signature: bytes, content: bytes, *way) -> bool:
    try:
        key.verify(signature, content, *way)
    except InvalidSignature:
        return False
    return True
