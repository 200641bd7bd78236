# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificate signing requests (RFC 2986): made and read."""

from __future__ import annotations

import ipaddress

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import alternative_names, is_ip_address
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import SUBJECT_FIELDS

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import AttributeOID, ExtensionOID, NameOID
except ImportError:  # reported by require_cryptography() before anything here is called
    pass


# not a parser: it reads what the collection has made or checked
def make_csr(key, names: list[str], subject: dict) -> bytes:
    """Return a signing request in PEM for *names*, with the subject fields and the challenge password that are set in *subject*."""
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject_name(names, subject))
        .add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
    )
    if subject.get("challenge_password"):
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, subject["challenge_password"].encode())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM)


def subject_name(names: list[str], subject: dict):
    """Return the subject: the fields that are set, and as common name the first DNS name that fits into one.

    A common name has 64 characters at most (RFC 5280, appendix A.1, ub-common-name).
    """
    short = [name for name in names if len(name) <= 64]
    fields = {**subject, "common_name": subject.get("common_name") or (short[0] if short else None)}
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


def general_names(names: list[str]) -> list:
    """Return the names as a subject alternative name holds them (RFC 5280, section 4.2.1.6)."""
    return [x509.IPAddress(ipaddress.ip_address(name)) if is_ip_address(name) else x509.DNSName(name) for name in names]


def load_csr(pem: bytes):
    """Return the signing request in *pem*, once its signature has proved possession of the key, and its key and subject can be read."""
    try:
        csr = x509.load_pem_x509_csr(pem)
        _read, proved = (csr.public_key(), csr.subject), csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion) as error:
        raise TlsError("the signing request cannot be read; have it made again on the host with force: true") from error
    if not proved:
        raise TlsError("the signing request does not prove possession of its key; have it made again with force: true")
    return csr


def challenge_password(csr) -> str | None:
    """Return the challenge password of a signing request (RFC 2985, section 5.4.1), or None where it has none."""
    try:
        if hasattr(csr, "attributes"):
            value = csr.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
        else:  # before cryptography 36
            value = csr.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD)
    except x509.AttributeNotFound:
        return None
    return value.decode(errors="replace")


def requested_names(csr) -> set[str]:
    """Return the names that a signing request asks for, in their normal form."""
    try:
        names = csr.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return set()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise TlsError(
            "the extensions of the signing request cannot be read; have it made again with force: true"
        ) from error
    return alternative_names(names)
