# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subjects and issuers of certificates, compared as OpenSSL compares them, and as people read them.

The library refuses a whole name where one string of it is not encoded as its type says. OpenSSL, browsers and Windows read these
strings all the same: T61String is taken for Latin-1.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    SEQUENCE,
    SET,
    children,
    element_of,
    elements,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.fields import certificate_fields
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError
from ansible_collections.evergreen.tls.plugins.module_utils._text import shorten

if t.TYPE_CHECKING:
    from cryptography import x509

    from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import Element

COMMON_NAME = bytes.fromhex("550403")  # object identifiers, in DER
ORGANIZATION = bytes.fromhex("55040a")
EMAIL_ADDRESS = bytes.fromhex("2a864886f70d010901")
T61_STRING = 0x14
# Tags of strings, and how they are encoded (X.690, section 8.23; X509_NAME_cmp of OpenSSL).
ENCODINGS = {
    0x0C: "utf-8",
    0x13: "latin-1",  # PrintableString
    T61_STRING: "latin-1",
    0x16: "latin-1",  # IA5String
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
# Other types that OpenSSL reads in a name (DIRECTORYSTRING and B_ASN1_PRINTABLE in its asn1.h): BIT STRING, NumericString, SEQUENCE.
OTHER_TAGS = (0x03, 0x12, 0x30)
# Attributes that are shown by a short name (RFC 4514, section 3).
SHORT_NAMES = {
    COMMON_NAME: "CN",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    ORGANIZATION: "O",
    bytes.fromhex("55040b"): "OU",
    EMAIL_ADDRESS: "emailAddress",
    bytes.fromhex("0992268993f22c640119"): "DC",
}
MAX_REMEMBERED = 4096  # certificates

# A name in its canonical form: one set for each relative distinguished name, of pairs of an object identifier and a value.
CanonicalName = tuple[frozenset[tuple[bytes, t.Any]], ...]


class Attribute(t.NamedTuple):
    """An attribute of a name."""

    oid: bytes  # in DER
    tag: int  # of its string
    value: bytes


class DistinguishedName(t.NamedTuple):
    """A subject or an issuer (RFC 5280, section 4.1.2.4)."""

    der: bytes  # its encoding, which clients such as Go compare
    canonical: CanonicalName
    attributes: tuple[Attribute, ...]

    @property
    def common_name(self) -> str:
        """The common name, or the whole name where it has none, as people read it."""
        for attribute in self.attributes:
            if attribute.oid == COMMON_NAME:
                return shorten(text_of(attribute))
        parts = (f"{attribute_name(one.oid)}={text_of(one)}" for one in reversed(self.attributes))
        return shorten(",".join(parts)) or "(no name)"


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def subject_of(certificate: x509.Certificate) -> DistinguishedName:
    """Return the subject of a certificate. Raises TlsError if it is malformed."""
    return _name(certificate, 4)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def issuer_of(certificate: x509.Certificate) -> DistinguishedName:
    """Return the issuer of a certificate. Raises TlsError if it is malformed."""
    return _name(certificate, 2)


def subject_name(certificate: x509.Certificate) -> str:
    """Return the common name of the subject, or the whole subject where it has none, as people read it."""
    return subject_of(certificate).common_name


def issuer_name(certificate: x509.Certificate) -> str:
    """Return the common name of the issuer, or the whole issuer where it has none, as people read it."""
    return issuer_of(certificate).common_name


def parse_library_name(name: x509.Name) -> DistinguishedName:
    """Return a name of the library as DistinguishedName."""
    (element,) = elements(name.public_bytes())
    return parse_name(element)


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Say whether subject and issuer of a certificate are the same (RFC 5280, section 6.1)."""
    return subject_of(certificate).canonical == issuer_of(certificate).canonical


def has_issuer(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Say whether the issuer of a certificate has the name of *ca*."""
    return issuer_of(certificate).canonical == subject_of(ca).canonical


def parse_name(element: Element) -> DistinguishedName:
    """Return a name out of its DER. Raises ValueError if it is malformed."""
    attributes: list[Attribute] = []
    canonical: list[frozenset[tuple[bytes, t.Any]]] = []
    for relative in children(element, SEQUENCE):
        pairs = []
        for pair in children(relative, SET):
            oid, value = children(pair, SEQUENCE)
            attributes.append(Attribute(oid.value, value.tag, value.value))
            pairs.append((oid.value, _canonical_value(attributes[-1])))
        canonical.append(frozenset(pairs))
    return DistinguishedName(element_of(element), tuple(canonical), tuple(attributes))


def text_of(attribute: Attribute) -> str:
    """Return the text of an attribute, with replacement characters for what its type does not allow."""
    return attribute.value.decode(ENCODINGS.get(attribute.tag, "latin-1"), errors="replace")


def _name(certificate: x509.Certificate, index: int) -> DistinguishedName:
    try:
        return parse_name(certificate_fields(certificate)[index])
    except (ValueError, IndexError, StopIteration) as error:
        raise TlsError("a name in the certificate cannot be read; have it issued again") from error


def _canonical_value(attribute: Attribute) -> t.Any:
    """Return a value so that values are equal where OpenSSL takes them as equal: without case of ASCII, spaces and string type.

    Raises ValueError where OpenSSL does not read it: for other types, and for strings that are not encoded as their type says.
    """
    if attribute.tag not in ENCODINGS:
        if attribute.tag not in OTHER_TAGS:
            raise ValueError(attribute.tag)
        return attribute.tag, attribute.value
    text = attribute.value.decode(ENCODINGS[attribute.tag]).encode()
    return b" ".join(text.lower().split())


def attribute_name(oid: bytes) -> str:
    """Return the short name of an attribute, or its object identifier in dotted form."""
    return SHORT_NAMES.get(oid) or dotted(oid)


def dotted(oid: bytes) -> str:
    """Return an object identifier in its dotted form (X.690, section 8.19).

    >>> dotted(bytes.fromhex("550403")), dotted(bytes.fromhex("2a864886f70d010901"))
    ('2.5.4.3', '1.2.840.113549.1.9.1')
    """
    numbers, number = [], 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        return "(none)"
    first = min(numbers[0] // 40, 2)
    return shorten(".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]])))
