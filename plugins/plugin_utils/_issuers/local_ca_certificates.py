# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates and revocation lists that the private CA signs (RFC 5280)."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.certificate import not_after, not_before
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.csr import general_names, make_subject
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import Request
from ansible_collections.evergreen.tls.plugins.plugin_utils._issuance.revocation_reasons import REVOCATION_REASONS

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as SigningKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes as CaPublicKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # the controller's requirements name it; action plugins say so before anything here is called
    pass

CRL_LIFETIME = datetime.timedelta(days=30)
BACKDATING = datetime.timedelta(
    hours=1
)  # of not_before, for hosts whose clock is behind; at most a tenth of the lifetime
MAX_APPLE_LIFETIME = datetime.timedelta(days=825)  # https://support.apple.com/103769
KEY_DIGITS = 8  # of the key identifier in the name of a CA, so that two of the same day can be told apart
MAX_NAME_BYTES = 42  # common names have 64, and "Issuing CA" and digits of its key follow
MAX_COMMON_NAME_BYTES = 64  # RFC 5280, appendix A.1, has as many characters
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class RevokedCertificate(t.NamedTuple):
    """An entry of a revocation list."""

    serial_number: int
    revoked_at: datetime.datetime
    reason: str  # a key of REVOCATION_REASONS


def checked_ca_name(name: str) -> str:
    """Return the name of a private CA. Raises TlsError unless it is printable, and short enough for common names."""
    if not name.strip() or not name.isprintable():
        raise TlsError(
            f"the name of the CA is {name!r}, and it has to be printable text; correct it in certificate_issuers"
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise TlsError(
            f"the name of the CA has {len(name.encode())} bytes, and {MAX_NAME_BYTES} are allowed; shorten it in certificate_issuers"
        )
    return name


def ca_name(name: str, role: str, now: datetime.datetime, public_key: CaPublicKey) -> x509.Name:
    """Return the subject of a CA certificate, with eight digits of its key identifier, and the day where there is room for it.

    name: of the private CA. role: C(Root CA) or C(Issuing CA).
    """
    digits = x509.SubjectKeyIdentifier.from_public_key(public_key).digest.hex()[:KEY_DIGITS]
    common_name = f"{name} {role} {now:%Y-%m-%d} {digits}"
    if len(common_name.encode()) > MAX_COMMON_NAME_BYTES:
        common_name = f"{name} {role} {digits}"
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, name),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def sign_ca_certificate(
    subject: x509.Name,
    public_key: CaPublicKey,
    issuer: x509.Name,
    issuer_key: SigningKey,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
    path_length: int,
) -> x509.Certificate:
    """Return a CA certificate that strict verifiers accept (RFC 5280, sections 4.2.1.1 to 4.2.1.9)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATING)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_key_identifier(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def sign_server_certificate(
    request: Request,
    public_key: PublicKey,
    issuing: x509.Certificate,
    issuing_key: SigningKey,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
    crl_url: str | None,
) -> x509.Certificate:
    """Return a certificate for the domains of a request. issuing: the certificate of the issuing CA."""
    subject = certificate_subject(request)
    names = general_names(request["domains"])
    address = request.get("email_address")
    if address:  # RFC 5280, section 4.1.2.6
        names.append(x509.RFC822Name(address))
    usages = ["digital_signature", *["key_encipherment"] * isinstance(public_key, rsa.RSAPublicKey)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuing.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - min(BACKDATING, lifetime / 10))
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(*usages), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # RFC 5280, section 4.2.1.6: critical where the subject is empty
        .add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_key_identifier(issuing_key.public_key()), critical=False)
    )
    if crl_url:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return builder.sign(issuing_key, hashes.SHA256())


def certificate_subject(request: Request) -> x509.Name:
    """Return the subject of a server certificate. The country has capital letters, as ISO 3166 writes it."""
    country = request.get("country_name")
    return make_subject(request["domains"], {**request, "country_name": country.upper() if country else None})


def lifetime_warnings(certificate: x509.Certificate, name: str) -> list[str]:
    """Return a sentence for a certificate that lives too long for some clients. name: of its request."""
    lifetime = not_after(certificate) - not_before(certificate)
    if lifetime <= MAX_APPLE_LIFETIME:
        return []
    sentence = (
        f"the certificate of the request {name} is valid for {lifetime / datetime.timedelta(days=1):.1f} days, and iOS, iPadOS and macOS refuse "
        f"server certificates of more than {MAX_APPLE_LIFETIME.days} days, of private CAs, too; set lifetime to {MAX_APPLE_LIFETIME.days - 1}d or less"
    )
    return [sentence]


def sign_crl(
    revoked: t.Iterable[RevokedCertificate], issuing: x509.Certificate, issuing_key: SigningKey, now: datetime.datetime
) -> x509.CertificateRevocationList:
    """Return a revocation list. Its number (RFC 5280, section 5.2.3) is the time in milliseconds."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.subject)
        .last_update(now)
        .next_update(now + CRL_LIFETIME)
        .add_extension(_authority_key_identifier(issuing_key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(crl_entry(one))
    return builder.sign(issuing_key, hashes.SHA256())


def crl_entry(revoked: RevokedCertificate) -> x509.RevokedCertificate:
    """Return the entry of a revocation list.

    Raises KeyError for an unknown reason, ValueError for values that cannot be encoded.
    """
    reason = x509.ReasonFlags(REVOCATION_REASONS[revoked.reason].name)
    builder = x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(revoked.revoked_at)
    if reason is not x509.ReasonFlags.unspecified:  # RFC 5280, section 5.3.1: leave it out instead
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


def _key_usage(*usages: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in usages for usage in KEY_USAGES})


def _authority_key_identifier(public_key: CaPublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)


def is_crl_fresh(pem: bytes, issuing: x509.Certificate, now: datetime.datetime) -> bool:
    """Say whether a revocation list is of this CA, valid now, and has half of its lifetime left."""
    try:
        crl = x509.load_pem_x509_crl(pem)
        next_update = crl.next_update_utc
        is_own = crl.is_signature_valid(t.cast("CaPublicKey", issuing.public_key()))
    except (ValueError, TypeError, UnsupportedAlgorithm):  # lost or damaged; the records have all of it
        return False
    is_begun = crl.last_update_utc <= now  # not so where the clock of another controller is ahead
    return is_own and is_begun and next_update is not None and next_update - now >= CRL_LIFETIME / 2
