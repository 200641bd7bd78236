# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains of certificates as servers send them: leaf first, each signed by the next, without the root.

check_chain() is the one definition of a good chain. It decides whether a chain may be installed and, by why_renew(), whether an installed one
has to be renewed.
"""

from __future__ import annotations

import contextlib
import datetime
import ssl
import typing as t

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
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, errors_as, is_failure
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    ExtensionType = t.TypeVar("ExtensionType", bound=x509.ExtensionType)

BEGIN, END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class ChainDescription(t.TypedDict):
    """A chain in results, diffs and reports."""

    common_name: str
    names: list[str]
    issuer: str  # common name
    chain: list[str]  # common names, the leaf first
    key: str
    serial_number: str  # hexadecimal digits
    fingerprint: str
    not_before: str  # in UTC and ISO 8601
    not_after: str


def parse_chain(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in PEM, in their order.

    Raises TlsError if there is none, or one cannot be read.
    """
    blocks = [BEGIN + block for block in pem.split(BEGIN)[1:]]
    if not any(END in block for block in blocks):
        raise TlsError("it holds no PEM certificate; have it issued again")
    try:
        return [parse_certificate(ssl.PEM_cert_to_DER_cert(_until_end(block).decode())) for block in blocks]
    except (ValueError, TlsError) as error:
        raise TlsError("it holds a PEM certificate that cannot be read; have it issued again") from error


def parse_bundle(pem: bytes, max_certificates: int) -> tuple[list[x509.Certificate], int]:
    """Return the certificates in PEM that can be read, in their order, and the number of the others.

    Raises TlsError if none can be read, or there are more than so many.
    """
    count = pem.count(BEGIN)
    if count > max_certificates:
        raise TlsError(
            f"the answer has {count} certificates, and chains have a few; see what answers in place of the CA"
        )
    certificates = []
    for block in pem.split(BEGIN)[1:]:
        with contextlib.suppress(TlsError):
            certificates += parse_chain(BEGIN + block)
    return certificates or parse_chain(pem), count - len(certificates)


def names_of(certificate: x509.Certificate) -> set[str]:
    """Return the DNS names and IP addresses of a certificate, in their normal form."""
    names = _extension(certificate, x509.SubjectAlternativeName)
    return alternative_names(names) if names is not None else set()


def is_ca(certificate: x509.Certificate) -> bool:
    """Say whether a certificate may sign others (RFC 5280, section 4.2.1.9)."""
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def is_signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Say whether the key of *ca* made the signature of a certificate, and subject and issuer agree."""
    if certificate.issuer != ca.subject:
        return False
    try:
        key = ca.public_key()
        signature, content = certificate.signature, certificate.tbs_certificate_bytes
        if isinstance(key, rsa.RSAPublicKey):
            return any(_has_rsa_signature(key, certificate, *scheme) for scheme in _rsa_schemes(certificate))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            digest = t.cast(hashes.HashAlgorithm, certificate.signature_hash_algorithm)  # None raises TypeError
            key.verify(signature, content, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, content)
        else:
            return False
    except BaseException as error:  # the library raises what it does not document, such as panics
        if not is_failure(error):
            raise
        return False
    return True


def check_chain(
    chain: list[x509.Certificate],
    public_key: PublicKeyTypes,
    names: list[str],
    now: datetime.datetime,
    roots: list[x509.Certificate] | None = None,
    allowed: t.Sequence[str] = (),
) -> None:
    """Make sure that a server can use a chain for its key and names, and that clients accept it.

    names, allowed: in their normal form. The certificate has to cover all *names*, and may cover those *allowed* besides.
    roots: None leaves trust to a handshake later.
    Raises TlsError with the first fault.
    """
    leaf = chain[0]
    if public_bytes(leaf.public_key()) != public_bytes(public_key):
        raise TlsError("the certificate belongs to another private key; have the request of this host issued again")
    expected = set(names)
    covered = names_of(leaf) - (set(allowed) - expected)
    if covered != expected:
        raise TlsError(_describe_name_difference(covered, expected))
    if is_ca(leaf):
        raise TlsError("the certificate is one of a CA, not of a server; have it issued for a server")
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise TlsError("the certificate is not for servers (no serverAuth); have it issued for a server")
    for certificate in chain:
        what = "the certificate" if certificate is leaf else f"the CA {common_name(certificate.subject)}"
        digest = _signature_digest(certificate)
        is_root = certificate.subject == certificate.issuer  # clients do not check its signature
        if isinstance(digest, (hashes.MD5, hashes.SHA1)) and not is_root:
            raise TlsError(f"{what} is signed with {digest.name}, which clients refuse; have it issued again")
        _check_dates(certificate, what, now)
    for certificate, ca in zip(chain, chain[1:]):
        if not is_ca(ca) or not is_signed_by(certificate, ca):
            raise TlsError(
                f"{common_name(ca.subject)} did not sign the certificate before it; order the chain leaf first, without strangers"
            )
    # A chain may go on above a root that is trusted, for clients that know an older one.
    if roots is not None and not any(one == root or is_signed_by(one, root) for one in chain for root in roots):
        known = ", ".join(sorted(common_name(root.subject) for root in roots)) or "none"
        raise TlsError(
            f"the chain ends at {common_name(chain[-1].issuer)}, which is not a root of the issuer ({known}); have it issued again"
        )


def describe_chain(chain: list[x509.Certificate]) -> ChainDescription:
    """Return what results, diffs and reports contain of a chain."""
    leaf = chain[0]
    return {
        "common_name": common_name(leaf.subject),
        "names": [shorten(name) for name in sorted(names_of(leaf))],
        "issuer": common_name(leaf.issuer),
        "chain": [common_name(certificate.subject) for certificate in chain],
        "key": describe_key(leaf.public_key()),
        "serial_number": f"{leaf.serial_number:x}",
        "fingerprint": fingerprint(leaf),
        "not_before": not_before(leaf).isoformat(),
        "not_after": not_after(leaf).isoformat(),
    }


def _until_end(block: bytes) -> bytes:
    """Return a block of PEM without what stands behind it. Raises ValueError if it has no end."""
    return block[: block.index(END) + len(END)]


def _check_dates(certificate: x509.Certificate, what: str, now: datetime.datetime) -> None:
    """Raise TlsError, with *what* as the subject of its sentence, unless the certificate is valid now."""
    if now < not_before(certificate):
        raise TlsError(
            f"{what} is valid only from {format_date(not_before(certificate))}, and the clock here says "
            f"{now:%Y-%m-%d %H:%M:%S}; set the clock of this host, or wait"
        )
    if not_after(certificate) <= now:
        raise TlsError(f"{what} expired on {format_date(not_after(certificate))}; have it issued again")


def _describe_name_difference(covered: set[str], expected: set[str]) -> str:
    parts = []
    if expected - covered:
        parts.append(f"does not cover {', '.join(sorted(expected - covered))}")
    if covered - expected:
        parts.append(f"covers {shorten(', '.join(sorted(covered - expected)))}, which nobody asked for")
    return f"the certificate {' and '.join(parts)}; have it issued for {', '.join(sorted(expected))}"


def _extension(certificate: x509.Certificate, extension: type[ExtensionType]) -> ExtensionType | None:
    """Return the value of an extension, or None without one. Raises TlsError if extensions cannot be read."""
    with errors_as(lambda _text: "the extensions of the certificate cannot be read; have it issued again"):
        try:
            return certificate.extensions.get_extension_for_class(extension).value
        except x509.ExtensionNotFound:
            return None


def _signature_digest(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    """Return the digest of the signature, or None if it is unknown: RSA-PSS before cryptography 41."""
    try:
        return certificate.signature_hash_algorithm
    except Exception:  # an algorithm that is not known here
        return None


def _rsa_schemes(certificate: x509.Certificate) -> list[tuple[t.Any, t.Any]]:
    """Return the padding and digest of an RSA signature, or all that may have been used."""
    digest = _signature_digest(certificate)
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
