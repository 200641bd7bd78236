# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One certificate: parsed, written in PEM, and described by its subject, dates and fingerprint."""

from __future__ import annotations

import datetime
import typing as t
import warnings

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    is_self_issued,
    issuer_name,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.extensions import read_extensions
from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import errors_as

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

SERIAL_NUMBER_WARNING = "Parsed a (negative )?serial number"  # as the library says of each that is not positive


def ignore_serial_number_warnings() -> None:
    """Have the library not warn of serial numbers that are not positive; strict_warnings() has the finding about them.

    One filter for the process, since warnings.catch_warnings() is not safe where threads read certificates.
    """
    warnings.filterwarnings("ignore", message=SERIAL_NUMBER_WARNING)


ignore_serial_number_warnings()


def parse_certificate(der: bytes) -> x509.Certificate:
    """Return the certificate in DER. Raises TlsError if it, or anything in it that is used later, cannot be read.

    The library reads keys and dates only when they are used. Extensions of a self-issued certificate may be unreadable here: roots
    are compared by name and key before anything else of them is used.
    """
    with errors_as(lambda _text: "it is a certificate that cannot be read; have it issued again"):
        certificate = x509.load_der_x509_certificate(der)
        _read = (
            (certificate.public_key(), certificate.serial_number, certificate.signature),
            (subject_name(certificate), issuer_name(certificate)),
            (not_before(certificate), not_after(certificate)),
        )
        if not is_self_issued(certificate):
            read_extensions(certificate)
    return certificate


def to_pem(certificates: t.Iterable[x509.Certificate]) -> bytes:
    """Return the certificates in PEM, in their order."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def describe_certificate(certificate: x509.Certificate) -> str:
    """Return what distinguishes a certificate from others: subject, issuer, end and serial number."""
    return (
        f"{subject_name(certificate)}, issued by {issuer_name(certificate)}, "
        f"valid until {format_date(not_after(certificate))}, serial number {certificate.serial_number:x}"
    )


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
