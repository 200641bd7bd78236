# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificate signing requests (RFC 2986): made and read."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import alternative_names, is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import SUBJECT_FIELDS, Request

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import AttributeOID, NameOID
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PrivateKeyTypes

MAX_COMMON_NAME_LENGTH = 64  # characters (RFC 5280, appendix A.1, ub-common-name)


# not a parser: it reads what the collection has made or checked
def make_csr(key: PrivateKeyTypes, names: list[str], subject: Request) -> bytes:
    """Return a signing request in PEM for *names*.

    subject: a request, of which the subject fields and C(challenge_password) are used.
    """
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject_name(names, subject))
        .add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
    )
    password = subject.get("challenge_password")
    if password:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, password.encode())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    signing_key = t.cast("CertificateIssuerPrivateKeyTypes", key)  # make_key() makes no others
    return builder.sign(signing_key, digest).public_bytes(serialization.Encoding.PEM)


def subject_name(names: list[str], subject: Request) -> x509.Name:
    """Return the subject with the fields that are set.

    The common name is by default the first of the names that is short enough. Raises TlsError for a field that no certificate can hold.
    """
    short = [name for name in names if len(name) <= MAX_COMMON_NAME_LENGTH]
    fields: dict[str, t.Any] = {**subject, "common_name": subject.get("common_name") or (short[0] if short else None)}
    try:
        return x509.Name(
            [
                x509.NameAttribute(getattr(NameOID, oid), fields[field])
                for field, oid in SUBJECT_FIELDS.items()
                if fields.get(field)
            ]
        )
    except ValueError as error:
        raise TlsError(
            f"the subject cannot be written into a certificate: {error}; correct the subject fields"
        ) from error


def general_names(names: list[str]) -> list[x509.GeneralName]:
    """Return the names as a subject alternative name holds them (RFC 5280, section 4.2.1.6)."""
    return [x509.IPAddress(ipaddress.ip_address(name)) if is_ip_address(name) else x509.DNSName(name) for name in names]


def load_csr(pem: bytes) -> x509.CertificateSigningRequest:
    """Return the signing request in PEM.

    Raises TlsError if it, its key or its subject cannot be read, or if its signature is not one of its key.
    """
    try:
        csr = x509.load_pem_x509_csr(pem)
        _read, has_valid_signature = (csr.public_key(), csr.subject), csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion) as error:
        raise TlsError("the signing request cannot be read; have it made again on the host with force: true") from error
    if not has_valid_signature:
        raise TlsError("the signing request does not prove possession of its key; have it made again with force: true")
    return csr


def challenge_password(csr: x509.CertificateSigningRequest) -> str | None:
    """Return the challenge password of a signing request (RFC 2985, section 5.4.1), or None without one."""
    try:
        if hasattr(csr, "attributes"):
            value = csr.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
        else:
            value = csr.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD)  # type: ignore[attr-defined]  # before cryptography 36
    except x509.AttributeNotFound:
        return None
    return value.decode(errors="replace")


def requested_names(csr: x509.CertificateSigningRequest) -> set[str]:
    """Return the names that a signing request asks for, in their normal form."""
    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise TlsError(
            "the extensions of the signing request cannot be read; have it made again with force: true"
        ) from error
    return alternative_names(names)
