# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificate signing requests (RFC 2986): made and read."""

from __future__ import annotations

import collections
import ipaddress
import re
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import is_ip_address, normal_name
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError, errors_as
from ansible_collections.evergreen.tls.plugins.module_utils._request_spec import SUBJECT_FIELDS, Request
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import AttributeOID, NameOID
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PrivateKeyTypes

ONE_CSR = re.compile(
    rb"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----[A-Za-z0-9+/=\s]*-----END (NEW )?CERTIFICATE REQUEST-----\s*"
)
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"  # RFC 2985, section 5.4.2
MAX_COMMON_NAME_LENGTH = 64  # characters (RFC 5280, appendix A.1, ub-common-name)


# not a parser: it reads what the collection has made or checked
def make_csr(key: PrivateKeyTypes, names: list[str], subject: Request) -> bytes:
    """Return a signing request in PEM for *names*.

    subject: a request, of which the subject fields and C(challenge_password) are used.
    """
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(make_subject(names, subject))
        .add_extension(x509.SubjectAlternativeName(general_names(names)), critical=False)
    )
    password = subject.get("challenge_password")
    if password:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, password.encode())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    signing_key = t.cast("CertificateIssuerPrivateKeyTypes", key)  # make_key() makes no others
    return builder.sign(signing_key, digest).public_bytes(serialization.Encoding.PEM)


def make_subject(names: list[str], subject: Request) -> x509.Name:
    """Return the subject with the fields that are set.

    The common name is by default the first DNS name that is short enough: public CAs refuse an IP address there.
    Raises TlsError for a field that no certificate can hold.
    """
    short = [name for name in names if len(name) <= MAX_COMMON_NAME_LENGTH and not is_ip_address(name)]
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

    Raises TlsError if it, its key or its subject cannot be read, if its signature is not one of its key, or if the text holds
    anything else: another reader might take that for the request.
    """
    with errors_as(lambda _text: "the signing request cannot be read; have it made again on the host with force: true"):
        csr = x509.load_pem_x509_csr(pem)
        _read, has_valid_signature = (csr.public_key(), csr.subject), csr.is_signature_valid
    if not has_valid_signature:
        raise TlsError("the signing request does not prove possession of its key; have it made again with force: true")
    if not ONE_CSR.fullmatch(pem):
        raise TlsError(
            "the text of the signing request holds more than one request in PEM; send that alone, or have it made again with force: true"
        )
    return csr


def csr_to_pem(csr: x509.CertificateSigningRequest) -> bytes:
    """Return a signing request in PEM, written anew from what was parsed."""
    return csr.public_bytes(serialization.Encoding.PEM)


def csr_to_der(csr: x509.CertificateSigningRequest) -> bytes:
    """Return a signing request in DER, written anew from what was parsed."""
    return csr.public_bytes(serialization.Encoding.DER)


def csr_difference(csr: x509.CertificateSigningRequest, request: Request) -> str | None:
    """Return what a signing request has that make_csr() does not write for a request, or lacks; None without a difference.

    Only the key and the order of the names are left to whoever made it. The subject is compared as it is encoded.
    """
    try:
        return (
            _subject_difference(csr, request)
            or _extension_difference(csr, request)
            or _attribute_difference(csr, request)
        )
    except TlsError:
        raise
    except Exception:  # whatever the library raises
        return "its subject, extensions or attributes cannot be read"


def _subject_difference(csr: x509.CertificateSigningRequest, request: Request) -> str | None:
    subject, expected = csr.subject, make_subject(request["domains"], request)
    if subject.public_bytes() == expected.public_bytes():
        return None
    texts = [name.rfc4514_string() or "nothing" for name in (subject, expected)]
    if texts[0] == texts[1]:
        return f"its subject {texts[0]} is encoded in another way"
    return f"its subject is {texts[0]}, and the inventory says {texts[1]}"


def _extension_difference(csr: x509.CertificateSigningRequest, request: Request) -> str | None:
    names: list[x509.GeneralName] = []
    for extension in csr.extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            return f"it has the extension {_oid_name(extension.oid)}, and the inventory asks for names alone"
        if extension.critical:
            return "its names are marked as critical, and the inventory does not say so"
        names = list(extension.value)
    if collections.Counter(names) != collections.Counter(general_names(request["domains"])):
        return f"its names are {shorten(', '.join(str(name.value) for name in names)) or 'missing'}, and the inventory writes {', '.join(request['domains'])}"
    return None


def _attribute_difference(csr: x509.CertificateSigningRequest, request: Request) -> str | None:
    password = request.get("challenge_password") or None
    if challenge_password(csr) != password:
        return "its challenge password is not that of the inventory"
    if not hasattr(csr, "attributes"):  # before cryptography 36, on hosts alone
        return None
    expected = [EXTENSION_REQUEST, *([AttributeOID.CHALLENGE_PASSWORD.dotted_string] if password else [])]
    found = [attribute.oid.dotted_string for attribute in csr.attributes]
    unexpected = collections.Counter(found) - collections.Counter(expected)
    if unexpected:
        return f"it has the attribute {', '.join(sorted(unexpected))}, and the inventory does not ask for that"
    return None


def _oid_name(oid: x509.ObjectIdentifier) -> str:
    name = getattr(oid, "_name", "Unknown OID")
    return oid.dotted_string if name == "Unknown OID" else name


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
    """Return the names that a signing request asks for, in their normal form. Raises TlsError if they cannot be read."""
    return set(ordered_names(csr))


def ordered_names(csr: x509.CertificateSigningRequest) -> list[str]:
    """Return the names of a signing request in its order, in their normal form. Raises TlsError if they cannot be read."""
    with errors_as(
        lambda _text: "the extensions of the signing request cannot be read; have it made again with force: true"
    ):
        try:
            names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return []
        return [normal_name(name) for name in names]
