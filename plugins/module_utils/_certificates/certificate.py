# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One certificate: parsed, written in PEM, and described by its subject, dates and fingerprint."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import errors_as
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
except ImportError:  # reported by require_cryptography() before anything here is called
    pass


def parse_certificate(der: bytes) -> x509.Certificate:
    """Return the certificate in DER. Raises TlsError if it, or anything in it that is used later, cannot be read.

    The library reads key, names, dates and extensions only when they are used. Extensions of a self-issued certificate may be
    unreadable: clients trust a root for its name and key alone.
    """
    with errors_as(lambda _text: "it is a certificate that cannot be read; have it issued again"):
        certificate = x509.load_der_x509_certificate(der)
        _read = (
            (certificate.public_key(), certificate.serial_number, certificate.signature),
            (common_name(certificate.subject), common_name(certificate.issuer)),
            (not_before(certificate), not_after(certificate)),
        )
        if certificate.subject != certificate.issuer:
            _extensions = list(certificate.extensions)
    return certificate


def to_pem(certificates: t.Iterable[x509.Certificate]) -> bytes:
    """Return the certificates in PEM, in their order."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def describe_certificate(certificate: x509.Certificate) -> str:
    """Return what distinguishes a certificate from others: subject, issuer, end and serial number."""
    return (
        f"{common_name(certificate.subject)}, issued by {common_name(certificate.issuer)}, "
        f"valid until {format_date(not_after(certificate))}, serial number {certificate.serial_number:x}"
    )


def common_name(name: x509.Name) -> str:
    """Return the common name of a subject or issuer, or the whole name where it has none, as people read it."""
    for attribute in name:
        if attribute.oid == x509.oid.NameOID.COMMON_NAME:
            return shorten(
                t.cast(str, attribute.value)
            )  # bytes are in unique identifiers alone (RFC 4519, section 2.40)
    return shorten(name.rfc4514_string()) or "(no name)"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint of a certificate, in lower-case hexadecimal digits without colons."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def not_before(certificate: x509.Certificate) -> datetime.datetime:
    """Return the first second of validity, in UTC (RFC 5280, section 4.1.2.5)."""
    try:
        return certificate.not_valid_before_utc
    except AttributeError:  # before cryptography 42
        return certificate.not_valid_before.replace(tzinfo=datetime.timezone.utc)


def not_after(certificate: x509.Certificate) -> datetime.datetime:
    """Return the last second of validity, in UTC (RFC 5280, section 4.1.2.5)."""
    try:
        return certificate.not_valid_after_utc
    except AttributeError:  # before cryptography 42
        return certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)
