# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extensions of certificates (RFC 5280, section 4.2), each read by itself, as OpenSSL does.

The library reads all extensions of a certificate or none: one that is malformed, or holds a name of an old string type, hides all others.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.der import (
    BIT_STRING,
    BOOLEAN,
    EXPLICIT_0,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    children,
    elements,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    CanonicalName,
    dotted,
    issuer_of,
    parse_name,
    subject_name,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.fields import certificate_fields
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.names import address_text
from ansible_collections.evergreen.tls.plugins.module_utils._errors import TlsError

if t.TYPE_CHECKING:
    from cryptography import x509

EXPLICIT_3 = 0xA3  # the tag of the extensions in a certificate
MAX_REMEMBERED = 4096  # certificates

# Object identifiers, in DER, by the names that errors have for them.
BASIC_CONSTRAINTS = bytes.fromhex("551d13")
KEY_USAGE = bytes.fromhex("551d0f")
EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
NAME_CONSTRAINTS = bytes.fromhex("551d1e")
SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("551d11")
SUBJECT_KEY_IDENTIFIER = bytes.fromhex("551d0e")
AUTHORITY_KEY_IDENTIFIER = bytes.fromhex("551d23")
NETSCAPE_CERTIFICATE_TYPE = bytes.fromhex("6086480186f8420101")
REVOCATION_LISTS = bytes.fromhex("551d1f")
PROXY_CERTIFICATE = bytes.fromhex("2b0601050507010e")
EXTENSION_NAMES = {
    BASIC_CONSTRAINTS: "basicConstraints",
    KEY_USAGE: "keyUsage",
    EXTENDED_KEY_USAGE: "extendedKeyUsage",
    NAME_CONSTRAINTS: "nameConstraints",
    SUBJECT_ALTERNATIVE_NAME: "subjectAltName",
    SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
    AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    NETSCAPE_CERTIFICATE_TYPE: "nsCertType",
    PROXY_CERTIFICATE: "proxyCertInfo",
    REVOCATION_LISTS: "cRLDistributionPoints",
    bytes.fromhex("551d20"): "certificatePolicies",
    bytes.fromhex("551d21"): "policyMappings",
    bytes.fromhex("551d24"): "policyConstraints",
    bytes.fromhex("551d36"): "inhibitAnyPolicy",
    bytes.fromhex("2b06010505070107"): "ipAddrBlocks",
    bytes.fromhex("2b06010505070108"): "autonomousSysIds",
    bytes.fromhex("2b0601050507300105"): "ocspNoCheck",
}
# Those that OpenSSL accepts as critical (X509_supported_extension).
KNOWN_EXTENSIONS = EXTENSION_NAMES.keys() - {SUBJECT_KEY_IDENTIFIER, AUTHORITY_KEY_IDENTIFIER}
# Names in subjectAltName and nameConstraints, by their tags (RFC 5280, section 4.2.1.6).
OTHER_NAME, EMAIL, DNS, DIRECTORY, URI, IP_ADDRESS, REGISTERED_ID = 0xA0, 0x81, 0x82, 0xA4, 0x86, 0x87, 0x88
NAME_TYPES = {
    OTHER_NAME: "OtherName",
    EMAIL: "RFC822Name",
    DNS: "DNSName",
    DIRECTORY: "DirectoryName",
    URI: "UniformResourceIdentifier",
    IP_ADDRESS: "IPAddress",
    REGISTERED_ID: "RegisteredID",
}
KEY_USAGE_BITS = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
NETSCAPE_BITS = ("client", "server", "email", "objsign", "reserved", "sslCA", "emailCA", "objCA")

Value = t.TypeVar("Value")


class Extension(t.NamedTuple):
    """An extension as it stands in a certificate."""

    oid: bytes  # in DER
    is_critical: bool
    value: bytes


class BasicConstraints(t.NamedTuple):
    """RFC 5280, section 4.2.1.9."""

    is_ca: bool
    path_length: int | None


class GeneralName(t.NamedTuple):
    """A name of subjectAltName or nameConstraints."""

    tag: int
    value: bytes

    @property
    def text(self) -> str:
        """The name in its normal form. Those that are no DNS names or IP addresses have their type in front."""
        if self.tag == DNS:
            return self.value.decode("latin-1").lower()
        if self.tag == IP_ADDRESS and len(self.value) in (4, 16):
            return address_text(self.value)
        kind = NAME_TYPES.get(self.tag, f"[{self.tag & 0x1F}]")
        return f"{kind}:{self.value.decode('latin-1') if self.tag in (EMAIL, URI) else self.value.hex()}"

    @property
    def directory_name(self) -> CanonicalName:
        """The canonical form of a directory name. Raises ValueError if it is malformed."""
        (name,) = elements(self.value)
        return parse_name(name).canonical


class NameConstraints(t.NamedTuple):
    """RFC 5280, section 4.2.1.10."""

    permitted: list[GeneralName]
    excluded: list[GeneralName]
    has_distances: bool  # minimum or maximum, which no client knows


class AuthorityKeyIdentifier(t.NamedTuple):
    """RFC 5280, section 4.2.1.1."""

    key_identifier: bytes | None
    issuers: list[GeneralName]
    serial_number: bytes | None


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def extensions_of(certificate: x509.Certificate) -> tuple[Extension, ...]:
    """Return the extensions of a certificate in their order. Raises TlsError if they are malformed."""
    try:
        return tuple(
            _extension(element)
            for field in certificate_fields(certificate)
            if field.tag == EXPLICIT_3
            for sequence in elements(field.value)
            for element in children(sequence, SEQUENCE)
        )
    except (ValueError, IndexError, StopIteration) as error:
        raise TlsError(f"the extensions of {subject_name(certificate)} cannot be read; have it issued again") from error


def read_extensions(certificate: x509.Certificate) -> None:
    """Read each extension that a check uses. Raises TlsError if one of them is malformed."""
    for read in (
        basic_constraints,
        key_usages,
        extended_key_usages,
        netscape_types,
        general_names_of,
        name_constraints,
        subject_key_identifier,
        authority_key_identifier,
        _distribution_points,
    ):
        read(certificate)


def find_extension(certificate: x509.Certificate, oid: bytes) -> Extension | None:
    """Return an extension of a certificate, None without it. Raises TlsError where it is there twice."""
    found = [one for one in extensions_of(certificate) if one.oid == oid]
    if len(found) > 1:
        raise TlsError(
            f"{subject_name(certificate)} has the extension {extension_name(oid)} twice, which clients refuse; have it issued again"
        )
    return found[0] if found else None


def extension_name(oid: bytes) -> str:
    """Return the name of an extension, or its object identifier in dotted form."""
    return EXTENSION_NAMES.get(oid) or dotted(oid)


def basic_constraints(certificate: x509.Certificate) -> BasicConstraints | None:
    """Return the basic constraints, None without them. Raises TlsError if they are malformed."""
    return _read(certificate, BASIC_CONSTRAINTS, _basic_constraints)


def key_usages(certificate: x509.Certificate) -> set[str] | None:
    """Return the names of the key usages, None without the extension. Raises TlsError if it is malformed."""
    return _read(certificate, KEY_USAGE, lambda element: _bits(element, KEY_USAGE_BITS))


def extended_key_usages(certificate: x509.Certificate) -> list[str] | None:
    """Return the extended key usages in dotted form, None without the extension. Raises TlsError if it is malformed."""
    return _read(
        certificate,
        EXTENDED_KEY_USAGE,
        lambda element: [dotted(_value(one, OBJECT_IDENTIFIER)) for one in children(element, SEQUENCE)],
    )


def netscape_types(certificate: x509.Certificate) -> set[str] | None:
    """Return the types of nsCertType, None without the extension. Raises TlsError if it is malformed."""
    return _read(certificate, NETSCAPE_CERTIFICATE_TYPE, lambda element: _bits(element, NETSCAPE_BITS))


def general_names_of(certificate: x509.Certificate) -> list[GeneralName]:
    """Return the subject alternative names in their order. Raises TlsError if they are malformed."""
    return _read(certificate, SUBJECT_ALTERNATIVE_NAME, _general_names) or []


def name_constraints(certificate: x509.Certificate) -> NameConstraints | None:
    """Return the name constraints, None without them. Raises TlsError if they are malformed."""
    return _read(certificate, NAME_CONSTRAINTS, _name_constraints)


def subject_key_identifier(certificate: x509.Certificate) -> bytes | None:
    """Return the subject key identifier, None without it. Raises TlsError if it is malformed."""
    return _read(certificate, SUBJECT_KEY_IDENTIFIER, lambda element: _value(element, OCTET_STRING))


def authority_key_identifier(certificate: x509.Certificate) -> AuthorityKeyIdentifier | None:
    """Return the authority key identifier, None without it. Raises TlsError if it is malformed."""
    return _read(certificate, AUTHORITY_KEY_IDENTIFIER, _authority_key_identifier)


def is_issuer_identified(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Say whether the authority key identifier of a certificate may mean *ca* (X509_check_akid of OpenSSL)."""
    identifier = authority_key_identifier(certificate)
    if identifier is None:
        return True
    key_identifier = subject_key_identifier(ca)
    if None not in (identifier.key_identifier, key_identifier) and identifier.key_identifier != key_identifier:
        return False
    serial_number = certificate_fields(ca)[0].value
    if identifier.serial_number is not None and identifier.serial_number != serial_number:
        return False
    directories = [one for one in identifier.issuers if one.tag == DIRECTORY]
    try:
        return not directories or directories[0].directory_name == issuer_of(ca).canonical
    except ValueError:
        return False


def _distribution_points(certificate: x509.Certificate) -> list[list[Element]] | None:
    """Return the fields of each place of revocation lists, None without the extension. Raises TlsError if it is malformed."""
    return _read(
        certificate,
        REVOCATION_LISTS,
        lambda element: [children(one, SEQUENCE) for one in children(element, SEQUENCE)],
    )


def _extension(element: Element) -> Extension:
    parts = children(element, SEQUENCE)
    is_critical = len(parts) == 3 and _boolean(parts[1])
    if len(parts) not in (2, 3):
        raise ValueError(len(parts))
    return Extension(_value(parts[0], OBJECT_IDENTIFIER), is_critical, _value(parts[-1], OCTET_STRING))


def _read(certificate: x509.Certificate, oid: bytes, parse: t.Callable[[Element], Value]) -> Value | None:
    """Return the value of an extension, None without it. Raises TlsError if it is malformed."""
    extension = find_extension(certificate, oid)
    if extension is None:
        return None
    try:
        (element,) = elements(extension.value)
        return parse(element)
    except ValueError as error:
        raise TlsError(
            f"the extension {extension_name(oid)} of {subject_name(certificate)} cannot be read; have it issued again"
        ) from error


def _basic_constraints(element: Element) -> BasicConstraints:
    parts = children(element, SEQUENCE)
    is_ca = bool(parts) and parts[0].tag == BOOLEAN and _boolean(parts[0])
    lengths = [one for one in parts if one.tag == INTEGER]
    if [one.tag for one in parts] not in ([], [BOOLEAN], [INTEGER], [BOOLEAN, INTEGER]):
        raise ValueError(len(parts))
    if lengths and (not lengths[0].value or lengths[0].value[0] & 0x80):
        raise ValueError("negative")
    return BasicConstraints(is_ca, int.from_bytes(lengths[0].value, "big") if lengths else None)


def _bits(element: Element, names: t.Sequence[str]) -> set[str]:
    value = _value(element, BIT_STRING)
    bits = "".join(f"{byte:08b}" for byte in value[1:3])
    return {name for name, bit in zip(names, bits) if bit == "1"}


def _general_names(element: Element) -> list[GeneralName]:
    names = [GeneralName(*one) for one in children(element, SEQUENCE)]
    for name in names:
        if name.tag == IP_ADDRESS and len(name.value) not in (4, 16):
            raise ValueError(len(name.value))
        if name.tag & 0xC0 != 0x80:  # no context-specific tag
            raise ValueError(name.tag)
        if name.tag in (DNS, EMAIL, URI) and not name.value.isascii():  # IA5String
            raise ValueError(name.tag)
    return names


def _name_constraints(element: Element) -> NameConstraints:
    permitted: list[GeneralName] = []
    excluded: list[GeneralName] = []
    has_distances = False
    for part in children(element, SEQUENCE):
        subtrees = permitted if part.tag == EXPLICIT_0 else excluded
        for subtree in elements(part.value):
            base, *distances = children(subtree, SEQUENCE)
            subtrees.append(GeneralName(*base))
            has_distances = has_distances or any(
                one.tag != 0x80 or int.from_bytes(one.value, "big") for one in distances
            )
    return NameConstraints(permitted, excluded, has_distances)


def _authority_key_identifier(element: Element) -> AuthorityKeyIdentifier:
    parts = {one.tag: one.value for one in children(element, SEQUENCE)}
    issuers = [GeneralName(*one) for one in elements(parts.get(0xA1, b""))]
    return AuthorityKeyIdentifier(parts.get(0x80), issuers, parts.get(0x82))


def _boolean(element: Element) -> bool:
    return _value(element, BOOLEAN) not in (b"", b"\0")


def _value(element: Element, tag: int) -> bytes:
    """Return the value of an element. Raises ValueError unless it has this tag."""
    if element.tag != tag:
        raise ValueError(element.tag)
    return element.value
