# Copyright (c) Evergreen contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What OpenSSL with default settings accepts, and stricter clients refuse (RFC 5280, sections 4.1 and 4.2)."""

from __future__ import annotations

import typing as t

from ansible_collections.evergreen.tls.plugins.module_utils._certificates.distinguished_names import (
    T61_STRING,
    issuer_of,
    subject_of,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.extensions import (
    AUTHORITY_KEY_IDENTIFIER,
    BASIC_CONSTRAINTS,
    SUBJECT_ALTERNATIVE_NAME,
    SUBJECT_KEY_IDENTIFIER,
    authority_key_identifier,
    basic_constraints,
    extensions_of,
    find_extension,
    general_names_of,
    key_usages,
    subject_key_identifier,
)
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.fields import certificate_fields, is_version_1
from ansible_collections.evergreen.tls.plugins.module_utils._certificates.path_validation import describe_role, is_ca

try:
    from cryptography import x509
except ImportError:  # reported by require_cryptography() before anything here is called
    pass

PYTHON = "Python 3.13 and later"  # and what sets X509_V_FLAG_X509_STRICT of OpenSSL
GO = "Go"


def strict_warnings(path: list[x509.Certificate]) -> list[str]:
    """Return a warning for each thing in a path, leaf first, that stricter clients refuse: the certificate, what it is, and the client."""
    warnings = []
    for index, certificate in enumerate(path):
        about = describe_role(certificate, is_leaf=index == 0)
        upper = path[index + 1] if index + 1 < len(path) else None
        warnings += [
            f"{about} {fault}: {client} refuse it, and most clients do not; tell the CA, or have those clients leave out strict checks"
            for client, fault in [
                *_python_faults(certificate, index == 0, upper is None),
                *_go_faults(certificate, upper),
            ]
        ]
    return warnings


def _python_faults(certificate: x509.Certificate, is_leaf: bool, is_last: bool) -> t.Iterator[tuple[str, str]]:
    """Yield client and fault for what X509_V_FLAG_X509_STRICT of OpenSSL refuses (check_extensions in x509_vfy.c)."""
    usages, is_authority = key_usages(certificate), not is_leaf and is_ca(certificate)
    if is_version_1(certificate):
        if is_authority:
            yield PYTHON, "is of version 1, without extensions"
        return
    constraints = basic_constraints(certificate)
    if is_authority and constraints is None:
        yield PYTHON, "has no basicConstraints"
    basic = find_extension(certificate, BASIC_CONSTRAINTS)
    if is_authority and basic and not basic.is_critical:
        yield PYTHON, "has basicConstraints that are not critical"
    if is_authority and usages is None:
        yield PYTHON, "has no keyUsage"
    if not is_authority and usages and "keyCertSign" in usages and not (constraints and constraints.is_ca):
        yield PYTHON, "has the keyUsage keyCertSign and is no CA"
    if (
        constraints
        and constraints.path_length is not None
        and not (constraints.is_ca and "keyCertSign" in (usages or ()))
    ):
        yield PYTHON, "has a pathlen, which is for CAs with keyCertSign"
    identifier = authority_key_identifier(certificate)
    if not is_last and (identifier is None or identifier.key_identifier is None):
        yield PYTHON, "has no authorityKeyIdentifier with the identifier of a key"
    if is_authority and subject_key_identifier(certificate) is None:
        yield PYTHON, "has no subjectKeyIdentifier"
    for oid, name in ((AUTHORITY_KEY_IDENTIFIER, "authority"), (SUBJECT_KEY_IDENTIFIER, "subject")):
        extension = find_extension(certificate, oid)
        if extension and extension.is_critical:
            yield PYTHON, f"has a critical {name}KeyIdentifier"
    if not subject_of(certificate).attributes:
        names = find_extension(certificate, SUBJECT_ALTERNATIVE_NAME)
        if is_authority or not issuer_of(certificate).attributes:
            yield PYTHON, "has an empty name"
        elif names and not names.is_critical and general_names_of(certificate):
            yield PYTHON, "has an empty subject and a subjectAltName that is not critical"


def _go_faults(certificate: x509.Certificate, upper: x509.Certificate | None) -> t.Iterator[tuple[str, str]]:
    """Yield client and fault for what Go refuses (crypto/x509: parser.go, verify.go)."""
    serial_number = certificate_fields(certificate)[0].value
    if serial_number[:1] >= b"\x80":
        yield f"{GO} 1.23 and later", "has a negative serial number"
    elif not any(serial_number):
        yield "strict clients", "has the serial number 0"
    if any(one.tag == T61_STRING and not one.value.isascii() for one in subject_of(certificate).attributes):
        yield "Rust and Python's cryptography", "has a subject in T61String that is not ASCII"
    if upper is not None and issuer_of(certificate).der != subject_of(upper).der:
        yield (
            f"{GO} and Rust",
            f"has an issuer that is written otherwise than the subject of {describe_role(upper, False)}",
        )
    if is_version_1(certificate) and extensions_of(certificate):
        yield PYTHON, "is of version 1 and has extensions"
