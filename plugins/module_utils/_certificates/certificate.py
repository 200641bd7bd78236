# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate by itself: how it is read, and what people tell it by: its bearer, its dates, its fingerprint."""

from __future__ import annotations

import datetime

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
except ImportError:  # reported by require_cryptography() before anything here is called
    pass


def parse_certificate(der: bytes):
    """Return the certificate, once its key and names, which libraries read only when they are asked for, can be read too."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        _read = certificate.public_key(), certificate.subject, certificate.issuer
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion) as error:
        raise TlsError("it is a certificate that cannot be read; have it issued again") from error
    return certificate


def to_pem(certificates: list) -> bytes:
    """Return the certificates in PEM, in their order."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def describe_certificate(certificate) -> str:
    """Return how people tell a certificate from others."""
    return (
        f"{common_name(certificate.subject)}, issued by {common_name(certificate.issuer)}, "
        f"valid until {format_date(not_after(certificate))}, serial number {certificate.serial_number:x}"
    )


def common_name(name) -> str:
    """Return what people call the bearer of a subject or issuer: its common name, else the whole of it."""
    for attribute in name:
        if attribute.oid == x509.oid.NameOID.COMMON_NAME:
            return attribute.value
    return name.rfc4514_string() or "(no name)"


def fingerprint(certificate) -> str:
    """Return the SHA-256 fingerprint of a certificate, in lower-case hexadecimal digits without colons."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def not_before(certificate) -> datetime.datetime:
    """Return the first moment of validity, in UTC."""
    try:
        return certificate.not_valid_before_utc
    except AttributeError:  # before cryptography 42
        return certificate.not_valid_before.replace(tzinfo=datetime.timezone.utc)


def not_after(certificate) -> datetime.datetime:
    """Return the last moment of validity, in UTC."""
    try:
        return certificate.not_valid_after_utc
    except AttributeError:  # before cryptography 42
        return certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)
