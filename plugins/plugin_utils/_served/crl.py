# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Revocation lists (RFC 5280, section 5): where a certificate says that its list is, and what the list says about it."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._dates import format_date
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    LIBRARY_ERRORS = (
        *(ValueError, TypeError, UnsupportedAlgorithm),
        *(x509.UnsupportedGeneralNameType, x509.DuplicateExtension),
    )
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

MAX_CRL_BYTES = 20_000_000  # the largest of public CAs have some 10 MB
MAX_URLS = 3  # of one certificate
PEM_BEGIN = b"-----BEGIN X509 CRL-----"


class Revocation(t.NamedTuple):
    """The entry of a certificate on a revocation list."""

    date: datetime.datetime
    reason: str  # as in RFC 5280, section 5.3.1; empty: the list names none


def crl_urls(leaf: x509.Certificate) -> list[str]:
    """Return the HTTP URLs of a certificate's revocation list (RFC 5280, section 4.2.1.13).

    Points for some reasons only, and lists of another issuer, are left out.
    """
    try:
        points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        names = [name for one in points if not one.reasons and not one.crl_issuer for name in one.full_name or ()]
        urls = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    except (x509.ExtensionNotFound, *LIBRARY_ERRORS):
        return []
    return [url for url in dict.fromkeys(urls) if url.lower().startswith("http://")][:MAX_URLS]


def read_crl(content: bytes) -> x509.CertificateRevocationList:
    """Return the revocation list in DER or PEM. Raises TlsError for what is none."""
    try:
        is_pem = content.lstrip().startswith(PEM_BEGIN)
        crl = x509.load_pem_x509_crl(content) if is_pem else x509.load_der_x509_crl(content)
        _read = (crl.issuer, crl.last_update_utc, crl.next_update_utc, crl.signature, crl.extensions)
    except LIBRARY_ERRORS as error:
        raise TlsError("it is no revocation list that can be read; see with the CA") from error
    return crl


def check_crl(crl: x509.CertificateRevocationList, leaf: x509.Certificate, issuer: x509.Certificate, url: str) -> None:
    """Raise TlsError unless a list is of the issuer of a certificate, and about such certificates (RFC 5280, section 6.3.3)."""
    try:
        key: t.Any = issuer.public_key()  # one that signs no list raises TypeError
        is_signed = crl.issuer == leaf.issuer and crl.is_signature_valid(key)
    except LIBRARY_ERRORS:
        is_signed = False
    if not is_signed:
        raise TlsError("the revocation list is not signed by the issuer of the certificate; see with the CA")
    try:
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return
    names = [name.value for name in scope.full_name or () if isinstance(name, x509.UniformResourceIdentifier)]
    is_partial = scope.only_contains_ca_certs or scope.only_contains_attribute_certs or scope.only_some_reasons
    if is_partial or scope.indirect_crl or (names and url not in names):
        raise TlsError("the revocation list is about other certificates (issuing distribution point); see with the CA")


def has_ended(crl: x509.CertificateRevocationList, now: datetime.datetime) -> bool:
    """Say whether the next list had to be there by now. A list without that date does not end."""
    return crl.next_update_utc is not None and crl.next_update_utc <= now


def find_revocation(crl: x509.CertificateRevocationList, leaf: x509.Certificate) -> Revocation | None:
    """Return the entry of a certificate, None where the list has none. Raises TlsError where it cannot be read."""
    try:
        entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
        if entry is None:
            return None
        return Revocation(entry.revocation_date_utc, _reason(entry))
    except LIBRARY_ERRORS as error:
        raise TlsError("the revocation list cannot be read to its end; see with the CA") from error


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, *LIBRARY_ERRORS):
        return ""


def describe_crl(crl: x509.CertificateRevocationList, url: str) -> str:
    """Return where a list is from, and its dates."""
    end = f", next one by {format_date(crl.next_update_utc)}" if crl.next_update_utc else ""
    return f"{url}: of {format_date(crl.last_update_utc)}{end}"
